"""The key of KMA's API hub: where it is found, and that nothing shows it."""

from __future__ import annotations

import base64
import copy
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, quote_plus

import pytest
from typer.testing import CliRunner, Result

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.errors import HsrGeoError, OptionsError
from hsrgeo.hub import budget, client
from hsrgeo.hub.key import Key, find_key, save_key
from tests.fake_hub import KEY, Reply, Script, always, empty_home, fake_hub, refusal

OTHER = "anotherKey1234567890"
PART = 8


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a user's home without a key, where nothing waits."""
    monkeypatch.setattr(client, "_AGAIN_S", 0)
    monkeypatch.setattr(client, "_PAUSES_S", ())
    return empty_home(tmp_path / "home", monkeypatch)


def run(*args: object, stdin: str = "") -> Result:
    done = CliRunner().invoke(app, ["fetch", *map(str, args)], input=stdin, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert "Traceback" not in done.output
    return done


# Where it is found.


def keyring_with(secret: str | None) -> SimpleNamespace:
    def get_password(service: str, user: str) -> str | None:
        assert (service, user) == ("hsrgeo", "kma-apihub-key")
        if secret is None:
            raise RuntimeError("No recommended backend was available")  # as keyring's NoKeyringError
        return secret

    return SimpleNamespace(get_password=get_password)


def test_places_are_looked_at_in_their_order(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionsError, match="hsrgeo fetch key --set"):
        find_key()
    file = save_key(f" {KEY} \n")
    assert (file, file.read_text()) == (home / "config" / "hsrgeo" / "kma-apihub-key", f"{KEY}\n")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert find_key().parameter() == f"authKey={quote(KEY, safe='')}"
    monkeypatch.setitem(sys.modules, "keyring", keyring_with(None))  # none on this machine
    assert find_key().origin == str(file)
    monkeypatch.setitem(sys.modules, "keyring", keyring_with(OTHER))
    assert find_key().origin == "the keyring"
    (tmp_path / "kma-apihub-key").write_text(OTHER)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert find_key().origin == f"the credential {tmp_path / 'kma-apihub-key'}"
    monkeypatch.setenv("KMA_APIHUB_KEY", OTHER)
    assert find_key().origin == "the variable KMA_APIHUB_KEY"


@pytest.mark.skipif(os.name != "posix", reason="permissions of Windows are others")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_refused(mode: int) -> None:
    file = save_key(KEY)
    file.chmod(mode)
    with pytest.raises(OptionsError, match="others can read the key of KMA's API hub: chmod 600"):
        find_key()


@pytest.mark.parametrize("text", ["", " \n", "키키키", "a\0b", "\udcff"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(OptionsError):
        Key(text)
    with pytest.raises(OptionsError):
        save_key(text)


def test_a_key_file_that_is_no_text(home: Path) -> None:
    file = save_key(KEY)
    file.write_bytes(b"\xff\xfe" + KEY.encode())
    with pytest.raises(OptionsError, match="contains invalid characters") as caught:
        find_key()
    assert not leaks(repr(caught.value).encode())
    assert home.is_dir()


def test_commands_set_show_and_forget_it(home: Path) -> None:
    file = home / "config" / "hsrgeo" / "kma-apihub-key"
    assert run("key", "--where").exit_code == 2
    done = run("key", "--set", stdin=f"{KEY}\n")
    assert (done.exit_code, done.stdout) == (0, f"{file}\n")
    done = run("key", "--where")
    assert (done.exit_code, done.stdout) == (0, f"{file}\n")
    assert "the variable KMA_APIHUB_KEY" in done.stderr
    assert not leaks(done.output.encode())
    assert run("key", "--forget").stderr == "removed\n"
    assert run("key", "--forget").stderr == "there is no file with a key\n"
    assert not file.exists()
    assert run("key", "--set", stdin="\n").exit_code == 2
    assert run("key", "--set", "--where").exit_code == 2


def test_a_key_is_checked_by_one_call() -> None:
    with fake_hub() as hub:
        save_key(KEY)
        done = run("key", "--check", "--host", hub.host)
        assert (done.exit_code, "KMA takes the key from" in done.stdout, len(hub.asked)) == (0, True, 1)
        save_key(f"{OTHER}%2B")
        done = run("key", "--check", "--host", hub.host)
        assert (done.exit_code, len(hub.asked)) == (2, 2)
    assert "is refused; it looks like one of data.go.kr, which is another" in done.stderr
    assert not leaks(done.output.encode())


# That nothing shows it.


def leaks(data: bytes) -> list[str]:
    """Return the forms of the key that are in these bytes; made here, without `Key.hide`."""
    forms = {
        "raw": KEY,
        "reversed": KEY[::-1],
        "escaped": quote(KEY, safe=""),
        "plus": quote_plus(KEY),
        "hex": KEY.encode().hex(),
        "every letter escaped": "".join(f"%{ord(letter):02x}" for letter in KEY),
        "entities": "".join(f"&#{ord(letter)};" for letter in KEY),
    }
    lowered, found = data.lower(), []
    for name, form in forms.items():
        length = PART * len(form) // len(KEY)
        parts = {form[at : at + length].lower().encode() for at in range(len(form) - length + 1)}
        found += [name] if any(part in lowered for part in parts) else []
    for before in range(3):
        packed = base64.b64encode(b"\0" * before + KEY.encode())[4:-4]
        found += ["base64"] if any(packed[at : at + 12] in data for at in range(len(packed) - 11)) else []
    return found


def echoes() -> dict[str, str]:
    """Return texts of a service that repeat the key."""
    texts = {
        "raw": KEY,
        "part": f"authKey={KEY[:12]}...",
        "upper": KEY.upper(),
        "escaped": quote(KEY, safe=""),
        "every letter escaped": "".join(f"%{ord(letter):02X}" for letter in KEY),
        "entities": "".join(f"&#{ord(letter)};" for letter in KEY),
        "hex": KEY.encode().hex(),
        "reversed": KEY[::-1],
        "at the cut": "x" * 190 + KEY,
    }
    for before in range(3):
        text = b"x" * before + f"authKey={KEY}&tm=1".encode()
        texts[f"base64 {before}"] = base64.b64encode(text).decode()
        texts[f"url base64 {before}"] = base64.urlsafe_b64encode(text).decode()
    return texts


def test_the_search_finds_what_it_looks_for() -> None:
    assert not leaks(b"a page without it, " * 50)
    assert not [
        name
        for name, text in echoes().items()
        if not leaks(text.encode().replace(b"-", b"+").replace(b"_", b"/")) and not leaks(text.encode())
    ]


def test_a_harmless_text_is_shown_as_it_is() -> None:
    for text in ("활용신청이 필요한 API 입니다.", "error(-11)", "<html>a+b/c</html>", KEY[:7], ""):
        assert Key(KEY).hide(text) == text
    assert Key("short").hide("a short text") != "a short text"


WAYS = ("text", "page", "json", "json 200", "504", "429", "redirect", "broken head", "name")


@pytest.mark.parametrize(
    ("form", "way"), [*((form, "page") for form in echoes()), *(("raw", way) for way in WAYS if way != "page")]
)
def test_no_answer_that_repeats_the_key_is_shown(
    form: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = echoes()[form]
    scripts: dict[str, Script] = {
        "text": always(Reply(f"error {text}".encode())),
        "page": always(Reply(f"<html>{text}</html>".encode())),
        "json": always(Reply(refusal(403, text), 403)),
        "json 200": always(Reply(refusal(401, f"활용신청 {text}"))),
        "504": always(Reply(text.encode(), 504)),
        "429": always(Reply(text.encode(), 429)),
        "redirect": always(Reply(b"", 302, {"Location": f"https://{text}/"})),
        "broken head": always(Reply(b"", 302, {"Location": f"ftp://x/{text}", "Content-Length": text})),
        "name": always(Reply(text.encode(), headers={"Content-Disposition": f"filename={text}"})),
    }
    monkeypatch.setenv("KMA_APIHUB_KEY", KEY)
    with fake_hub(scripts[way]) as hub:
        span = ("--start", "2022-06-09T11:00", "--end", "2022-06-09T11:05")
        done = run("--out", tmp_path / "raw", *span, "--host", hub.host, "--pace", 0)
        assert hub.asked
        assert all(one.query["authKey"] == KEY for one in hub.asked)
    assert done.exit_code in (1, 2, 3)
    assert not leaks(done.output.encode())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and leaks(path.read_bytes())]


def test_no_form_of_a_key_shows_it() -> None:
    key = Key(KEY)
    shown = [repr(key), str(key), f"{key}", f"{key!r:>30}", repr([key]), repr(vars(hub := client.Hub(key))), repr(hub)]
    assert not leaks("".join(shown).encode())
    for make in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a key is never pickled") as caught:
            make(key)
        assert not leaks(str(caught.value).encode())


def test_no_traceback_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_args: object) -> None:
        raise RuntimeError("a bug")

    def repeat(_connection: object, method: str, url: str, **_options: object) -> None:
        raise ValueError(f"{method}: not an address: {url}")

    monkeypatch.setenv("KMA_APIHUB_KEY", KEY)
    found = []
    with fake_hub(always(Reply(KEY.encode(), 403))) as hub:
        wanted = hsrgeo.FetchOptions(times=["2022-06-09 11:00"], host=hub.host, pace_s=0)
        for place in ("meaning_of", "_read_into", "_connection", "address", ""):
            with monkeypatch.context() as patch:
                if place == "address":
                    patch.setattr("http.client.HTTPConnection.putrequest", repeat)
                elif place:
                    patch.setattr(client, place, bug)
                with pytest.raises((RuntimeError, HsrGeoError)) as caught:
                    hsrgeo.fetch(tmp_path / "raw", wanted).run()
            error: BaseException | None = caught.value
            while error is not None:  # also what a traceback leaves out
                found += [*traceback.format_exception(error), repr(error), str(vars(error))]
                error = error.__cause__ or error.__context__
    assert not leaks("".join(found).encode())


@pytest.mark.parametrize("way", ["page", "json", "504", "missing"])
def test_a_watch_shows_it_nowhere(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = {
        "page": Reply(f"<html>{KEY}</html>".encode()),
        "json": Reply(refusal(403, KEY), 403),
        "504": Reply(KEY.encode(), 504),
        "missing": Reply(f"# file not exist ({KEY})".encode()),
    }
    moments = iter(range(10**6))
    monkeypatch.setattr(budget, "_now", lambda: 1e9 + 10 * next(moments))
    monkeypatch.setenv("KMA_APIHUB_KEY", KEY)
    out, store = tmp_path / "out", tmp_path / "raw"
    with fake_hub(always(replies[way])) as hub:
        words = ["--fetch", "--store", store, "--out", out, "--window", "0,0,8,8", "--host", hub.host]
        commands = (
            ["watch", *words, "--once", "--metrics", tmp_path / "hsrgeo.prom"],
            ["watch", "status", out, "--json"],
            ["watch", "unit", "--", *words],
        )
        done = [CliRunner().invoke(app, list(map(str, command))) for command in commands]
        assert hub.asked
    assert [one.exit_code for one in done][2] == 0
    assert not leaks("".join(one.output for one in done).encode())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and leaks(path.read_bytes())]


@pytest.mark.slow
def test_a_process_shows_it_nowhere(tmp_path: Path) -> None:
    def command_line() -> bytes:
        return Path(f"/proc/{process.pid}/cmdline").read_bytes() if Path("/proc/self/cmdline").exists() else b""

    seen = []

    def script(_asked: object, number: int) -> Reply | None:
        seen.append(command_line())
        return Reply(f"<html>{KEY}</html>".encode()) if number < 2 else None

    save_key(KEY)
    span = ["--start", "2022-06-09T11:00", "--end", "2022-06-09T11:10"]
    with fake_hub(script) as hub:
        words = ["fetch", "--out", str(tmp_path / "raw"), *span, "--host", hub.host, "--pace", "0", "--json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "hsrgeo", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "HSRGEO_TRACEBACK": "1", "PYTHONDEVMODE": "1"},
        )
        out, err = process.communicate(timeout=60)
    assert (process.returncode, len(seen)) == (1, 3), err
    assert not leaks(out + err + b"".join(seen))
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and leaks(path.read_bytes())]
    assert kept == [tmp_path / "home" / "config" / "hsrgeo" / "kma-apihub-key"]

"""`hsrgeo fetch` against an imitation of KMA's API hub: each failure that others saw, its message and exit status."""

from __future__ import annotations

import base64
import email.utils
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.errors import HubError, HubLimitError, LockError, OptionsError
from hsrgeo.hub import budget, client
from hsrgeo.hub.answers import Answer, Meaning, meaning_of
from hsrgeo.hub.budget import Budget, Limits
from hsrgeo.hub.client import Hub
from hsrgeo.hub.frames import names_in_list
from hsrgeo.hub.key import Key
from tests.fake_hub import (
    FILE,
    KEY,
    LIST,
    Asked,
    FakeHub,
    Reply,
    always,
    empty_home,
    fake_hub,
    frame,
    listing,
    missing,
    packed_again,
    refusal,
)
from tests.fuzz.kills import campaign
from tests.memory_bucket import MemoryBucket

HOUR = ("--start", "2022-06-09T11:00", "--end", "2022-06-09T11:15")  # 3 frames
TIMES = ("202206091100", "202206091105", "202206091110")


class Clock:
    """Goes on only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = time.time()
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(round(seconds, 3))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a user's home that holds nothing; the key is in the variable."""
    home = empty_home(tmp_path / "home", monkeypatch)
    monkeypatch.setenv("KMA_APIHUB_KEY", KEY)
    return home


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give a clock for the pauses of the client."""
    clock = Clock()
    monkeypatch.setattr(budget, "_now", clock.time)
    monkeypatch.setattr(budget, "_sleep", clock.sleep)
    monkeypatch.setattr(client, "_sleep", clock.sleep)
    return clock


def run(hub: FakeHub | str, *args: object) -> Result:
    """Run the command in this process."""
    host = hub if isinstance(hub, str) else hub.host
    words = ["fetch", *map(str, args), "--host", host]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert "Traceback" not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def names(*times: str) -> list[str]:
    return [f"{tm[:6]}/{tm[6:8]}/RDR_CMP_HSR_PUB_{tm}.bin.gz" for tm in times]


# What is fetched.


def test_frames_come_at_their_pace_and_the_same_command_again_asks_for_nothing(tmp_path: Path, clock: Clock) -> None:
    out = tmp_path / "raw"
    with fake_hub() as hub:
        done = run(hub, "--out", out, *HOUR)
        # three blank frames of the small grid
        size = sum(len(frame(tm)) for tm in TIMES) / 1e6
        assert (done.exit_code, done.output) == (0, f"3 fetched ({size:.1f} MB)\n")
        assert files(out) == {name: frame(tm) for name, tm in zip(names(*TIMES), TIMES, strict=True)}
        assert hub.times == list(TIMES)
        assert clock.slept == [2.0, 2.0]
        first = hub.asked[0].query
        assert first == {"tm": TIMES[0], "data": "bin", "cmp": "hsr", "authKey": KEY}
        again = run(hub, "--out", out, *HOUR)
        assert (again.exit_code, len(hub.asked)) == (0, 3)
        assert "3 there already" in again.stderr


def test_export_takes_the_folder_as_it_is(tmp_path: Path) -> None:
    with fake_hub() as hub:
        hsrgeo.fetch(tmp_path / "raw", start="2022-06-09 11:00", end="2022-06-09 11:10", host=hub.host).run()
    exported = hsrgeo.export(tmp_path / "raw", tmp_path / "out", window=(0, 0, 8, 8), jobs=1, sync=False).run()
    assert exported.counts == {"ok": 2}


def test_a_frame_that_is_there_broken_is_fetched_again(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    broken = out / names(TIMES[1])[0]
    broken.parent.mkdir(parents=True)
    broken.write_bytes(frame(TIMES[1])[:-100])
    (out / names(TIMES[2])[0].replace("PUB", "EXT")).write_bytes(frame(TIMES[2]))  # another kind counts as well
    with fake_hub() as hub:
        assert run(hub, "--out", out, *HOUR).exit_code == 0
        assert hub.times == list(TIMES[:2])
    assert broken.read_bytes() == frame(TIMES[1])


@pytest.mark.parametrize(
    ("args", "count"),
    [
        (("--day", "2022-06-09", "--every", "6h"), 4),
        (("--day", "2019-09-15"), 144),
        (("--start", "2019-09-15T23:50", "--end", "2019-09-16T00:10"), 3),
        (("--last", "1h"), 12),
    ],
)
def test_which_times(args: tuple[str, ...], count: int, tmp_path: Path) -> None:
    # every 5 minutes since 16 September 2019, before every 10: 23:50, 00:00, 00:05
    done = run("http://127.0.0.1:1", "--out", tmp_path / "raw", *args, "--dry-run", "--json")
    assert done.exit_code == 0
    record = json.loads(done.stdout)
    assert record["times"] == record["calls"]
    assert record["times"] in {count, count + (args[0] == "--last")}
    assert not (tmp_path / "raw").exists()


def test_a_dry_run_asks_nothing_and_tells_of_archives(tmp_path: Path) -> None:
    done = run(
        "http://127.0.0.1:1", "--out", tmp_path / "raw", "--start", "2022-06-01", "--end", "2022-07-01", "--dry-run"
    )
    assert done.exit_code == 0
    # 30 x 288 frames of 1.3 MB, 2 s each: 8640 / 3600 * 2 = 4.8 h; 11,232 / 4,750 MB = 236 %
    assert "8,640 to ask for" in done.stdout
    assert "11,232 MB and 4.8 h, 236% of what a day allows" in done.stdout
    assert "data.kma.go.kr" in done.stdout
    few = run("http://127.0.0.1:1", "--out", tmp_path / "raw", *HOUR, "--dry-run")
    # 3 frames of 1.3 MB, 2 s each: 3.9 MB and 6 s
    assert "about 4 MB and 1 minute, 0% of what a day allows" in few.stdout


def test_the_newest_frame_is_the_newest_that_the_service_lists_and_has(tmp_path: Path) -> None:
    now = datetime.now(UTC).astimezone(hsrgeo.KST)
    newest = now.replace(minute=now.minute - now.minute % 5, second=0, microsecond=0)
    times = [newest - n * timedelta(minutes=5) for n in range(4)][::-1]

    def script(asked: Asked, _number: int) -> Reply | None:
        if asked.path == LIST:
            return Reply(listing("HSR", [one for one in times if f"{one:%Y%m%d}" == asked.time]))
        return missing(asked.time) if asked.time == f"{newest:%Y%m%d%H%M}" else None

    with fake_hub(script) as hub:
        done = run(hub, "--out", tmp_path / "raw", "--latest")
        assert done.exit_code == 0, done.output
        assert hub.times == [f"{times[-1]:%Y%m%d%H%M}", f"{times[-2]:%Y%m%d%H%M}"]
    assert list(files(tmp_path / "raw")) == names(f"{times[-2]:%Y%m%d%H%M}")


@pytest.mark.parametrize("today", [Reply(b"# \r\n"), Reply(b"gateway timeout", 504)], ids=["empty", "504"])
def test_after_midnight_yesterday_s_list_counts(today: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    from hsrgeo.hub import frames  # noqa: PLC0415

    class Midnight(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Midnight:
            assert tz is UTC
            return cls(2022, 6, 9, 15, 7, tzinfo=UTC)  # 00:07 KST on the 10th

    monkeypatch.setattr(frames, "datetime", Midnight)
    with fake_hub(lambda asked, _number: today if asked.time == "20220610" else None) as hub:
        newest = frames.latest_times(Hub(host=hub.host), "HSR")
    assert newest[0] == datetime(2022, 6, 9, 23, 55, tzinfo=hsrgeo.KST)
    assert len(newest) == 4


def test_what_the_service_lists(tmp_path: Path) -> None:
    with fake_hub() as hub:
        done = run(hub, "--list", "--start", "2022-06-09T23:50", "--end", "2022-06-10T00:10")
        assert (done.exit_code, [one.time for one in hub.asked]) == (0, ["20220609", "20220610"])
    expected = [
        f"RDR_CMP_HSR_EXT_{tm}.bin.gz" for tm in ("202206092350", "202206092355", "202206100000", "202206100005")
    ]
    assert done.stdout.split() == expected
    assert not list(tmp_path.glob("raw"))


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (listing("HSR", [datetime(2022, 6, 9, 11, tzinfo=hsrgeo.KST)])[:-9], 0),
        ("# 목록\nRDR_CMP_HSR_EXT_202206091100.bin.gz,=\nRDR_CMP_HSR_EXT_202206099".encode("euc-kr"), 1),
        (b"RDR_CMP_HSR_EXT_202213091100.bin.gz,=\n" * 1000 + b"RDR_CMP_HSR_EXT_202206091100.bin.gz\xff\xfe", 1),
    ],
    ids=["cut name", "cut in a name", "no such dates"],
)
def test_lists_that_are_cut_or_broken(body: bytes, count: int) -> None:
    with fake_hub(always(Reply(body))) as hub:
        done = run(hub, "--list", "--day", "2022-06-09")
    assert done.stdout == count * "RDR_CMP_HSR_EXT_202206091100.bin.gz\n"
    assert done.exit_code == (0 if count else 1)


# A frame that is issued again.


@pytest.mark.parametrize(("stations", "status", "kept"), [(5, "replaced", 5), (2, "there", 3), (3, "there", 3)])
def test_only_a_better_frame_replaces_what_is_there(stations: int, status: str, kept: int, tmp_path: Path) -> None:
    tm, out = TIMES[0], tmp_path / "raw"
    with fake_hub(lambda asked, number: Reply(frame(asked.time, stations=stations)) if number else None) as hub:
        wanted = hsrgeo.FetchOptions(times=["2022-06-09 11:00"], host=hub.host)
        hsrgeo.fetch(out, wanted).run()
        [one] = hsrgeo.fetch(out, wanted, again=True)
        assert len(hub.asked) == 2
    assert (one.status, one.stations) == (status, kept)
    assert files(out) == {names(tm)[0]: frame(tm, stations=kept)}


# What is missing.


def test_a_frame_that_is_missing_is_asked_for_once(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    with fake_hub(lambda asked, number: missing(asked.time) if number < 4 and asked.time == TIMES[1] else None) as hub:
        done = run(hub, "--out", out, *HOUR)
        assert done.exit_code == 1
        assert "missing: KMA's API hub has no frame of 2022-06-09 11:05 KST\n" in done.stderr
        assert "2 fetched, 1 missing" in done.stderr
        assert len(hub.asked) == 3
        assert run(hub, "--out", out, *HOUR).exit_code == 1
        assert len(hub.asked) == 3
        assert run(hub, "--out", out, *HOUR, "--retry-missing").exit_code == 1  # number 3: still missing
        assert run(hub, "--out", out, *HOUR, "--retry-missing").exit_code == 0
        assert len(hub.asked) == 5
        assert (out / "missing.jsonl").read_bytes() == b""


def test_the_grid_service_s_words_for_nothing_there_count_too(tmp_path: Path) -> None:
    with fake_hub(always(Reply("# CMP 합성 자료가 없음\n".encode("euc-kr")))) as hub:
        done = run(hub, "--out", tmp_path / "raw", *HOUR, "--json")
    assert (done.exit_code, json.loads(done.stdout)["missing"]) == (1, 3)


def test_a_young_frame_is_not_there_yet_and_is_asked_for_again(tmp_path: Path) -> None:
    now = datetime.now(UTC).astimezone(hsrgeo.KST)
    time = now.replace(minute=now.minute - now.minute % 5, second=0, microsecond=0)
    with fake_hub(lambda asked, number: missing(asked.time) if not number else None) as hub:
        wanted = hsrgeo.FetchOptions(times=[time, time + timedelta(hours=1)], host=hub.host)
        assert [one.status for one in hsrgeo.fetch(tmp_path / "raw", wanted)] == ["not-yet", "not-yet"]
        assert len(hub.asked) == 1  # not for the future
        assert [one.status for one in hsrgeo.fetch(tmp_path / "raw", wanted)] == ["ok", "not-yet"]


def test_an_outage_is_reported_once(tmp_path: Path) -> None:
    # From 08:15 on: (12 - 8.25) * 12 = 45 times
    with fake_hub(lambda asked, _number: missing(asked.time) if asked.time >= "202206090815" else None) as hub:
        done = run(hub, "--out", tmp_path / "raw", "--start", "2022-06-09T08:00", "--end", "2022-06-09T12:00")
    assert done.exit_code == 1
    lines = [line for line in done.stderr.splitlines() if "missing:" in line]
    assert lines == ["missing: KMA's API hub has no frame of 2022-06-09 08:15 KST to 2022-06-09 11:55 KST (45 times)"]


def test_without_a_key_nothing_is_asked_and_nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KMA_APIHUB_KEY")
    with fake_hub() as hub:
        done = run(hub, "--out", tmp_path / "raw", *HOUR)
        assert (done.exit_code, hub.asked) == (2, [])
    assert (
        "no key of KMA's API hub: get one at https://apihub.kma.go.kr, then run 'hsrgeo fetch key --set'" in done.stderr
    )
    assert not (tmp_path / "raw").exists()
    assert not (tmp_path / "home").exists() or not files(tmp_path / "home").keys() & {"state/hsrgeo/apihub.json"}


# What the service answers in place of a frame.

PAGE = b"<!DOCTYPE html><html><body>error</body></html>"
NOT_APPLIED = refusal(403, "활용신청이 필요한 API 입니다.")
USED_UP = refusal(403, "일일 호출 용량을 초과하였습니다.")
WRONG_KEY = refusal(401, "유효하지 않은 인증키입니다.")
TOO_FAST = "현재 요청을 처리할 수 없습니다".encode("euc-kr")
ROWS = {
    "not applied for": (always(Reply(NOT_APPLIED, 403)), 2, "has not applied for rdr_cmp_file.php", 1),
    "not applied for, 200": (always(Reply(NOT_APPLIED)), 2, "click 활용신청", 1),
    "bytes used up": (always(Reply(USED_UP, 403)), 3, "the daily limit of your account is reached", 1),
    "wrong key": (always(Reply(WRONG_KEY, 401)), 2, "the key from the variable KMA_APIHUB_KEY is refused", 1),
    "wrong key, 403": (always(Reply(refusal(403, "Forbidden"), 403)), 2, "is refused", 1),
    "too fast for good": (always(Reply(TOO_FAST, 429)), 3, "still answers 429 after long pauses", 5),
    "504 for good": (always(Reply(b"gateway", 504)), 1, "answers 504 with nothing to use", 6),
    "empty for good": (always(Reply()), 1, "answers 200 with nothing to use", 6),
    "page": (always(Reply(PAGE)), 1, "text in place of a file", 6),
    "no such address": (always(Reply(PAGE, 404)), 1, "answers 404", 6),
    "broken off": (always(Reply(frame(TIMES[0]), cut=900)), 1, "broke off", 6),
    "half a file": (always(Reply(frame(TIMES[0])[:900])), 1, "truncated", 6),
    "another time": (always(Reply(frame("202206090000"))), 1, "name and header disagree on the time", 6),
    "another product": (
        lambda asked, _number: Reply(frame(asked.time, hsp=True)),
        1,
        "another product: expected HSR, found HSP (data code 5)",
        6,
    ),
    "a picture": (always(Reply(b"\x89PNG\r\n\x1a\n" + bytes(100))), 1, "not gzip", 6),
    "redirect": (
        always(Reply(b"", 302, {"Location": f"https://example.org/?authKey={quote(KEY)}"})),
        1,
        "sends on to 'https://example.org/', which is not followed",
        6,
    ),
    "redirect to nowhere": (always(Reply(b"", 302, {"Location": "https://[/"})), 1, "which is not followed", 6),
    "endless": (always(Reply(bytes(100), headers={"Content-Length": "99999999999"})), 1, "broke off", 6),
}


@pytest.mark.parametrize("name", ROWS)
def test_each_failure_has_its_message_and_exit_status(name: str, tmp_path: Path) -> None:
    script, status, message, calls = ROWS[name]
    with fake_hub(script) as hub:
        done = run(hub, "--out", tmp_path / "raw", *HOUR)
        assert done.exit_code == status, done.output
        assert message in done.stderr
        assert len(hub.asked) == calls
    assert not files(tmp_path / "raw") if (tmp_path / "raw").exists() else True
    assert ("run the same command later to resume" in done.stderr) == (status == 3)


@pytest.mark.parametrize(
    "first",
    [Reply(b"gateway", 504), Reply(), Reply(frame(TIMES[0]), cut=900), Reply(frame(TIMES[0])[:900]), Reply(b"", 500)],
    ids=["504", "empty", "broken off", "half", "500"],
)
def test_what_passes_is_asked_for_once_more(first: Reply, tmp_path: Path) -> None:
    with fake_hub(lambda _asked, number: first if not number else None) as hub:
        assert run(hub, "--out", tmp_path / "raw", *HOUR).exit_code == 0
        assert hub.times == [TIMES[0], *TIMES]


@pytest.mark.parametrize("reply", [Reply(b"", 503), Reply(PAGE)], ids=["503", "page"])
def test_a_server_that_has_no_answer_ends_the_run_after_five_times(reply: Reply, tmp_path: Path) -> None:
    with fake_hub(always(reply)) as hub:
        done = run(hub, "--out", tmp_path / "raw", "--day", "2022-06-09")
        assert (done.exit_code, len(hub.asked)) == (1, 10)
    assert "5 requests in a row got no valid answer" in done.stderr


def test_a_drip_ends_at_the_deadline_of_the_whole_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_DEADLINE_S", 0.2)
    for reply in (Reply(b"x" * 100, drip_s=0.05), Reply(b"x" * 100, headers={"Content-Length": ""}, drip_s=0.05)):
        with fake_hub(always(reply)) as hub:
            done = run(hub, "--out", tmp_path / "raw", "--start", "2022-06-09T11:00", "--end", "2022-06-09T11:05")
        assert (done.exit_code, "no whole answer within 0.2 s" in done.stderr) == (1, True), done.output


def test_a_refused_connection_ends_the_run(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = run(host, "--out", tmp_path / "raw", *HOUR)
    assert done.exit_code == 3
    assert done.stderr.splitlines()[-2:] == [
        f"hsrgeo: {host} (--host) refuses the connection: is the server or tunnel there running?",
        "        run the same command later to resume",
    ]
    refused = ConnectionRefusedError()
    assert client.Hub()._problem(refused).startswith("KMA's API hub refuses the connection: it does so")
    members = client.Hub(host="apihub-org.kma.go.kr")
    assert members._problem(refused).startswith("apihub-org.kma.go.kr refuses the connection: it does so")
    unknown = members._problem(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert unknown == "apihub-org.kma.go.kr cannot be reached, or broke off: 'Name or service not known'"


def test_a_frame_packed_once_more_on_the_way_and_one_of_a_named_kind(tmp_path: Path) -> None:
    with fake_hub(lambda asked, _number: packed_again(frame(asked.time))) as hub:
        assert run(hub, "--out", tmp_path / "raw", *HOUR).exit_code == 0
    assert set(files(tmp_path / "raw").values()) == {frame(tm) for tm in TIMES}
    named = {"Content-Disposition": f'attachment; filename="RDR_CMP_HSR_EXT_{TIMES[0]}.bin.gz"'}
    with fake_hub(lambda asked, _number: Reply(frame(asked.time), headers=named)) as hub:
        assert run(hub, "--out", tmp_path / "ext", *HOUR).exit_code == 0
    assert [name.split("_")[3] for name in files(tmp_path / "ext")] == ["EXT", "PUB", "PUB"]


def test_rain_rates_come_with_one_block_though_their_header_declares_three(tmp_path: Path) -> None:
    with fake_hub() as hub:
        assert run(hub, "--out", tmp_path / "raw", *HOUR, "--product", "hsp").exit_code == 0
    assert sum("_HSP_" in name for name in files(tmp_path / "raw")) == 3
    assert hsrgeo.open_frame(next((tmp_path / "raw").rglob("*.gz"))).blocks == 1


# Pauses and budget.


def test_after_429_everybody_waits_longer_each_time(tmp_path: Path, clock: Clock) -> None:
    with fake_hub(lambda _asked, number: Reply(TOO_FAST, 429) if number < 3 else None) as hub:
        assert run(hub, "--out", tmp_path / "raw", *HOUR).exit_code == 0
        assert len(hub.asked) == 6
    assert clock.slept == [30.0, 60.0, 120.0, 2.0, 2.0]


def test_503_with_a_pause_is_a_wish_for_it(tmp_path: Path, clock: Clock) -> None:
    busy = Reply(b"maintenance", 503, {"Retry-After": "45"})
    with fake_hub(lambda _asked, number: None if number else busy) as hub:
        assert run(hub, "--out", tmp_path / "raw", *HOUR).exit_code == 0
    assert clock.slept == [45.0, 2.0, 2.0]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_pause_that_the_service_names_is_kept(form: str, tmp_path: Path, clock: Clock) -> None:
    def script(_asked: Asked, number: int) -> Reply | None:
        until = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        return None if number else Reply(TOO_FAST, 429, {"Retry-After": until if form == "date" else "90"})

    with fake_hub(script) as hub:
        assert run(hub, "--out", tmp_path / "raw", *HOUR).exit_code == 0
    assert clock.slept[0] == pytest.approx(90, abs=2)
    assert clock.slept[1:] == [2.0, 2.0]


def test_before_a_long_pause_the_run_ends_and_so_does_the_next(tmp_path: Path) -> None:
    with fake_hub(always(Reply(TOO_FAST, 429, {"Retry-After": "7200"}))) as hub:
        for _run in range(2):
            done = run(hub, "--out", tmp_path / "raw", *HOUR)
            assert (done.exit_code, "asks to pause until" in done.stderr) == (3, True)
        assert len(hub.asked) == 1


def test_the_calls_of_a_day_are_counted_over_all_runs(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    with fake_hub() as hub:
        done = run(hub, "--out", out, *HOUR, "--limit-calls", 2)
        assert done.exit_code == 3
        assert "2 calls of KMA's API hub were used today (KST); the limit is 2" in done.stderr
        assert "2 fetched" in done.stderr
        assert (run(hub, "--out", out, *HOUR, "--limit-calls", 2).exit_code, len(hub.asked)) == (3, 2)
        assert (run(hub, "--out", out, *HOUR, "--limit-calls", 3).exit_code, len(hub.asked)) == (0, 3)
        size = sum(len(frame(tm)) for tm in TIMES)
        assert Budget(Limits()).used().size == size
        done = run(hub, "--out", tmp_path / "other", *HOUR, "--limit-bytes", f"{size / 1e3}kB")
        assert (done.exit_code, len(hub.asked)) == (3, 3)


def test_a_new_day_of_korea_has_a_new_budget(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Budget(Limits())
    (home / "state" / "hsrgeo").mkdir(parents=True)
    (home / "state" / "hsrgeo" / "apihub.json").write_text('{"day": "2022-06-09", "calls": 7, "size": 9}')

    class At(datetime):
        minute_utc = 0

        @classmethod
        def now(cls, tz: object = None) -> At:
            assert tz is UTC
            return cls(2022, 6, 9, 14, 59, tzinfo=UTC) + timedelta(minutes=cls.minute_utc)

    monkeypatch.setattr(budget, "datetime", At)
    assert (kept.used().calls, kept.used().size) == (7, 9)  # 23:59 KST
    At.minute_utc = 1
    assert (kept.used().calls, kept.used().day) == (0, "2022-06-10")


@pytest.mark.parametrize(
    "damage", [b"", b"\0" * 90, b"[1]", b'{"day": 1, "calls": "x"}', b'{"day": "2022-', b"NAN", b"OLD"]
)
def test_a_damaged_budget_begins_anew(damage: bytes, home: Path) -> None:
    file = home / "state" / "hsrgeo" / "apihub.json"
    file.parent.mkdir(parents=True)
    today = f"{datetime.now(UTC).astimezone(hsrgeo.KST):%Y-%m-%d}"
    record = {b"NAN": f'{{"day": "{today}", "last": NaN}}', b"OLD": f'{{"day": "{today}", "calls": 1{"0" * 400}}}'}
    file.write_bytes(record[damage].encode() if damage in record else damage)
    with Budget(Limits()).turn() as turn:
        turn.add(5)
    assert (Budget(Limits()).used().calls, Budget(Limits()).used().size) == (1, 5)


def test_two_runs_at_once_keep_the_pace_and_the_budget_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_now", time.monotonic)
    monkeypatch.setattr(budget, "_sleep", time.sleep)
    pace, turns, write = 0.05, list[float](), Budget._write

    def written(own: Budget, used: budget.Used) -> None:
        if used.calls > len(turns):
            turns.append(used.last)
        write(own, used)

    monkeypatch.setattr(Budget, "_write", written)

    with fake_hub() as hub, ThreadPoolExecutor(2) as pool:
        codes = sorted(pool.map(lambda number: _codes(hub, tmp_path / str(number), pace), range(2)))
        assert hub.most_at_once == 1
        assert len(hub.asked) == 5
        begun = [one.begun for one in hub.asked]
    assert codes in (["done", "limit"], ["limit", "limit"])
    assert min(b - a for a, b in pairwise(turns)) > pace - 1e-6
    assert all(turn <= asked for turn, asked in zip(turns, begun, strict=True))  # nothing is asked before its turn
    assert Budget(Limits()).used().calls == 5


def _codes(hub: FakeHub, out: Path, pace: float) -> str:
    options = hsrgeo.FetchOptions(
        start="2022-06-09 11:00", end="2022-06-09 11:15", host=hub.host, pace_s=pace, limit_calls=5
    )
    try:
        hsrgeo.fetch(out, options).run()
    except HubLimitError:
        return "limit"
    return "done"


def test_two_runs_into_one_folder_are_refused(tmp_path: Path) -> None:
    with fake_hub() as hub:
        wanted = hsrgeo.FetchOptions(start="2022-06-09 11:00", end="2022-06-09 11:15", host=hub.host)
        first = hsrgeo.fetch(tmp_path / "raw", wanted)
        next(first)
        with pytest.raises(LockError, match="another run"):
            next(hsrgeo.fetch(tmp_path / "raw", wanted))
        first.run()


# Wrong usage.


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--last", "1h"), "give an output folder: --out"),
        (("--out", "raw"), "choose times by one of --latest"),
        (("--out", "raw", "--last", "1h", "--latest"), "choose times by one of --latest"),
        (("--out", "raw", "--end", "2022-06-09"), "choose times by one of --latest"),
        (("--out", "raw", "--last", "1h", "--product", "HSX"), "KMA's API hub has HSR, HSP"),
        (("--out", "raw", "--start", "2022-06-10", "--end", "2022-06-09"), "is not after --start"),
        (
            ("--out", "raw", "--start", "2022-06-09T11:01", "--end", "2022-06-09T11:02"),
            "no frame is made from 2022-06-09 11:01 to 2022-06-09 11:02 KST",
        ),
        (("--out", "raw", "--last", "1h", "--limit-bytes", "many"), "expected a size such as 500MB"),
        (("--out", "raw", "--last", "1h", "--limit-calls", "-1"), "must not be negative"),
        (("--out", "raw", "--latest", "--dry-run"), "--latest asks for one frame"),
        (("--out", "http://example.org/raw", "--last", "1h"), "outputs go to a disk or a bucket"),
    ],
)
def test_wrong_usage(args: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("http://127.0.0.1:1", *args)
    assert (done.exit_code, message in done.stderr) == (2, True), done.output
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    "host", ["example.org", "kma.go.kr.example.org", "http://apihub.kma.go.kr", "x@apihub.kma.go.kr"]
)
def test_the_key_goes_to_kma_only(host: str) -> None:
    with pytest.raises(OptionsError, match=r"the key goes to hosts of kma\.go\.kr only"):
        Hub(Key(KEY), host)


def test_a_pace_that_the_service_does_not_bear_is_refused(tmp_path: Path) -> None:
    done = run("apihub.kma.go.kr", "--out", tmp_path / "raw", "--last", "1h", "--pace", "0.5")
    assert (done.exit_code, "answers 429 below 1 second" in done.stderr) == (2, True)


# A bucket as OUT; TLS; any bytes as an answer.


def test_a_bucket_takes_frames_and_is_not_asked_for_what_it_has(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    with (
        bucket.connected() as out,
        fake_hub(lambda asked, _number: missing(asked.time) if asked.time == TIMES[1] else None) as hub,
    ):
        wanted = hsrgeo.FetchOptions(start="2022-06-09 11:00", end="2022-06-09 11:15", host=hub.host)
        for _run in range(2):
            assert hsrgeo.fetch(out, wanted).run().counts["missing"] == 1
        assert len(hub.asked) == 3
        exported = hsrgeo.export(str(out), tmp_path / "out", window=(0, 0, 8, 8), jobs=1, sync=False).run()
        assert exported.counts == {"ok": 2}
    assert sorted(bucket.objects) == [f"out/{name}" for name in names(TIMES[0], TIMES[2])] + ["out/missing.jsonl"]


@contextmanager
def silent_server() -> Iterator[tuple[int, bytearray]]:
    """Take connections and what is sent, answer a proxy's question, and say nothing else."""
    heard, over = bytearray(), threading.Event()

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                taken, _address = listening.accept()
                with taken:
                    taken.settimeout(2)
                    with suppress(OSError):
                        while data := taken.recv(4096):
                            heard.extend(data)
                            if data.startswith(b"CONNECT"):
                                taken.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], heard
        over.set()
        thread.join()


def test_the_deadline_holds_while_hands_are_shaken_and_a_proxy_hears_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_DEADLINE_S", 0.2)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with silent_server() as (port, heard):
        monkeypatch.setenv("https_proxy", f"http://user:pass%20word@127.0.0.1:{port}")
        with pytest.raises(HubError, match="no whole answer within"):
            Hub(Key(KEY)).ask(FILE, {"tm": TIMES[0]}, most_bytes=10)
    assert heard.startswith(b"CONNECT apihub.kma.go.kr:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"user:pass word") in heard
    assert b"\x16\x03\x01" in heard  # a TLS handshake follows
    assert quote(KEY, safe="").encode() not in heard
    assert FILE.encode() not in heard


@pytest.mark.parametrize("proxy", ["http://[", "http://proxy:port"])
def test_a_proxy_that_is_no_address(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(OptionsError, match="HTTPS_PROXY is not a proxy address"):
        Hub(Key(KEY)).ask(FILE, {"tm": TIMES[0]}, most_bytes=10)


def test_frames_come_over_tls_from_a_trusted_server_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with fake_hub() as hub:
        hub.socket = context.wrap_socket(hub.socket, server_side=True)
        port = hub.server_address[1]
        monkeypatch.setattr(client, "_connection", lambda _host: client._Secure("localhost", port, timeout=10))
        wanted = hsrgeo.FetchOptions(times=["2022-06-09 11:00"])
        [one] = hsrgeo.fetch(tmp_path / "raw", wanted)
        assert "a certificate that cannot be trusted" in str(one.error)
        assert not hub.asked
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        [one] = hsrgeo.fetch(tmp_path / "raw", wanted)
        assert (one.status, len(hub.asked)) == ("ok", 1)
    assert Path(one.path).read_bytes() == frame(TIMES[0])


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "both.pem").write_bytes(private + made.public_bytes(Encoding.PEM))
    return folder / "both.pem"


@settings(max_examples=40)
@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["retry-after", "location", "content-disposition"]), st.text(max_size=20)),
    st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.sampled_from([NOT_APPLIED, b'{"result": [1]}', b"{" * 5000]),
)
def test_any_answer_has_a_meaning(status: int, headers: dict[str, str], body: bytes) -> None:
    answer = Answer(status, headers, body)
    meaning, text = meaning_of(answer)
    assert meaning in get_args(Meaning)
    assert isinstance(text, str)
    assert isinstance(answer.text, str)
    assert (answer.retry_after_s or 0.0) >= 0
    list(names_in_list(answer.text))


# Runs that are killed.


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_bytes() -> None:
    done = campaign(kills=2, frames=8, seed=1)
    assert (done.kills, done.folders) == (2, 1)


def test_a_watch_fetches_before_each_round_and_goes_on_without_the_service(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    watched = ["watch", "--fetch", "--store", raw, "--window", "0,0,9,9", "--format", "cog", "--out", out, "--once"]
    with fake_hub(lambda asked, _number: None if asked.time.endswith("00") else missing(asked.time)) as hub:
        done = CliRunner().invoke(app, [*map(str, watched), "--host", hub.host])
    there = sorted(raw.glob("*/*/*.bin.gz"))
    assert (done.exit_code, len(there)) == (0, len(list(out.glob("*/*/*.tif"))))
    assert f"{len(there)} written; latest: HSR of " in done.output
    there[0].unlink()
    gone = CliRunner().invoke(app, [*map(str, watched), "--host", hub.host])
    assert gone.exit_code == 3  # a refused connection is how the service ends a day
    assert KEY not in gone.output
    assert json.loads((out / "status.json").read_bytes())["error"]

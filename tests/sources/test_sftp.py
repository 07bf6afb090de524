"""Sources on another machine: a real sshd on loopback, with keys made for the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

import hsrgeo
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.sources import connections, remote, sftp
from hsrgeo.sources.remote import RemotePath
from tests.conftest import TIME, frame_name, make_tar
from tests.faults import STEP
from tests.s3 import free_port

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(SSHD is None, reason="no sshd on this machine")
OPTIONS = ExportOptions(window=(420, 620, 48, 32), jobs=1)


def keygen(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Give the port of a machine that knows the user's key, and the user's home folder, which knows the machine's."""
    assert SSHD
    folder, home = tmp_path_factory.mktemp("sshd"), tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir(mode=0o700)
    host_key, user_key = keygen(folder / "host"), keygen(home / ".ssh/id_ed25519")
    port = free_port()
    shutil.copy(user_key.with_suffix(".pub"), folder / "authorized")
    kind, key, *_ = host_key.with_suffix(".pub").read_text().split()
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": host_key,
        "AuthorizedKeysFile": folder / "authorized",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "Subsystem": "sftp internal-sftp",
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it separates its privileges
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL)
    try:
        _until_it_answers(server, port)
        yield port, home
    finally:
        server.terminate()
        server.wait()


def _until_it_answers(server: subprocess.Popen[bytes], port: int) -> None:
    while server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError("sshd ended at its start")


@pytest.fixture
def root(machine: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    port, home = machine
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    connections._connected.cache_clear()
    return f"sftp://127.0.0.1:{port}"


@pytest.fixture
def frames(make_file: Callable[..., bytes], tmp_path: Path) -> Path:
    folder = tmp_path / "프레임 frames"
    (folder / "below").mkdir(parents=True)
    sound = [(frame_name(TIME + n * STEP), make_file(time=TIME + n * STEP)) for n in range(4)]
    (folder / "RDR_HSR_202206.tar.gz").write_bytes(make_tar(sound[:2]))
    (folder / sound[2][0]).write_bytes(sound[2][1])
    (folder / "below" / sound[3][0]).write_bytes(sound[3][1])
    (folder / "link").symlink_to(folder / "below")
    (folder / frame_name(TIME + 9 * STEP)).symlink_to(folder / "nowhere")
    return folder


@pytest.mark.parametrize("scheme", ["sftp", "ssh"])
def test_another_machine_gives_the_bytes_that_a_disk_gives(
    root: str, frames: Path, tmp_path: Path, scheme: str
) -> None:
    (frames / frame_name(TIME + 9 * STEP)).unlink()
    source = f"{root.replace('sftp', scheme)}{frames}"
    assert {one.status for one in hsrgeo.export(source, tmp_path / "there", OPTIONS)} == {"ok"}
    assert {one.status for one in hsrgeo.export(frames, tmp_path / "here", OPTIONS)} == {"ok"}
    there, here = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.[tp][in][fg]")}
        for name in ("there", "here")
    )
    assert there == here
    assert len(there) == 8
    again = hsrgeo.export(source, tmp_path / "there", OPTIONS)
    assert {one.status for one in again} == {"skipped"}


def test_a_link_that_leads_nowhere_is_reported(root: str, frames: Path) -> None:
    outcomes = list(hsrgeo.export(f"{root}{frames}", frames.parent / "out", OPTIONS))
    failed = [str(outcome.error) for outcome in outcomes if outcome.status == "failed"]
    assert len(failed) == 1
    assert failed[0].endswith(f"{frame_name(TIME + 9 * STEP)}: cannot be read: no such file")


def test_a_file_that_is_not_there(root: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        list(hsrgeo.iter_frames(f"{root}{tmp_path}/none.bin.gz"))


def test_a_machine_that_is_not_known_is_refused(root: str, frames: Path, machine: tuple[int, Path]) -> None:
    known = machine[1] / ".ssh/known_hosts"
    text = known.read_text()
    try:
        known.write_text("")
        with pytest.raises(SourceError, match=r"not found in known_hosts; does `ssh 127\.0\.0\.1` work"):
            list(hsrgeo.iter_frames(f"{root}{frames}"))
    finally:
        known.write_text(text)


def test_a_key_that_is_not_wanted_is_reported(
    root: str, frames: Path, tmp_path: Path, machine: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    shutil.copy(machine[1] / ".ssh/known_hosts", tmp_path / ".ssh")
    keygen(tmp_path / ".ssh/id_ed25519")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SourceError, match="refuses the keys"):
        list(hsrgeo.iter_frames(f"{root}{frames}"))


def test_a_machine_that_is_not_there(root: str) -> None:
    assert root
    with pytest.raises(SourceError, match="cannot be reached"):
        list(hsrgeo.iter_frames("sftp://127.0.0.1:1/data"))


def test_outputs_are_refused(root: str, frames: Path) -> None:
    with pytest.raises(OptionsError, match="outputs go to a disk or a bucket"):
        hsrgeo.export(frames, f"{root}/out", OPTIONS)
    with pytest.raises(OSError, match="outputs go to a disk or a bucket"):
        RemotePath(f"{root}/x").write_bytes(b"x")


def test_a_connection_that_ended_is_made_again_however_many_channels_it_had(
    root: str, frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = remote.place(f"{root}{frames}/{frame_name(TIME + 2 * STEP)}")
    assert isinstance(path, RemotePath)
    whole = (frames / frame_name(TIME + 2 * STEP)).read_bytes()
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(lambda _number: path.read_bytes(), range(24))) == [whole] * 24
    service = connections.service(path.root)
    assert isinstance(service, sftp.Sftp)
    for _ in range(3):
        service._idle.put(service._opened())
    service._client.get_transport().close()
    monkeypatch.setattr(sftp, "_TRIES", 1)  # none of the dead ones costs a try
    assert path.read_bytes() == whole

"""`hsrgeo watch` as a service of systemd: what it sends, how it ends, and the unit that is printed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hsrgeo.cli import app
from hsrgeo.engine.watch.status import notify
from tests.conftest import frame_name, hear_signals
from tests.watched import content

needs_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="a service manager of Linux")


def _unit(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["watch", "unit", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


@needs_sockets
def test_a_service_is_ready_alive_and_ends_with_the_status_of_its_unit(tmp_path: Path) -> None:
    (source := tmp_path / "in").mkdir()
    (source / frame_name()).write_bytes(content(0, 3, "whole"))
    command = [sys.executable, "-m", "hsrgeo", "watch", "in", "--window", "400,600,32,32", "--out", "out"]
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name := f"{short}/notify")  # a name has 108 bytes at most
        manager.settimeout(60)
        environment = {**os.environ, "NOTIFY_SOCKET": name}
        with subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_signals,  # noqa: PLW1509 - it only asks the kernel
        ) as process:
            seen = [manager.recv(4096).decode() for _message in range(3)]
            process.send_signal(signal.SIGTERM)
            _out, said = process.communicate(timeout=60)
    assert seen == ["READY=1", "WATCHDOG=1", "WATCHDOG=1\nSTATUS=latest: HSR of 2022-06-09 11:15 KST"]
    assert "interrupted by SIGTERM" in said
    unit = _unit("--", "in", "--out", "out").splitlines()
    assert f"SuccessExitStatus={process.returncode}" in unit
    assert {"Type=notify", "WatchdogSec=15min", "Restart=on-failure"} <= set(unit)


@needs_sockets
def test_a_status_is_one_line_and_a_manager_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name := f"{short}/notify")
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("STATUS=a\nREADY=1", "WATCHDOG=1")
        assert manager.recv(4096) == b"STATUS=a\nWATCHDOG=1"
    notify("READY=1")
    for other in ("", "vsock:2:1234"):
        monkeypatch.setenv("NOTIFY_SOCKET", other)
        notify("READY=1")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("timer", [False, True])
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, *, timer: bool) -> None:
    text = _unit(*(["--timer"] if timer else []), "--", "in 50%", "--out", "$HOME/live", "--keep", "48h")
    service, _mark, rest = text.partition("# hsrgeo-watch.timer\n")
    paths = [tmp_path / "hsrgeo-watch.service"]
    paths[0].write_text(service)
    if timer:
        paths.append(tmp_path / "hsrgeo-watch.timer")
        paths[1].write_text(rest)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False, timeout=60
    )
    said = [line for line in done.stderr.splitlines() if "hsrgeo-watch" in line]
    assert (said, done.returncode) == ([], 0)

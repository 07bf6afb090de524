"""The page of a folder that `hsrgeo watch` follows: what is new comes by itself, and the badge tells how old it is."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hsrgeo
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.view.pages import Growing, ViewOptions
from hsrgeo.engine.view.server import PageServer
from hsrgeo.engine.watch.watch_run import Watch
from tests.browser import Shown, browser_test, serving
from tests.conftest import TIME, MakeFile, Pixels, frame_name, hear_signals

MINUTE = timedelta(minutes=1)


@dataclass
class Followed:
    """A folder that is watched, and frames that arrive in it."""

    source: Path
    out: Path
    make_file: MakeFile
    pixels: Pixels
    first: datetime = TIME
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.source.mkdir()
        options = ExportOptions(window=(380, 590, 280, 260), formats=("cog",), sync=False)
        self.watch = Watch(self.source, self.out, options, keep=timedelta(minutes=15), settle_s=0)

    def arrive(self, *orders: int, echo: int = 0) -> None:
        """Let frames come, `echo` 0.01 dBZ stronger than those of the fixture, and the watch see them."""
        for order in orders:
            at = self.first + 5 * order * MINUTE
            stored = np.where(self.pixels > 0, self.pixels + echo, self.pixels).astype(np.int16)
            (self.source / frame_name(at)).write_bytes(self.make_file(stored, time=at))
        done = self.watch.round()
        assert done.error is None
        assert not done.broken


@pytest.fixture
def followed(make_file: MakeFile, pixels: Pixels, tmp_path: Path) -> Iterator[Followed]:
    one = Followed(tmp_path / "frames", tmp_path / "out", make_file, pixels)
    with one.watch:
        yield one


def test_the_server_makes_a_page_anew_only_where_the_folder_was_written_to(followed: Followed) -> None:
    followed.arrive(0, 1)
    growing = Growing(followed.out, ViewOptions())
    first = growing.page()
    assert growing.page() is first
    followed.arrive(2)
    second = growing.page()
    assert [len(page.cogs) for page in (first, second)] == [2, 3]
    followed.arrive(4)  # 11:35; 15 minutes before is 11:20
    assert sorted(growing.page().cogs) == [f"202206/09/2022060911{minute}.tif" for minute in (20, 25, 35)]
    (followed.out / "options.json").write_text("damaged")
    (followed.out / "manifest.jsonl").touch()
    assert len(growing.page().cogs) == 3
    crc32s = growing.page().contents.stacks[0].crc32s
    assert len(set(crc32s.values())) == 3


def test_a_page_of_a_folder_that_nobody_follows_or_of_a_past_time_asks_for_nothing(followed: Followed) -> None:
    followed.arrive(0)
    end = TIME + timedelta(hours=1)
    assert b'"poll_s":30,"watched":true' in Growing(followed.out, ViewOptions()).page().files["view/view.json"]
    assert (
        b'"poll_s":null,"watched":false' in Growing(followed.out, ViewOptions(end=end)).page().files["view/view.json"]
    )
    (followed.out / "status.json").unlink()
    hsrgeo.write_view(followed.out)
    assert b'"poll_s":30,"watched":true' in (followed.out / "view" / "view.json").read_bytes()  # its lock is there
    alone = followed.out.with_name("alone")
    shutil.copytree(followed.out, alone, ignore=shutil.ignore_patterns("*.lock"))
    hsrgeo.write_view(alone)
    assert b'"poll_s":null,"watched":false' in (alone / "view" / "view.json").read_bytes()


@pytest.mark.slow
def test_the_command_serves_a_folder_that_grows_until_it_is_interrupted(followed: Followed) -> None:
    followed.arrive(0)
    command = [sys.executable, "-m", "hsrgeo", "view", str(followed.out), "--no-open", "--port", "0"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=hear_signals,  # noqa: PLW1509 - it only asks the kernel
    ) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        counts = []
        for order in (1, 2):
            connection = http.client.HTTPConnection(url.split("/")[2], timeout=30)
            connection.request("GET", "/view/view.json")
            counts.append(json.load(connection.getresponse())["views"][0]["windows"][0]["frames"])
            connection.close()
            followed.arrive(order)
        program.send_signal(signal.SIGINT)
        assert program.wait(30) == 130
    assert counts == [1, 2]


@pytest.mark.slow
@browser_test
def test_new_frames_come_and_old_ones_go_and_replaced_ones_are_read_again(browser: Any, followed: Followed) -> None:
    followed.first = TIME.replace(hour=23, minute=35)
    followed.arrive(0, 1, 2)
    answers: list[tuple[str, int]] = []
    with PageServer(Growing(followed.out, ViewOptions()).page, 0) as server, serving(server) as url:
        _listen(server, answers)
        one = Shown(browser, url, now=followed.first + 16 * MINUTE)  # 23:51; the newest frame is of 23:45

        def polled() -> None:
            before, end = len(answers), time.monotonic() + 30
            one.page.clock.fast_forward(31_000)
            while not any(path == "/view/view.json" for path, _status in answers[before:]):
                assert time.monotonic() < end
                one.page.wait_for_timeout(10)

        def shows(clock: str) -> None:
            one.until(f"document.getElementById('time').textContent.endsWith('{clock} KST')")

        one.ready()
        shows("23:45")
        assert one.text("live") == "LIVE 23:45, 6 min ago"
        one.page.evaluate("hsrgeo.click([150.5, 140.5])")
        polled()
        assert answers[-1] == ("/view/view.json", 304)
        followed.arrive(3)
        polled()
        shows("23:50")
        assert one.text("live") == "LIVE 23:50, 2 min ago"
        one.until("hsrgeo.csv().trim().split('\\n').length === 5")  # head and four frames

        followed.arrive(4, 5)  # 23:55 and 00:00, 15 minutes before which is 23:45: the page goes over midnight
        polled()
        shows("00:00")
        assert one.page.evaluate("[...document.getElementById('span').options].map((one) => one.text)") == [
            "2022-06-09",
            "2022-06-10",
            "last 24 h",
        ]
        one.page.keyboard.press("Home")
        shows("23:45")
        followed.arrive(6)  # 00:05: 23:45 goes
        polled()
        shows("23:50")
        assert one.page.evaluate("hsrgeo.frames().times.length") == 4

        one.page.evaluate("document.getElementById('live').click()")
        shows("00:05")
        one.page.evaluate("hsrgeo.click([150.5, 140.5])")
        value = "hsrgeo.frames().value(3, 150, 140, hsrgeo.map.grid.width)"
        before = one.page.evaluate(value)
        followed.arrive(6, echo=300)
        polled()
        one.until(f"{value}.then((now) => now === {before + 300})")
        one.ready()
        one.until(f"+hsrgeo.csv().trim().split('\\n').at(-1).split(',')[5] === {(before + 300) / 100}")

        one.until("location.hash.includes('t=latest')")
        assert one.complaints == []
        one.close()


@pytest.mark.slow
@browser_test
def test_the_badge_grows_old_in_english_and_korean(browser: Any, followed: Followed) -> None:
    followed.arrive(0)
    with PageServer(Growing(followed.out, ViewOptions()).page, 0) as server, serving(server) as url:
        one = Shown(browser, url, wanted="lang=ko", now=TIME + 3 * MINUTE)
        for minutes, kind, text in (
            (3, "", "3분"),
            (14, "", "14분"),
            (15, "late", "15분"),
            (29, "late", "29분"),
            (30, "old", "30분"),
            (130, "old", "2시간"),
        ):
            one.page.clock.set_system_time(TIME + minutes * MINUTE + timedelta(seconds=10))
            one.page.clock.run_for(10_000)
            assert (one.text("live"), _kind(one)) == (f"실시간 11:15, {text} 전", kind)
        one.page.evaluate("document.getElementById('lang').click()")
        assert one.text("live") == "LIVE 11:15, 2 h ago"
        one.close()


def _kind(one: Shown) -> str:
    return str(one.page.evaluate("document.getElementById('live').className"))


def _listen(server: PageServer, answers: list[tuple[str, int]]) -> None:
    class Heard(server.RequestHandlerClass):  # type: ignore[name-defined,misc]
        def log_request(self, code: int | str = "-", _size: int | str = "-") -> None:
            answers.append((self.path, int(code)))

    server.RequestHandlerClass = Heard

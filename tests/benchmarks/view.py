"""The page of `hsrgeo view` in Debian's Chromium, without a GPU: `python -m tests.benchmarks.view [OUT]`.

OUT is an export of whole composites of one day, 288 COGs; without it they are simulated first, which takes minutes.
Printed are, for pages from `hsrgeo view`, from a server that knows no ranges, from one file, and for ten days: when the
first frame is shown, when the day is ready to play, what was transferred, how fast it plays with the network off, and
the heap. Exit status 1 where a page asked for something elsewhere, complained, or missed a figure.

`HSRGEO=PATH` is the program that serves, such as one of a wheel; the default is that of this Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.browser import CHROMIUM, serving

FRAMES = 288
DAYS = 10
DAY = "20220609"
_MOST = {"first frame": 0.5, "ready": 5.0, "transferred": 20.0, "heap": 150.0}
"""Seconds, seconds, MB, MB: of a page from `hsrgeo view`."""
_LEAST_FPS = 8.0
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
_CLOCK = """
addEventListener("DOMContentLoaded", () => new MutationObserver((_, observer) => {
  globalThis.firstFrame = performance.now();
  observer.disconnect();
}).observe(document.getElementById("time"), { childList: true }));
"""
_PLAYED = 100


@dataclass(frozen=True)
class Figures:
    """What was measured of a page."""

    name: str
    first_s: float
    ready_s: float
    transferred_mb: float
    requests: int
    fps: float
    heap_mb: float
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.name:24} first frame {self.first_s:5.2f} s, ready {self.ready_s:5.2f} s, "
            f"{self.transferred_mb:5.1f} MB in {self.requests} requests, {self.fps:4.1f} frames/s, "
            f"heap {self.heap_mb:3.0f} MB{' '.join(('', *self.problems))}"
        )

    @property
    def is_missed(self) -> bool:
        """Whether a page from `hsrgeo view` is slower or larger than it should be."""
        found = (self.first_s, self.ready_s, self.transferred_mb, self.heap_mb)
        return self.fps < _LEAST_FPS or any(one > most for one, most in zip(found, _MOST.values(), strict=True))


def main(out: Path | None) -> int:
    """Measure, print, and return the exit status."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where it runs

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as programs:
        browser = programs.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        day = out or _simulated(Path(folder))
        with _viewed(day) as url:
            served = measure(browser, "hsrgeo view", url)
        copy = Path(folder) / "copy"
        shutil.copytree(day, copy, copy_function=os.link)
        _run("view", str(copy), "--write")
        with serving(ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(copy)))) as url:
            plain = measure(browser, "a server without ranges", url)
        _run("view", str(copy), "--save", str(copy / "day.html"))
        saved = measure(
            browser, f"one file of {(copy / 'day.html').stat().st_size / 1e6:.0f} MB", (copy / "day.html").as_uri()
        )
        ten = _ten_days(day, Path(folder) / "ten")
        begun = time.monotonic()
        with _viewed(ten) as url:
            print(f"{FRAMES * DAYS:,} frames are listed in {time.monotonic() - begun:.1f} s", flush=True)
            long = measure(browser, f"{DAYS} days", url, every_day=True)
        browser.close()
    return int(served.is_missed or any(one.problems for one in (served, plain, saved, long)))


def measure(browser: Any, name: str, url: str, *, every_day: bool = False) -> Figures:
    """Open a page as a reader does, and play it with the network off."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.add_init_script(_CLOCK)
    page.goto(url)
    _until(page, "!!globalThis.hsrgeo")
    ready = f"hsrgeo.frames().ready.size === {FRAMES}"
    _until(page, ready)
    ready_s = page.evaluate("performance.now()") / 1000
    sizes = "performance.getEntriesByType('resource').reduce((sum, one) => sum + one.transferSize, 0)"
    transferred, requests = page.evaluate(sizes) / 1e6, len(asked)
    for number in range(DAYS if every_day else 0):
        before = page.evaluate("hsrgeo.frames().times[0]")
        page.evaluate(
            "(day) => { const span = document.getElementById('span'); span.value = day; span.onchange(); }", number
        )
        _until(page, f"hsrgeo.frames().times[0] !== {before}")
        _until(page, ready)
    context.set_offline(True)
    page.evaluate("document.getElementById('speed').value = '16'")
    page.keyboard.press("Home")
    _until(page, "hsrgeo.state.at === 0")
    begun = time.monotonic()
    page.keyboard.press(" ")
    _until(page, f"hsrgeo.state.at >= {_PLAYED}")
    fps = page.evaluate("hsrgeo.state.at") / (time.monotonic() - begun)
    page.keyboard.press(" ")
    heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    problems += [f"asked for {one}" for one in asked if not one.startswith((url, "data:"))]
    problems += filter(None, [page.evaluate("document.getElementById('note').textContent")])
    first = page.evaluate("globalThis.firstFrame") / 1000
    context.close()
    allowed = ("This file holds overviews only", "Failed to load resource: net::ERR_INTERNET_DISCONNECTED")
    # ^ of one file; of the index, which a page of `hsrgeo view` asks for again and again
    figures = Figures(
        name,
        first,
        ready_s,
        transferred,
        requests,
        fps,
        heap,
        tuple(one for one in problems if not one.startswith(allowed)),
    )
    print(figures, flush=True)
    return figures


def _until(page: Any, condition: str) -> None:
    end = time.monotonic() + 300
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise SystemExit(f"{condition}: {page.evaluate('document.body.innerText')}")
        time.sleep(0.01)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None: ...


def _program() -> list[str]:
    return [os.environ["HSRGEO"]] if "HSRGEO" in os.environ else [sys.executable, "-m", "hsrgeo"]


def _run(*words: str) -> None:
    subprocess.run([*_program(), *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def _viewed(out: Path) -> Iterator[str]:
    command = [*_program(), "view", str(out), "--no-open", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def _simulated(folder: Path) -> Path:
    start = datetime.strptime(DAY, "%Y%m%d").strftime("%Y-%m-%dT00:00")  # noqa: DTZ007 - a text
    _run("simulate", "--start", start, "--frames", str(FRAMES), "--out", str(folder / "frames"))
    _run("export", str(folder / "frames"), "--format", "cog", "--out", str(folder / "out"))
    return folder / "out"


def _ten_days(day: Path, out: Path) -> Path:
    """Give ten days that are all the same day: links to its COGs, and lines of its manifest with other dates."""
    lines = (day / "manifest.jsonl").read_text().splitlines(keepends=True)
    out.mkdir()
    shutil.copy(day / "options.json", out)
    first = datetime.strptime(DAY, "%Y%m%d")  # noqa: DTZ007 - a text
    with (out / "manifest.jsonl").open("w") as file:
        for number in range(DAYS):
            date = f"{first + timedelta(days=number):%Y%m%d}"
            for line in lines:
                moved = line.replace(DAY, date).replace(f"{DAY[:6]}/{DAY[6:]}", f"{date[:6]}/{date[6:]}")
                # UTC is nine hours behind: the page takes the time from KST
                file.write(moved.replace(_dashed(DAY), _dashed(date)))
            below = f"{date[:6]}/{date[6:]}"
            (out / below).mkdir(parents=True)
            for cog in (day / DAY[:6] / DAY[6:]).iterdir():
                os.link(cog, out / below / cog.name.replace(DAY, date))
    return out


def _dashed(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))

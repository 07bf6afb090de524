"""Debian's Chromium, driven by Playwright, and pages of `hsrgeo view` in it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
browser_test = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=partial(server.serve_forever, 0.02), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Shown:
    """A page in the browser, and what it asked for and complained of."""

    def __init__(
        self,
        browser: Any,
        url: str,
        wanted: str = "v=middle/HSR/reflectivity",
        *,
        width: int = 900,
        now: datetime | None = None,
        **kind: bool,
    ) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 700}, locale="en-US", **kind)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        if now is not None:
            self.page.clock.install(time=now)
        self.page.goto(f"{url}#{wanted}")
        self.until("!!globalThis.hsrgeo")

    def until(self, condition: str) -> None:
        end = time.monotonic() + 30
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, (condition, self.complaints, self.text("note"))
            time.sleep(0.01)

    def ready(self) -> None:
        self.until("hsrgeo.frames().ready.size === hsrgeo.frames().paths.filter((path) => path).length")

    def text(self, name: str) -> str:
        return str(self.page.evaluate("(name) => document.getElementById(name).textContent", name))

    def close(self) -> None:
        self.context.close()

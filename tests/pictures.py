"""The screenshots of the guides: `python -m tests.pictures`.

It writes `examples/pictures/view-ko.png`, `view-en.png` and `qgis-sum.png` anew, of simulated frames. It needs what
tests of the page need, a font with Hangul (Debian: fonts-noto-cjk), and for the last picture qgis and xvfb. Look at the
pictures before you commit them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hsrgeo.engine.qgis import write_project
from hsrgeo.engine.view.pages import ViewOptions, make_page
from hsrgeo.engine.view.server import PageServer
from tests.browser import CHROMIUM, Shown, serving

PICTURES = Path(__file__).parents[1] / "examples" / "pictures"
SIZE = {"width": 1120, "height": 700}
SHOWN = "t=2022-08-08T01:30&p=127.25,35.78"
"""A time, and a place whose series is shown."""
_WINDOW = (1120, 720)

_IN_QGIS = """
import os
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import QDockWidget, QToolBar
from qgis.utils import iface

def arrange():
    window = iface.mainWindow()
    for dock in window.findChildren(QDockWidget):
        dock.setVisible(dock.objectName() in ("Layers", "Temporal Controller"))
    for bar in window.findChildren(QToolBar):
        bar.setVisible(bar.objectName() in ("mFileToolBar", "mMapNavToolBar"))
    window.showNormal()
    window.setGeometry(0, 0, {width}, {height})
    window.resizeDocks([window.findChild(QDockWidget, "Layers")], [300], Qt.Horizontal)
    window.resizeDocks([window.findChild(QDockWidget, "Temporal Controller")], [90], Qt.Vertical)
    QTimer.singleShot(3000, iface.mapCanvas().zoomToProjectExtent)

def save():
    iface.mainWindow().grab().save({path!r})
    os._exit(0)

QTimer.singleShot(4000, arrange)
QTimer.singleShot(15000, save)
"""


def main() -> None:
    """Make frames and every picture of them."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where it runs

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(
            "simulate", "--start", "2022-08-08T00:00", "--frames", "36", "--seed", "7", "--out", str(folder / "frames")
        )
        _run(
            "export",
            str(folder / "frames"),
            "--bbox",
            "124.3,33.0,130.6,39.0",
            "--format",
            "cog",
            "--out",
            str(folder / "out"),
        )
        with sync_playwright() as programs, PageServer(make_page(folder / "out", ViewOptions()), 0) as server:
            browser = programs.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            with serving(server) as url:
                for language in ("ko", "en"):
                    _view(browser, url, language)
            browser.close()
        _run(
            "accumulate",
            str(folder / "frames"),
            "--period",
            "1h",
            "--bbox",
            "124.3,33.0,130.6,39.0",
            "--out",
            str(folder / "sums"),
        )
        if shutil.which("qgis"):
            _qgis(write_project(folder / "sums"), folder)


def _view(browser: Any, url: str, language: str) -> None:
    one = Shown(browser, url, f"{SHOWN}&lang={language}", width=SIZE["width"])
    one.ready()
    one.page.wait_for_timeout(500)
    one.page.mouse.move(*one.page.evaluate("hsrgeo.map.toPixel(...hsrgeo.place().cell(126.34, 37.62))"))
    one.until("document.getElementById('probe').className === '' && !document.getElementById('probe').hidden")
    one.page.wait_for_timeout(500)
    path = PICTURES / f"view-{language}.png"
    one.page.screenshot(path=path)
    _shrink(path)
    one.close()


def _qgis(project: Path, folder: Path) -> None:
    """Open a project in QGIS on a screen of its own, and take a picture of its window."""
    width, height = _WINDOW
    home, path, code = folder / "home", PICTURES / "qgis-sum.png", folder / "arrange.py"
    home.mkdir()
    code.write_text(_IN_QGIS.format(width=width, height=height, path=str(path)))
    environment = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "QT_QPA_PLATFORM": "xcb"}
    screen: list[str | Path] = ["xvfb-run", "-a", "-s", f"-screen 0 {width}x{height}x24"]
    program: list[str | Path] = [
        "qgis",
        "--noplugins",
        "--nologo",
        "--noversioncheck",
        "--profiles-path",
        home,
        "--code",
        code,
        project,
    ]
    subprocess.run([*screen, *program], check=True, env=environment, stderr=subprocess.DEVNULL, timeout=120)
    _shrink(path)


def _shrink(path: Path) -> None:
    """Write a picture with its 256 most frequent colours, those of legends among them: half of the bytes."""
    picture = Image.open(path).convert("RGB")
    colours, counts = np.unique(np.asarray(picture).reshape(-1, 3), axis=0, return_counts=True)
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours[np.argsort(-counts, kind="stable")[:256]].ravel().tolist())
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


def _run(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "hsrgeo", *words], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

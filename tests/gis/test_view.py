"""`hsrgeo view`: the page in a real browser, the server against what it must refuse, and the files that are written."""

from __future__ import annotations

import base64
import csv
import http.client
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine.view.pages import INDEX_FILE, Page, ViewOptions, make_page
from hsrgeo.engine.view.server import PageServer
from hsrgeo.engine.view.written import save_page
from hsrgeo.gis.view.files import bundled, json_bytes, one_file, page_files
from hsrgeo.model.quantity import QUANTITIES
from hsrgeo.products.classes import colours
from tests.browser import Shown, browser_test, serving
from tests.conftest import TIME, MakeFile, Pixels, frame_name

EVIL = "</script><img src=x onerror=alert(1)>"
FRAMES = 6


@pytest.fixture(scope="module")
def out(make_file: MakeFile, pixels: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of five frames and a gap, in two regions."""
    folder = tmp_path_factory.mktemp("view")
    for order in range(FRAMES):
        if order == 3:
            continue
        at = TIME + timedelta(minutes=5 * order)
        (folder / frame_name(at)).write_bytes(make_file(np.roll(pixels, 7 * order, axis=1), time=at))
    regions = folder / "regions.csv"
    grid = hsrgeo.grids()["kma-hb-1km"]
    areas = {"middle": (380, 590, 280, 260), "corner": (100, 100, 40, 30)}
    rows = [f"{name},{_box(grid, *cells)}\n" for name, cells in areas.items()]
    regions.write_text(f"name,west,south,east,north\n{''.join(rows)}", encoding="utf-8")
    target = folder / "out"
    for outcome in hsrgeo.export([folder], target, regions=regions, formats=("cog",), jobs=1):
        assert outcome.status == "ok", outcome.error
    return target


def _box(grid: hsrgeo.Grid, col: int, row: int, width: int, height: int) -> str:
    lon, lat = grid.lonlat([row + height, row], [col, col + width])
    return f"{lon[0]},{lat[0]},{lon[1]},{lat[1]}"


@pytest.fixture(scope="module")
def served(out: Path) -> Iterator[str]:
    with PageServer(_evil(make_page(out, ViewOptions())), 0) as server, serving(server) as url:
        yield url


def _evil(page: Page) -> Page:
    """Return a page with HTML for the name of a region, as the index of a stranger's folder may have it."""
    files = dict(page.files)
    files[INDEX_FILE] = files[INDEX_FILE].replace(b'"corner"', json.dumps(EVIL).encode())
    return replace(page, files=files)


def _ask(url: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    host = url.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host, **{key.replace("_", "-"): value for key, value in headers.items()}}.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def _first_cog(out: Path) -> Path:
    return next(path for path in sorted(out.rglob("*.tif")) if "middle" in path.parts)


def test_the_server_gives_the_page_and_its_cogs_whole_or_in_part(served: str, out: Path) -> None:
    cog = _first_cog(out)
    path, data = "/" + cog.relative_to(out).as_posix(), cog.read_bytes()
    status, headers, body = _ask(served, path)
    assert (status, body, headers["Content-Type"]) == (200, data, "image/tiff")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    size = len(data)
    for asked, start, end in [("0-9", 0, 10), ("5-", 5, size), ("-7", size - 7, size), (f"3-{size * 9}", 3, size)]:
        status, headers, body = _ask(served, path, Range=f"bytes={asked}")
        assert (status, body, headers["Content-Range"]) == (206, data[start:end], f"bytes {start}-{end - 1}/{size}")
    assert _ask(served, path, "HEAD")[2] == b""
    etag = headers["ETag"]
    assert _ask(served, path, If_None_Match=etag)[0] == 304
    assert _ask(served, path, Range="bytes=0-9", If_Range='"old"')[0] == 200
    assert _ask(served, "/")[2] == page_files()["index.html"]
    assert json.loads(_ask(served, "/view/view.json")[2])["schema"] == 1


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/manifest.jsonl", "GET", {}, 404),
        ("/options.json", "GET", {}, 404),
        ("/../../etc/passwd", "GET", {}, 404),
        ("/%2e%2e/%2e%2e/etc/passwd", "GET", {}, 404),
        ("//etc/passwd", "GET", {}, 404),
        ("/view/../manifest.jsonl", "GET", {}, 404),
        ("/view%2f..%2fmanifest.jsonl", "GET", {}, 404),
        ("/%ff%fe", "GET", {}, 404),
        ("/a%00b", "GET", {}, 404),
        ("/", "GET", {"Host": "evil.example"}, 403),
        ("/", "GET", {"Host": "127.0.0.1"}, 403),
        ("/", "GET", {"Host": ""}, 403),
        ("/", "POST", {}, 405),
        ("/", "PUT", {}, 405),
        ("/", "DELETE", {}, 405),
        ("/", "OPTIONS", {}, 405),
        ("/", "BREW", {}, 501),
        ("/", "GET", {"Range": "bytes=9-5"}, 416),
        ("/", "GET", {"Range": "bytes=999999-"}, 416),
        ("/", "GET", {"Range": "bytes=-0"}, 416),
        ("/", "GET", {"Range": "bytes=0-1,5-6"}, 200),
        ("/", "GET", {"Range": "bytes=-"}, 416),
        ("/", "GET", {"Range": "bytes=" + "9" * 400 + "-"}, 416),
        ("/", "GET", {"Range": "lines=1-2"}, 200),
    ],
)
def test_what_the_server_is_not_to_give_is_refused(
    served: str, path: str, method: str, headers: dict[str, str], status: int
) -> None:
    answered = _ask(served, path, method, **headers)
    assert answered[0] == status
    assert b"root:" not in answered[2]


def test_a_link_out_of_the_folder_is_not_followed(out: Path, tmp_path: Path) -> None:
    copy, secret = tmp_path / "out", tmp_path / "secret.tif"
    shutil.copytree(out, copy)
    cog = _first_cog(copy)
    page = make_page(copy, ViewOptions())
    secret.write_bytes(cog.read_bytes())
    cog.unlink()
    cog.symlink_to(secret)
    with PageServer(page, 0) as server, serving(server) as url:
        assert _ask(url, "/" + cog.relative_to(copy).as_posix())[0] == 404
        cog.unlink()
        os.mkfifo(cog)
        assert _ask(url, "/" + cog.relative_to(copy).as_posix())[0] == 404


def test_the_server_tells_no_version(out: Path) -> None:
    with PageServer(make_page(out, ViewOptions()), 0) as server, serving(server) as url:
        assert _ask(url, "/view/index.html")[1]["Server"] == "hsrgeo"


def test_a_port_that_is_taken_is_reported(out: Path) -> None:
    page = make_page(out, ViewOptions(region="middle"))
    with PageServer(page, 0) as server, pytest.raises(hsrgeo.OptionsError, match="cannot be used"):
        PageServer(page, server.server_port)


def test_writing_twice_gives_the_same_bytes_and_spares_a_strangers_page(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    index = hsrgeo.write_view(copy)
    first = {path: path.read_bytes() for path in [index, *sorted((copy / "view").rglob("*.js*"))]}
    assert len(first) == 1 + 12 + 1 + 2 + 1 + 2  # index.html; scripts; fzstd; grids; view.json; frames of two regions
    (copy / "view" / "frames-7-20220609.json").write_text("old")
    hsrgeo.write_view(copy)
    assert {path: path.read_bytes() for path in [index, *sorted((copy / "view").rglob("*.js*"))]} == first
    index.write_text("mine")
    with pytest.raises(hsrgeo.OutputExistsError):
        hsrgeo.write_view(copy)
    hsrgeo.write_view(copy, overwrite=True)
    assert index.read_bytes() == first[index]


def test_wrong_usage_is_reported(out: Path, tmp_path: Path) -> None:
    def ends(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["view", str(out), *words])
        return done.exit_code, done.output

    assert ends("--write", "--save", "a.html")[0] == 2
    assert ends("--write", "--port", "80")[0] == 2
    assert ends("--detail", "1km")[0] == 2
    assert ends("--overwrite")[0] == 2
    assert ends("--region", "nowhere")[0] == 2
    assert "no frame within the times" in ends("--start", "2030-01-01", "--write")[1]
    assert ends("--save", str(tmp_path / "a.txt"))[0] == 2
    assert ends("--save", str(tmp_path / "a.html"), "--detail", "many")[0] == 2
    assert ends("--save", str(tmp_path / "a.html"), "--region", "middle")[0] == 0


@pytest.fixture(scope="module")
def shown(browser: Any, served: str) -> Iterator[Shown]:
    one = Shown(browser, served)
    one.ready()
    yield one
    assert all(url.startswith((served, "data:")) for url in one.asked)
    assert one.complaints == []
    one.close()


@pytest.mark.slow
@browser_test
def test_the_page_opens_at_the_newest_frame_and_keys_step_over_the_gap(shown: Shown) -> None:
    assert shown.text("time") == "2022-06-09 (Thu) 11:40 KST"
    assert shown.text("utc") == "2022-06-09 02:40 UTC"
    for key, at in [("Home", "11:15"), ("ArrowLeft", "11:40"), ("Home", "11:15"), ("ArrowRight", "11:20")]:
        shown.page.keyboard.press(key)
        shown.until(f"document.getElementById('time').textContent.endsWith('{at} KST')")
    shown.page.evaluate("document.getElementById('slide').value = 3")
    shown.page.evaluate("document.getElementById('slide').dispatchEvent(new Event('input'))")
    shown.until("document.getElementById('note').textContent === 'no data at this time'")
    shown.page.keyboard.press(" ")
    shown.until("hsrgeo.state.playing && hsrgeo.state.at === 4")
    shown.page.keyboard.press(" ")
    shown.until("!hsrgeo.state.playing")
    shown.page.keyboard.press("Home")
    shown.until("hsrgeo.state.at === 0")


OWN = "nodata 9 9 90\nundetect 8 80 8\n-inf 7 7 7\n-5.5 1 2 3\n10 200 100 50\n30 20 10 250\n"
CELLS = """() => {
  const { map } = hsrgeo, { width, height } = map.grid;
  map.scale = 2; map.x = Math.floor(width / 2); map.y = Math.floor(height / 2);
  return hsrgeo.frames().picture(0).then((one) => {
    map.draw([one]);
    const [left, top] = map.toPixel(0, 0);
    const image = map.echo.getContext("2d").getImageData(left, top, 2 * width, 2 * height).data;
    let cells = "";
    for (let row = 0; row < height; row++) for (let col = 0; col < width; col++) {
      const at = 4 * (2 * row * 2 * width + 2 * col);
      cells += String.fromCharCode(image[at], image[at + 1], image[at + 2]);
    }
    map.fit();
    return btoa(cells);
  });
}"""


@pytest.mark.slow
@browser_test
def test_every_cell_has_the_colour_of_its_class(shown: Shown, out: Path) -> None:
    got, stored = _cells(shown), _stored(_first_cog(out))
    rgba = colours(stored, QUANTITIES[1])
    expected = rgba[..., :3].copy()
    expected[rgba[..., 3] == 0] = (250, 250, 250)
    expected[stored < QUANTITIES[1].undetect] = (213, 218, 224)
    assert np.array_equal(got.reshape(expected.shape), expected)
    assert len(np.unique(expected.reshape(-1, 3), axis=0)) > 20


@pytest.mark.slow
@browser_test
def test_every_cell_has_the_colour_of_a_users_palette(browser: Any, out: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text(OWN)
    seen: set[tuple[int, ...]] = set()
    with PageServer(make_page(out, ViewOptions(palette=own)), 0) as server, serving(server) as url:
        for region in ("middle", "corner"):
            one = Shown(browser, url, f"v={region}/HSR/reflectivity")
            got = _cells(one)
            swatches = "[...document.querySelectorAll('#legend i')].map((one) => one.style.background)"
            assert one.page.evaluate(swatches)[:2] == ["rgb(20, 10, 250)", "rgb(200, 100, 50)"]
            one.close()
            stored = _stored(next(path for path in sorted(out.rglob("*.tif")) if region in path.parts))
            # By hand: dBZ x 100 from -5.5, 10 and 30 on; the codes are -30000 and -25000.
            expected = np.select(
                [(stored == code)[..., None] for code in (-30000, -25000)]
                + [(stored >= least)[..., None] for least in (3000, 1000, -550)],
                [np.array(rgb) for rgb in ((9, 9, 90), (8, 80, 8), (20, 10, 250), (200, 100, 50), (1, 2, 3))],
                np.array((7, 7, 7)),
            )
            assert np.array_equal(got.reshape(expected.shape), expected)
            seen.update(map(tuple, np.unique(expected.reshape(-1, 3), axis=0).tolist()))
    assert seen >= {(9, 9, 90), (8, 80, 8), (20, 10, 250), (200, 100, 50), (1, 2, 3)}


def _cells(one: Shown) -> NDArray[np.uint8]:
    """Return red, green and blue of every cell on the canvas."""
    return np.frombuffer(base64.b64decode(one.page.evaluate(CELLS)), np.uint8)


def _stored(path: Path) -> Any:
    import rasterio  # noqa: PLC0415 - here only

    with rasterio.open(path) as dataset:
        return dataset.read(1)


@pytest.mark.slow
@browser_test
def test_clicks_and_the_pointer_tell_what_hsrgeo_series_tells(shown: Shown, out: Path, tmp_path: Path) -> None:
    """At 20 places: every frame's reflectivity as in the table, to its last digit, and as text under the pointer."""
    stored = _stored(_first_cog(out))
    random = np.random.default_rng(5)
    echo = np.argwhere(stored >= -10000)
    chosen = (*random.permutation(echo)[:15], *random.integers(0, stored.shape, (5, 2)))
    cells = [[int(col), int(row)] for row, col in chosen]
    lonlat = shown.page.evaluate("(cells) => cells.map(([x, y]) => hsrgeo.place().lonlat(x + 0.5, y + 0.5))", cells)
    points = tmp_path / "points.csv"
    rows = "".join(f"p{order},{lon},{lat}\n" for order, (lon, lat) in enumerate(lonlat))
    points.write_text(f"name,lon,lat\n{rows}", encoding="utf-8")
    words = ["series", str(out), "--region", "middle", "--points", str(points)]
    for quantity, column in (("reflectivity", "dbz"), ("rain", "mm_h")):
        table = tmp_path / f"{quantity}.csv"
        done = CliRunner().invoke(app, [*words, "--quantity", quantity, "--out", str(table)])
        assert done.exit_code == 0, done.output
        with table.open(encoding="utf-8", newline="") as file:
            record = {(row["name"], row["time_utc"]): row for row in csv.DictReader(file)}
        name = next(name for name in next(iter(record.values())) if name.endswith(column))
        for order, (col, row) in enumerate(cells):
            theirs = {time: one[name] for (place, time), one in record.items() if place == f"p{order}"}
            _same_numbers(shown, [col, row], column, theirs)
    shown.page.keyboard.press("Home")
    shown.until("hsrgeo.state.at === 0")
    number = float(stored[cells[0][1], cells[0][0]]) / 100
    pixel = shown.page.evaluate("([x, y]) => hsrgeo.map.toPixel(x + 0.5, y + 0.5)", cells[0])
    shown.page.mouse.move(*pixel)
    shown.until(f"document.getElementById('probe').textContent.startsWith('{number:.2f} dBZ')")
    shown.page.keyboard.press("Escape")


def _same_numbers(shown: Shown, cell: list[int], column: str, record: dict[str, str]) -> None:
    """Click on a cell, and compare the CSV of its series with what hsrgeo tells of it."""
    shown.page.evaluate("(cell) => hsrgeo.click(cell.map((at) => at + 0.5))", cell)
    rows = list(csv.DictReader(shown.page.evaluate("hsrgeo.csv()").splitlines()))
    assert [row["time_utc"] for row in rows] == [
        (TIME + timedelta(minutes=5 * at)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in range(FRAMES)
    ]
    assert [row["seen"] == "gap" for row in rows] == [False, False, False, True, False, False]
    for row in rows:
        theirs = record.get(row["time_utc"], "")
        if row[column] == "":
            assert theirs in ("", "nan", "-inf"), (cell, row)
        else:
            steps = 0.006 if column == "mm_h" else 1e-6  # the table has rain of an export in steps of 0.01 mm/h
            assert math.isclose(float(row[column]), float(theirs), rel_tol=1e-5, abs_tol=steps), (cell, row)


@pytest.mark.slow
@browser_test
def test_a_link_gives_the_same_picture_in_korean_and_a_strangers_name_is_text(browser: Any, served: str) -> None:
    one = Shown(browser, served, "v=middle/HSR/reflectivity&t=2022-06-09T11:20&lang=ko")
    try:
        assert one.text("time") == "2022-06-09 (목) 11:20 KST"
        assert one.text("what") == "middle · HSR · 반사도"
        assert "관측 없음" in one.text("legend")
        assert one.page.evaluate("document.documentElement.lang") == "ko"
        assert EVIL in one.text("view")
        one.page.evaluate("(() => { const v = document.getElementById('view'); v.value = 1; v.onchange(); })()")
        one.until("hsrgeo.map.grid.width < 60")
        assert one.page.evaluate("document.querySelectorAll('img').length") == 0
        assert one.text("what").startswith(EVIL)
        one.ready()
        one.context.set_offline(True)
        one.page.keyboard.press("Home")
        one.until("hsrgeo.state.at === 0")
        assert one.text("note") == ""
        assert one.complaints == []
    finally:
        one.close()


def test_one_file_has_every_name_that_its_modules_import() -> None:
    """`values.js` once exported three names in one line; the saved page had only the first, and failed at dry cells."""
    files = {path.removeprefix("view/"): data.decode() for path, data in page_files().items() if path.endswith(".js")}
    page = page_files()["index.html"].decode()
    assert {f"view/{path}" for path in files} == {  # the browser asks for all at once, not for one after another
        *re.findall(r'<link rel="modulepreload" href="([^"]+)">', page),
        "view/app.js",
    }
    count = 0
    for source in files.values():
        for names, path in re.findall(r'^import \{([^}]*)\} from "\./([^"]+)";$', source, re.MULTILINE):
            wrapped = bundled(files, path)
            given = re.findall(r"^return \{ ([^}]*) \};$", wrapped, re.MULTILINE)[-1].split(", ")
            wanted = {name.split(" as ")[0].strip() for name in names.split(",") if name.strip()}
            assert wanted <= set(given), path
            count += len(wanted)
    assert count > 20


def test_no_name_ends_the_script_that_holds_it_or_begins_a_comment_in_one() -> None:
    """After ``<!--<script`` a browser would take the end of the script, and all that follows, for a part of it."""
    name = "<!--<script></script><img src=x>"
    page = one_file({"view/view.json": json_bytes({"region": name})}, {f"{name}.tif": b"x"}).decode()
    inside = page.partition('id="embedded">')[2].partition("</script>")[0]
    assert "<" not in inside
    assert json.loads(inside) == {
        "index": {"view/view.json": {"region": name}},
        "heads": {f"{name}.tif": "eA=="},
    }


@pytest.mark.slow
@browser_test
def test_it_works_without_range_requests_and_from_one_file(browser: Any, out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    hsrgeo.write_view(copy)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_args: object) -> None: ...

    saved = save_page(_evil(make_page(copy, ViewOptions())), tmp_path / "day.html").path
    plain = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(copy)))
    with serving(plain) as url:
        for address in (url, saved.as_uri()):
            one = Shown(browser, address)
            try:
                one.ready()
                value = one.page.evaluate("hsrgeo.frames().value(0, 150, 140, hsrgeo.map.grid.width)")
                assert value == int(_stored(_first_cog(out))[140, 150])
                assert one.complaints == []
                assert all(asked.startswith((address.partition("#")[0], "data:")) for asked in one.asked)
            finally:
                one.close()


@pytest.mark.slow
@browser_test
def test_the_widget_of_a_notebook_shows_the_page(browser: Any, out: Path) -> None:
    """A host as small as can be: a model of traits, and the module that anywidget would run."""
    pytest.importorskip("anywidget")
    widget = hsrgeo.view(out, region="middle", height=420)
    state = widget.get_state()
    assert state["height"] == 420
    assert state["page"].startswith("<!doctype html>")
    assert hsrgeo.view(out, region="corner").page != state["page"]
    context = browser.new_context(viewport={"width": 900, "height": 700}, locale="en-US")
    host, complaints = context.new_page(), []
    host.on("pageerror", lambda error: complaints.append(str(error)))
    host.on("console", lambda message: complaints.append(message.text))
    host.set_content("<main></main>")
    host.evaluate(
        """async ({ script, traits }) => {
          const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
          const { default: widget } = await import(url);
          const heard = {};
          const model = { get: (name) => traits[name], on: (name, act) => (heard[name] = act) };
          globalThis.away = widget.render({ model, el: document.querySelector("main") });
          traits.height = 300;
          heard["change:height"]();
        }""",
        {"script": state["_esm"], "traits": {"page": state["page"], "height": state["height"]}},
    )
    assert host.evaluate("document.querySelector('iframe').clientHeight") == 300
    frame = host.query_selector("iframe").content_frame()
    frame.wait_for_function("!!globalThis.hsrgeo")
    assert frame.evaluate("document.getElementById('time').textContent") == "2022-06-09 (Thu) 11:40 KST"
    assert frame.evaluate("hsrgeo.frames().picture(0).then((one) => one.width === hsrgeo.map.grid.width)")
    host.evaluate("away()")
    context.close()
    assert complaints == []


@pytest.mark.slow
@browser_test
def test_fingers_drag_pinch_and_tap(browser: Any, served: str) -> None:
    one = Shown(browser, served, width=400, has_touch=True, is_mobile=True)
    one.ready()
    fingers = one.context.new_cdp_session(one.page)

    def touch(kind: str, *points: tuple[int, int]) -> None:
        listed = [{"x": x, "y": y, "id": order} for order, (x, y) in enumerate(points)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": listed})

    def place() -> Any:
        return one.page.evaluate("[hsrgeo.map.x, hsrgeo.map.y, hsrgeo.map.scale]")

    x, y, scale = place()
    touch("touchStart", (200, 300))
    touch("touchMove", (230, 320))
    touch("touchMove", (260, 340))
    touch("touchEnd")
    # 60 pixels east and 40 south: the middle moves by as many cells the other way
    assert place() == pytest.approx([x - 60 / scale, y - 40 / scale, scale])
    touch("touchStart", (150, 300))
    touch("touchStart", (150, 300), (250, 300))
    touch("touchMove", (100, 300), (300, 300))
    touch("touchEnd")
    assert place()[2] == pytest.approx(2 * scale)  # the fingers are 200 apart, and were 100
    assert one.page.evaluate("document.getElementById('series').hidden")
    touch("touchStart", (200, 300))
    touch("touchEnd")
    one.until("!document.getElementById('series').hidden")
    one.close()

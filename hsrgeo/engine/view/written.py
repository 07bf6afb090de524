"""The page as files beside the COGs, for any web server, as one file that shows them without one, and as a widget."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.view.pages import INDEX_FILE, Page, ViewOptions, make_page
from hsrgeo.errors import OptionsError, OutputExistsError, ReadbackError, needs, refused
from hsrgeo.gis.view.files import MARK, OWN_INDEX, one_file
from hsrgeo.outputs.names import PAGE, PAGE_FOLDER
from hsrgeo.outputs.stacks import Stack
from hsrgeo.sources.remote import local
from hsrgeo.sources.texts import read_regular
from hsrgeo.writers.environment import output_below
from hsrgeo.writers.files import write_file
from hsrgeo.writers.glance import first_bytes

_MOST_CELLS = 600_000  # of a level that plays smoothly; the page chooses by the same number
_DETAIL = re.compile(r"(\d+(?:\.\d+)?) *(m|km)")
_M_PER_KM = 1000


@dataclass(frozen=True, slots=True)
class Saved:
    """A page that was saved as one file."""

    path: Path
    bytes: int
    page: Page
    damaged: tuple[ReadbackError, ...]
    """COGs that are there and cannot be used."""


@takes(ViewOptions)
def write_view(
    out: str | Path,
    options: ViewOptions | None = None,
    *,
    overwrite: bool = False,
    **keywords: Any,  # noqa: ANN401 - see `options_of`
) -> Path:
    """Write ``OUT/index.html`` and ``OUT/view/``: a page that shows the COGs of a folder, for any web server.

    The page plays the frames, and tells values, places and series. It asks nobody else for anything. A browser opens
    it from a web server only, not as a file: `save_view` is for that. The same folder gives the same bytes.

    Args:
        out: The output folder of an export, sums or fields.
        options: What is shown; None is all of it.
        overwrite: Replace an ``index.html`` that is not hsrgeo's.
        keywords: Fields of `ViewOptions`.

    Returns:
        The path of the page.

    Raises:
        ManifestError: The folder is not the OUT of an export, its manifest is damaged, or no COG of it is there.
        OptionsError: It was exported as PNG only, has no such region, or nothing within the times.
        OutputExistsError: Another ``index.html`` is there.
        ProjectionError: A part of a grid has no longitude and latitude.
        ReadbackError: GDAL cannot open a COG.
        WriteError: The disk refused.
    """
    page = make_page(local(out, "hsrgeo view"), options_of(ViewOptions, options, keywords))
    return write_page(page, overwrite=overwrite)


def write_page(page: Page, *, overwrite: bool = False) -> Path:
    """Write the files of a page as `write_view` does, the index last: until then the page before is whole."""
    target = page.out / PAGE
    if not overwrite and not _is_own(target):
        raise OutputExistsError(str(target), "is not of hsrgeo view; move it, or use --overwrite")
    for path in sorted(page.files, key=lambda path: (path in (INDEX_FILE, PAGE), path == PAGE)):
        write_file(page.out / path, page.files[path])
    try:
        for old in (page.out / PAGE_FOLDER).iterdir():
            if OWN_INDEX.fullmatch(old.name) and f"{PAGE_FOLDER}/{old.name}" not in page.files:
                old.unlink()
    except OSError as error:
        raise refused(str(page.out / PAGE_FOLDER), error, "cleared of old files") from error
    return target


def _is_own(path: Path) -> bool:
    try:
        return MARK in read_regular(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise refused(str(path), error) from error


@takes(ViewOptions)
def save_view(
    out: str | Path,
    file: str | Path,
    options: ViewOptions | None = None,
    *,
    detail: str | None = None,
    **keywords: Any,  # noqa: ANN401 - see `options_of`
) -> Path:
    """Write one HTML file that shows the COGs of a folder: it opens by a double click and needs no network.

    Args:
        out: The output folder of an export, sums or fields.
        file: ``.html``; what is there is replaced.
        options: What is shown; None is all of it.
        detail: Smallest cells that the file holds, such as ``1km``; None is what plays smoothly: 2 km of a whole
            composite, 500 m of a crop.
        keywords: Fields of `ViewOptions`.

    Returns:
        Its path.

    Raises:
        ManifestError: The folder is not the OUT of an export, its manifest is damaged, or no COG of it is there.
        OptionsError: It was exported as PNG only, has no such region, or nothing within the times; the file is no
            ``.html``, or the detail no length.
        ProjectionError: A part of a grid has no longitude and latitude.
        ReadbackError: GDAL cannot open a COG.
        WriteError: The disk refused.
    """
    return save_page(
        make_page(local(out, "hsrgeo view"), options_of(ViewOptions, options, keywords)), file, detail
    ).path


def save_page(page: Page, file: str | Path, detail: str | None = None) -> Saved:
    """Write a page as one file as `save_view` does, and tell what is in it."""
    path = local(file, "hsrgeo view --save")
    if path.suffix.lower() not in (".html", ".htm"):
        raise OptionsError(f"{path}: expected a name that ends in .html")
    data, damaged = saved_bytes(page, detail)
    write_file(path, data)
    return Saved(path, len(data), page, damaged)


def saved_bytes(page: Page, detail: str | None = None) -> tuple[bytes, tuple[ReadbackError, ...]]:
    """Return a page as one file, and the COGs that are there and cannot be used.

    Raises:
        OptionsError: The detail is no length.
    """
    smallest_m = _metres(detail) if detail is not None else None
    heads: dict[str, bytes] = {}
    damaged = []
    for stack in page.contents.stacks:
        most = _most_cells(stack, smallest_m)
        for _time, cog in stack.frames:
            if cog in page.cogs:
                try:
                    heads[cog] = first_bytes(output_below(page.out, cog), most)
                except ReadbackError as error:
                    damaged.append(error)
    return one_file(page.index, heads), tuple(damaged)


def _metres(detail: str) -> float:
    match = _DETAIL.fullmatch(detail.strip().lower())
    if match is None or not float(match[1]):
        raise OptionsError(f"detail {detail!r}: expected a length of a cell, as 1km or 500m")
    return float(match[1]) * (_M_PER_KM if match[2] == "km" else 1)


def _most_cells(stack: Stack, smallest_m: float | None) -> float:
    seen = stack.glance
    cells = seen.width * seen.height
    if smallest_m is None:
        return _MOST_CELLS
    times = smallest_m / abs(seen.transform.a)
    return max(cells / times**2, 1) * _ROUNDED if times > 1 else cells


_ROUNDED = 1.1  # a level of half the size may be a column wider than half


HEIGHT_PX = 600


@takes(ViewOptions)
def view(
    out: str | Path,
    options: ViewOptions | None = None,
    *,
    detail: str | None = None,
    height: int = HEIGHT_PX,
    **keywords: Any,  # noqa: ANN401 - see `options_of`
) -> Any:  # noqa: ANN401 - anywidget may not be there
    """Return the page of `hsrgeo view` as a widget of Jupyter, VS Code, Colab or marimo.

    It holds what `save_view` writes: about 50 kB a frame of a whole composite, and asks the kernel for nothing more.

    Args:
        out: The output folder of an export, sums or fields.
        options: What is shown; None is all of it.
        detail: See `save_view`.
        height: Of the widget [pixels].
        keywords: Fields of `ViewOptions`.

    Returns:
        An ``anywidget.AnyWidget`` with the traits ``page`` (HTML) and ``height``.

    Raises:
        MissingExtraError: anywidget is not installed.
        HsrGeoError: See `save_view`.
    """
    with needs("anywidget", "notebook"):
        import anywidget  # noqa: PLC0415 - of an extra
        import traitlets  # noqa: PLC0415 - comes with it
    page, _damaged = saved_bytes(
        make_page(local(out, "hsrgeo.view"), options_of(ViewOptions, options, keywords)), detail
    )
    script = (resources.files("hsrgeo.gis.view") / "notebook.js").read_text("utf-8")
    traits = {
        "_esm": script,
        "page": traitlets.Unicode(page.decode()).tag(sync=True),
        "height": traitlets.Int(height).tag(sync=True),
    }
    return type("View", (anywidget.AnyWidget,), traits)()

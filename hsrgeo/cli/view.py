"""`hsrgeo view`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer, counted, honest_exit, say_notes, time_option
from hsrgeo.cli.left_out import tell_left_out

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.engine.view.pages import Growing, Page


LangChoice = Literal["ko", "en"]
"""Languages of the page."""


def view(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder written by hsrgeo export, accumulate or gauges field.")
    ],
    region: Annotated[str | None, typer.Option(metavar="NAME", help="Use only this region of the export.")] = None,
    start: options.Start = None,
    end: options.End = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write OUT/index.html and OUT/view/ for a web server instead of serving.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write one HTML file that opens in a browser, instead of serving."),
    ] = None,
    detail: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH", help="With --save: smallest cell size, such as 1km. Default: what plays smoothly."
        ),
    ] = None,
    palette: options.Palette = None,
    lang: Annotated[
        LangChoice | None, typer.Option(help="Language of the page. Default: the browser's language.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Port to serve on. Default: 8766 or the next free port."),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --write: replace an index.html that hsrgeo did not write.")
    ] = False,
) -> None:
    """Show an export in the browser: play it, point at a place for its value, click for its series.

    The page is served on this machine alone (127.0.0.1) until Ctrl-C, and asks no other machine for
    anything. Frames are drawn in their own grid, in KMA's colours; what was not observed differs from
    what had no echo. New frames appear by themselves while the folder grows. --write makes the same
    page for any web server, --save one file for a mail.
    """
    with honest_exit():
        from hsrgeo.engine.view.pages import (  # noqa: PLC0415
            Growing,
            ViewOptions,
            make_page,
        )
        from hsrgeo.errors import OptionsError  # noqa: PLC0415
        from hsrgeo.sources.remote import local  # noqa: PLC0415

        if write and save is not None:
            raise OptionsError("--write and --save are two pages: give one of them")
        if (write or save is not None) and (port is not None or no_open):
            raise OptionsError("--port and --no-open are for serving: not with --write, nor with --save")
        if detail is not None and save is None:
            raise OptionsError("--detail goes with --save: a page that is served has every detail")
        if overwrite and not write:
            raise OptionsError("--overwrite goes with --write")
        wanted = ViewOptions(
            region=region,
            start=time_option(start),
            end=time_option(end),
            palette=palette,
            lang=lang,
        )
        folder = local(out, "hsrgeo view")
        growing = None if write or save is not None else Growing(folder, wanted)
        page = growing.page() if growing else make_page(folder, wanted)
        say_notes(page.notes)
        if save is not None:
            raise typer.Exit(_save(page, save, detail))
        if growing is None:
            raise typer.Exit(_write(page, overwrite=overwrite))
        _serve(growing, port, show=not no_open)


def _write(page: "Page", *, overwrite: bool) -> Status:
    from hsrgeo.engine.view.written import write_page  # noqa: PLC0415 - only where it runs

    answer(str(write_page(page, overwrite=overwrite)))
    return tell_left_out(
        f"a page of {counted(page.contents.frames, 'frame')}", page.contents.damaged, page.contents.missing
    )


def _save(page: "Page", file: Path, detail: str | None) -> Status:
    from hsrgeo.engine.view.written import save_page  # noqa: PLC0415 - only where it runs

    saved = save_page(page, file, detail)
    answer(str(saved.path))
    made = f"{counted(page.contents.frames, 'frame')} in one file of {saved.bytes / 1e6:.1f} MB"
    return tell_left_out(made, (*page.contents.damaged, *saved.damaged), page.contents.missing)


def _serve(growing: "Growing", port: int | None, *, show: bool) -> None:
    from hsrgeo.engine.view.server import PageServer  # noqa: PLC0415 - only where it runs

    with PageServer(growing.page, port) as server:
        contents = server.page.contents
        answer(server.url)
        sys.stdout.flush()  # a script waits for it
        tell_left_out(f"{counted(contents.frames, 'frame')}; Ctrl-C ends", contents.damaged, contents.missing)
        if show and _has_screen():
            import webbrowser  # noqa: PLC0415 - takes a moment

            webbrowser.open(server.url)
        server.serve_forever()


def _has_screen() -> bool:
    return sys.platform in ("win32", "darwin") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))

"""The command line: one module a command, each parses, calls a library function and reports. Only it prints."""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from hsrgeo import __version__
from hsrgeo.cli.accumulate import accumulate
from hsrgeo.cli.common import say
from hsrgeo.cli.cube import cube
from hsrgeo.cli.export import export
from hsrgeo.cli.extract import extract
from hsrgeo.cli.gauges import gauges
from hsrgeo.cli.grids import grids
from hsrgeo.cli.info import info
from hsrgeo.cli.plot import plot
from hsrgeo.cli.qgis import qgis
from hsrgeo.cli.render import render
from hsrgeo.cli.series import series
from hsrgeo.cli.simulate import simulate
from hsrgeo.cli.sites import sites
from hsrgeo.cli.stac import stac
from hsrgeo.cli.style import style
from hsrgeo.cli.verify import verify
from hsrgeo.cli.vrt import vrt
from hsrgeo.errors import HsrGeoWarning
from hsrgeo.model.texts import printable


class _Commands(TyperGroup):
    """Makes harmless what a wrong argument says: a shell's ``*`` gives names of files, which may begin as options."""

    def make_context(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - as Typer has it
        with _harmless_usage():
            return super().make_context(*args, **extra)

    def invoke(self, *args: Any) -> Any:  # noqa: ANN401 - as Typer has it
        with _harmless_usage():
            return super().invoke(*args)


@contextmanager
def _harmless_usage() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "message"):  # Click's own errors
            error.message = printable(error.message)
        raise


app = typer.Typer(
    name="hsrgeo",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
_MAIN = (export, info, verify)
_GIS = (qgis, render, style, vrt, stac)
_NUMBERS = (cube, series, accumulate)
_BESIDE = (grids, sites, extract, simulate)
for title, commands in (("Export", _MAIN), ("Maps", _GIS), ("Numbers", _NUMBERS), ("Beside", _BESIDE)):
    for command in commands:
        app.command(no_args_is_help=command is not grids, rich_help_panel=title)(command)
app.add_typer(plot, rich_help_panel="Numbers")
app.add_typer(gauges, rich_help_panel="Numbers")


def _joined(text: str) -> str:
    """Return a help text with each paragraph in one line, for the terminal to break where it ends."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))


for group in (app, plot, gauges):
    for registered in group.registered_commands:
        registered.help = _joined(inspect.getdoc(registered.callback) or "")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hsrgeo {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """KMA radar composites (HSR) in, georeferenced COGs, QGIS projects and pictures out.

    Exit status: 0 all done, 1 something was broken, lost or different (and is listed) or nothing was found,
    2 wrong usage, 130 interrupted.
    """


def main() -> None:
    """Run the command line."""
    warnings.simplefilter("default", HsrGeoWarning)  # each once, and no error, whatever PYTHONWARNINGS says
    warnings.showwarning = _as_note
    app()


_show_warning = warnings.showwarning


def _as_note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, HsrGeoWarning):
        say(f"note: {message}")
    else:
        _show_warning(message, category, filename, lineno, file, line)

"""The command line: one module a command, each parses, calls a library function and reports. Only it prints."""

import sys
import warnings
from typing import Annotated, TextIO

import typer

from hsrgeo import __version__
from hsrgeo.cli.accumulate import accumulate
from hsrgeo.cli.commands import Command, Commands
from hsrgeo.cli.common import Status, refused, say
from hsrgeo.cli.compose import compose
from hsrgeo.cli.cube import cube
from hsrgeo.cli.events import events
from hsrgeo.cli.export import export
from hsrgeo.cli.extract import extract
from hsrgeo.cli.fetch import fetch
from hsrgeo.cli.gauges import gauges
from hsrgeo.cli.grids import grids
from hsrgeo.cli.info import info
from hsrgeo.cli.objects import objects
from hsrgeo.cli.plot import plot
from hsrgeo.cli.qgis import qgis
from hsrgeo.cli.render import render
from hsrgeo.cli.sample import sample
from hsrgeo.cli.series import series
from hsrgeo.cli.simulate import simulate
from hsrgeo.cli.sites import sites
from hsrgeo.cli.split import split
from hsrgeo.cli.stac import stac
from hsrgeo.cli.stats import stats
from hsrgeo.cli.style import style
from hsrgeo.cli.verify import verify
from hsrgeo.cli.view import view
from hsrgeo.cli.vrt import vrt
from hsrgeo.cli.watch import status, unit, watch
from hsrgeo.errors import HsrGeoWarning

app = typer.Typer(
    name="hsrgeo",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text: boxes leave little room at 80 columns, and break paths
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
_MAIN = (export, info, verify)
_GIS = (view, qgis, render, style, vrt, stac)
_NUMBERS = (cube, series, accumulate, stats, events, sample, objects)
_BESIDE = (split, grids, sites, extract, compose, simulate)
for title, commands in (("Export", _MAIN), ("Maps", _GIS), ("Numbers", _NUMBERS), ("Utilities", _BESIDE)):
    for command in commands:
        app.command(cls=Command, no_args_is_help=command is not grids, rich_help_panel=title)(command)
app.command(cls=Command, no_args_is_help=True, rich_help_panel="Export")(watch)
for part in (status, unit):
    app.command(f"watch {part.__name__}", cls=Command, no_args_is_help=True, rich_help_panel="Export")(part)
app.add_typer(fetch, rich_help_panel="Export")
app.add_typer(plot, rich_help_panel="Numbers")
app.add_typer(gauges, rich_help_panel="Numbers")


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
    2 wrong usage, 3 a limit of a service is reached, 130 interrupted.
    """


@app.command("help", rich_help_panel="Utilities")
def show_help(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="Command to complete, such as export or gauges field.")
    ] = None,
) -> None:
    """Show the help of a command."""
    context.find_root().command.main([*(words or []), "--help"], prog_name="hsrgeo")


def main() -> None:
    """Run the command line."""
    warnings.simplefilter("default", HsrGeoWarning)  # each once, and no error, whatever PYTHONWARNINGS says
    warnings.showwarning = _as_note
    try:
        app()
    except OSError as error:  # of help and version: Typer prints these itself
        say(f"hsrgeo: {refused(error)}")
        sys.exit(Status.BROKEN)


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

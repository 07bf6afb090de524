"""`hsrgeo fetch`: frames; and its commands, one module each."""

import typer

from hsrgeo.cli.commands import Command, CommandWithMore
from hsrgeo.cli.fetch.frames import frames
from hsrgeo.cli.fetch.gauges import gauges, stations
from hsrgeo.cli.fetch.key import key

fetch = typer.Typer(name="fetch", cls=CommandWithMore, rich_markup_mode=None, no_args_is_help=True)
fetch.callback(invoke_without_command=True, no_args_is_help=True)(frames)
for command in (key, gauges, stations):
    fetch.command(cls=Command, no_args_is_help=True)(command)

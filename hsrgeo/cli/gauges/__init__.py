"""`hsrgeo gauges`: its commands, one module each."""

import typer

from hsrgeo.cli.commands import Command, Commands
from hsrgeo.cli.gauges.bias import bias
from hsrgeo.cli.gauges.field import field
from hsrgeo.cli.gauges.merge import merge
from hsrgeo.cli.gauges.polygons import polygons

gauges = typer.Typer(
    name="gauges",
    cls=Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Rain gauges: fields on the grid, mean-field bias of the radar, sums of the radar merged with gauges, "
    "Thiessen polygons. All but bias need the extra: pip install 'hsrgeo[gauges]'.",
)

for command in (field, bias, merge, polygons):
    gauges.command(cls=Command, no_args_is_help=True)(command)

"""`hsrgeo gauges`: its commands, one module each."""

import typer

from hsrgeo.cli.gauges.bias import bias
from hsrgeo.cli.gauges.field import field
from hsrgeo.cli.gauges.polygons import polygons

gauges = typer.Typer(
    name="gauges",
    no_args_is_help=True,
    help="Rain gauges: fields on the grid, mean-field bias of the radar, Thiessen polygons. Fields and polygons need "
    "the extra: pip install 'hsrgeo\\[gauges]'.",
)

for command in (field, bias, polygons):
    gauges.command(no_args_is_help=True)(command)

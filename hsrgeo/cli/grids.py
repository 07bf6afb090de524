"""`hsrgeo grids`."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hsrgeo.cli.common import answer, honest_exit

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.model.grid import Grid


CrsChoice = Literal["wkt2", "projjson", "proj", "esri"]
"""Ways to write a CRS."""


def grids(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Grid to describe in full.")] = None,
    as_: Annotated[CrsChoice | None, typer.Option("--as", help="Print only the grid's CRS, in this form.")] = None,
) -> None:
    """List the grids that hsrgeo knows, or print one."""
    with honest_exit():
        from hsrgeo.errors import OptionsError  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.model.grid_catalog import grids as known_grids  # noqa: PLC0415

        known = known_grids()
        if name is None:
            if as_ is not None:
                raise OptionsError(f"--as needs a NAME: one of {', '.join(known)}")
            for grid in known.values():
                answer(f"{grid.name:12}  {grid.width} x {grid.height} cells of {grid.cell_size_m:g} m  {grid.title}")
            return
        if name not in known:
            raise OptionsError(f"grid {name!r} is not known: expected one of {', '.join(known)}")
        grid = known[name]
        answer(*(_in_full(grid) if as_ is None else _crs(grid, as_)).split("\n"))


def _crs(grid: "Grid", form: CrsChoice) -> str:
    match form:
        case "wkt2":
            return grid.crs.to_wkt("WKT2_2019", pretty=True)
        case "projjson":
            return grid.crs.to_json(pretty=True)
        case "proj":
            return grid.proj
        case "esri":
            return grid.crs.to_wkt("WKT1_ESRI")


def _in_full(grid: "Grid") -> str:
    left, bottom, right, top = grid.bounds
    t = grid.transform
    lines = [
        f"{grid.name}: {grid.title}",
        f"  map code      {grid.map_code}",
        f"  size          {grid.width} x {grid.height} cells of {grid.cell_size_m:g} m",
        f"  geotransform  {t.c:g}, {t.a:g}, {t.b:g}, {t.f:g}, {t.d:g}, {t.e:g}",
        f"  edges         x {left:g} .. {right:g}, y {bottom:g} .. {top:g} m",
        f"  proj          {grid.proj}",
        f"  confidence    {grid.confidence}",
        *(f"  source        {source}" for source in grid.sources),
        *(
            f"  check point   column {p.col}, row {p.row} from the south-west = {p.lon} E {p.lat} N  {p.source}"
            for p in grid.check_points
        ),
    ]
    return "\n".join(lines)

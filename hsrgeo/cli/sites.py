"""`hsrgeo sites`."""

from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer, answer_json, counted, honest_exit, say, say_notes, time_option

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.engine.sites import SitesReport
    from hsrgeo.products.offsets import Offset

_MEANING = {
    "point": "the points that KMA serves are the centres of the cells, as hsrgeo places them (--registration point)",
    "corner": "the points that KMA serves are the south-west corners of the cells: half a cell (--registration corner)",
}


def sites(
    sources: options.Sources,
    sites_: Annotated[
        str | None,
        typer.Option(
            "--sites", metavar="FILE", help="CSV with columns name,lon,lat of the radars, instead of hsrgeo's table."
        ),
    ] = None,
    start: options.Start = None,
    end: options.End = None,
    product: options.Product = None,
    jobs: options.Jobs = -1,
    json_: Annotated[
        bool, typer.Option("--json", help="Print a JSON object on stdout, with a fit for each radar.")
    ] = False,
) -> None:
    """Measure where the cells lie: the radars' own circles, beams and edges against their sites.

    The offset is what to add to the centre of a cell, as the grid has it, to reach the middle of the area
    that it represents. Errors are standard errors, found by leaving out one radar at a time, and no less than
    100 m / sqrt(radars): the table of sites is no better.
    """
    with honest_exit():
        from hsrgeo.engine.sites import site_offset  # noqa: PLC0415
        from hsrgeo.sources.skipped import no_frame  # noqa: PLC0415 - commands import what they need when they run

        report = site_offset(
            sources,
            sites=sites_,
            start=time_option(start),
            end=time_option(end),
            product=product,
            jobs=jobs,
        )
        for error in report.failed:
            say(f"failed: {error}")
        if not report.frames:
            say(no_frame(report.tally))
        if json_:
            answer_json(report.as_json())
        elif report.frames:
            _tell(report)
        raise typer.Exit(Status.BROKEN if report.failed or not report.frames else Status.DONE)


def _tell(report: "SitesReport") -> None:
    assert report.grid is not None  # noqa: S101 - there is a frame
    judged, side = report.judgement, report.grid.cell_size_m
    answer(f"{counted(report.frames, 'frame')} on {report.grid.name}, cells of {side:g} m")
    for method, offset in judged.methods.items():
        answer(f"  {method:9} {_offset(offset, side)}  ({' '.join(offset.radars)})")
    if judged.joint:
        answer(f"  {'jointly':9} {_offset(judged.joint, side)}")
    if judged.registration:
        answer(f"  {'fits':9} {_MEANING.get(judged.registration, judged.registration)}")
    else:
        answer(f"  unknown: {judged.reason}")
    say_notes(judged.notes if judged.registration else ())
    if report.unknown:
        say(f"note: not in the table of sites: {', '.join(report.unknown)}")


def _offset(offset: "Offset", side: float) -> str:
    return ", ".join(
        f"{value:+.2f} +- {error:.2f} cells ({value * side:+.0f} +- {error * side:.0f} m) {way}"
        for value, error, way in (
            (offset.east, offset.east_error, "east"),
            (offset.north, offset.north_error, "north"),
        )
    )

"""`hsrgeo info`."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer, answer_json, counted, honest_exit, say, say_notes
from hsrgeo.model.times import FIVE_MINUTES_SINCE
from hsrgeo.sources.skipped import other_command, suffix_counts

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.engine.inspect import Summary
    from hsrgeo.model.frame import Frame
    from hsrgeo.model.header import Header
    from hsrgeo.model.volume import Volume

_SHOWN = 20  # gaps and broken frames printed; --json has all


def info(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help=f"Frames, volumes of one radar, folders, globs or archives. {options.REMOTE}"
        ),
    ],
    registration: options.Registration = "point",
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON list on stdout.")] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", help="Number of processes; -1 uses all cores.")
    ] = -1,
) -> None:
    """Describe files: header, stations, grid, classes, echo; for folders and archives a summary.

    Every frame is unpacked and checked, so broken ones are listed; the exit status is 1 if there are any.
    """
    with honest_exit():
        from hsrgeo.engine.inspect import Summary, frame_json, inspect, volume_json  # noqa: PLC0415 - only where it runs
        from hsrgeo.errors import HsrGeoError  # noqa: PLC0415
        from hsrgeo.model.volume import Volume  # noqa: PLC0415

        broken = False
        objects: list[dict[str, object]] = []
        for found in inspect(sources, jobs=jobs, registration=registration):
            if isinstance(found, HsrGeoError):
                broken = True
                objects.append({"error": type(found).__name__, "message": str(found)})
                if not json_:
                    say(f"failed: {found}")
                continue
            if isinstance(found, Volume):
                objects.append(volume_json(found))
                if not json_:
                    _tell_volume(found)
                continue
            if isinstance(found, Summary):
                broken |= bool(found.broken) or not (found.frames or found.volumes)  # nothing is no success
            objects.append(found.as_json() if isinstance(found, Summary) else frame_json(found))
            if not json_:
                _tell_summary(found) if isinstance(found, Summary) else _tell_frame(found)
        if json_:
            answer_json(objects)
        raise typer.Exit(Status.BROKEN if broken else Status.DONE)


def _tell_frame(frame: "Frame") -> None:
    from hsrgeo.engine.inspect import echo_statistics  # noqa: PLC0415
    from hsrgeo.model.times import KST, time_label, utc_text  # noqa: PLC0415

    header, counts, cells = frame.header, frame.cells, frame.stored.size
    created = header.created.astimezone(KST).strftime("%Y-%m-%d %H:%M:%S KST") if header.created else "not filled in"
    echo = echo_statistics(frame)
    unit = frame.quantity.unit
    made_up = "  (SYNTHETIC: made by hsrgeo simulate)" if header.synthetic else ""
    made_up += "  (computed from KMA's data, not a product of KMA)" if header.not_kma else ""
    extent = (
        f"minimum {echo['minimum']:g}, mean {echo['mean']:.2f}, maximum {echo['maximum']:g} {unit}" if echo else "none"
    )
    answer(f"{frame.name}{made_up}")
    say_notes(frame.notes)
    for label, value in (
        ("product", f"{frame.product} {frame.kind}".strip()),
        ("time", f"{time_label(frame.time)}  ({utc_text(frame.time)})"),
        ("created", created),
        ("quantity", f"{frame.quantity.name}{f' [{unit}]' if unit else ''}, block {frame.block} of {frame.blocks}"),
        ("grid", f"{frame.grid.name}, {frame.grid.width} x {frame.grid.height} cells of {frame.grid.cell_size_m:g} m"),
        ("stations", f"{header.station_count}: {' '.join(station.code for station in header.stations)}"),
        ("nodata", f"{counts.nodata:,} cells ({100 * counts.nodata / cells:.1f} %)"),
        ("undetect", f"{counts.undetect:,} cells ({100 * counts.undetect / cells:.1f} %)"),
        ("echo", f"{counts.echo:,} cells ({100 * counts.echo / cells:.1f} %): {extent}"),
        *_capped(frame),
        ("blends", f"{counts.blend:,} cells, counted as nodata or undetect"),
        ("header", _fields(header)),
        ("CRC-32", f"{frame.crc32:08x}"),
    ):
        answer(f"  {label:9} {value}")


def _tell_volume(volume: "Volume") -> None:
    from hsrgeo.engine.inspect import volume_json  # noqa: PLC0415
    from hsrgeo.model.times import time_label, utc_text  # noqa: PLC0415

    radar = volume.radar
    answer(f"{volume.name}  (volume of one radar: see hsrgeo compose)")
    say_notes(volume.notes)
    for label, value in (
        ("layout", volume.layout),
        ("radar", f"{radar.code}, {radar.lon:.5f} E {radar.lat:.5f} N, antenna {radar.height_m:g} m above the sea"),
        ("time", f"{time_label(volume.time)}  ({utc_text(volume.time)}), from {volume.time_source}"),
        ("moments", f"{' '.join(volume.moments)}; reflectivity is {volume.moment}"),
        ("sweeps", f"{len(volume.sweeps)}, from the lowest"),
    ):
        answer(f"  {label:9} {value}")
    for sweep in volume_json(volume)["sweeps"]:
        rays, gates = sweep["rays"], sweep["gates"]
        size = f"{rays:,} rays, {gates:,} gates of {sweep['gate_m']:g} m"
        echo = 100 * sweep["echo"] / (rays * gates)
        answer(f"  {sweep['number']:9} {sweep['elevation']:5.1f} degrees, {size}, echo in {echo:.1f} %")


def _capped(frame: "Frame") -> list[tuple[str, str]]:
    if not frame.capped:
        return []
    from hsrgeo.model.quantity import CAP_MM_H  # noqa: PLC0415

    cells = counted(frame.capped, "cell")
    return [("capped", f"{cells} at {CAP_MM_H:.2f} {frame.quantity.unit}, the highest rate that HSP stores")]


def _fields(header: "Header") -> str:
    names = ("version", "ptype", "map_code", "map_etc", "nx", "ny", "nz", "dxy", "dz", "z_min", "num_data")
    fields = ", ".join(f"{name} {getattr(header, name)}" for name in names)
    return f"{fields}, data_code {' '.join(str(code) for code in header.data_codes)}"


def _tell_volumes(volumes: Counter[str]) -> None:
    if volumes:
        radars = ", ".join(f"{count:,} of {code}" for code, count in sorted(volumes.items()))
        answer(f"  volumes   {volumes.total():,} sound ({radars}): see hsrgeo compose")


def _tell_summary(summary: "Summary") -> None:
    from hsrgeo.model.times import time_label  # noqa: PLC0415

    products = ", ".join(f"{count:,} {name}" for name, count in summary.products.most_common())
    answer(f"{summary.source}")
    answer(
        f"  frames    {summary.frames:,} sound{f' ({products})' if products else ''}, {len(summary.broken):,} broken"
    )
    _tell_volumes(summary.volumes)
    if summary.first and summary.last:
        answer(f"  time      {time_label(summary.first, summary.last)}")
        missing, gaps_text = counted(summary.missing, "frame"), counted(len(summary.gaps), "gap")
        gaps = f"{missing} missing in {gaps_text}" if summary.gaps else "none"
        until = ", every 10 before 16 September 2019" if summary.first < FIVE_MINUTES_SINCE else ""
        answer(f"  gaps      {gaps} (against one frame every 5 minutes{until})")
    for product, start, end, count in summary.gaps[:_SHOWN]:
        answer(f"            {product} {time_label(start, end)}: {count:,} missing")
    if len(summary.gaps) > _SHOWN:
        answer(f"            {counted(len(summary.gaps) - _SHOWN, 'more gap')}: --json lists them")
    if summary.repeated:
        answer(f"  repeated  {counted(summary.repeated, 'frame')} of a time that is there already")
    for note in summary.notes[:_SHOWN]:
        answer(f"  note      {note}")
    if len(summary.notes) > _SHOWN:
        answer(f"  note      {len(summary.notes) - _SHOWN:,} more: --json lists them")
    for error in summary.broken[:_SHOWN]:
        answer(f"  broken    {error}")
    if len(summary.broken) > _SHOWN:
        answer(f"  broken    {len(summary.broken) - _SHOWN:,} more: --json lists them")
    if summary.tally.passed_over:
        _tell_others(summary)


def _tell_others(summary: "Summary") -> None:
    others = counted(summary.tally.passed_over.total(), "file")
    answer(f"  other     {others} not taken for frames ({suffix_counts(summary.tally)})")
    if not (summary.frames or summary.volumes) and (advice := other_command(summary.tally)):
        answer(f"            {advice}")

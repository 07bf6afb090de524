"""What the options of commands that take frames ask for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hsrgeo.cli.common import time_option

if TYPE_CHECKING:
    from hsrgeo.engine.export_options import ExportOptions

_AS_THEY_ARE = (
    *("bbox", "window", "center", "size", "regions", "regions_field", "regions_encoding", "product", "kind"),
    *("mask", "min_dbz", "despeckle", "smooth", "min_wet", "block", "max_height", "registration", "values"),
    *("quantity", "zr", "max_rate", "bias", "crs", "resolution", "resampling", "undetect", "palette", "compress"),
    *("jobs", "dask", "overwrite", "fail_fast", "dry_run"),
)


def frame_options(arguments: Mapping[str, Any], **others: Any) -> "ExportOptions":  # noqa: ANN401 - of any option
    """Return which frames a command wants and what is made of each.

    Args:
        arguments: Of the command, by the names of its parameters; what is not among them keeps its default.
        others: Options that are not called as a parameter, or have another value.
    """
    from hsrgeo.engine.export_options import ExportOptions  # noqa: PLC0415 - commands import what they need when they run
    from hsrgeo.model.times import parse_step  # noqa: PLC0415
    from hsrgeo.sources.select import read_times  # noqa: PLC0415

    every, times = arguments["every"], arguments.get("times")
    asked = {
        **{name: arguments[name] for name in _AS_THEY_ARE if name in arguments},
        "start": time_option(arguments["start"]),
        "end": time_option(arguments["end"]),
        "every": None if every is None else parse_step(every),
        "times": None if times is None else read_times(times),
        "stations": arguments["stations"] or (),
    }
    return ExportOptions(**asked | others)


def export_options(arguments: Mapping[str, Any]) -> "ExportOptions":
    """Return what `hsrgeo export` and `hsrgeo watch` are to write, see `frame_options`."""
    from hsrgeo.outputs.recipe import DEFAULT_NAME  # noqa: PLC0415
    from hsrgeo.products.rain import KMA_LAW  # noqa: PLC0415

    name, zr = arguments["name"], arguments["zr"]
    colours_only = arguments.get("qgis") and arguments["quantity"] == "stored"
    return frame_options(
        arguments,
        formats=tuple(choice.value for choice in arguments["format_"] or ()) or ("cog", "png"),
        name=DEFAULT_NAME if name is None else name,
        zr=KMA_LAW if zr is None or colours_only else zr,
        sidecars=not arguments["no_sidecars"],
        dask_wait_s=arguments.get("dask_wait"),
        sync=not arguments["no_sync"],
    )

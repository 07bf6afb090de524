"""What the options of `hsrgeo export` and `hsrgeo watch` ask for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hsrgeo.cli.common import time_option

if TYPE_CHECKING:
    from hsrgeo.engine.export_options import ExportOptions

_AS_GIVEN = (
    *("bbox", "window", "center", "size", "regions", "regions_field", "regions_encoding"),
    *("product", "kind", "max_rate", "bias", "crs", "resolution", "block", "max_height", "undetect", "palette", "jobs"),
    *("mask", "min_dbz", "despeckle", "smooth"),
)
_IF_GIVEN = ("dask", "min_wet", "overwrite", "fail_fast", "dry_run")
_OF_FRAMES = (
    *_AS_GIVEN,
    *("values", "quantity", "zr", "resampling", "registration", "min_wet", "overwrite", "fail_fast"),
)


def frame_options(given: Mapping[str, Any]) -> "ExportOptions":
    """Return which frames a command wants and what is made of each, where it writes no files of its own for them.

    Args:
        given: As that of `export_options`; what is not among them keeps its default.
    """
    from hsrgeo.engine.export_options import ExportOptions  # noqa: PLC0415
    from hsrgeo.model.times import parse_step  # noqa: PLC0415
    from hsrgeo.sources.select import read_times  # noqa: PLC0415

    return ExportOptions(
        **{name: given[name] for name in _OF_FRAMES if name in given},
        start=time_option(given["start"]),
        end=time_option(given["end"]),
        every=parse_step(given["every"]) if given["every"] is not None else None,
        times=read_times(given["times"]) if given["times"] is not None else None,
        stations=given["stations"] or (),
    )


def export_options(given: Mapping[str, Any]) -> "ExportOptions":
    """Return them.

    Args:
        given: The arguments of the command, by the names of its parameters.
    """
    from hsrgeo.engine.export_options import ExportOptions  # noqa: PLC0415 - commands import what they need when they run
    from hsrgeo.model.times import parse_step  # noqa: PLC0415
    from hsrgeo.outputs.recipe import DEFAULT_NAME  # noqa: PLC0415
    from hsrgeo.products.rain import KMA_LAW  # noqa: PLC0415
    from hsrgeo.sources.select import read_times  # noqa: PLC0415

    colours_only = given.get("qgis") and given["quantity"] == "stored"
    return ExportOptions(
        **{name: given[name] for name in _AS_GIVEN},
        **{name: given[name] for name in _IF_GIVEN if name in given},
        start=time_option(given["start"]),
        end=time_option(given["end"]),
        every=parse_step(given["every"]) if given["every"] is not None else None,
        times=read_times(given["times"]) if given.get("times") is not None else None,
        formats=tuple(choice.value for choice in given["format_"] or ()) or ("cog", "png"),
        compress=given["compress"],
        values=given["values"],
        name=DEFAULT_NAME if given["name"] is None else given["name"],
        quantity=given["quantity"],
        zr=KMA_LAW if given["zr"] is None or colours_only else given["zr"],
        resampling=given["resampling"],
        sidecars=not given["no_sidecars"],
        stations=given["stations"] or (),
        registration=given["registration"],
        dask_wait_s=given.get("dask_wait"),
        sync=not given["no_sync"],
    )

"""Options of the library from the parameters of a command, which have the same names."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from hsrgeo.engine.export_options import ExportOptions


def asked(options_class: type, arguments: Mapping[str, Any], **others: Any) -> dict[str, Any]:  # noqa: ANN401 - of any option
    """Return the fields of options that a command has parameters for, by name.

    Args:
        options_class: The options, a dataclass.
        arguments: Of the command, by the names of its parameters; a field that is not among them keeps its default.
        others: Fields that are not called as a parameter, or have another value.
    """
    from dataclasses import fields  # noqa: PLC0415 - commands import what they need when they run

    from hsrgeo.model.times import parse_step, parse_time  # noqa: PLC0415
    from hsrgeo.sources.select import read_times  # noqa: PLC0415

    readers: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(("start", "end", "at"), parse_time),
        **dict.fromkeys(("every", "frame_step", "step"), parse_step),
        "period": period_length,
        "times": read_times,
    }
    values = {one.name: arguments[one.name] for one in fields(options_class) if one.init and one.name in arguments}
    if "stations" in values:
        values["stations"] = values["stations"] or ()
    return {
        name: value if value is None else readers.get(name, lambda same: same)(value)
        for name, value in (values | others).items()
    }


def period_length(text: str) -> timedelta | Literal["event"]:
    """Read the length of a period: a step, or ``event``."""
    from hsrgeo.model.times import parse_step  # noqa: PLC0415 - as above

    return "event" if text.strip().lower() == "event" else parse_step(text)


def frame_options(arguments: Mapping[str, Any], **others: Any) -> "ExportOptions":  # noqa: ANN401
    """Return which frames a command wants and what is made of each, see `asked`."""
    from hsrgeo.engine.export_options import ExportOptions  # noqa: PLC0415 - commands import what they need when they run

    return ExportOptions(**asked(ExportOptions, arguments, **others))


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

"""How a notebook shows a frame: what it is, in words, and as a small map."""

from __future__ import annotations

import base64
from html import escape
from typing import get_args

from hsrgeo.errors import MissingExtraError, OptionsError
from hsrgeo.gis import animation
from hsrgeo.gis.map import Plan, map_for
from hsrgeo.model.frame import Frame
from hsrgeo.model.times import time_label
from hsrgeo.products.classes import STYLED, Styled

_WIDTH = 480  # pixels
_SHOWN: dict[str, Styled] = {STYLED[shown].name: shown for shown in get_args(Styled)}


def frame_png(frame: Frame) -> bytes | None:
    """Return the bytes of a PNG of a frame; None without the extra ``render``, or where it cannot be drawn."""
    shown = _SHOWN.get(frame.quantity.name)
    if shown is None:
        return None
    try:
        plan = Plan(frame.grid, shown, width=_WIDTH, product=frame.product)
        sheet = map_for(plan)
        picture = sheet.picture(sheet.panel(frame), time_label(frame.time), synthetic=frame.header.synthetic)
        return animation.png(picture, plan.colours)
    except (MissingExtraError, OptionsError):
        return None


def frame_html(frame: Frame) -> str:
    """Return a table of what a frame is, all text escaped, and its picture below."""
    cells, unit = frame.statistics, frame.quantity.unit
    rows = {
        "time": time_label(frame.time),
        "product": f"{frame.product} {frame.kind}".strip(),
        "quantity": f"{frame.quantity.name} [{unit}]" if unit else frame.quantity.name,
        "size": f"{frame.grid.width} x {frame.grid.height} of {frame.grid.name}",
        "cells": f"{cells.echo:,} with a value, {cells.undetect:,} without, {cells.nodata:,} not observed",
        "highest": "none" if cells.maximum is None else f"{cells.maximum:g} {unit}".strip(),
        "file": frame.name,
    }
    listed = "".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in rows.items())
    picture = frame_png(frame)
    drawn = f'<img alt="" src="data:image/png;base64,{base64.b64encode(picture).decode()}">' if picture else ""
    return f"<div><table>{listed}</table>{drawn}</div>"

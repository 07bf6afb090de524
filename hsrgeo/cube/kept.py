"""The frames and options of a cube that is there already: what a run reads before it adds frames."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hsrgeo.cube.cf import absent_times, times_of
from hsrgeo.cube.extra import DAMAGE
from hsrgeo.cube.store import shape_from_json
from hsrgeo.cube.stored import packed_cube, values_name
from hsrgeo.errors import SourceError
from hsrgeo.model.rank import Rank
from hsrgeo.sources.remote import Place


@dataclass
class Kept:
    """What a cube on disk holds."""

    times: list[datetime] = field(default_factory=list)
    ranks: list[Rank] = field(default_factory=list)
    missing: list[datetime] = field(default_factory=list)
    dry: list[datetime] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)
    shape: dict[str, Any] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)


def kept_in(out: Place) -> Kept:
    """Return what a cube holds; nothing where there is none.

    Raises:
        SourceError: What is there is not a cube made by hsrgeo.
    """
    if isinstance(out, Path) and not out.exists():
        return Kept()
    with packed_cube(out, chunks=None) as dataset:
        values_name(dataset, out)
        try:
            created = [int(value) if value >= 0 else 0 for value in dataset["created"].values]  # NaN: not known
            shape = json.loads(dataset.attrs["hsrgeo_shape"])
            shape_from_json(shape)  # raises where it is none
            return Kept(
                times=times_of(dataset["time"].values),
                ranks=[
                    Rank(int(stations), made, int(crc32))
                    for stations, made, crc32 in zip(
                        dataset["station_count"].values, created, dataset["source_crc32"].values, strict=True
                    )
                ],
                missing=absent_times(dataset, "missing_times"),
                dry=absent_times(dataset, "dry_times"),
                recipe=dict(json.loads(dataset.attrs["hsrgeo_recipe"])),
                shape=shape,
                attrs=dict(json.loads(dataset.attrs.get("hsrgeo_attrs", "{}"))),
            )
        except DAMAGE as error:
            raise SourceError(str(out), f"is not a cube made by hsrgeo: {error}") from error

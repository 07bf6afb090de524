"""The plan of a cube in a bucket, and the names of its chunks; see `hsrgeo.cube.spaces`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hsrgeo.cube.build import Plan
from hsrgeo.cube.spaces import ROOT, SPACES, Document, arrays_in, free_space, is_named, space_of, with_space
from hsrgeo.cube.store import Layout
from hsrgeo.sources.remote import RemotePath


@dataclass(frozen=True)
class BucketPlan(Plan):
    """A cube that is to be made in a bucket."""

    out: RemotePath
    part: RemotePath
    """Folder of what is staged."""
    version: str
    """Of the root that is to be replaced, as it was when the plan was made; empty where there was none."""


@dataclass(frozen=True)
class Others:
    """Leftovers of runs that were killed or suspended before the cube was made."""

    spaces: Mapping[str, int]
    """Which names the last of them uses, of every array."""
    keys: Sequence[str]
    """Its objects, and those of others."""

    def use(self, path: str, dimensions: int) -> set[int]:
        """Return the spaces of an array that they use, or used."""
        names = {key.removeprefix(f"{path}/") for key in self.keys if key.startswith(f"{path}/")}
        used = {space for space in range(len(SPACES)) if any(is_named(space, name, dimensions) for name in names)}
        return used | ({self.spaces[path]} if path in self.spaces else set())


def choose_spaces(
    plan: BucketPlan, made: Mapping[str, bytes], before: Mapping[str, bytes], others: Others
) -> dict[str, int]:
    """Choose the names of the chunks of every array: such as neither the cube nor others use.

    `made` has every object of the new cube but its values, by its key, and `before` the metadata of the old cube. The
    others may be suspended, and send a request late.
    """
    values = {plan.array(layout): layout for layout in plan.layouts}
    there = arrays_in(before)
    is_same_place = json.loads(json.dumps(plan.shape.as_json()["grid"])) in map(_grid, before.values())
    spaces = {}
    for path, document in arrays_in({key: data for key, data in made.items() if key.endswith(ROOT)}).items():
        old, dimensions = there.get(path), len(document["shape"])
        used = others.use(path, dimensions)
        if old is None:
            spaces[path] = free_space(used, (), dimensions)
            continue
        if path in values:
            stays = not others.spaces and space_of(old) not in used and _goes_on(plan, values[path], old)
        else:
            stays = is_same_place and _is_constant(document, old)
        spaces[path] = space_of(old) if stays else free_space(used, (space_of(old),), dimensions)
    return spaces


def _grid(group: bytes) -> Any:  # noqa: ANN401 - of JSON
    """Return the grid that the metadata of a group tell of, or None."""
    shape = json.loads(group).get("attributes", {}).get("hsrgeo_shape")
    return json.loads(shape)["grid"] if shape else None


def _is_constant(new: Document, old: Document) -> bool:
    """Tell whether an array follows from the grid alone, and is packed in the same way in both cubes."""
    on_grid = set(new.get("dimension_names") or ()) <= {"y", "x"}
    return on_grid and with_space(new, 0) == with_space(old, 0)


def _goes_on(plan: BucketPlan, layout: Layout, old: Document) -> bool:
    """Tell whether the new values are the old chunks with more chunks appended."""
    times = old["shape"][0]
    whole = layout == "map" or times % plan.shape.series_times == 0 or times == len(plan.slots)
    return whole and [slot.old for slot in plan.slots[:times]] == list(range(times))

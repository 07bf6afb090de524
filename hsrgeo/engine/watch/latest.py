"""OUT/latest.tif and so on: a copy of the newest frame, which never goes back in time."""

from __future__ import annotations

import json
import zlib
from datetime import datetime
from typing import Any

from hsrgeo.errors import ReadbackError
from hsrgeo.model.times import kst_text, utc_text
from hsrgeo.outputs.names import LATEST
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.sources.remote import Place
from hsrgeo.writers.files import write_file
from hsrgeo.writers.rasters import PICTURES


def update_latest(out: Place, recipe: Recipe, line: Outcome, *, sync: bool = True) -> None:
    """Copy the outputs of a frame to ``latest.*``, of each region, unless a later frame is there.

    Each file is replaced in one step. ``latest.json`` comes last: what it tells of is there. A region whose files are
    there already is left alone. Where the recipe's names have the product, so have these: ``latest-HSR.tif``.

    Raises:
        ReadbackError: An output differs from its line in the manifest.
        WriteError: The disk refused.
    """
    frame_name = line.frame_name
    if frame_name is None:
        return
    name = latest_name(recipe, frame_name.product)
    for cut in recipe.cuts:
        stem = recipe.stem(frame_name, cut.region)
        outputs = [output for output in line.outputs if output.path.startswith(f"{stem}.")]
        folder = out / cut.region if cut.region else out
        news = {
            "time": kst_text(frame_name.time),
            "time_utc": utc_text(frame_name.time),
            "product": frame_name.product,
            "kind": frame_name.kind,
            "stations": line.stations,
            "created_utc": line.created or None,
            "files": [
                {
                    "name": name + output.path.removeprefix(stem),
                    "path": output.path,
                    "bytes": output.bytes,
                    "crc32": f"{output.crc32:08x}",
                }
                for output in outputs
            ],
        }
        before = read_json(folder / f"{name}.json")
        if before == news or _time(before) > frame_name.time.timestamp():
            continue
        outputs.sort(key=lambda output: output.path.endswith(PICTURES))  # what lies beside a picture comes first
        for output in outputs:
            try:
                data = (out / output.path).read_bytes()
            except OSError as error:
                raise ReadbackError(output.path, f"cannot be read back: {error.strerror or error}") from error
            if zlib.crc32(data) != output.crc32:
                raise ReadbackError(output.path, "differs from its line in the manifest")
            write_file(folder / (name + output.path.removeprefix(stem)), data, sync=sync)
        write_json(folder / f"{name}.json", news, sync=sync)


def latest_name(recipe: Recipe, product: str) -> str:
    """Return the name of the copies of a product's newest frame, without an ending."""
    return f"{LATEST}-{product}" if "{product" in recipe.name else LATEST


def read_json(path: Place) -> dict[str, Any]:
    """Return the object in a file that hsrgeo wrote; an empty one where it is missing or damaged."""
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def write_json(path: Place, value: object, *, sync: bool = True) -> None:
    """Write an object to a file in one step."""
    write_file(path, json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n", sync=sync)


def _time(record: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(record["time_utc"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return float("-inf")

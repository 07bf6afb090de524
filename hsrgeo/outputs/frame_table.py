"""The outputs of an export as a table: path, time and statistics of each picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hsrgeo.model.quantity import Statistics
from hsrgeo.outputs.journal import is_output, not_an_output
from hsrgeo.outputs.kept_recipe import recipe_of
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.sources.remote import target


def read_manifest(out: str | Path) -> list[dict[str, Any]]:
    """Return a row for each frame and region that an export wrote, by time; ``pandas.DataFrame`` takes it as it is.

    Args:
        out: The output folder of `hsrgeo.export`, or the URL of one in a bucket.

    Returns:
        ``time`` (aware, KST), ``product``, ``kind``, ``region``, ``path`` of the first picture (COG before PNG),
        ``source`` (file, and member of an archive), then the fields of `hsrgeo.model.quantity.Statistics` in physical
        units: ``unit``; the counts of cells ``nodata``, ``undetect`` and ``echo``; ``minimum``, ``mean``, ``maximum``
        and ``stddev``, None where no cell has a value. All of these are None of what an older hsrgeo wrote.

    Raises:
        ManifestError: There is no manifest or no options beside it, or one of them is damaged.
    """
    folder = target(out)
    if not is_output(folder):
        raise not_an_output(folder)
    recipe = recipe_of(folder)
    unknown = dict.fromkeys(field.name for field in dataclasses.fields(Statistics))
    rows: list[dict[str, Any]] = []
    with Manifest(folder, read_only=True) as manifest:
        for outcome in manifest:
            frame_name = outcome.frame_name
            if outcome.status != "ok" or frame_name is None:
                continue
            written = {output.path for output in outcome.outputs}
            for cut in recipe.cuts:
                path = recipe.stem(frame_name, cut.region) + recipe.suffixes[0]
                if path not in written:  # dry
                    continue
                found = outcome.statistics.get(cut.region)
                row = {
                    "time": frame_name.time,
                    "product": frame_name.product,
                    "kind": frame_name.kind,
                    "region": cut.region,
                    "path": str(folder / path),
                    "source": outcome.label,
                }
                rows.append(row | (dataclasses.asdict(found) if found else unknown))
    return sorted(rows, key=lambda row: (row["time"], row["region"], row["product"]))

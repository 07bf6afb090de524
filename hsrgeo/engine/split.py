"""Lists of an export's files for training, validation and test: whole months or days, never single frames."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.errors import OptionsError
from hsrgeo.model.fields import Step
from hsrgeo.model.texts import to_cell
from hsrgeo.model.times import KST
from hsrgeo.outputs.frame_table import read_manifest
from hsrgeo.outputs.lock import locked
from hsrgeo.sources.remote import local
from hsrgeo.writers.disk import Together
from hsrgeo.writers.files import refuse_others
from hsrgeo.writers.table_files import Columns, csv_records

Block = Literal["month", "day"]
SETS = ("train", "validation", "test")
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How the frames of an export are parted.

    Args:
        block: A ``month`` or a ``day`` (KST) is never parted: frames of one storm look alike.
        shares: Of the blocks, for training, validation and test; a set with the share 0 is empty.
        seed: Which blocks go where; the same seed gives the same lists of the same blocks.
        gap: Frames that follow a block of another set within this are in no list.

    Raises:
        OptionsError: Options that cannot be.
    """

    block: Block = "day"
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
    seed: int = 0
    gap: Step[None] = Step(None)

    def __post_init__(self) -> None:
        if self.block not in get_args(Block):
            raise OptionsError(f"block {self.block!r}: expected {' or '.join(get_args(Block))}")
        sound = len(self.shares) == len(SETS) and all(0 <= share < math.inf for share in self.shares)
        if not sound or not math.isclose(sum(self.shares), 1, abs_tol=1e-6):
            raise OptionsError(f"shares {' '.join(map(str, self.shares))}: expected three that add up to 1")
        if self.gap is not None and not timedelta(0) <= self.gap <= _DAY:
            raise OptionsError(f"gap {self.gap}: expected a day at most")


@dataclass(frozen=True, slots=True)
class Split:
    """What was written."""

    counts: Mapping[str, int]
    """Files in each list."""
    blocks: Mapping[str, int]
    """Months or days in each list."""
    left_out: int
    """Files in no list, because of the gap between lists."""


@takes(SplitOptions)
def split(
    out: str | Path, lists: str | Path | None = None, options: SplitOptions | None = None, **keywords: object
) -> Split:
    """Write ``train.csv``, ``validation.csv`` and ``test.csv``, a row a file of an export.

    The three lists take their names together when all of them are written.

    Columns: ``path`` below `out`, ``time_utc``, ``time_kst``, ``region``, ``product``, and of the cells ``nodata``,
    ``undetect``, ``echo`` and ``maximum``, as `hsrgeo.read_manifest` has them.

    Args:
        out: The output folder of `hsrgeo.export`.
        lists: Folder of the lists; None is `out`.
        options: How to part.
        keywords: Fields of `SplitOptions`, in place of those of `options`.

    Raises:
        ManifestError: It is no output folder of an export.
        OptionsError: It has fewer blocks than sets, or one of the two is not on this machine.
        LockError: Another run is writing lists there.
        OutputExistsError: A file of these names is there and is not a list of hsrgeo.
        WriteError: The disk refused.
    """
    wanted = options_of(SplitOptions, options, keywords)
    source, folder = (local(path, "hsrgeo split") for path in (out, out if lists is None else lists))
    rows = read_manifest(source)
    starts = sorted({_start(row["time"], wanted.block) for row in rows})
    set_of = dict(zip(starts, _sets(len(starts), wanted), strict=True))
    parted: dict[str, list[dict[str, Any]]] = {name: [] for name in SETS}
    for row in rows:
        start = _start(row["time"], wanted.block)
        before = set_of.get(_start(start - _DAY, wanted.block), set_of[start])
        if before == set_of[start] or row["time"] - start >= (wanted.gap or timedelta(0)):
            parted[set_of[start]].append(row)
    with locked(folder / f"{SETS[0]}.csv", folder), Together() as files:
        for name in parted:
            refuse_others(folder / f"{name}.csv", _START, "a list written by hsrgeo split")
        for name, chosen in parted.items():
            files.write(folder / f"{name}.csv", csv_records(_columns(chosen, source)))
    counts = {name: len(chosen) for name, chosen in parted.items()}
    blocks = {name: list(set_of.values()).count(name) for name in SETS}
    return Split(counts, blocks, len(rows) - sum(counts.values()))


def _start(time: datetime, block: Block) -> datetime:
    midnight = time.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.replace(day=1) if block == "month" else midnight


def _sets(count: int, wanted: SplitOptions) -> Sequence[str]:
    """Return the set of each of so many blocks: numbers as near to the shares as can be, at least one of each set."""
    needed = [share > 0 for share in wanted.shares]
    if count < sum(needed):
        expected = f"{sum(needed)} sets need at least {sum(needed)} {wanted.block}s, found {count}"
        smaller = "take days (--block day), or " if wanted.block == "month" else ""
        raise OptionsError(f"{expected}; {smaller}give sets a share of 0 (--shares), or export more")
    sizes = [max(int(share * count), int(need)) for share, need in zip(wanted.shares, needed, strict=True)]
    while (rest := count - sum(sizes)) != 0:
        lack = [share * count - size for share, size in zip(wanted.shares, sizes, strict=True)]
        which = lack.index(max(lack)) if rest > 0 else sizes.index(max(sizes))
        sizes[which] += 1 if rest > 0 else -1
    names = [name for name, size in zip(SETS, sizes, strict=True) for _ in range(size)]
    random.Random(wanted.seed).shuffle(names)  # noqa: S311 - no secret
    return names


_START = b"path,time_utc,time_kst,region,product,"  # of a list


def _columns(rows: Sequence[Mapping[str, Any]], out: Path) -> Columns:
    numbers = ("nodata", "undetect", "echo", "maximum")
    return {
        "path": ("text", [_path(Path(row["path"]).relative_to(out).as_posix()) for row in rows]),
        "time": ("time", [row["time"] for row in rows]),
        "region": ("text", [row["region"] for row in rows]),
        "product": ("text", [row["product"] for row in rows]),
        **{name: ("number", [math.nan if row[name] is None else row[name] for row in rows]) for name in numbers},
    }


def _path(text: str) -> str:
    """Return a path that no spreadsheet takes for a formula and that leads to the file: ``./-5/...`` of ``-5/...``."""
    return text if to_cell(text) == text else f"./{text}"

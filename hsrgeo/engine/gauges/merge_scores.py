"""Scores of merged sums: every method at every gauge, made without that gauge, beside the radar as it is."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hsrgeo.products.bias import Scores, scores
from hsrgeo.products.interpolate import Floats
from hsrgeo.products.merging import METHODS, MergeMethod
from hsrgeo.writers.files import refuse_others, write_file

AS_IT_IS = "radar as it is"
_COLUMNS = ("method", "periods", "pairs", "rmse_mm", "mean_error_mm", "correlation")


@dataclass(frozen=True, slots=True)
class MethodScores:
    """How well a method does where there is no gauge; NaN of one that could not be applied to any sum."""

    method: str
    """One of `METHODS`, or `AS_IT_IS`."""
    periods: int
    """In which it could be applied; in the others it leaves the radar as it is."""
    pairs: int
    scores: Scores


@dataclass(slots=True)
class LeftOut:
    """What the methods make at each gauge of the others, period by period."""

    gauges: list[Floats] = field(default_factory=list)
    made: dict[str, list[Floats]] = field(default_factory=lambda: defaultdict(list))
    applied: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, gauge_mm: Floats, radar_mm: Floats, made: Mapping[MergeMethod, Floats]) -> None:
        """Take in a period: depths of gauges that count, of the radar above them, and of each method applied."""
        self.gauges.append(gauge_mm)
        self.made[AS_IT_IS].append(radar_mm)
        self.applied[AS_IT_IS] += 1
        for method in METHODS:
            self.made[method].append(made.get(method, radar_mm))
            self.applied[method] += method in made

    def scores(self) -> list[MethodScores]:
        """Return the scores of all pairs, the radar as it is first."""
        gauges = np.concatenate([np.empty(0), *self.gauges])

        def scored(method: str, made: list[Floats]) -> Scores:
            if not self.applied[method]:  # they would be those of the radar
                return Scores(np.nan, np.nan, np.nan)
            return scores(gauges, np.concatenate([np.empty(0), *made]))

        return [
            MethodScores(method, self.applied[method], gauges.size, scored(method, made))
            for method, made in self.made.items()
        ]


def refuse_foreign_scores(path: Path) -> None:
    """Refuse to replace a file of this name that is not of scores.

    Raises:
        OutputExistsError: There is one.
    """
    refuse_others(path, ",".join(_COLUMNS).encode(), "a table of scores written by hsrgeo gauges merge")


def write_scores(path: Path, rows: Sequence[MethodScores]) -> None:
    """Write scores as CSV."""
    refuse_foreign_scores(path)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        numbers = (row.scores.rmse_mm, row.scores.mean_error_mm, row.scores.correlation)
        written = ("" if np.isnan(number) else f"{number:.6g}" for number in numbers)
        writer.writerow([row.method, row.periods, row.pairs, *written])
    write_file(path, text.getvalue().encode())

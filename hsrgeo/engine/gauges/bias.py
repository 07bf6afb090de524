"""Mean-field bias of radar against gauges: one factor for each hour, day or event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.axis import floor_step
from hsrgeo.engine.gauges.gauge_options import GaugeBiasOptions
from hsrgeo.engine.gauges.radar import RadarSums, notes_of, read_radar
from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.periods import Period, periods_of
from hsrgeo.engine.series.series_table import RAIN_LAW, law_of
from hsrgeo.errors import OptionsError
from hsrgeo.products.bias import LEAST_MEAN_MM, FieldBias, PairRules, Scores, field_bias, scores
from hsrgeo.sources.gauge_rules import ReadingRules
from hsrgeo.sources.gauges import read_readings
from hsrgeo.sources.readings import Readings
from hsrgeo.sources.remote import local
from hsrgeo.writers.table_files import check_table, write_table

BIAS_COLUMNS = (
    "hours",
    "pairs",
    "gauge_mm",
    "radar_mm",
    "bias",
    "correlation",
    "rmse_mm",
    "rmse_adjusted_mm",
    "rmse_left_out_mm",
)
PAIR_COLUMNS = ("hours", "gauge_mm", "radar_mm", "adjusted_mm", "left_out_mm", "counts")
ALL_GAUGES = "all gauges"
"""What the table of factors has as its place."""

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class GaugeBias:
    """What came of it; every pair of a period with a factor counts in the scores."""

    path: Path
    periods: int
    """Rows of the table."""
    factors: int
    """Periods that have one."""
    pairs: int
    """Pairs behind the factors."""
    before: Scores
    """Of the radar as it is."""
    after: Scores
    """Of the radar times the factor of its period."""
    left_out: Scores
    """Of the radar at each gauge times the factor that the others give."""
    notes: list[str] = field(default_factory=list)
    """What a user should know, such as readings that were left out."""


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """Depths of gauges and radar in a period, summed up over the times that both know."""

    period: Period
    gauge_mm: NDArray[np.float64]
    radar_mm: NDArray[np.float64]
    hours: NDArray[np.float64]
    """Of each gauge: the time that was compared."""


@takes(GaugeBiasOptions, ReadingRules)
def gauge_bias(
    readings: str | Path,
    radar: str | Path,
    out: str | Path,
    options: GaugeBiasOptions | None = None,
    **keywords: object,
) -> GaugeBias:
    """Compare radar with gauges, and write the mean-field bias of every period.

    Gauge and radar are summed up over the same times: those in which the gauge has its reading and the radar its
    frames. A row of the table is a period, its time the start: ``bias`` is the gauges' sum over the radar's, nothing
    where too few pairs count; ``rmse_adjusted_mm`` is of the radar times the bias, ``rmse_left_out_mm`` of each gauge
    times the bias of the others; ``correlation`` is the same before and after within a period; ``rain_law`` is how the
    radar's rain followed, which `hsrgeo.accumulate`, `hsrgeo.series` and `hsrgeo.export` compare with their own.

    Args:
        readings: CSV of what gauges measured, see `hsrgeo.gauge_fields`.
        radar: Table of `hsrgeo series --points` with rain, ``.csv`` or ``.parquet``; gauges are matched by name.
        out: The table, ``.csv`` or ``.parquet``; what is there already is replaced.
        options: How.
        keywords: Fields of `GaugeBiasOptions` and of `ReadingRules`, in place of those of `options`.

    Raises:
        OptionsError: Readings or a table that cannot be used.
        SourceError: The radar's table is not there, or damaged.
        MissingExtraError: A table is Parquet, and pyarrow is not installed.
        WriteError: The disk refused.
    """
    options = options_of(GaugeBiasOptions, options, keywords, readings=ReadingRules)
    path = local(out, "hsrgeo gauges")
    tables = [path, *([Path(options.pairs)] if options.pairs is not None else [])]
    for table in tables:
        check_table(table)
    given = [Path(readings), Path(radar)]
    if len({table.resolve() for table in (*tables, *given)}) < len(tables) + len(given):
        raise OptionsError(f"{path}: readings, radar and the tables to write must be different files")
    sums = read_radar(Path(radar), options)
    measured = read_readings(readings, sums.names, options.readings)
    compared = _compared(sums, measured, options)
    biases = [field_bias(one.gauge_mm, one.radar_mm, options.rules) for one in compared]
    factors = [(one.period.start, _row(one, bias)) for one, bias in zip(compared, biases, strict=True)]
    law = law_of(Path(radar))
    write_table(path, (ALL_GAUGES,), BIAS_COLUMNS, factors, texts={RAIN_LAW: law})
    if options.pairs is not None:
        pairs = ((one.period.start, _pair_rows(one, bias)) for one, bias in zip(compared, biases, strict=True))
        write_table(Path(options.pairs), sums.names, PAIR_COLUMNS, pairs)
    apart = measured.notes_on_times(sums.times[0], sums.times[-1] + sums.step)
    notes = [*apart, *measured.notes(), *notes_of(sums, options.min_coverage), *_on_factors(biases, options.rules)]
    if ", adjusted by " in law:
        notes.append(f"the radar's rain is by {law}: these factors are what is left of the bias, and not for --bias")
    return _summed_up(path, compared, biases, notes)


def _compared(sums: RadarSums, measured: Readings, options: GaugeBiasOptions) -> list[_Compared]:
    """Sum gauges and radar up over the same times, period by period; every period that either knows of."""
    gauges = _on_step(measured, sums.step)
    times = sorted({*gauges, *sums.times})
    rules = options.readings
    of_time = periods_of(times, options.period, sums.step, rules.start, rules.end)
    made: dict[Period, _Compared] = {}
    nothing = np.full(len(sums.names), np.nan)
    for time in times:
        period = of_time[time]
        one = made.setdefault(period, _Compared(period, *np.zeros((3, len(sums.names)))))
        gauge, radar = gauges.get(time, nothing), sums.depths_mm(time)
        both = ~(np.isnan(gauge) | np.isnan(radar))
        one.gauge_mm[both] += gauge[both]
        one.radar_mm[both] += radar[both]
        one.hours[both] += sums.step / _HOUR
    for one in made.values():
        one.gauge_mm[one.hours == 0] = one.radar_mm[one.hours == 0] = np.nan
    return list(made.values())


def _on_step(measured: Readings, step: timedelta) -> dict[datetime, NDArray[np.float64]]:
    """Return readings summed up to the step of the comparison; those that lack a part are not known."""
    parts = step // measured.step
    if parts == 1:
        return measured.depths_mm
    found: dict[datetime, list[NDArray[np.float64]]] = {}
    for time in measured.times:
        found.setdefault(floor_step(time, step), []).append(measured.depths_mm[time])
    return {
        time: np.sum(rows, axis=0) if len(rows) == parts else np.full(len(measured.names), np.nan)
        for time, rows in found.items()
    }


def _row(one: _Compared, bias: FieldBias) -> NDArray[np.float64]:
    gauge, radar = one.gauge_mm[bias.used], one.radar_mm[bias.used]
    plain = scores(gauge, radar)
    hours = (one.period.end - one.period.start) / _HOUR
    numbers = (
        hours,
        bias.pairs,
        bias.gauge_mm,
        bias.radar_mm,
        bias.factor,
        plain.correlation,
        plain.rmse_mm,
        scores(gauge, bias.adjusted_mm[bias.used]).rmse_mm,
        scores(gauge, bias.left_out_mm[bias.used]).rmse_mm,
    )
    return np.array([numbers], np.float64)


def _pair_rows(one: _Compared, bias: FieldBias) -> NDArray[np.float64]:
    return np.column_stack([one.hours, one.gauge_mm, one.radar_mm, bias.adjusted_mm, bias.left_out_mm, bias.used])


def _on_factors(biases: Sequence[FieldBias], rules: PairRules) -> Iterator[str]:
    """Yield why periods have no factor, or one that is hard to believe."""
    pairs = [bias.pairs for bias in biases if np.isnan(bias.factor)]
    few = [count for count in pairs if count < rules.min_pairs]
    if few:
        least, most = min(few), max(few)
        number = f"{most} pair{'' if most == 1 else 's'}" if least == most else f"{least} to {most} pairs"
        counting = f"a pair counts where gauge and radar have at least {rules.min_rain_mm:g} mm"
        yield f"periods without a factor: {len(few):,} ({number}, fewer than --min-pairs {rules.min_pairs}; {counting})"
    if odd := sum(bias.limited for bias in biases):
        ends = f"{1 / rules.max_factor:g} to {rules.max_factor:g}"
        yield f"factors limited to {ends} (--max-factor): {odd:,} (is it the same rain, unit, time?)"
    if dry := len(pairs) - len(few):
        yield f"periods without a factor: {dry:,} (the radar's mean over the pairs is below {LEAST_MEAN_MM} mm)"


def _summed_up(path: Path, compared: Sequence[_Compared], biases: Sequence[FieldBias], notes: list[str]) -> GaugeBias:
    good = [(one, bias) for one, bias in zip(compared, biases, strict=True) if not np.isnan(bias.factor)]

    def joined(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.concatenate([np.empty(0), *parts])

    gauge = joined([one.gauge_mm[bias.used] for one, bias in good])
    radar, adjusted, left_out = (
        joined(parts)
        for parts in (
            [one.radar_mm[bias.used] for one, bias in good],
            [bias.adjusted_mm[bias.used] for _one, bias in good],
            [bias.left_out_mm[bias.used] for _one, bias in good],
        )
    )
    return GaugeBias(
        path,
        len(compared),
        len(good),
        gauge.size,
        scores(gauge, radar),
        scores(gauge, adjusted),
        scores(gauge, left_out),
        notes,
    )

"""Merging radar with gauges: by hand, without each gauge, against GSTools and wradlib, and by a known truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gstools
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsrgeo.errors import OptionsError
from hsrgeo.products.bias import PairRules
from hsrgeo.products.interpolate import InverseDistance
from hsrgeo.products.kriging import Kriging, estimate
from hsrgeo.products.merging import (
    KRIGED,
    METHODS,
    MergeMethod,
    Merger,
    Pairs,
    by_distance,
    kriged,
    mean_field,
)
from hsrgeo.products.variograms import Variogram
from tests.benchmarks.merging import AS_IT_IS, errors, scene

TWO = PairRules(min_pairs=2)
VARIOGRAM = Variogram("exponential", 40_000, 9, 1)


def pairs(gauge: list[float], radar: list[float]) -> Pairs:
    """Return gauges 10 km apart on a line."""
    xy = np.column_stack([10_000.0 * np.arange(len(gauge)), np.zeros(len(gauge))])
    return Pairs(xy, np.array(gauge, np.float64), np.array(radar, np.float64))


def solved(method: MergeMethod, some: Pairs, rules: PairRules = TWO) -> Merger:
    if method == "mean-field":
        return mean_field(some, rules)
    if method in KRIGED:
        return kriged(method, some, rules, VARIOGRAM)
    return by_distance(method, some, rules, 2.0, 12)


def at(merger: Merger, x: float, radar: float) -> float:
    return float(merger.at(np.array([x]), np.array([0.0]), np.array([radar])).depth_mm[0])


def some_pairs(seed: int = 3, count: int = 25) -> Pairs:
    chance = np.random.default_rng(seed)
    radar = chance.gamma(1, 5, count) + 0.2
    return Pairs(chance.uniform(0, 1e5, (count, 2)), radar * chance.uniform(0.8, 2.0, count), radar)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_merges_fewer_pairs_than_asked_for(method: MergeMethod) -> None:
    four = pairs([2, 3, 4, 5], [1, 2, 3, 5])
    assert solved(method, four, PairRules(min_pairs=4)).left_out().shape == (4,)
    with pytest.raises(OptionsError, match=r"^4 pairs of gauge and radar.*asks for 5$"):
        solved(method, four, PairRules(min_pairs=5))


# --- by hand


def test_methods_by_hand_half_way_between_two_gauges() -> None:
    """Gauges of 6 and 2 mm above a radar of 2 and 2 mm; 5 km from each the radar has 3 mm.

    mean-field: (6 + 2) / (2 + 2) = 2: 6 mm. additive: (4 + 0) / 2 = 2 more: 5 mm. multiplicative: (3 + 1) / 2
    = 2: 6 mm. mixed: e = 4 / (4 + 1) = 0.8 and 0, d = 2 x 0.8 = 1.6 and 0: (1 + 0.8) x 3 + 0.4 = 5.8 mm.
    """
    some = pairs([6, 2], [2, 2])
    expected: dict[MergeMethod, float] = {"mean-field": 6, "additive": 5, "multiplicative": 6, "mixed": 5.8}
    for method, depth in expected.items():
        assert at(solved(method, some), 5000, 3) == pytest.approx(depth, rel=1e-12)


def test_mixed_is_of_all_splits_the_least() -> None:
    """(1 + d) r + e = g, and d^2 + e^2 is least where e = d / r: no other split is shorter."""
    gauge, radar = 7.0, 3.0
    d = radar * (gauge - radar) / (radar**2 + 1)
    e = gauge - (1 + d) * radar
    for other in np.linspace(-2, 2, 401):
        assert d**2 + e**2 <= other**2 + (gauge - (1 + other) * radar) ** 2 + 1e-12
    merger = solved("mixed", pairs([gauge, gauge], [radar, radar]))
    assert at(merger, 5000, 10.0) == pytest.approx((1 + d) * 10 + e, rel=1e-12)


@pytest.mark.parametrize("method", ["additive", "mixed", "conditional"])
def test_a_gauge_has_its_own_reading(method: MergeMethod) -> None:
    some = pairs([6, 2, 0, 5], [2, 2, 1, 0])
    merger = kriged(method, some, TWO, Variogram("spherical", 30_000, 4)) if method in KRIGED else solved(method, some)
    for x, gauge, radar in zip(some.xy[:, 0], some.gauge_mm, some.radar_mm, strict=True):
        assert at(merger, x, radar) == pytest.approx(gauge, abs=1e-9)


def test_conditional_merging_is_that_of_sinclair_and_pegram() -> None:
    """Kriged gauges, plus the radar, less the kriged radar: with one variogram that is what is computed."""
    some = some_pairs()
    factor = some.gauge_mm.sum() / some.radar_mm.sum()
    kriging = Kriging(some.xy, VARIOGRAM)
    x, y, radar = np.array([2e4, 7e4]), np.array([5e4, 1e4]), np.array([4.0, 0.0])
    correlation = kriging.correlation_to(x, y)
    gauges, rain = (estimate(correlation, *kriging.estimator(v)) for v in (some.gauge_mm, factor * some.radar_mm))
    made = solved("conditional", some).at(x, y, radar)
    assert np.allclose(made.depth_mm, gauges + factor * radar - rain, atol=1e-9)


# --- what could explode


def test_a_radar_near_zero_makes_no_great_factor() -> None:
    """10 mm over 0.1 mm are a factor of 100, and 20 mm nearby would be 2,000: limited to 10 they are 200."""
    some = pairs([10, 10], [0.1, 0.1])
    assert solved("multiplicative", some).limited == 2
    assert at(solved("multiplicative", some), 5000, 20) == pytest.approx(200)
    assert at(solved("multiplicative", some, replace(TWO, max_factor=200)), 5000, 20) == pytest.approx(2000)
    assert at(solved("mean-field", some), 5000, 20) == pytest.approx(200)
    # 1 + d = 1 + 1 x 99 / 2 = 50.5 is limited to 10; the offset has the rest, 100 - 10 = 90: 20 mm are 290.
    mixed = solved("mixed", pairs([100, 100], [1, 1]))
    assert mixed.limited == 2
    assert at(mixed, 5000, 20) == pytest.approx(10 * 20 + 90)


def test_a_dry_radar_has_no_ratio_and_is_no_error() -> None:
    some = pairs([3, 4, 5, 0], [0, 2, 2, 0])
    assert at(solved("multiplicative", some), 0, 0) == 0
    # In mixed all of the 3 mm are offset where the radar is dry: e = 3 / (0 + 1), d = 0.
    assert at(solved("mixed", some), 0, 0) == pytest.approx(3)
    assert np.isfinite([solved(method, some).left_out() for method in METHODS]).all()


def test_too_few_pairs_say_what_is_missing() -> None:
    some = pairs([3, 4, 0.0, 0], [1, 2, 0, 0.0])
    rules = PairRules(min_pairs=3)
    for method in ("mean-field", "multiplicative"):
        with pytest.raises(OptionsError, match=r"2 pairs of gauge and radar with rain: --min-pairs asks for 3"):
            solved(method, some, rules)
    with pytest.raises(OptionsError, match=r"4 pairs of gauge and radar: --min-pairs asks for 5"):
        solved("additive", some, PairRules())
    for radar, message in (([2.0] * 4, "the same depth at all gauges"), ([4.0, 3, 2, 1], "less rain where the radar")):
        with pytest.raises(OptionsError, match=message):
            solved("ked", pairs([1, 2, 3, 4], radar))
    with pytest.raises(OptionsError, match="straight line"):
        kriged("ked", some, TWO, None)


def test_gauges_that_differ_by_one_number_need_no_variogram() -> None:
    # Without a mean-field factor, for 0.05 mm are too little of it: 0.05 more everywhere.
    merger = kriged("conditional", pairs([0.05, 0.05], [0, 0]), TWO, None)
    assert at(merger, 5000, 1.0) == pytest.approx(1.05)
    assert merger.at(np.zeros(1), np.zeros(1), np.zeros(1)).deviation_mm is None


# --- each gauge left out


@pytest.mark.parametrize("method", METHODS)
def test_left_out_is_what_the_others_make(method: MergeMethod) -> None:
    some = some_pairs()
    some.gauge_mm[:4] = 0
    some.radar_mm[2:6] = 0
    made = solved(method, some).left_out()
    for gauge in range(len(some)):
        others = np.delete(np.arange(len(some)), gauge)
        rest = solved(method, Pairs(some.xy[others], some.gauge_mm[others], some.radar_mm[others]))
        x, y = some.xy[gauge]
        expected = rest.at(np.array([x]), np.array([y]), some.radar_mm[[gauge]]).depth_mm[0]
        assert made[gauge] == pytest.approx(max(expected, 0), abs=1e-9)


def test_without_others_the_radar_stays() -> None:
    one = PairRules(min_pairs=1)
    for method in ("mean-field", "additive", "multiplicative", "mixed"):
        assert solved(method, pairs([6], [2]), one).left_out().tolist() == [2]
    # The only gauge below rain decides the drift alone.
    assert solved("ked", pairs([6, 1, 1, 1], [2, 0, 0, 0])).left_out()[0] == 2


@settings(max_examples=40)
@given(arrays(np.float64, 8, elements=st.floats(0, 200)), arrays(np.float64, 8, elements=st.floats(0, 200)))
def test_no_method_gives_what_is_not_a_depth(gauge: np.ndarray, radar: np.ndarray) -> None:
    some = pairs(gauge.tolist(), radar.tolist())
    for method in METHODS:
        try:
            made = solved(method, some).left_out()
        except OptionsError:
            continue
        assert (made >= 0).all()
        assert np.isfinite(made).all()


# --- others' functions


def test_an_external_drift_is_that_of_gstools() -> None:
    some = some_pairs()
    chance = np.random.default_rng(4)
    points, radar = chance.uniform(0, 1e5, (50, 2)), chance.gamma(1, 5, 50)
    model = gstools.Exponential(dim=2, var=8, nugget=1, len_scale=40_000 / np.log(20))
    oracle = gstools.krige.ExtDrift(model, some.xy.T, some.gauge_mm, some.radar_mm)
    expected, variance = oracle(points.T, ext_drift=radar)
    made = solved("ked", some).at(points[:, 0], points[:, 1], radar)
    assert made.deviation_mm is not None
    assert np.allclose(made.depth_mm, expected, rtol=0, atol=1e-8)
    assert np.allclose(made.deviation_mm**2, variance, rtol=0, atol=1e-8)


@pytest.mark.filterwarnings("default")
def test_the_same_methods_are_those_of_wradlib() -> None:
    """wradlib is not needed by hsrgeo: pip install wradlib. It makes negative rain 0 in some methods only."""
    adjust = pytest.importorskip("wradlib.adjust")
    ipol = pytest.importorskip("wradlib.ipol")
    some = some_pairs(count=40)
    chance = np.random.default_rng(8)
    cells = np.concatenate([some.xy, chance.uniform(0, 1e5, (400, 2))])
    radar = np.concatenate([some.radar_mm, chance.gamma(1, 5, 400)])
    x, y = cells.T
    far = replace(TWO, max_factor=np.inf)
    kinds: tuple[tuple[MergeMethod, Any], ...] = (
        ("additive", adjust.AdjustAdd),
        ("multiplicative", adjust.AdjustMultiply),
        ("mixed", adjust.AdjustMixed),
    )
    for method, kind in kinds:
        theirs = kind(some.xy, cells, nnear_raws=1, minval=0.1, nnearest=12, p=2.0)
        ours = solved(method, some, far)
        made = np.maximum(ours.at(x, y, radar).depth_mm, 0)
        assert np.max(np.abs(made - np.maximum(theirs(some.gauge_mm, radar), 0))) < 1e-6
        left_out = ours.left_out()
        for gauge in range(len(some)):  # as its `xvalidate`, which numpy 2.4 does not run
            others, place = np.delete(np.arange(len(some)), gauge), some.xy[[gauge]]
            alone = theirs(some.gauge_mm, some.radar_mm[[gauge]], targets=place, rawatobs=some.radar_mm, ix=others)
            assert abs(left_out[gauge] - max(alone[0], 0)) < 1e-6
    # Its mean-field bias is a mean of ratios, or a regression: the same where all ratios are one.
    same = Pairs(some.xy, 1.7 * some.radar_mm, some.radar_mm)
    theirs = adjust.AdjustMFB(some.xy, cells, nnear_raws=1, mfb_args={"method": "mean"})
    assert np.max(np.abs(solved("mean-field", same).at(x, y, radar).depth_mm - theirs(same.gauge_mm, radar))) < 1e-6
    drift = ipol.ExternalDriftKriging(
        some.xy, cells, "9.0 Exp(13000.)", nnearest=40, src_drift=some.radar_mm, trg_drift=radar
    )
    ours = kriged("ked", some, far, Variogram("exponential", 13_000 * np.log(20), 9))
    merged = ours.at(x, y, radar)
    assert np.max(np.abs(merged.depth_mm - drift(some.gauge_mm))) < 1e-6
    assert merged.deviation_mm is not None
    assert np.max(np.abs(merged.deviation_mm**2 - np.ravel(drift.estimation_variance))) < 1e-6


def test_each_gauge_from_the_others_by_inverse_distance() -> None:
    some = some_pairs(count=7)
    made = InverseDistance(some.xy, 2.0, 3).left_out(some.gauge_mm)
    for gauge in range(7):
        others = np.delete(np.arange(7), gauge)
        x, y = some.xy[[gauge]].T
        expected = InverseDistance(some.xy[others], 2.0, 3).at(x, y, some.gauge_mm[others])
        assert made[gauge] == pytest.approx(expected[0], rel=1e-12)


# --- a known truth


@pytest.mark.slow
def test_kriging_beats_one_factor_where_the_bias_differs_from_place_to_place() -> None:
    """Scenes of `tests.benchmarks.merging`, 40 gauges with noise: over all cells, and with each gauge left out."""
    every = [errors(scene(seed)) for seed in range(4)]
    mean = {method: np.mean([one[method] for one in every], axis=0) for method in every[0]}
    for method in METHODS:
        assert (mean[method] < 0.75 * mean[AS_IT_IS]).all()
    for method in KRIGED:
        assert (mean[method] < mean["mean-field"]).all()

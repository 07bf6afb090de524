"""The offset that fits of several radars, methods and frames say together, how sure it is, and what it means.

Errors are those of leaving one radar out at a time, and no less than the table of sites allows. Residuals alone would
promise a hundredth of a cell, but a radar whose place is 100 m wrong moves its circle by a fifth of a cell, and all its
frames alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from hsrgeo.products.sites import Method, SiteFit

Floats = NDArray[np.float64]

SITES_M = 100.0
"""How well the places of the radars are known (KMA composite format, section 7, "Sites")."""
REGISTRATIONS: dict[str, tuple[float, float]] = {
    "point": (0.0, 0.0),
    "corner": (0.5, 0.5),
    "one cell north-east": (1.0, 1.0),
    "one cell south-west": (-1.0, -1.0),
}
"""What an offset in cells (east, north) means: KMA's point is the centre of its cell, its south-west corner; or the
count of cells is off by one, as where KMA's (1121, 1681) is taken to count from zero."""
_HALFWAY = 0.25  # cells: half of what parts two registrations
_FEWEST = 3  # radars: of two it is not known which is wrong
_RAGGED = 1.5  # times the residual of a circle that is only rounded to cells
_ON_MAP = 20.0  # of log-likelihood; of one 500 m frame it is some 1,000, one way or the other


@dataclass(frozen=True, slots=True)
class Offset:
    """Where the content of the cells lies, from the centres that the grid gives them."""

    east: float
    """Cells."""
    north: float
    """Cells."""
    east_error: float
    """Standard error in cells; infinite where fewer than three radars were fitted."""
    north_error: float
    """Likewise."""
    radars: tuple[str, ...]
    """Those that were used."""

    @property
    def is_known(self) -> bool:
        """Whether the errors leave no room for another registration."""
        return len(self.radars) >= _FEWEST and 2 * max(self.east_error, self.north_error) < _HALFWAY


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found of a frame, or of several."""

    methods: dict[Method, Offset]
    joint: Offset | None
    """Of all methods that could be used."""
    registration: str | None
    """One of `REGISTRATIONS`, or None where none fits or it cannot be decided."""
    reason: str
    """Why it cannot be decided; empty where it can."""
    radars: tuple[SiteFit, ...] = ()
    """What was used, and what was not: one fit for each radar and method, the mean of all frames."""
    notes: tuple[str, ...] = ()
    """What was not used, and why."""


def judge(fits: Sequence[SiteFit], cell_size_m: float) -> Judgement:
    """Return the offset by each method and jointly, and which registration fits, of one or many frames of a grid."""
    every = _averaged(fits)
    used, notes = _usable(every, cell_size_m)
    methods: dict[Method, Offset] = {}
    for method in get_args(Method):
        own = [fit for fit in used if fit.method == method]
        if own:
            methods[method] = _offset(own, {method: 1.0}, cell_size_m)
    sure = {method: _weight(offset) for method, offset in methods.items() if math.isfinite(offset.east_error)}
    joint = _offset([fit for fit in used if fit.method in sure], sure, cell_size_m) if sure else None
    registration, reason = _registration(methods, joint, notes)
    return Judgement(methods, joint, registration, reason, tuple(every), tuple(notes))


def _averaged(fits: Sequence[SiteFit]) -> list[SiteFit]:
    """Return one fit for each radar and method: frames repeat the same geometry, so more of them are no surer."""
    groups: dict[tuple[str, str], list[SiteFit]] = {}
    for fit in fits:
        groups.setdefault((fit.method, fit.code), []).append(fit)
    return [_mean(group) for group in groups.values()]


def _mean(group: Sequence[SiteFit]) -> SiteFit:
    information = np.mean([fit.information for fit in group], axis=0)
    pull = np.mean([fit.information @ fit.offset for fit in group], axis=0)
    first = group[0]
    return SiteFit(
        method=first.method,
        code=first.code,
        information=information,
        offset=np.linalg.pinv(information) @ pull,
        points=round(float(np.mean([fit.points for fit in group]))),
        rms=_square_mean([fit.rms for fit in group]),
        map_rms=None if first.map_rms is None else _square_mean([fit.map_rms or 0.0 for fit in group]),
        range_m=None if first.range_m is None else float(np.mean([fit.range_m or 0.0 for fit in group])),
    )


def _square_mean(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _usable(fits: Sequence[SiteFit], cell_size_m: float) -> tuple[list[SiteFit], list[str]]:
    """Return the fits that may be believed, and why the others may not."""
    notes = []
    rims = [fit for fit in fits if fit.method == "rims"]
    others = [fit for fit in fits if fit.method != "rims"]
    most = _RAGGED * cell_size_m / math.sqrt(12)
    if ragged := [fit.code for fit in rims if min(fit.rms, fit.map_rms or math.inf) > most]:
        notes.append(f"the rims of {', '.join(ragged)} are not circles to within {most:.0f} m, and are left out")
        rims = [fit for fit in rims if fit.code not in ragged]
    if sum(fit.points * math.log(fit.rms / fit.map_rms) for fit in rims if fit.map_rms) > _ON_MAP:
        notes.append(
            "the rims are circles on the map, not on the ground: somebody drew the coverage, no radar measured it, and "
            "they are left out"
        )
        rims = []
    return [*rims, *others], notes


def _offset(fits: Sequence[SiteFit], methods: Mapping[Method, float], cell_size_m: float) -> Offset:
    spread = np.eye(2) * (SITES_M / cell_size_m) ** 2
    weights = [methods[fit.method] * np.linalg.inv(np.linalg.pinv(fit.information) + spread) for fit in fits]
    radars = sorted({fit.code for fit in fits})

    def without(code: str) -> Floats:
        kept = [order for order, fit in enumerate(fits) if fit.code != code]
        total = np.sum([weights[order] for order in kept], axis=0)
        found: Floats = np.linalg.pinv(total) @ np.sum([weights[order] @ fits[order].offset for order in kept], axis=0)
        return found

    east, north = without("")
    errors = np.full(2, np.inf)
    if len(radars) >= _FEWEST:
        left = np.array([without(code) for code in radars])
        jackknife = np.sqrt((len(radars) - 1) / len(radars) * np.sum((left - left.mean(axis=0)) ** 2, axis=0))
        errors = np.maximum(jackknife, SITES_M / cell_size_m / math.sqrt(len(radars)))  # few may agree by chance
    return Offset(float(east), float(north), float(errors[0]), float(errors[1]), tuple(radars))


def _weight(offset: Offset) -> float:
    return 1 / max(offset.east_error**2 + offset.north_error**2, 1e-4)  # a hundredth of a cell is as good as it gets


def _registration(
    methods: Mapping[Method, Offset], joint: Offset | None, notes: Sequence[str]
) -> tuple[str | None, str]:
    """Return which registration fits, or why that cannot be decided."""
    left_out = f" ({'; '.join(notes)})" if notes else ""
    if not methods:
        return None, f"nothing in it shows where the radars of the table are{left_out}"
    if joint is None:
        fitted = sorted({code for offset in methods.values() for code in offset.radars})
        return None, f"only {' and '.join(fitted)} could be fitted, and it takes {_FEWEST} radars{left_out}"
    if not joint.is_known:
        return None, (
            f"the offset is uncertain by {max(joint.east_error, joint.north_error):.2f} cells, and registrations are "
            f"half a cell apart{left_out}"
        )
    nearest = _nearest(joint)
    if nearest is None:
        return None, f"the offset is {joint.east:+.2f} east, {joint.north:+.2f} north, which is near no registration"
    apart = {method: _nearest(offset) for method, offset in methods.items() if offset.is_known}
    if any(other != nearest for other in apart.values()):
        said = ", ".join(f"{method} {other or 'none'}" for method, other in apart.items())
        return None, f"the methods differ: {said}"
    return nearest, ""


def _nearest(offset: Offset) -> str | None:
    for name, (east, north) in REGISTRATIONS.items():
        if max(abs(offset.east - east), abs(offset.north - north)) < _HALFWAY:
            return name
    return None

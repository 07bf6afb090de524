"""Where a composite lies against the radars that made it: arrays in, an offset in cells out.

A radar sees as far as its range, and its beam rises and turns in a known way around it. Three things in a composite
therefore show where the radars are: the rims of coverage, the heights of the beams (block 2, with block 3 to say
whose), and the straight edges between one elevation and the next, at whole degrees of azimuth. Each is fitted to a
table of sites. What comes out is the offset (east, north) to add to the centre of a cell, as the grid has it, to reach
the middle of what the cell holds.

References:
    KMA composite format, section 7, "Where the pixels physically lie".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.grid import Grid
from hsrgeo.products.site_views import BEAM_EARTH_M, Floats, Site, View, borders, metres, view_of, view_on_map

Method = Literal["rims", "heights", "edges"]

_NEAREST_M, _FARTHEST_M = 100e3, 400e3  # ranges of weather radars lie between
_BIN_M = 250.0
_RIM_M = 2500.0  # a rim is looked for this far to each side: five cells of 500 m
_RIM_ARC_M, _RIM_CONTRAST = 125e3, 4.0
# ^ shortest rim, a twelfth of a circle of 240 km, and how many times as many points it has as the ranges beside it
_MOST_CELLS = 20_000  # of a radar, for the heights: more give the same offset
_BEAM_FROM_M = 10e3  # nearer, a cell is wider than a beam, and the elevation of its height unsure
_HEIGHT_STEP_M, _HEIGHTS_M = 5.0, 600.0
# ^ the antenna is looked for from the lowest beam upwards: some elevations are negative
_ELEVATION_BIN = 0.02  # degrees
_ELEVATION_WIDTH = 0.05  # degrees to each side of an elevation: they are 0.2 degrees apart or more
_ELEVATION_SHARE = 0.01  # of a radar's cells that an elevation has at least
_FEWEST = 500  # cells of heights, or points of edges, of a radar
_EDGE_FROM = 120  # cells; nearer, a degree is less than two cells wide
_EDGE_JUMP = np.radians(0.15)  # of elevation between two neighbouring cells
_EDGE_ACROSS = 0.8  # how much of the way between them is across the beam
_EDGE_TRIES = np.linspace(-1.5, 1.5, 13)  # cells; an edge is only known but for whole degrees


@dataclass(frozen=True)
class SiteFit:
    """What one method says of one radar."""

    method: Method
    code: str
    information: Floats
    """Inverse covariance of the offset in cells (east, north), from the residuals alone; shape (2, 2)."""
    offset: Floats
    """Offset in cells (east, north). A short arc knows one direction only: `information` tells."""
    points: int
    """Points or cells that were used."""
    rms: float
    """Of their residuals: metres on the ground for rims and edges, of height for heights."""
    map_rms: float | None = None
    """Of rims, if the range were measured on the map instead of on the ground."""
    range_m: float | None = None
    """Of rims: the range."""


def fit_rims(observed: NDArray[np.bool_], grid: Grid, sites: Sequence[Site]) -> Iterator[SiteFit]:
    """Fit a circle to each rim of coverage.

    Args:
        observed: Where any radar sees, shape (rows, columns), row 0 is the north row; the whole grid.
        grid: Where the cells lie.
        sites: The radars that took part.

    Yields:
        A fit for each radar of which enough rim is left: others' circles, or the grid's edge, may cut it off.
    """
    points = borders(observed[:, 1:] != observed[:, :-1], observed[1:] != observed[:-1])
    x, y = metres(grid, *points)
    seen = {site.code: view_of(site, grid, x, y) for site in sites}
    fewest = _RIM_ARC_M / grid.cell_size_m
    ranges = {code: _range(around.distance, fewest) for code, around in seen.items()}
    near = {code: np.abs(seen[code].distance - far) < _RIM_M for code, far in ranges.items() if far is not None}
    alone = np.sum(list(near.values()), axis=0) == 1  # where two rims cross it is not known whose a point is
    for site in sites:
        if (far := ranges[site.code]) is None:
            continue
        mine = near[site.code] & alone
        if mine.sum() < fewest:
            continue
        around = seen[site.code].only(mine)
        one = np.ones((len(around.distance), 1))
        found = solve(around.by_cell, one, far - around.distance, floor=grid.cell_size_m)
        drawn = view_on_map(site, grid, x[mine], y[mine])
        wide = float(np.median(drawn.distance))
        on_map = solve(drawn.by_cell, one, wide - drawn.distance, floor=grid.cell_size_m * wide / far)
        yield SiteFit(
            "rims", site.code, found.information, found.offset, found.points, found.rms, on_map.rms * far / wide,
            far - float(found.rest[0]),
        )  # fmt: skip


def fit_heights(
    heights: NDArray[np.int16], stations: NDArray[np.int16], grid: Grid, sites: Sequence[Site | None]
) -> Iterator[SiteFit]:
    """Fit the heights of the beams: those of an elevation rise with the distance from the radar alone.

    Args:
        heights: Block 2, metres above the sea, shape (rows, columns).
        stations: Block 3, the number of the radar in `sites`, counted from one.
        grid: Where the cells lie.
        sites: As in the header's list; None for one that is not in the table.
    """
    for number, site in enumerate(sites, start=1):
        if site is None:
            continue
        rows, cols = np.nonzero(stations == number)
        if len(rows) < _FEWEST:
            continue
        every = -(-len(rows) // _MOST_CELLS)
        rows, cols = rows[::every], cols[::every]
        around = view_of(site, grid, *metres(grid, cols + 0.5, rows + 0.5))
        far = around.distance > _BEAM_FROM_M
        found = _beams(around.only(far), heights[rows, cols][far].astype(float))
        if found is not None:
            yield SiteFit("heights", site.code, found.information, found.offset, found.points, found.rms)


def fit_edges(
    heights: NDArray[np.int16], stations: NDArray[np.int16], grid: Grid, sites: Sequence[Site | None]
) -> Iterator[SiteFit]:
    """Fit the edges along the beams, where one elevation ends and another begins: at whole degrees of azimuth.

    For the arguments see `fit_heights`.
    """
    nearest = _EDGE_FROM * grid.cell_size_m
    lowest = _EDGE_JUMP * nearest
    cols, rows = borders(_jumps(heights, stations, lowest, 1), _jumps(heights, stations, lowest, 0))
    beside = cols % 1 == 0
    col, row = np.floor(cols).astype(int), np.floor(rows).astype(int)
    whose = stations[row, col]
    jump = np.abs(heights[row, col].astype(float) - heights[row - ~beside, col - beside])
    for number, site in enumerate(sites, start=1):
        mine = whose == number
        if site is None or mine.sum() < _FEWEST:
            continue
        around = view_of(site, grid, *metres(grid, cols[mine], rows[mine]))
        sideways = np.abs(np.where(beside[mine], around.across[:, 0], around.across[:, 1]))
        use = (
            (around.distance > nearest)
            & (sideways > _EDGE_ACROSS * grid.cell_size_m)
            & (jump[mine] > _EDGE_JUMP * around.distance)
        )
        if use.sum() >= _FEWEST:
            found = _turned(around.only(use), grid.cell_size_m)
            yield SiteFit("edges", site.code, found.information, found.offset, found.points, found.rms)


def _range(distance: Floats, fewest: float) -> float | None:
    """Return the distance at which a rim lies, or None where none stands out."""
    bins = np.arange(_NEAREST_M, _FARTHEST_M, _BIN_M)
    wide = int(2 * _RIM_M / _BIN_M / 2)
    counts = np.convolve(np.histogram(distance, bins)[0], np.ones(wide), "same")
    peak = int(counts.argmax())
    beside = np.concatenate([counts[max(peak - 4 * wide, 0) : max(peak - wide, 0)], counts[peak + wide :][: 3 * wide]])
    if counts[peak] < max(fewest, _RIM_CONTRAST * float(np.median(beside))):
        return None
    near = distance[np.abs(distance - bins[peak]) < _RIM_M / 2]
    return float(np.median(near))


def _beam_height(distance: Floats, elevation: Floats) -> Floats:
    """Return the height [m] of a beam above its antenna, at a distance along the ground."""
    turned = elevation + distance / BEAM_EARTH_M
    above: Floats = BEAM_EARTH_M * (np.cos(elevation) / np.cos(turned) - 1)
    return above


def _elevations(distance: Floats, above: Floats) -> Floats:
    """Return the elevation [radians] of the beam that is so high above its antenna there."""
    arc = distance / BEAM_EARTH_M
    out = 1 + above / BEAM_EARTH_M
    elevation: Floats = np.arctan2(out * np.cos(arc) - 1, out * np.sin(arc))
    return elevation


def _beams(around: View, heights: Floats) -> Solved | None:
    if len(heights) < _FEWEST:
        return None
    antenna = _antenna(around.distance, heights)
    elevation = _elevations(around.distance, heights - antenna)
    known = _peaks(elevation)
    if not len(known):
        return None
    nearest = np.abs(elevation[:, None] - known).argmin(axis=1)
    use = np.abs(elevation - known[nearest]) < np.radians(_ELEVATION_WIDTH)
    if use.sum() < _FEWEST:
        return None
    distance, nearest, by_cell = around.distance[use], nearest[use], around.by_cell[use]
    modelled = antenna + _beam_height(distance, known[nearest])
    slope = np.tan(known[nearest] + distance / BEAM_EARTH_M)
    lift = np.zeros((len(distance), len(known)))
    lift[np.arange(len(distance)), nearest] = distance  # metres for a radian of elevation
    rest = np.hstack([np.ones((len(distance), 1)), lift])
    return solve(slope[:, None] * by_cell, rest, heights[use] - modelled, floor=1.0)


def _antenna(distance: Floats, heights: Floats) -> float:
    """Return the height of the antenna at which the cells fall on the fewest elevations."""
    bins = np.radians(np.arange(-2, 25, _ELEVATION_BIN))
    lowest = float(heights.min())
    tries = np.arange(lowest - _HEIGHT_STEP_M, lowest + _HEIGHTS_M, _HEIGHT_STEP_M)
    few = slice(None, None, -(-len(heights) // (_MOST_CELLS // 2)))
    counts = (np.histogram(_elevations(distance[few], heights[few] - height), bins)[0] for height in tries)
    return float(tries[int(np.argmax([np.sum(count.astype(float) ** 2) for count in counts]))])


def _peaks(elevation: Floats) -> Floats:
    bins = np.radians(np.arange(-2, 25, _ELEVATION_BIN))
    counts = np.convolve(np.histogram(elevation, bins)[0], np.ones(3), "same")
    apart = int(2 * _ELEVATION_WIDTH / _ELEVATION_BIN)
    highest = [
        order
        for order in np.flatnonzero(counts >= max(_ELEVATION_SHARE * len(elevation), _FEWEST / 5))
        if counts[order] == counts[max(order - apart, 0) : order + apart + 1].max()
    ]
    peaks: Floats = bins[highest] + np.radians(_ELEVATION_BIN) / 2
    return peaks


def _jumps(heights: NDArray[np.int16], stations: NDArray[np.int16], lowest: float, axis: int) -> NDArray[np.bool_]:
    """Tell between which cells of one radar the height jumps, shape of `heights` less one along the axis."""
    first, second = _pair(axis)
    jump = np.abs(np.subtract(heights[first], heights[second], dtype=np.float32))
    found: NDArray[np.bool_] = (stations[first] == stations[second]) & (jump > lowest)
    return found


def _pair(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    start, stop, every = slice(None, -1), slice(1, None), slice(None)
    return ((every, start), (every, stop)) if axis else ((start, every), (stop, every))


def _turned(around: View, cell_m: float) -> Solved:
    degree = np.radians(1)

    def aside(east: float, north: float) -> Floats:
        """Return metres to the nearest whole degree, clockwise, with an offset in cells."""
        turned = around.azimuth + around.across @ np.array([east, north]) / around.distance
        metres: Floats = ((turned + degree / 2) % degree - degree / 2) * around.distance
        return metres

    tries = [(east, north) for east in _EDGE_TRIES for north in _EDGE_TRIES]
    costs = [np.minimum(np.abs(aside(*offset)), cell_m).sum() for offset in tries]
    best = np.array(tries[int(np.argmin(costs))])
    found = solve(around.across, np.empty((len(around.distance), 0)), -aside(*best), floor=0.8 * cell_m, start=cell_m)
    return Solved(found.information, best + found.offset, found.rest, found.points, found.rms)


_ROUNDS = 12
_TRIM = 3.0  # standard deviations


@dataclass(frozen=True)
class Solved:
    """An offset, and how well it is known."""

    information: Floats
    """See `hsrgeo.products.sites.SiteFit`, as all but `rest`."""
    offset: Floats
    rest: Floats
    """The other unknowns."""
    points: int
    rms: float


def solve(by_cell: Floats, rest: Floats, wanted: Floats, *, floor: float, start: float = np.inf) -> Solved:
    """Solve ``by_cell @ offset + rest @ others = wanted`` by least squares, trimmed.

    Args:
        by_cell: Shape (points, 2).
        rest: Coefficients of the other unknowns, shape (points, others).
        wanted: Shape (points,).
        floor: Residuals below this are never trimmed.
        start: Residuals above this are trimmed at first.
    """
    both = np.hstack([by_cell, rest])
    scale = np.sqrt(np.sum(both**2, axis=0)) + 1e-12  # metres beside metres for a radian
    both = both / scale
    kept = np.abs(wanted) < start
    for _round in range(_ROUNDS):
        chosen = both[kept]
        solution = np.linalg.pinv(chosen.T @ chosen) @ (chosen.T @ wanted[kept])
        residual = wanted - both @ solution
        spread = 1.4826 * float(np.median(np.abs(residual[kept])))
        again = np.abs(residual) < max(_TRIM * spread, floor)
        if (again == kept).all():
            break
        kept = again
    residual, both, points = residual[kept], both[kept], int(kept.sum())
    variance = float(residual @ residual) / max(points - both.shape[1], 1)
    normal = both.T @ both / max(variance, 1e-12)
    normal *= scale[:, None] * scale
    shared = normal[:2, 2:]
    information = normal[:2, :2] - shared @ np.linalg.pinv(normal[2:, 2:]) @ shared.T
    found = solution / scale
    return Solved(information, found[:2], found[2:], points, float(np.sqrt(np.mean(residual**2))))

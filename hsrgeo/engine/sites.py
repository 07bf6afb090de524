"""Where the cells of frames lie, measured against the radars that made them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.engine.workers.parallel import run_each
from hsrgeo.errors import HsrGeoError, OptionsError, as_value
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.projections import projections_dir
from hsrgeo.places.places import read_points
from hsrgeo.products.offsets import Judgement, Offset, judge
from hsrgeo.products.site_views import Site
from hsrgeo.products.sites import SiteFit, fit_edges, fit_heights, fit_rims
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.remote import listed_sources
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection

_HEIGHT, _STATION = 2, 3  # data codes (KMA composite format, section 1)

Table = dict[str, Site]


@dataclass
class SitesReport:
    """What the radars say of where the cells of some frames lie."""

    grid: Grid | None
    """Of the frames, None where none is sound; offsets are from the centres that it gives the cells."""
    judgement: Judgement
    frames: int
    """Sound frames that were looked at."""
    unknown: list[str]
    """Codes of radars that took part and are not in the table."""
    failed: list[HsrGeoError] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        judged = self.judgement
        return {
            "grid": self.grid.name if self.grid else None,
            "cell_size_m": self.grid.cell_size_m if self.grid else None,
            "frames": self.frames,
            "failed": [{"type": type(error).__name__, "message": str(error)} for error in self.failed],
            "registration": judged.registration,
            "reason": judged.reason,
            "joint": self._offset_json(judged.joint) if judged.joint else None,
            "methods": {method: self._offset_json(offset) for method, offset in judged.methods.items()},
            "radars": [self._fit_json(fit) for fit in judged.radars],
            "notes": list(judged.notes),
            "unknown_radars": self.unknown,
        }

    def _offset_json(self, offset: Offset) -> dict[str, Any]:
        names = ("east", "north", "east_error", "north_error")
        cells = {name: _number(getattr(offset, name)) for name in names}
        side = self.grid.cell_size_m if self.grid else math.nan
        metres = {f"{name}_m": _number(getattr(offset, name) * side, 1) for name in names}
        return cells | metres | {"radars": list(offset.radars)}

    def _fit_json(self, fit: SiteFit) -> dict[str, Any]:
        record = asdict(fit)
        east, north = record.pop("offset")
        errors = np.sqrt(np.diag(np.linalg.pinv(record.pop("information"))))
        residual = dict(zip(("east_residual_error", "north_residual_error"), map(_number, errors), strict=True))
        plain = {name: _number(value, 1) if isinstance(value, float) else value for name, value in record.items()}
        return plain | {"east": _number(east), "north": _number(north)} | residual


def _number(value: float, digits: int = 3) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def site_offset(
    sources: str | Path | Sequence[str | Path],
    *,
    sites: str | Path | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    product: str | None = None,
    jobs: int = -1,
) -> SitesReport:
    """Measure where the content of the cells lies against the radars, and which registration of the grid fits.

    The rims of coverage are fitted in every frame, the heights of the beams and the edges between elevations where a
    frame has the blocks of height and radar.

    Args:
        sources: Frames, folders, globs and archives.
        sites: CSV with the columns name (the radar's code), lon and lat; None for the table of hsrgeo.
        start: First time wanted, aware.
        end: First time no longer wanted, aware.
        product: Only this product, such as HSR.
        jobs: Processes; -1 is one a core.

    Raises:
        OptionsError: No table, frames of two grids, or options that cannot be.
        SourceError: A source does not exist.
    """
    points = read_points(projections_dir() / "sites.csv" if sites is None else sites)
    table = {name: Site(name, lon, lat) for name, (lon, lat) in zip(points.names, points.lonlat, strict=True)}
    tally = Tally()
    failed: list[HsrGeoError] = []
    fits: list[SiteFit] = []
    unknown: set[str] = set()
    grids: set[Grid] = set()
    frames = 0
    found = scan(listed_sources(sources), Selection(start, end, None, product), tally)
    for batch in run_each(partial(_fitted, table=table), found, 1, count_workers(jobs)):
        for one in batch:
            if isinstance(one, HsrGeoError):
                failed.append(one)
                continue
            frames += 1
            grids.add(one.grid)
            fits += one.fits
            unknown |= one.unknown
    if len(grids) > 1:
        raise OptionsError(f"the frames lie on {len(grids)} grids: choose those of one by a time or a product")
    grid = grids.pop() if grids else None
    judgement = judge(fits, grid.cell_size_m if grid else math.nan)
    return SitesReport(grid, judgement, frames, sorted(unknown), failed, tally)


@dataclass(frozen=True)
class _Fitted:
    grid: Grid
    fits: list[SiteFit]
    unknown: set[str]


def _fitted(found: Found, table: Table) -> _Fitted | HsrGeoError:
    """Runs in a worker."""
    try:
        frame = decode_found(found)
        blocks = {
            code: decode_found(found, number).stored
            for number, code in enumerate(frame.header.data_codes[: frame.blocks], start=1)
            if code in (_HEIGHT, _STATION)
        }
    except HsrGeoError as error:
        return as_value(error)
    codes = [station.code for station in frame.header.stations]
    known = [table.get(code) for code in codes]
    fits = list(fit_rims(_observed(frame), frame.grid, [site for site in known if site]))
    if len(blocks) == len((_HEIGHT, _STATION)):
        fits += fit_heights(blocks[_HEIGHT], blocks[_STATION], frame.grid, known)
        fits += fit_edges(blocks[_HEIGHT], blocks[_STATION], frame.grid, known)
    return _Fitted(frame.grid, fits, {code for code in codes if code not in table})


def _observed(frame: Frame) -> NDArray[np.bool_]:
    """Tell which cells any radar sees. KMA's smoothing blurs the rim, and halfway is where it was."""
    quantity = frame.quantity
    observed: NDArray[np.bool_] = frame.stored >= (quantity.nodata + quantity.undetect) // 2
    return observed

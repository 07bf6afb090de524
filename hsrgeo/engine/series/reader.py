"""Where the numbers of a series come from: what frames, exports and cubes have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.contents import notes_on_bias, notes_on_contents, refuse_for_frames
from hsrgeo.engine.factors import notes_on_factors
from hsrgeo.engine.series.series_options import Content, SeriesOptions
from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.home import home_of
from hsrgeo.model.quantity import Quantity
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.places.masks import MaskFile
from hsrgeo.places.places import Places, Polygons
from hsrgeo.places.weights import Weights
from hsrgeo.products.cleaning import Cleaning
from hsrgeo.products.factors import Factors
from hsrgeo.products.rain import Law, law_text
from hsrgeo.products.rates import rate_table, stored_table
from hsrgeo.sources.found import Tally
from hsrgeo.sources.remote import Place

Numbers = NDArray[np.float64]
"""Of every place at one time, see `Sampler.sample`."""
Sampled = tuple[Outcome, Numbers | None]

_WHOLE = 1 - 1e-9
_SHOWN = 10


class Reader(ABC):
    """Reads the numbers of all places, time by time, in any order."""

    def __init__(self, options: SeriesOptions) -> None:
        self.options = options
        self.tally = Tally()
        """What went by."""
        self.notes: list[str] = list(options.places.notes)
        """What a user should know; complete when all is read."""
        if options.factors is not None:
            self.notes += notes_on_factors(options.factors)
        self.step = options.every or options.frame_step
        """From row to row; None where only the frames tell."""
        self.length: timedelta | None = None
        """How long each row stands for; None where times of frames tell."""
        self.missing: list[datetime] = []
        """Times that should be there and are known not to be."""
        self.rain_law = ""
        """How the rain follows, as the tag ``RAIN_LAW`` says it; known when the first numbers are."""
        self.areas_m2: NDArray[np.float64] | None = None
        """Of each place; known when the first numbers are."""

    @abstractmethod
    def read(self, folder: Path) -> Generator[Sampled]:
        """Yield what became of each frame, and its numbers where it is sound.

        `folder` is an empty one, for what has to be put aside.
        """

    def settle_law(self, quantity: Quantity, law: str = "", bias: str = "") -> None:
        """Take note of how the rain follows.

        Args:
            quantity: Of the frames.
            law: How it followed, where they hold rain already; empty where KMA made it.
            bias: Name of the bias that their rain was adjusted by; empty where it was not.

        Raises:
            OptionsError: The factors are for other rain.
        """
        if self.options.quantity != "rain":
            return
        self.rain_law = law_text(quantity, law, self.options.law)
        if self.options.factors is not None:
            self.options.factors.refuse_law(self.rain_law)
            bias = self.options.factors.source
        if bias:
            self.rain_law += f", adjusted by {bias}"

    def place(self, grid: Grid) -> Weights:
        """Return the weights of the places on a grid; note those that reach outside.

        On a part of one of the catalogue's grids they are those of the whole, cut, so that a part gives the same
        numbers as the whole, to the last digit.

        Raises:
            OptionsError: A place lies wholly outside.
        """
        whole, window = home_of(grid)
        weights = self.options.weights(whole)
        where = f"the grid {grid.name}"
        if window != whole.window:
            weights = weights.cut(whole.width, window)
            where = f"the data, which cover {_degrees(grid)} of the grid {grid.name}"
        noun = _noun_for(self.options.places)
        names, within = self.options.places.names, weights.within
        if outside := [name for name, share in zip(names, within, strict=True) if share == 0]:
            them = "it" if len(outside) == 1 else "them"
            raise OptionsError(f"{_listed(noun, outside)} entirely outside {where}; remove {them} from the list")
        if partly := [name for name, share in zip(names, within, strict=True) if share < _WHOLE]:
            self.notes.append(f"{_listed(noun, partly)} partly outside {where}; that part counts as not observed")
        self.areas_m2 = weights.areas_m2
        return weights if self.options.cells is None else self._masked(weights, grid, self.options.cells)

    def _masked(self, weights: Weights, grid: Grid, mask: MaskFile) -> Weights:
        """Return the weights of the cells that count in a mask."""
        window = weights.span(grid.width)
        rows, cols = np.divmod(weights.cells, grid.width)
        counts = mask.on(grid.crop(window))[rows - window.row_off, cols - window.col_off]
        masked = weights.only(counts)
        noun, names = _noun_for(self.options.places), self.options.places.names
        if outside := [name for name, share in zip(names, masked.within, strict=True) if share == 0]:
            raise OptionsError(f"{_listed(noun, outside)} entirely outside the mask {mask.name}")
        if not counts.all():
            self.notes.append(f"cells outside the mask {mask.name} count as not observed")
        return masked


class OutputReader(Reader):
    """Reads what hsrgeo wrote itself, where some things are decided already.

    Raises:
        OptionsError: Options that are for frames only.
    """

    def __init__(self, source: Place, options: SeriesOptions) -> None:
        super().__init__(options)
        self.source = source
        refuse_for_frames(options.chosen_block, options.cleaning, options.registration)

    def check_held(self, quantity: Quantity, grid: Grid, law: str, bias: str = "") -> None:
        """Refuse a quantity that is not what is asked for, and note where numbers are others than those of frames.

        Raises:
            OptionsError: No such numbers can be had of it.
        """
        options = self.options
        self.notes += notes_on_bias(self.source, bias, options.law, adjust=options.factors is not None)
        self.notes += notes_on_contents(
            self.source, quantity, options.law, made="series", wanted=options.quantity, law=law
        )
        self.settle_law(quantity, law, bias)
        if home_of(grid)[0] not in grids().values():
            self.notes.append(f"{self.source} is in {grid.name}: its cells are not those of the frames")


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a worker needs to know; the weights are in a file, and read once a process."""

    weights: Path
    grid: Grid
    """Of every frame."""
    quantity: Content
    law: Law
    wet_from: float
    factors: Factors | None
    cleaning: Cleaning | None


def sampling_of(options: SeriesOptions, weights: Path, grid: Grid) -> Sampling:
    """Return the part of the options that workers need."""
    return Sampling(weights, grid, options.quantity, options.law, options.wet_from, options.factors, options.cleaning)


def table_for(quantity: Quantity, wanted: Sampling | SeriesOptions, time: datetime | None) -> NDArray[np.float64]:
    """Return the value of every stored one, by its bits; rain is multiplied by the factor of the time.

    Raises:
        FrameError: The quantity cannot give what is asked for.
    """
    if wanted.quantity == "rain":
        factor = wanted.factors.value(time) if wanted.factors is not None and time is not None else 1.0
        return rate_table(quantity, wanted.law, factor)
    if quantity.name != "reflectivity":
        raise FrameError("no reflectivity", "reflectivity", quantity.name)
    return stored_table(quantity)


def other_grid(expected: Grid, found: Grid, source: str, member: str | None = None) -> FrameError:
    """Return the error of a frame that lies elsewhere than the first."""
    ours, theirs = (f"{grid.width} x {grid.height} of {grid.name}" for grid in (expected, found))
    return FrameError("another grid", f"{ours}, as the first frame", theirs, source, member)


def _noun_for(places: Places) -> str:
    return "polygon" if isinstance(places, Polygons) else "point"


def _degrees(grid: Grid) -> str:
    """Return the degrees between which the corners of a grid lie."""
    last_row, last_col = grid.height - 1, grid.width - 1
    lon, lat = grid.lonlat([0, 0, last_row, last_row], [0, last_col, 0, last_col])
    return f"{lon.min():.2f} to {lon.max():.2f} E, {lat.min():.2f} to {lat.max():.2f} N"


def _listed(noun: str, names: Sequence[str]) -> str:
    listed = ", ".join(repr(name) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{noun} {listed}{more} lies" if len(names) == 1 else f"{noun}s {listed}{more} lie"

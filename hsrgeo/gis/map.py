"""One frame -> a picture for people: a coloured map with coast, graticule, legend, time and where it is from.

A map's echo has the colours of its palette and no other: cells are repeated or chosen, never blended, and the coast is
drawn over them without shades.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.gis import canvas
from hsrgeo.gis.canvas import Indices
from hsrgeo.gis.coast import CREDIT, lines
from hsrgeo.gis.fonts import font_for
from hsrgeo.gis.graticule import graticule, scale_bar
from hsrgeo.gis.legend import draw_legend
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import DEPTH, RAIN, Quantity, clean_values
from hsrgeo.products.classes import STYLED, By, Styled, classes_for, on_white
from hsrgeo.products.palettes import Palette, Rgb, station_palette
from hsrgeo.products.rain import KMA_LAW, Law, rain_frame

LEAST_WIDTH, LARGEST_WIDTH = 320, 8192
ATTRIBUTION = "Data: Korea Meteorological Administration (KOGL type 1)"
_SYNTHETIC = "SYNTHETIC"
_MADE_UP = "SYNTHETIC: made by hsrgeo simulate, nothing was observed"
_TALLEST = 2  # times its room's width: a narrow strip is not magnified to kilometres
_LEAST_BODY = 120  # what a legend needs
_THICK_FROM = 1600  # pixels; a wider map has a coast of two


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a picture shows beside the frame itself.

    Raises:
        OptionsError: A width or quantity that cannot be.
    """

    grid: Grid
    """Of the cells to be shown."""
    shown: Styled = "rain"
    law: Law | None = None
    """How rain follows from reflectivity, KMA's law where None; of reflectivity see `classes_for`."""
    width: int = 900
    """The picture's, at most [pixels]: cells are magnified by whole numbers only."""
    title: str = ""
    """Above the map; empty for what it shows."""
    product: str = "HSR"
    depth_times: int = 0
    """Of sums, drawn as rain: what the legend's bounds [mm] are KMA's numbers times; 0 of rates."""
    palette: Palette | None = None
    """Other colours than those that hsrgeo brings."""
    radars: tuple[str, ...] = ()
    """Of stations: codes in the order of the legend, see `radars_of`; empty where frames do not have them."""
    credit: str = ATTRIBUTION
    """Where the data are from; empty where that is not known."""

    def __post_init__(self) -> None:
        if self.shown not in STYLED:
            raise OptionsError(f"quantity {self.shown!r}: expected one of {', '.join(STYLED)}")
        if not LEAST_WIDTH <= self.width <= LARGEST_WIDTH:
            raise OptionsError(f"width {self.width}: expected {LEAST_WIDTH} to {LARGEST_WIDTH} pixels")

    @property
    def quantity(self) -> Quantity:
        """What is shown."""
        return DEPTH if self.depth_times else STYLED[self.shown]

    @property
    def by(self) -> By:
        """What gives the quantity its colours."""
        return self.palette or (station_palette(self.radars) if self.radars else self.law)

    @property
    def cells_by(self) -> By:
        """What gives the cells their colours: those of sums with a palette hold numbers of its classes."""
        if not (self.depth_times and self.palette):
            return self.by
        stops = tuple(replace(one, value=order / RAIN.scale) for order, one in enumerate(self.palette.stops, 1))
        return replace(self.palette, stops=stops, unit="")

    @property
    def colours(self) -> tuple[Rgb, ...]:
        """Every colour of the pictures, see `hsrgeo.gis.canvas.palette_for`."""
        return canvas.palette_for(self.quantity, self.by)


class Map:
    """The sheet that every frame of a plan is drawn on; see `map_for`.

    Raises:
        MissingExtraError: Something of the extra ``render`` is not installed.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.notes: list[str] = []
        """What a user should know, such as a title that no font can show."""
        self._font = font = min(max(round(plan.width / 62), 11), 26)
        self._margin = margin = font
        legend = self._legend(round(38 * font))
        ticks = canvas.text_width("00.00°N", self._small) + 4
        self.left = margin + ticks
        grid, room = plan.grid, plan.width - self.left - legend.shape[1] - margin // 2
        magnified = min(room / grid.width, _TALLEST * room / grid.height)
        if magnified >= 1:
            size = (grid.width * int(magnified), grid.height * int(magnified))
        else:
            size = (max(round(grid.width * magnified), 1), max(round(grid.height * magnified), 1))
        self.map_width, self.map_height = size
        """Pixels of the map itself."""
        self._scale = (size[0] / grid.width, size[1] / grid.height)
        self._rows, self._cols = (_chosen(grid.height, size[1]), _chosen(grid.width, size[0]))
        legend = self._legend(min(legend.shape[0], max(self.map_height + 2 * font, _LEAST_BODY)))
        width = max(self.left + self.map_width + legend.shape[1] + margin // 2, LEAST_WIDTH)
        self._heading, title_px = self._headline(width - self.left - margin)
        self.top = margin + canvas.line_height(title_px) + canvas.line_height(self._large) + font // 2
        body = max(self.map_height, legend.shape[0] - 2 * font)
        foot = canvas.line_height(self._small)
        height = self.top + body + 3 * foot + font
        self._ticks = graticule(grid)
        self._coast, self._border, self._net = self._lines()
        self._base = np.full((height, width), canvas.WHITE, np.uint8)
        self._draw_base(legend, title_px, body)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture [pixels]."""
        return self._base.shape[1], self._base.shape[0]

    def panel(self, frame: Frame | None) -> Indices:
        """Return the map alone: cells, coast and graticule; None stands for a time that nothing is known of.

        Raises:
            FrameError: It lies on another grid, or holds what cannot be shown.
        """
        if frame is None:
            panel = np.full((self.map_height, self.map_width), canvas.NODATA, np.uint8)
        else:
            panel = self._echo(frame)
        np.copyto(panel, canvas.GRATICULE, where=self._net & ((panel == canvas.DRY) | (panel == canvas.NODATA)))
        panel[self._border] = canvas.BORDER
        panel[self._coast] = canvas.COAST
        return panel

    def picture(self, panel: Indices, label: str, *, synthetic: bool = False, word: str = "") -> Indices:
        """Return the whole picture, with the time as its label, and a word across the map where there is no frame."""
        sheet = self._base.copy()
        font, bottom = self._font, self.top + self.map_height
        sheet[self.top : bottom, self.left : self.left + self.map_width] = panel
        room = self.size[0] - self.left - self._margin
        mark = canvas.text_width(_SYNTHETIC, self._large) + font if synthetic else 0
        text, size = canvas.fitted(label, self._large, room - mark)
        foot = self.top - font // 2
        canvas.write(sheet, (self.left, foot), text, size, "lb")
        if synthetic:
            right = max(self.left + self.map_width, self.left + canvas.text_width(text, size) + mark)
            canvas.write(sheet, (min(right, self.size[0] - 1), foot), _SYNTHETIC, self._large, "rb", "alarm")
        self._attribute(sheet, synthetic=synthetic)
        if word:
            self._tell(sheet, word)
        return sheet

    def _echo(self, frame: Frame) -> Indices:
        if frame.grid != self.plan.grid:
            want, have = self.plan.grid, frame.grid
            raise FrameError(
                "another grid than the frames before",
                f"{want.width} x {want.height} of {want.name}",
                f"{have.width} x {have.height} of {have.name}",
                frame.name,
            )
        # First choose the cells, then look at their values: a frame has five times the pixels of a picture.
        part = replace(frame, stored=frame.stored[self._rows[:, None], self._cols])
        if self.plan.shown == "rain":
            part = rain_frame(part, self.plan.law or KMA_LAW)
        elif part.quantity.name != self.plan.quantity.name:
            raise FrameError("cannot be shown", self.plan.quantity.name, part.quantity.name, frame.name)
        if self.plan.radars:
            part = _by_radar(part, self.plan.radars)
        panel = _table(part.quantity, self.plan.cells_by, self.plan.colours)[part.stored.view(np.uint16)]
        times = self.map_width // len(self._cols)
        return np.repeat(np.repeat(panel, times, axis=0), times, axis=1) if times > 1 else panel

    @property
    def _small(self) -> int:
        return max(round(0.85 * self._font), 10)

    @property
    def _large(self) -> int:
        return round(1.3 * self._font)

    def _legend(self, height: int) -> Indices:
        plan = self.plan
        drawn = draw_legend(plan.quantity, plan.by, height, plan.depth_times or 1)
        return canvas.nearest_indices(np.asarray(drawn), plan.colours)

    def _headline(self, room: int) -> tuple[str, int]:
        plan, size = self.plan, round(1.3 * self._font)
        what = plan.quantity.name.replace("_", " ")
        by = f", {plan.law}" if plan.shown == "rain" and plan.law not in (None, KMA_LAW) else ""
        title = " ".join(plan.title.split())
        if title and font_for(title, size) is None:
            self.notes.append(
                f"no font on this machine has every letter of the title {title!r}; the picture goes without it "
                "(for Korean: apt-get install fonts-nanum)"
            )
            title = ""
        return canvas.fitted(title or f"KMA {plan.product} composite, {what}{by}", size, room)

    def _lines(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        scale, grid = np.array(self._scale), self.plan.grid
        size = (self.map_width, self.map_height)
        thick = 2 if self.map_width >= _THICK_FROM else 1
        net = [tick.line * scale for tick in self._ticks]
        return (
            canvas.line_mask([line * scale for line in lines(grid, "coast")], *size, thick),
            canvas.line_mask([line * scale for line in lines(grid, "border")], *size, thick),
            canvas.line_mask(net, *size, 1),
        )

    def _draw_base(self, legend: Indices, title_px: int, body: int) -> None:
        base, font = self._base, self._font
        right, bottom = self.left + self.map_width, self.top + self.map_height
        canvas.write(base, (self.left, self._margin), self._heading, title_px)
        base[self.top - 1 : bottom + 1, self.left - 1 : right + 1] = canvas.BORDER  # the frame, under the map
        bar = int(np.flatnonzero((legend < canvas.DRY).any(axis=1))[0])  # the unit stands above it
        top = max(self.top - bar, 0)
        base[top : top + legend.shape[0], right + font // 2 : right + font // 2 + legend.shape[1]] = legend
        self._draw_ticks(right, bottom)
        self._foot = max(bottom, self.top + body) + canvas.line_height(self._small) + font // 2
        self._draw_scale(right)

    def _draw_ticks(self, right: int, bottom: int) -> None:
        # Labels that would touch the one before are left out; both kinds of ticks come in order.
        high = canvas.line_height(self._small)
        end, lowest = self.left - self._margin, bottom + high
        for tick in self._ticks:
            if tick.at is None:
                continue
            half = canvas.text_width(tick.label, self._small) // 2
            x, y = self.left + round(tick.at * self._scale[0]), self.top + round(tick.at * self._scale[1])
            if tick.side == "left" and y + high <= lowest:
                canvas.write(self._base, (self.left - 5, y), tick.label, self._small, "rm")
                lowest = y
            elif tick.side == "bottom" and x - half > end and x + half < right + self._margin:
                canvas.write(self._base, (x, bottom + 3), tick.label, self._small, "mt")
                end = x + half + 4

    def _draw_scale(self, right: int) -> None:
        length, cells = scale_bar(self.plan.grid, 0.28 * self.plan.grid.width)
        pixels = max(round(cells * self._scale[0]), 2)
        y = self._foot + canvas.line_height(self._small) // 2
        self._base[y - 1 : y + 1, right - pixels : right] = canvas.TEXT
        for x in (right - pixels, right - 1):
            self._base[y - 4 : y + 4, x] = canvas.TEXT
        canvas.write(self._base, (right - pixels - 5, y), length, self._small, "rm")
        self._scale_left = right - pixels - 5 - canvas.text_width(length, self._small)

    def _attribute(self, sheet: Indices, *, synthetic: bool) -> None:
        step = canvas.line_height(self._small)
        first = _MADE_UP if synthetic else self.plan.credit
        one_line = f"{first}. {CREDIT}" if first else CREDIT
        room = self.size[0] - self.left - 2
        beside = self._scale_left - self.left - self._font
        rows = [one_line] if canvas.text_width(one_line, self._small) <= beside else [CREDIT, first]
        for order, row in enumerate(rows):
            text, size = canvas.fitted(row, self._small, beside if order == 0 else room)
            ink: canvas.Ink = "alarm" if synthetic and row == first else "text"
            canvas.write(sheet, (self.left, self._foot + order * step), text, size, "lt", ink)

    def _tell(self, sheet: Indices, word: str) -> None:
        text, size = canvas.fitted(word, 2 * self._font, self.map_width - 8)
        half_width, half_height = (
            canvas.text_width(text, size) // 2 + size // 2,
            canvas.line_height(size) // 2 + size // 4,
        )
        x, y = self.left + self.map_width // 2, self.top + self.map_height // 2
        box = sheet[max(y - half_height, 0) : y + half_height, max(x - half_width, 0) : x + half_width]
        box[...] = canvas.BORDER
        box[1:-1, 1:-1] = canvas.WHITE
        canvas.write(sheet, (x, y), text, size, "mm")


@lru_cache(maxsize=2)
def map_for(plan: Plan) -> Map:
    """Return the map of a plan; a process draws the coast of a plan once.

    Raises:
        MissingExtraError: Something of the extra ``render`` is not installed.
    """
    return Map(plan)


def radars_of(frame: Frame) -> tuple[str, ...]:
    """Return the codes of a frame's radars, in the order of its list: a cell of stations is a place in it, from 1."""
    listed = dict(frame.derived).get("STATIONS", "")
    return tuple(station.code for station in frame.header.stations) or tuple(filter(None, listed.split(",")))


def _by_radar(frame: Frame, radars: Sequence[str]) -> Frame:
    """Return a frame of stations with places in another list."""
    codes, most = radars_of(frame), int(frame.stored.max(initial=0))
    lost = [code for code in codes if code not in radars]
    if lost or most > len(codes):
        found = ", ".join(lost) or f"place {most} in a list of {len(codes)}"
        raise FrameError("cannot be shown", f"radars out of {', '.join(radars)}", found, frame.name)
    places = np.array([0, *(radars.index(code) + 1 for code in codes)], np.int16)
    return replace(frame, stored=np.where(frame.stored > 0, places[np.maximum(frame.stored, 0)], frame.stored))


def _chosen(cells: int, pixels: int) -> NDArray[np.intp]:
    """Return which cells are shown: all of them, or the one under the middle of each pixel."""
    if pixels >= cells:
        return np.arange(cells)
    return ((np.arange(pixels) + 0.5) * cells / pixels).astype(np.intp)


@lru_cache(maxsize=8)
def _table(quantity: Quantity, by: By, palette: tuple[Rgb, ...]) -> Indices:
    """Return the palette's index of every stored value, looked up by its bits."""
    stored = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    table = np.full(1 << 16, canvas.DRY, np.uint8)
    table[clean_values(stored, quantity) == quantity.nodata] = canvas.NODATA
    for one in classes_for(quantity, by):
        if one.last >= one.first and one.alpha:
            table[(stored >= one.first) & (stored <= one.last)] = canvas.class_index(on_white(one.rgba), palette)
    return table

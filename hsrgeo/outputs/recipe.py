"""The recipe: everything that decides the bytes and names of outputs, and the cut that it makes of a frame."""

from __future__ import annotations

import dataclasses
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from hsrgeo.errors import HsrGeoError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.file_blocks import ALL, BLOCK_NAMES, Block, block_from_json, block_to_json
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid, Registration
from hsrgeo.model.times import KST
from hsrgeo.model.window import Area, BBox, Center, Window, bounding
from hsrgeo.products.cleaning import Cleaning, cleaning_from_json
from hsrgeo.products.factors import Factors, factors_from_json
from hsrgeo.products.making import Content, Making, Values
from hsrgeo.products.masks import Mask, mask_from_json
from hsrgeo.products.palettes import Palette, parse_palette
from hsrgeo.products.rain import KMA_LAW, Law
from hsrgeo.products.warp import Resampling, Target
from hsrgeo.writers.rasters import FORMATS, RASTERS, Compression, Format

DEFAULT_NAME = "{time:%Y%m/%d/%Y%m%d%H%M}"
"""Path of an output without its suffix; the published notebook's layout, in KST."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One area that every frame is cut to."""

    region: str
    """Name of the region, or empty."""
    area: Area | None
    """What to cut, or None for the whole grid."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the bytes and names of outputs. One output folder holds one recipe."""

    cuts: tuple[Cut, ...]
    formats: tuple[Format, ...]
    compress: Compression
    values: Values
    name: str
    block: Block
    quantity: Content = "stored"
    law: Law = KMA_LAW
    """Of rain."""
    target: Target | None = None
    """Another projection, or None for the grid of the frames."""
    registration: Registration = "point"
    sidecars: bool = True
    """Whether a PNG has its place and tags in files beside it."""
    factors: Factors | None = None
    """That rain is multiplied by."""
    palette: Palette | None = None
    """Colours of pictures; None for those that hsrgeo has for the quantity."""
    undetect: float | None = None
    """Number of a cell that holds nothing in physical values, see `hsrgeo.writers.rasters.Settings`."""
    min_wet: float = 0.0
    """Share of the observed cells with echo, or rain, below which a cut is dry and gets no file."""
    mask: Mask | None = None
    """Cells that do not count become nodata."""
    cleaning: Cleaning | None = None
    """Of the echo."""

    def is_dry(self, part: Frame) -> bool:
        """Tell whether a cut of a frame has too little rain to be written; a cut that no radar saw has none."""
        if not self.min_wet:
            return False
        observed = part.cells.echo + part.cells.undetect
        return part.cells.echo < self.min_wet * max(observed, 1)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of the files that a cut of a frame becomes, the picture of each format first."""
        sides = None if self.sidecars else 1
        return tuple(dict.fromkeys(one for name in self.formats for one in RASTERS[name].suffixes[:sides]))

    @property
    def every_suffix(self) -> tuple[str, ...]:
        """What the name of a file that a cut of a frame becomes may end in, with the blocks beside the first."""
        blocks = ["", *(f".{name}" for name in BLOCK_NAMES)] if self.block == ALL else [""]
        return tuple(block + suffix for block in blocks for suffix in self.suffixes)

    def parts(self, frames: Sequence[Frame], cut: Cut) -> Iterator[tuple[str, Frame]]:
        """Yield what a cut shows of each block of a frame, and what follows its stem in the names of its files.

        Raises:
            HsrGeoError: See `Making.of`.
        """
        yield "", self.cut_frame(frames[0], cut)
        beside = dataclasses.replace(self, quantity="stored", factors=None, cleaning=None)  # a height has no echo
        for frame in frames[1:]:
            yield f".{frame.quantity.name}", beside.cut_frame(frame, cut)

    def stem(self, frame_name: FrameName, region: str) -> str:
        """Return the path of a frame's outputs below OUT, without suffix, with forward slashes."""
        path = self.name.format(
            time=frame_name.time.astimezone(KST),
            utc=frame_name.time.astimezone(UTC),
            product=frame_name.product,
            kind=frame_name.kind,
            region=region,
        )
        if region and "{region" not in self.name:
            path = f"{region}/{path}"
        # A kind or region that is empty leaves an empty part: "/06" would be a path outside OUT.
        return "/".join(part for part in path.split("/") if part not in ("", "."))

    def first_path(self, frame_name: FrameName) -> str:
        """Return the path below OUT of the first file that a frame becomes."""
        return self.stem(frame_name, self.cuts[0].region) + RASTERS[min(self.formats, key=FORMATS.index)].suffixes[0]

    def folders(self, frame_name: FrameName, first: str) -> set[str]:
        """Return the folders below OUT that a frame's files go to; `first` is its first path."""
        return {
            path.rpartition("/")[0] for path in (first, *(self.stem(frame_name, cut.region) for cut in self.cuts[1:]))
        }

    def as_json(self) -> dict[str, Any]:
        """Return plain values to keep beside the outputs and compare; options with their default are left out."""
        law = [self.law.a, self.law.b, *([] if self.law.max_mm_h is None else [self.law.max_mm_h])]
        rain = {"quantity": self.quantity, "zr": law} if self.quantity == "rain" else {}
        bias = {"bias": self.factors.as_json()} if self.factors else {}
        target = {"target": dataclasses.asdict(self.target)} if self.target else {}
        registered = {"registration": self.registration} if self.registration != "point" else {}
        sidecars = {} if self.sidecars else {"sidecars": False}
        undetect = {} if self.undetect is None else {"undetect": str(self.undetect)}  # NaN is no JSON
        wet = {"min_wet": self.min_wet} if self.min_wet else {}
        return {
            "cuts": [{"region": cut.region, **_area_json(cut.area)} for cut in self.cuts],
            "formats": list(self.formats),
            "compress": self.compress,
            "values": self.values,
            "name": self.name,
            "block": block_to_json(self.block),
            **rain,
            **bias,
            **target,
            **registered,
            **sidecars,
            **undetect,
            **({"palette": self.palette.text} if self.palette else {}),
            **wet,
            **({"mask": self.mask.as_json()} if self.mask else {}),
            **({"cleaning": self.cleaning.as_json()} if self.cleaning else {}),
        }

    def window_of(self, grid: Grid) -> Window:
        """Return the part of a whole grid that holds every cut.

        Raises:
            WindowError: An area does not fit.
        """
        return bounding([self._making(cut).window_of(grid) for cut in self.cuts])

    def cut_frame(self, frame: Frame, cut: Cut) -> Frame:
        """Return the part of a frame that an output shows; see `Making.of` for the errors."""
        return self._making(cut).of(frame)

    def _making(self, cut: Cut) -> Making:
        return Making(
            cut.area,
            self.quantity,
            self.law,
            self.values,
            self.target,
            self.block,
            factors=self.factors,
            mask=self.mask,
            cleaning=self.cleaning,
        )


KEYS = frozenset(
    (
        *("cuts", "formats", "compress", "values", "name", "block"),
        *("quantity", "zr", "bias", "target", "registration", "sidecars", "undetect", "palette", "min_wet"),
        *("mask", "cleaning"),
    )
)
"""Of `Recipe.as_json`."""


def _area_json(area: Area | None) -> dict[str, Any]:
    match area:
        case BBox(west, south, east, north):
            return {"bbox": [west, south, east, north]}
        case Window(col_off, row_off, width, height):
            return {"window": [col_off, row_off, width, height]}
        case Center(lon, lat, size):
            return {"center": [lon, lat], "size": size}
        case None:
            return {}


def recipe_from_json(kept: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `Recipe.as_json` wrote.

    Raises:
        ValueError: It is none: somebody may have edited it, or a disk damaged it.
    """
    try:
        recipe = Recipe(
            cuts=tuple(Cut(cut["region"], _area_from_json(cut)) for cut in kept["cuts"]),
            formats=tuple(kept["formats"]),
            compress=kept["compress"],
            values=kept["values"],
            name=kept["name"],
            block=block_from_json(kept["block"]),
            quantity=kept.get("quantity", "stored"),
            law=Law(*kept["zr"]) if "zr" in kept else KMA_LAW,
            target=Target(**kept["target"]) if "target" in kept else None,
            registration=kept.get("registration", "point"),
            sidecars=kept.get("sidecars", True),
            factors=factors_from_json(kept["bias"]) if "bias" in kept else None,
            palette=parse_palette(kept["palette"], "of this export") if "palette" in kept else None,
            undetect=float(kept["undetect"]) if "undetect" in kept else None,
            min_wet=float(kept.get("min_wet", 0)),
            mask=mask_from_json(kept["mask"]) if "mask" in kept else None,
            cleaning=cleaning_from_json(kept["cleaning"]) if "cleaning" in kept else None,
        )
        _check_read(recipe)
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError, HsrGeoError) as error:
        raise ValueError(repr(error)) from error
    return recipe


def _check_read(recipe: Recipe) -> None:
    words: tuple[tuple[object, object], ...] = (
        *((word, Format) for word in recipe.formats),
        (recipe.compress, Compression),
        (recipe.values, Values),
        (recipe.quantity, Content),
        (recipe.registration, Registration),
    )
    texts: list[object] = [recipe.name, *(cut.region for cut in recipe.cuts)]
    if recipe.target:
        words += ((recipe.target.resampling, Resampling),)
        texts.append(recipe.target.wkt2)
    sound = (
        all(isinstance(text, str) for text in texts)
        and all(word in get_args(known) for word, known in words)
        and recipe.formats
        and recipe.cuts
        and recipe.sidecars in (True, False)
        and 0 <= recipe.min_wet <= 1
        and not wide_fields(recipe.name)
    )
    if not sound:
        raise ValueError(f"{recipe} is no recipe")
    for cut in recipe.cuts:
        path = recipe.stem(_PROBE, cut.region)
        if not path or ".." in path.split("/") or "\0" in path:
            raise ValueError(f"the name {recipe.name!r} leads to {path!r}")


_PROBE = FrameName("HSR", "PUB", datetime(2022, 6, 9, 11, 15, tzinfo=KST))


def parts_kinds(template: str) -> bool:
    """Tell whether a template gives each kind a path of its own.

    Raises:
        ValueError: It is no template.
    """
    return any(field == "kind" for _text, field, _spec, _conversion in string.Formatter().parse(template))


def wide_fields(template: str) -> bool:
    """Tell whether a field of a template has a width of thousands: the text could fill the memory.

    Raises:
        ValueError: It is no template.
    """
    return any(_WIDE.search(spec or "") for _text, _field, spec, _conversion in string.Formatter().parse(template))


_WIDE = re.compile(r"\d{4}")


def _area_from_json(cut: Mapping[str, Any]) -> Area | None:
    if "bbox" in cut:
        return BBox(*cut["bbox"])
    if "window" in cut:
        return Window(*cut["window"])
    if "center" in cut:
        lon, lat = cut["center"]
        return Center(lon, lat, cut["size"])
    return None

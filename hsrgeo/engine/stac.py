"""A STAC catalogue of an output folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, cast, get_args

from hsrgeo.engine.export.beside import OWN_ITEM
from hsrgeo.errors import OptionsError, ReadbackError, refused
from hsrgeo.gis import legend, styles
from hsrgeo.gis.depth import times_of
from hsrgeo.gis.footprint import Place as Footprint
from hsrgeo.gis.footprint import place_of
from hsrgeo.gis.stac import ASSETS, ITEM_TYPE, PARQUET_TYPE, File, Json, Shot, end_of, href, item, item_id, slugs
from hsrgeo.gis.stac_collection import Summary, collection
from hsrgeo.gis.stac_parquet import items_parquet
from hsrgeo.model.times import frame_length
from hsrgeo.outputs.folder import Written
from hsrgeo.outputs.journal import is_output
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.names import COLLECTION, ITEMS, PARQUET
from hsrgeo.outputs.outcome import Output
from hsrgeo.outputs.stacks import Stack, Stacks, stacks_of
from hsrgeo.products.classes import CLASSED
from hsrgeo.products.rain import Law
from hsrgeo.sources.arrow import pyarrow_modules
from hsrgeo.sources.remote import Place, RemotePath, target, unlink_all
from hsrgeo.writers.disk import flush
from hsrgeo.writers.files import write_file
from hsrgeo.writers.glance import labels

Form = Literal["auto", "json", "parquet"]

FEW = 500
"""Items that are files of their own, with ``auto``; more are one Parquet file."""
_MIRROR: Json = {
    "href": f"./{PARQUET}",
    "title": "Items, a row each, by time",
    "type": PARQUET_TYPE,
    "roles": ["collection-mirror"],
}


@dataclass(frozen=True, slots=True)
class Catalog:
    """A catalogue that was written."""

    path: Path
    """Of its collection; in a bucket a `hsrgeo.sources.remote.RemotePath`."""
    items: int
    form: Form
    """``json`` or ``parquet``."""
    contents: Stacks
    """What it tells of, and what it had to leave out."""
    damaged: tuple[ReadbackError, ...]
    """COGs that are there and cannot be used."""
    lacking: tuple[str, ...]
    """Paths below OUT of files beside a COG that the manifest lists and that are not there: PNGs and their sidecars."""


def write_catalog(out: str | Path, *, items: Form = "auto", name: str | None = None, law: Law | None = None) -> Path:
    """Write ``OUT/collection.json``, a STAC catalogue of every COG of a folder, with its items beside it.

    Up to 500 items are files, ``OUT/items/HSR-20220609T0215Z.json``; more are rows of ``OUT/items.parquet``. Styles for
    QGIS and GeoServer and a legend lie beside it. Every href is relative: move OUT as a whole. The same folder gives
    the same bytes, and writing again takes away the items of what is no longer there.

    Args:
        out: The output folder of an export, sums or fields; that of an export may be in a bucket.
        items: ``json``, ``parquet``, or ``auto`` for what goes with their number.
        name: Id of the collection; None is one of product and quantity, such as ``kma-hsr-reflectivity``.
        law: By which reflectivity has the classes of rain in the styles; None is KMA's own table of dBZ.

    Returns:
        The path of the collection; in a bucket a `hsrgeo.sources.remote.RemotePath`.

    Raises:
        ManifestError: The folder is not the OUT of an export, its manifest is damaged, or no COG of it is there.
        MissingExtraError: Parquet, and pyarrow is not installed.
        OptionsError: It was exported as PNG only, or an option cannot be.
        ReadbackError: GDAL cannot open a COG.
        WriteError: The disk refused.
    """
    return make_catalog(target(out), items=items, name=name, law=law).path


def make_catalog(out: Place, *, items: Form = "auto", name: str | None = None, law: Law | None = None) -> Catalog:
    """Write a catalogue as `write_catalog` does, and tell what is in it."""
    if items not in get_args(Form):
        raise OptionsError(f"items {items!r}: expected one of {', '.join(get_args(Form))}")
    contents = stacks_of(out)
    form: Form = items if items != "auto" else "parquet" if contents.frames > FEW else "json"
    if form == "parquet":
        pyarrow_modules("for a catalogue as Parquet", "stac")
    with locked(out / COLLECTION, out):
        return _written(out, contents, form, name, law)


def _written(out: Place, contents: Stacks, form: Form, name: str | None, law: Law | None) -> Catalog:
    catalogue = name or _id(contents)
    assets = _write_styles(out, contents.stacks, law)
    gathered = _Gathered(out, contents)
    written: set[str] = set()
    links: list[Json] = []
    if form == "parquet":
        assets = {"items": dict(_MIRROR), **assets}
        rows = (item(shot, catalogue, "./") for shot in gathered.shots())
        write_file(out / PARQUET, items_parquet(rows, lambda: collection(gathered.summary(catalogue), [], assets)))
    else:
        links = [_write_item(out, shot, catalogue) for shot in gathered.shots()]
        written = {f"{one}.json" for one in gathered.ids}
    record = collection(gathered.summary(catalogue), links, assets)
    if written and isinstance(out, Path):
        flush([out / ITEMS, *(out / ITEMS / one for one in written)])
    write_file(out / COLLECTION, _json(record, indent=1))
    _sweep(out, written, parquet=form == "parquet")
    return Catalog(
        cast("Path", out / COLLECTION),
        len(gathered.ids),
        form,
        contents,
        (*contents.damaged, *gathered.damaged),
        tuple(gathered.lacking),
    )


def _id(contents: Stacks) -> str:
    kma = ["kma"] if any(stack.glance.tags.get("PRODUCT") for stack in contents.stacks) else []
    words = [*kma, *dict.fromkeys(stack.product for stack in contents.stacks)]
    words += [*dict.fromkeys(stack.quantity.name for stack in contents.stacks)]
    return "-".join(re.sub(r"\W+", "-", word.lower()) for word in words)


def _json(content: Json, indent: int | None = None) -> bytes:
    separators = None if indent else (",", ":")
    return json.dumps(content, ensure_ascii=False, indent=indent, separators=separators).encode() + b"\n"


def _write_item(out: Place, shot: Shot, catalogue: str) -> Json:
    path = f"{ITEMS}/{shot.id}.json"
    content = item(shot, catalogue, "../")
    write_file(out / path, _json(content), sync=False)
    return {"rel": "item", "href": href(path), "type": ITEM_TYPE, "title": content["properties"]["title"]}


def _sweep(out: Place, written: set[str], *, parquet: bool) -> None:
    """Remove items of an earlier catalogue that this one does not know."""
    try:
        if isinstance(out, RemotePath):
            own = [path for path in (out / ITEMS).below(deep=False) if OWN_ITEM.fullmatch(path.name)]
            unlink_all([*(path for path in own if path.name not in written), *([] if parquet else [out / PARQUET])])
            return
        if (out / ITEMS).is_dir() and not (out / ITEMS).is_symlink():
            for path in (out / ITEMS).iterdir():
                if path.name not in written and OWN_ITEM.fullmatch(path.name):
                    path.unlink()
        if not parquet:
            (out / PARQUET).unlink(missing_ok=True)
    except OSError as error:
        raise refused(str(out / ITEMS), error, "cleared of old items") from error


def _write_styles(out: Place, stacks: Sequence[Stack], law: Law | None) -> dict[str, Json]:
    """Write styles and legends of the quantities that have classes, and return their assets."""
    assets: dict[str, Json] = {}
    for stack in stacks:
        quantity, times = stack.quantity, times_of(stack.duration)
        name = quantity.name if times == 1 else f"{quantity.name}-x{times}"
        if quantity.name not in CLASSED or f"legend-{name}" in assets:
            continue
        files = {
            f"style-{name}.qml": ("QGIS style", "application/xml", "style", styles.qml(quantity, law, times)),
            f"style-{name}.sld": (
                "Style for GeoServer",
                "application/vnd.ogc.sld+xml",
                "style",
                styles.sld(quantity, law, times),
            ),
            f"legend-{name}.svg": ("Legend", "image/svg+xml", "legend", legend.svg(quantity, law, times=times)),
        }
        for path, (title, media_type, role, text) in files.items():
            data = text.encode()
            write_file(out / path, data)
            key = path.replace(".", "-") if role == "style" else path.partition(".")[0]
            assets[key] = {
                "href": f"./{path}",
                "title": f"{title} of {name}",
                "type": media_type,
                "roles": [role],
                "file:size": len(data),
            }
    return assets


@dataclass
class _Gathered:
    """The frames of a folder as items, and what was seen on the way through them."""

    out: Place
    contents: Stacks
    ids: list[str] = field(default_factory=list)
    damaged: list[ReadbackError] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    firsts: dict[int, Shot] = field(default_factory=dict)
    """The first frame of each stack."""
    synthetic: set[bool] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    span: list[datetime] = field(default_factory=list)
    """First and last time."""
    ends: list[datetime] = field(default_factory=list)
    """Latest second that any frame covers."""

    def shots(self) -> Iterator[Shot]:
        """Yield every frame, by time, then by region as it was asked for."""
        listed = Written(self.out).files() if is_output(self.out) else None
        names = slugs(list(dict.fromkeys(stack.region for stack in self.contents.stacks)))
        places = [_place(stack) for stack in self.contents.stacks]
        frames = sorted(
            (time, number, path) for number, stack in enumerate(self.contents.stacks) for time, path in stack.frames
        )
        for time, number, path in frames:
            stack = self.contents.stacks[number]
            try:
                tags = labels(self.out / path)
                files = self._files(path, listed)
            except ReadbackError as error:
                self.damaged.append(error)
                continue
            shot = Shot(
                item_id(stack.product, time, names[stack.region]),
                time,
                stack.region,
                places[number],
                stack.glance,
                tags,
                files,
                frame_length([time]) if stack.length is None else stack.length,
            )
            self._note(number, shot)
            yield shot

    def summary(self, name: str) -> Summary:
        """Return what a collection says of the frames that were yielded."""
        shots = tuple(self.firsts[number] for number in sorted(self.firsts))
        return Summary(
            name, self.span[0], self.span[1], self.ends[0], shots, frozenset(self.synthetic), frozenset(self.values)
        )

    def _note(self, number: int, shot: Shot) -> None:
        self.ids.append(shot.id)
        self.firsts.setdefault(number, shot)
        self.synthetic.add(shot.tags.get("SYNTHETIC") == "yes")
        self.values.add(shot.tags.get("VALUES", ""))
        self.span = [self.span[0] if self.span else shot.time, shot.time]
        self.ends = [max(*self.ends, end_of(shot))] if self.ends else [end_of(shot)]

    def _files(self, cog: str, listed: dict[str, Output] | None) -> dict[str, File]:
        """Return the files of a frame: of those that the manifest lists, the ones that are there."""
        stem = cog.removesuffix(".tif")
        files = {}
        for suffix in ASSETS:
            path = stem + suffix
            if path not in listed if listed is not None else suffix != ".tif":
                continue
            try:
                size = _size(self.out / path)
            except OSError as error:
                if suffix == ".tif":
                    raise ReadbackError(path, f"cannot be read: {error.strerror or error}") from error
                self.lacking.append(path)
                continue
            written = listed[path] if listed is not None else None
            same = written is not None and written.bytes == size  # else edited since: the sum is of before
            files[suffix] = File(path, size, written.crc32 if written and same else None)
        return files


def _size(path: Place) -> int:
    return path.stat().size if isinstance(path, RemotePath) else path.stat().st_size


def _place(stack: Stack) -> Footprint:
    seen = stack.glance
    return place_of(seen.wkt, seen.transform, seen.width, seen.height)

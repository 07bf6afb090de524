"""GDAL's virtual rasters: many COGs as the bands of one file, and stored frames that GDAL reads in place.

References:
    GDAL, "VRT -- GDAL Virtual Format": SimpleSource, SourceProperties, VRTRawRasterBand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from hsrgeo.formats.header import HEADER_BYTES
from hsrgeo.model.frame import Frame
from hsrgeo.model.times import kst_text, utc_text
from hsrgeo.writers.glance import Glance
from hsrgeo.writers.tags import frame_tags, statistics_tags

_CELL_BYTES = 2
_SHARED_TAGS = (
    *("PRODUCT", "QUANTITY", "UNIT", "GRID", "WINDOW", "VALUES", "NODATA", "UNDETECT"),
    *("RAIN_LAW", "BIAS_SOURCE", "PERIOD", "DURATION", "METHOD", "LICENCE", "SYNTHETIC"),
)
"""Tags of a COG that hold for all of a stack."""
_NO_RAW_TAGS = ("TIFFTAG_", "OVERVIEW_", "SOURCE_BLOCK", "COUNT_", "NODATA", "UNDETECT", "QUANTITY", "UNIT")
"""Tags of a COG that a raw frame lacks, or has for each band."""


def stack_vrt(
    place: Glance, frames: Sequence[tuple[datetime, str]], statistics: Sequence[Mapping[str, str]] = ()
) -> str:
    """Return a VRT with a band for every COG, named after its time in UTC.

    Everything that GDAL would ask a source is said here: it opens none before pixels are read.

    Args:
        place: Of the COGs, which share place and packing.
        frames: Times and paths from the VRT's folder, with forward slashes, in order of time.
        statistics: GDAL's statistics of each; none where they are not known. GDAL's own would count undetect as data.
    """
    known = statistics or [{}] * len(frames)
    tags = {name: place.tags[name] for name in _SHARED_TAGS if name in place.tags}
    tags |= {"TIME_FIRST_UTC": utc_text(frames[0][0]), "TIME_LAST_UTC": utc_text(frames[-1][0])}
    size = f'xSize="{place.width}" ySize="{place.height}"'
    bands = "\n".join(
        f"""\
{_band_start(number, place.dtype)}>
{_metadata({"TIME_START_UTC": utc_text(time), "TIME_START_KST": kst_text(time), **one})}
{_packing(utc_text(time), place.nodata, place.unit, place.scale, place.offset)}
<SimpleSource>
<SourceFilename relativeToVRT="1">{escape(path)}</SourceFilename>
<SourceBand>1</SourceBand>
<SourceProperties RasterXSize="{place.width}" RasterYSize="{place.height}" DataType="{place.dtype.capitalize()}" \
BlockXSize="{place.block[0]}" BlockYSize="{place.block[1]}"/>
<SrcRect xOff="0" yOff="0" {size}/>
<DstRect xOff="0" yOff="0" {size}/>
</SimpleSource>
</VRTRasterBand>"""
        for number, ((time, path), one) in enumerate(zip(frames, known, strict=True), 1)
    )
    geotransform = place.transform.to_gdal()
    return _dataset(place.width, place.height, place.wkt, geotransform, _metadata(tags), bands)


def raw_vrt(frames: Sequence[Frame], source: str, *, relative: bool) -> str:
    """Return a VRT with which GDAL reads the blocks of a stored frame in place.

    Args:
        frames: The blocks of one file, in order, whole and as stored.
        source: Its path; ``/vsigzip/`` and an absolute path for one that is packed.
        relative: The path is that from the VRT's folder.
    """
    grid = frames[0].grid
    row_bytes = grid.width * _CELL_BYTES
    bands = "\n".join(
        f"""\
{_band_start(number)} subClass="VRTRawRasterBand">
{_metadata(_raw_band_tags(frame))}
{_packing(frame.quantity.name, frame.quantity.nodata, frame.quantity.unit, frame.quantity.gain, frame.quantity.offset)}
<SourceFilename relativeToVRT="{relative:d}">{escape(source)}</SourceFilename>
<ImageOffset>{HEADER_BYTES + (number * grid.height - 1) * row_bytes}</ImageOffset>
<PixelOffset>{_CELL_BYTES}</PixelOffset>
<LineOffset>{-row_bytes}</LineOffset>
<ByteOrder>LSB</ByteOrder>
</VRTRasterBand>"""
        for number, frame in enumerate(frames, 1)  # rows are stored south to north: from the last one back
    )
    tags = {name: text for name, text in frame_tags(frames[0]).items() if not name.startswith(_NO_RAW_TAGS)}
    geotransform = grid.transform.to_gdal()
    return _dataset(grid.width, grid.height, grid.wkt2, geotransform, _metadata(tags), bands)


def _raw_band_tags(frame: Frame) -> dict[str, str]:
    tags = frame_tags(frame)
    named = {name: tags[name] for name in ("QUANTITY", "UNIT", "NODATA", "UNDETECT") if name in tags}
    return named | statistics_tags(frame)


def _dataset(width: int, height: int, wkt: str, geotransform: tuple[float, ...], metadata: str, bands: str) -> str:
    # Without an axis mapping GDAL takes the traditional order, east before north, in which the geotransform is.
    return f"""\
<VRTDataset rasterXSize="{width}" rasterYSize="{height}">
<SRS>{escape(wkt)}</SRS>
<GeoTransform>{", ".join(repr(float(number)) for number in geotransform)}</GeoTransform>
{metadata}
{bands}
</VRTDataset>
"""


def _band_start(number: int, dtype: str = "int16") -> str:
    return f'<VRTRasterBand dataType="{dtype.capitalize()}" band="{number}"'


def _packing(description: str, nodata: float | None, unit: str, scale: float, offset: float) -> str:
    return "\n".join(
        [
            f"<Description>{escape(description)}</Description>",
            *([] if nodata is None else [f"<NoDataValue>{nodata:g}</NoDataValue>"]),
            f"<UnitType>{escape(unit)}</UnitType>",
            f"<Offset>{offset!r}</Offset>",
            f"<Scale>{scale!r}</Scale>",
            "<ColorInterp>Gray</ColorInterp>",
        ]
    )


def _metadata(tags: Mapping[str, str]) -> str:
    items = "".join(f"<MDI key={quoteattr(name)}>{escape(text)}</MDI>" for name, text in tags.items())
    return f"<Metadata>{items}</Metadata>"

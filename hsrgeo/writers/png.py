"""16-bit grey PNGs as the published notebook made them, with what places and explains them beside."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.texts import xml_text
from hsrgeo.writers.files import write_file
from hsrgeo.writers.tags import png_tags

PNG_FLOOR = -1000
"""Stored values below are raised to this, then all are shifted up by it (KMA composite format, section 6)."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"  # PNG, third edition, section 5.2
_LEVEL = 2  # of zlib-ng: as small as libdeflate's 6 within a few per cent, twice as fast (tests/benchmarks)
_FILTER_NONE, _FILTER_SUB = 0, 1  # PNG, section 9.2


def write_png(frame: Frame, path: Path) -> Path:
    """Write a PNG, its world file (.pgw), .prj and .png.aux.xml, and return the path of the PNG."""
    stem = path.name[: -len(".png")] if path.suffix.lower() == ".png" else path.name
    names = {".png": path.name, ".png.aux.xml": f"{path.name}.aux.xml"}
    for suffix, data in encode_png_files(frame).items():
        write_file(path.with_name(names.get(suffix, stem + suffix)), data)
    return path


def encode_png_files(frame: Frame) -> dict[str, bytes]:
    """Return the files of a PNG by suffix: the picture last, so that it never lacks its place."""
    return {
        ".pgw": world_file(frame.grid),
        ".prj": esri_wkt(frame.grid.wkt2),
        ".png.aux.xml": aux_xml(frame),
        ".png": encode_png(frame),
    }


def encode_png(frame: Frame) -> bytes:
    """Return a 16-bit grey PNG of max(stored, -1000) + 1000, north-up."""
    pixels = png_values(frame.stored)
    height, width = pixels.shape
    rows = np.empty((height, 1 + 2 * width), np.uint8)
    samples = rows[:, 1:]
    samples[:] = pixels.astype(">u2").view(np.uint8)
    wet = samples.any(axis=1)
    rows[:, 0] = np.where(wet, _FILTER_SUB, _FILTER_NONE)  # empty rows then are zeros from end to end
    rows[wet, 3:] = samples[wet, 2:] - samples[wet, :-2]  # PNG, section 9.2: modulo 256, against the pixel before
    packed = zlib_ng.compress(rows.data, _LEVEL)
    head = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    # ^ width, height, bit depth, grey, deflate, adaptive filters, not interlaced (PNG, section 11.2.1)
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def encode_png_of(rgba: NDArray[np.uint8]) -> bytes:
    """Return a PNG of red, green, blue and alpha, shape (rows, columns, 4)."""
    height, width, _bands = rgba.shape
    rows = np.zeros((height, 1 + 4 * width), np.uint8)  # the first of each row is its filter: none
    rows[:, 1:] = rgba.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)  # 6: red, green, blue and alpha (PNG, section 11.2.1)
    packed = zlib_ng.compress(rows.data, _LEVEL)
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def encode_mask(frame: Frame) -> bytes:
    """Return an 8-bit grey PNG: 255 where a cell was observed, also where it is dry, and 0 where it was not."""
    height, width = frame.stored.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # the first of each row is its filter: none
    rows[:, 1:][frame.stored >= frame.quantity.undetect] = 255
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib_ng.compress(rows.data, _LEVEL)
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def png_values(raw: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Return the pixel values of a PNG: 0 is -10 dBZ, anything less, undetect and nodata alike.

    Of clean rain 1000 is 0 mm/h, a dry cell, and 0 is nodata alone.
    """
    raised = np.maximum(raw, np.int16(PNG_FLOOR)).view(np.uint16)
    return raised + np.uint16(-PNG_FLOOR)  # modulo 2^16: -1000 is 64536 there, and becomes 0


def world_file(grid: Grid) -> bytes:
    """Return a world file: cell sizes and rotation, then the **centre** of the north-west cell."""
    x, y = grid.xy(0, 0)
    t = grid.transform
    decimals = 10 if t.a >= 1 else 15  # metres, or degrees
    return "".join(f"{value:.{decimals}f}\n" for value in (t.a, t.d, t.b, t.e, x, y)).encode()


def aux_xml(frame: Frame) -> bytes:
    """Return GDAL's sidecar: the CRS, which GDAL and QGIS read from no .prj, the scale to physical, the tags."""
    quantity = frame.quantity
    # 0 stands for nodata alone where the lowest value is above the floor, as in rain: else it is low echo too.
    hole = "    <NoDataValue>0</NoDataValue>\n" if quantity.undetect > PNG_FLOOR > quantity.nodata else ""
    scale, zero = quantity.gain, quantity.offset + PNG_FLOOR * quantity.gain
    band = (
        '  <PAMRasterBand band="1">\n'
        f"    <Description>{quantity.name}</Description>\n"
        f"{hole}"
        f"    <UnitType>{quantity.unit}</UnitType>\n"
        f"    <Offset>{zero:.10g}</Offset>\n"
        f"    <Scale>{scale:.10g}</Scale>\n"
        "  </PAMRasterBand>\n"
    )
    return place_xml(frame.grid, png_tags(frame), band)


def place_xml(grid: Grid, tags: Mapping[str, str], bands: str = "") -> bytes:
    """Return GDAL's sidecar with the CRS, the place and tags of a picture; see `aux_xml`."""
    items = "".join(f'    <MDI key="{key}">{xml_text(value)}</MDI>\n' for key, value in tags.items())
    t = grid.transform
    wkt, axes = _gdal_wkt(grid.wkt2)
    return (
        "<PAMDataset>\n"
        f'  <SRS dataAxisToSRSAxisMapping="{axes}">{xml_text(wkt)}</SRS>\n'
        f"  <GeoTransform>{t.c:.15g}, {t.a:.15g}, {t.b:.15g}, {t.f:.15g}, {t.d:.15g}, {t.e:.15g}</GeoTransform>\n"
        f"  <Metadata>\n{items}  </Metadata>\n"
        f"{bands}"
        "</PAMDataset>\n"
    ).encode()


def is_edited_sidecar(name: str, data: bytes) -> bool:
    """Tell whether a file is a whole .png.aux.xml with a place, as GDAL writes it anew with its statistics."""
    text = data.strip()
    is_whole = text.startswith(b"<PAMDataset>") and text.endswith(b"</PAMDataset>")
    return name.endswith(".png.aux.xml") and is_whole and b"<GeoTransform>" in text


def _chunk(chunk_type: bytes, data: bytes) -> bytes:
    body = chunk_type + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib_ng.crc32(body))


@cache
def esri_wkt(wkt2: str) -> bytes:
    """Return the text of a .prj."""
    import pyproj  # noqa: PLC0415 - slow to import, and a COG needs none of it

    return pyproj.CRS.from_wkt(wkt2).to_wkt("WKT1_ESRI").encode()


@cache
def _gdal_wkt(wkt2: str) -> tuple[str, str]:
    """Return a CRS as GDAL's sidecars have it, and which of its axes columns and rows run along.

    By pyproj: where the user's variables name another PROJ, GDAL's own text loses codes of units.
    """
    import pyproj  # noqa: PLC0415

    crs = pyproj.CRS.from_wkt(wkt2)
    if crs.axis_info[0].direction == "north":  # as EPSG:5179 has it; the older form knows no such axes
        return crs.to_wkt("WKT2_2019"), "2,1"
    return crs.to_wkt("WKT1_GDAL"), "1,2"

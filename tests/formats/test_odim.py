"""ODIM HDF5: what is written, by the specification and by other readers; what is read, also from strangers."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import zlib
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyproj
import pytest
import rasterio
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.errors import FrameError, HsrGeoError, OptionsError, SourceError, WriteError
from hsrgeo.formats import hdf5
from hsrgeo.formats import odim as reading
from hsrgeo.formats.hdf5 import MAGIC
from hsrgeo.formats.odim import read_odim
from tests.conftest import TIME, MakeFile, Pixels, frame_name

BOX = (400, 600, 40, 30)  # columns and rows of echo in the pixels of conftest
WIDE = (400, 600, 60, 120)  # GDAL places no image of less than 30 x 100 cells
MANDATORY = {
    "/": {"Conventions": "S"},
    "/what": {"object": "S", "version": "S", "date": "S", "time": "S", "source": "S"},
    "/where": {
        "projdef": "S",
        "xsize": "i",
        "ysize": "i",
        "xscale": "f",
        "yscale": "f",
        **{f"{corner}_{axis}": "f" for corner in ("LL", "UL", "UR", "LR") for axis in ("lon", "lat")},
    },
    "/dataset1/what": dict.fromkeys(("product", "startdate", "starttime", "enddate", "endtime"), "S"),
    "/dataset1/data1/what": {"quantity": "S", **dict.fromkeys(("gain", "offset", "nodata", "undetect"), "f")},
}
"""ODIM_H5 2.4: tables 1, 5, 13 and 16 for a COMP, and section 3.1 for the types."""


@pytest.fixture
def frame(tmp_path: Path, frame_file: bytes) -> hsrgeo.Frame:
    path = tmp_path / frame_name()
    path.write_bytes(frame_file)
    return hsrgeo.open_frame(path)


def test_the_entries_that_the_specification_wants(frame: hsrgeo.Frame, tmp_path: Path) -> None:
    frame.to_odim(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        for group, attributes in MANDATORY.items():
            for name, kind in attributes.items():
                attribute = file[group].attrs.get_id(name)
                assert attribute.dtype.kind == kind, f"{group} {name}"
                assert attribute.dtype.itemsize == 8 or kind == "S"
                if kind == "S":
                    stored = attribute.get_type()
                    assert stored.get_strpad() == h5py.h5t.STR_NULLTERM
                    assert stored.get_size() == len(file[group].attrs[name]) + 1
        assert file.attrs["Conventions"] == b"ODIM_H5/V2_4"
        assert file["what"].attrs["object"] == b"COMP"
        assert (file["what"].attrs["date"], file["what"].attrs["time"]) == (b"20220609", b"021500")  # 11:15 KST
        assert file["what"].attrs["source"].startswith(b"ORG:40,")
        assert file["dataset1/what"].attrs["endtime"] == b"022000"
        data = file["dataset1/data1/data"]
        assert (data.dtype, data.shape, data.compression) == (np.uint16, (1441, 1153), "gzip")


def test_corners_are_the_outer_corners_of_the_corner_cells(tmp_path: Path, make_file: MakeFile) -> None:
    path = tmp_path / frame_name()
    nothing = np.full((2881, 2305), -30000, np.int16)
    path.write_bytes(make_file(nothing, dxy=500))
    whole = hsrgeo.open_frame(path)
    whole.to_odim(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        where = dict(file["where"].attrs)
    project = pyproj.Proj("+proj=lcc +lat_1=30 +lat_2=60 +lat_0=38 +lon_0=126 +datum=WGS84")
    edges = {"LL": (-560250, -840250), "UL": (-560250, 600250), "UR": (592250, 600250), "LR": (592250, -840250)}
    for corner, metres in edges.items():
        found = project(where[f"{corner}_lon"], where[f"{corner}_lat"])
        assert found == pytest.approx(metres, abs=1e-3)
    assert "+datum=WGS84" in where["projdef"].decode()


def test_reflectivity_rain_and_height_of_worked_values(tmp_path: Path, make_file: MakeFile, pixels: Pixels) -> None:
    echo = np.full_like(pixels, -30000)
    echo[0, :4] = -25000, 3500, -1000, 0
    path = tmp_path / frame_name()
    path.write_bytes(make_file(echo, np.where(echo == -30000, echo, np.int16(1234))))
    frame = hsrgeo.open_frame(path)
    parts = {
        # stored + 32768: 3500 is 36268, and 36268 * 0.01 - 327.68 = 35 dBZ
        "DBZH": (frame, [0, 36268, 31768, 32768], 0.01, -327.68),
        # 35 dBZ is 5.6153 mm/h by Z = 200 R^1.6, -10 dBZ is 0.0086, 0 dBZ is 0.0365; dry is 0, and offset is 0
        "RATE": (hsrgeo.rain_frame(frame), [0, 562, 1, 4], 0.01, 0.0),
        # kilometres: 1234 + 32768 = 34002, and 34002 * 0.001 - 32.768 = 1.234 km
        "HGHT": (hsrgeo.open_frame(path, block=2), [34002] * 4, 0.001, -32.768),
    }
    for name, (part, stored, gain, offset) in parts.items():
        image = read_odim(part.to_odim(tmp_path / f"{name}.h5").read_bytes(), "x")[0]
        assert image.quantity == name
        assert image.stored[0, :5].tolist() == [*stored, 65535]
        assert (image.gain, image.offset) == pytest.approx((gain, offset))
        assert (image.nodata, image.undetect) == (65535, 0)


def test_the_same_frame_gives_the_same_bytes(frame: hsrgeo.Frame, tmp_path: Path) -> None:
    part = frame.crop(window=BOX)
    assert part.to_odim(tmp_path / "a.h5").read_bytes() == part.to_odim(tmp_path / "b.h5").read_bytes()


def test_what_odim_has_no_quantity_for_is_refused(tmp_path: Path, make_file: MakeFile, pixels: Pixels) -> None:
    path = tmp_path / frame_name()
    path.write_bytes(make_file(pixels, pixels, pixels))
    with pytest.raises(WriteError, match="station: ODIM has no quantity for it"):
        hsrgeo.open_frame(path, block=3).to_odim(tmp_path / "x.h5")
    with pytest.raises(OptionsError, match="odim does not have the codes of the frames: not with values raw"):
        hsrgeo.ExportOptions(formats=("odim",), values="raw")


def test_an_export_is_verified_bit_for_bit(tmp_path: Path, frame_file: bytes) -> None:
    source, out = tmp_path / frame_name(), tmp_path / "out"
    source.write_bytes(frame_file)
    run = CliRunner().invoke
    command = ["--window", *map(str, BOX), "--format", "odim", "--format", "cog", "--out", str(out), "--jobs", "1"]
    done = run(app, ["export", str(source), *command, "--json"])
    assert done.exit_code == 0, done.output
    made = out / "202206/09/202206091115.h5"
    assert made.exists()
    assert run(app, ["export", str(source), *command, "--json"]).exit_code == 0  # nothing to do
    verified = run(app, ["verify", str(out), "--against", str(source)])
    assert verified.exit_code == 0, verified.output
    with h5py.File(made, "r+") as file:
        file["dataset1/data1/data"][3, 5] += 1
    verified = run(app, ["verify", str(out), "--against", str(source)])
    assert verified.exit_code == 1
    assert "pixels, 1 of 1,200 differ, the first in row 3, column 5" in verified.output


def test_rain_is_verified_too(tmp_path: Path, frame_file: bytes) -> None:
    (tmp_path / frame_name()).write_bytes(frame_file)
    hsrgeo.export(tmp_path, tmp_path / "out", formats="odim", quantity="rain", jobs=1).run()
    assert not list(hsrgeo.verify(tmp_path / "out", [tmp_path / frame_name()]))


def test_it_is_opened_again_as_an_array(frame: hsrgeo.Frame, tmp_path: Path) -> None:
    rain = hsrgeo.rain_frame(frame)
    opened = hsrgeo.open(frame.to_odim(tmp_path / "dbz.h5"))
    expected = frame.to_xarray()
    np.testing.assert_allclose(opened.reflectivity, expected.reflectivity, atol=2e-5)  # NaN, and -250 dBZ for no echo
    np.testing.assert_allclose(opened.x, expected.x, atol=1e-3)
    np.testing.assert_allclose(opened.y, expected.y, atol=1e-3)
    assert (opened.time == expected.time).all()
    assert opened.reflectivity.attrs["units"] == "dBZ"
    part = hsrgeo.open(rain.to_odim(tmp_path / "rain.h5"), window=BOX, chunks=None, undetect=0)
    np.testing.assert_allclose(part.rain_rate[0], rain.crop(window=BOX).physical(), atol=1e-5)
    assert float(hsrgeo.open(tmp_path / "rain.h5").rain_rate.min()) == 0
    assert np.isnan(hsrgeo.open(tmp_path / "rain.h5", undetect="nan").rain_rate.min(skipna=False))


def test_files_of_several_times_lie_one_after_the_other(frame: hsrgeo.Frame, tmp_path: Path) -> None:
    part = frame.crop(window=BOX)
    later = hsrgeo.frame(part.physical(), part, time=TIME + timedelta(minutes=5))
    paths = [later.to_odim(tmp_path / "later.h5"), part.to_odim(tmp_path / "first.h5")]
    opened = hsrgeo.open(paths)
    assert opened.sizes["time"] == 2
    assert opened.indexes["time"].is_monotonic_increasing
    with pytest.raises(SourceError, match="same time"):
        hsrgeo.open([paths[0], paths[0]])
    other = frame.crop(window=(0, 0, 40, 30)).to_odim(tmp_path / "other.h5")
    with pytest.raises(SourceError, match="another grid"):
        hsrgeo.open([paths[0], other])
    with pytest.raises(OptionsError, match="made: give them there"):
        hsrgeo.open(paths, quantity="rain")


def test_times_of_files_are_chosen(frame: hsrgeo.Frame, tmp_path: Path) -> None:
    part, after = frame.crop(window=BOX), TIME + timedelta(minutes=5)
    later = hsrgeo.frame(part.physical(), part, time=after)
    paths = [later.to_odim(tmp_path / "later.h5"), part.to_odim(tmp_path / "first.h5")]
    assert hsrgeo.open(paths, start=after).equals(hsrgeo.open(paths[0]))
    assert hsrgeo.open(paths, times=[after]).equals(hsrgeo.open(paths[0]))
    assert hsrgeo.open(paths, end=after).equals(hsrgeo.open(paths[1]))
    with pytest.raises(SourceError, match="contains none of the requested times"):
        hsrgeo.open(paths, end=TIME)
    wrong: list[dict[str, Any]] = [{"product": "HSR"}, {"kind": "PUB"}, {"every": "1h"}, {"region": "seoul"}]
    for options in wrong:
        with pytest.raises(OptionsError, match="do not go with ODIM files"):
            hsrgeo.open(paths, **options)


# Files of others


class Foreign:
    """A small composite as another program would write it; a test changes what it wants."""

    projdef = "+proj=laea +lat_0=55 +lon_0=10 +x_0=1950000 +y_0=-2100000 +ellps=WGS84"
    left, top, cell = 100_000.0, -50_000.0, 2000.0

    def __init__(self) -> None:
        self.rows, self.cols = 3, 4
        self.what: dict[str, Any] = {
            "object": "COMP",
            "version": "H5rad 2.3",
            "source": "ORG:247",
            "date": "20260102",
            "time": "030000",
        }
        self.how: dict[str, Any] = {}
        self.half = 0.0
        self.images: dict[str, tuple[Any, dict[str, Any]]] = {
            "dataset1/data1": (
                np.array([[0, 1, 2, 255]] * 3, np.uint8),
                {"quantity": "DBZH", "gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": 0.0},
            )
        }

    def where(self) -> dict[str, Any]:
        project = pyproj.Proj(self.projdef)
        right, bottom = self.left + self.cols * self.cell, self.top - self.rows * self.cell
        half = self.half * self.cell
        corners = {"UL": (self.left + half, self.top - half), "LR": (right - half, bottom + half)}
        degrees = {corner: project(*metres, inverse=True) for corner, metres in corners.items()}
        return {
            "projdef": self.projdef,
            "xsize": self.cols,
            "ysize": self.rows,
            "xscale": self.cell,
            "yscale": self.cell,
            **{
                f"{corner}_{axis}": place[at]
                for corner, place in degrees.items()
                for at, axis in enumerate(("lon", "lat"))
            },
        }

    def write(self, path: Path, change: Any = None, **where: Any) -> Path:
        with h5py.File(path, "w") as file:
            for group, attributes in (("what", self.what), ("where", self.where() | where), ("how", self.how)):
                file.create_group(group).attrs.update(attributes)
            for image, (values, attributes) in self.images.items():
                file.create_group(f"{image}/what").attrs.update(attributes)
                file.create_dataset(f"{image}/data", data=values)
            if change:
                change(file)
        return path


@pytest.fixture
def foreign() -> Foreign:
    return Foreign()


def test_another_projection_gain_and_marker(foreign: Foreign, tmp_path: Path) -> None:
    opened = hsrgeo.open(foreign.write(tmp_path / "x.h5"))
    assert opened.reflectivity[0, 0].values.tolist()[:3] == [-250, -31.5, -31]  # 0.5 * 1 - 32, 0.5 * 2 - 32
    assert np.isnan(opened.reflectivity[0, 0, 3])
    np.testing.assert_allclose(opened.x, [101_000, 103_000, 105_000, 107_000], atol=1e-3)
    np.testing.assert_allclose(opened.y, [-51_000, -53_000, -55_000], atol=1e-3)
    assert "Lambert Azimuthal Equal Area" in opened.spatial_ref.attrs["crs_wkt"]
    assert str(opened.time.values[0]).startswith("2026-01-02T03:00")


def test_corners_that_are_centres_give_the_same_place(foreign: Foreign, tmp_path: Path) -> None:
    foreign.half = 0.5
    opened = hsrgeo.open(foreign.write(tmp_path / "x.h5"))
    np.testing.assert_allclose(opened.x, [101_000, 103_000, 105_000, 107_000], atol=1e-3)
    np.testing.assert_allclose(opened.y, [-51_000, -53_000, -55_000], atol=1e-3)


def test_several_datasets_and_a_quantity_that_has_no_name_here(foreign: Foreign, tmp_path: Path) -> None:
    facts = {"gain": 0.1, "offset": 0.0, "nodata": -1.0, "undetect": 0.0}
    acrr = np.array([[0, 15, -1, 30]] * 3, np.float32)
    foreign.images["dataset2/data1"] = acrr, {**facts, "quantity": "ACRR"}
    foreign.images["dataset2/data2"] = acrr, {**facts, "quantity": "VIL"}
    foreign.images["dataset3/data1"] = acrr, {**facts, "quantity": "ACRR"}
    opened = hsrgeo.open(foreign.write(tmp_path / "x.hdf5"))
    assert set(opened.data_vars) == {"reflectivity", "rain_depth", "vil", "rain_depth_3_1"}
    np.testing.assert_allclose(opened.rain_depth[0, 0], [0, 1.5, np.nan, 3])  # no rain is 0 mm
    np.testing.assert_allclose(opened.vil[0, 0], [np.nan, 1.5, np.nan, 3])


def _soft(file: Any) -> None:
    del file["dataset1/data1/data"]
    file["dataset1/data1/data"] = h5py.SoftLink("/what")


def _external(file: Any) -> None:
    del file["dataset1/data1"]
    file["dataset1/data1"] = h5py.ExternalLink("/etc/passwd", "/x")


def _virtual(file: Any) -> None:
    del file["dataset1/data1/data"]
    layout = h5py.VirtualLayout((3, 4), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3, 4))
    file["dataset1/data1"].create_virtual_dataset("data", layout)


def _raw_file(file: Any) -> None:
    del file["dataset1/data1/data"]
    file["dataset1/data1"].create_dataset("data", (3, 4), "u1", external=[("/etc/hostname", 0, 12)])


def _giant(file: Any) -> None:
    del file["dataset1/data1/data"]
    file["dataset1/data1"].create_dataset("data", (1 << 20, 1 << 20), "u1", chunks=(256, 256))
    file["where"].attrs.update({"xsize": 1 << 20, "ysize": 1 << 20})


def _bomb(file: Any) -> None:
    del file["dataset1/data1/data"]
    data = file["dataset1/data1"].create_dataset("data", (3, 4), "u1", chunks=(3, 4), compression="gzip")
    data.id.write_direct_chunk((0, 0), zlib.compress(bytes(40_000), 9))  # for 12 cells


def _large_bomb(file: Any) -> None:
    _bomb(file)
    file["dataset1/data1/data"].id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 24), 9))


def _masked_bomb(file: Any) -> None:
    del file["dataset1/data1/data"]
    group = file["dataset1/data1"]
    data = group.create_dataset("data", (3, 4), "u1", chunks=(3, 4), compression="gzip", shuffle=True)
    data.id.write_direct_chunk((0, 0), zlib.compress(bytes(40_000), 9), 1)  # without the first filter, shuffle


def _wide_chunk(file: Any) -> None:
    del file["dataset1/data1/data"]
    group = file["dataset1/data1"]
    group.create_dataset("data", (3, 4), "u1", maxshape=(None, None), chunks=(1 << 15, 1 << 15), compression="gzip")


def _tiny_chunks(file: Any) -> None:
    del file["dataset1/data1/data"]
    file["dataset1/data1"].create_dataset("data", (3, 4), "u1", chunks=(1, 1))[...] = 1


def test_tiny_chunks_are_read_and_their_number_is_bounded(
    foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = foreign.write(tmp_path / "x.h5", _tiny_chunks)
    assert read_odim(path.read_bytes(), "x")[0].stored.tolist() == [[1] * 4] * 3
    monkeypatch.setattr(hdf5, "MOST_CHUNKS", 11)
    with pytest.raises(FrameError, match=r"expected chunks that make up the image, found 12 of 1 bytes"):
        read_odim(path.read_bytes(), "x")


def _lzf(file: Any) -> None:
    del file["dataset1/data1/data"]
    file["dataset1/data1"].create_dataset("data", data=np.zeros((3, 4), "u1"), compression="lzf")


def _attributes(group: str, **values: Any) -> Any:
    return lambda file: file[group].attrs.update(values)


WRONG = {
    "polar volume": (_attributes("what", object="PVOL", source="WMO:47101,PLC:GDK"), "found a polar volume of GDK"),
    "scan": (_attributes("what", object="SCAN", source="NOD:krkwk"), "found a polar scan of krkwk"),
    "cross-section": (_attributes("what", object="XSEC"), "found a vertical cross-section;"),
    "unknown object": (_attributes("what", object="\x1b[31m"), r"found an ODIM object '\\x1b\[31m'"),
    "no object": (lambda file: file.__delitem__("what"), "HDF5, not a composite"),
    "no date": (lambda file: file["what"].attrs.__delitem__("date"), "date and time"),
    "no such date": (_attributes("what", date="20260231"), "found 20260231030000"),
    "no size": (
        lambda file: file["where"].attrs.__delitem__("xsize"),
        "/where, xsize: expected a number, found nothing",
    ),
    "a text for a size": (_attributes("where", xsize="4"), "xsize"),
    "not a number": (_attributes("where", xscale=np.nan), "xscale"),
    "other size": (_attributes("where", xsize=5), "corners"),
    "corner": (_attributes("where", UL_lon=np.float64(500)), "corners"),
    "no cells": (_attributes("where", xsize=0), "found 0 x 3"),
    "negative cells": (_attributes("where", xscale=-2000.0), "above 0"),
    "projection": (_attributes("where", projdef="+proj=nonsense"), "projdef"),
    "file in projection": (_attributes("where", projdef="+proj=laea +nadgrids=@/etc/passwd"), "projdef"),
    "init file": (_attributes("where", projdef="+init=/etc/passwd:4326"), "projdef"),
    "slow to match": (_attributes("where", projdef="+proj=lcc " + "a" * 900 + "\xff"), "projdef"),
    "no projection": (_attributes("where", projdef=""), "projdef"),
    "no image": (lambda file: file.__delitem__("dataset1/data1"), "found none"),
    "no gain": (lambda file: file["dataset1/data1/what"].attrs.__delitem__("gain"), "gain: expected a number"),
    "soft link": (_soft, "found a link to another place"),
    "external link": (_external, "found a link to another place"),
    "virtual": (_virtual, "values in another file"),
    "external pixels": (_raw_file, "values in another file"),
    "giant": (_giant, "found 1048576 x 1048576"),
    "bomb": (_bomb, "unpacks to something else"),
    "bomb that is not shuffled": (_masked_bomb, "unpacks to something else"),
    "large bomb": (_large_bomb, "expected chunks of at most 12 bytes"),
    "chunk larger than the image": (_wide_chunk, "chunks that make up the image"),
    "other filters": (_lzf, "the filters deflate"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_sound_composite_says_what_it_is(foreign: Foreign, tmp_path: Path, case: str) -> None:
    change, message = WRONG[case]
    path = foreign.write(tmp_path / "x.h5", change)
    with pytest.raises(FrameError, match=message) as caught:
        hsrgeo.open(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).isprintable()


def test_texts_of_which_many_can_be_the_same_long_one_are_not_read(foreign: Foreign, tmp_path: Path) -> None:
    change = _attributes("what", object=np.array(["COMP", "COMP"], object))  # of any length: references to a heap
    with pytest.raises(FrameError, match="not a composite: no /what/object"):
        hsrgeo.open(foreign.write(tmp_path / "x.h5", change))


@pytest.mark.parametrize("number", [2, 3])
def test_images_together_are_bounded(
    foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for image in range(2, number + 1):  # of 3 x 4 cells of one byte each
        foreign.images[f"dataset1/data{image}"] = foreign.images["dataset1/data1"]
    texts = sum(len(value) for value in foreign.what.values()) + len(foreign.projdef) + number * len("DBZH")
    path = foreign.write(tmp_path / "x.h5")
    monkeypatch.setattr(hdf5, "_MOST_READ", texts + 12 * number)
    assert len(read_odim(path.read_bytes(), "x")) == number
    monkeypatch.setattr(hdf5, "_MOST_READ", texts + 12 * number - 1)
    with pytest.raises(FrameError, match=f"/dataset1/data{number}/data: expected at most .* bytes in all"):
        read_odim(path.read_bytes(), "x")


def test_what_is_no_hdf5_says_what_it_is(tmp_path: Path, frame_file: bytes, foreign: Foreign) -> None:
    with pytest.raises(FrameError, match=r"not HDF5: .* the start of gzip"):
        read_odim(frame_file, "x")
    whole = foreign.write(tmp_path / "x.h5").read_bytes()
    for length in (9, 100, len(whole) // 2, len(whole) - 1):
        with pytest.raises(FrameError):
            read_odim(whole[:length], "x")


def test_damage_is_an_error_and_nothing_else(frame: hsrgeo.Frame, tmp_path: Path) -> None:
    whole = frame.crop(window=(400, 600, 8, 8)).to_odim(tmp_path / "x.h5").read_bytes()
    for seed in range(40):
        chance = random.Random(seed)  # noqa: S311 - no secret
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 4, 16))):
            damaged[chance.randrange(len(damaged))] = chance.choice((0, 1, 127, 128, 255))
        with suppress(FrameError):
            read_odim(bytes(damaged), "x")


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", 10)
    with pytest.raises(HsrGeoError, match="too large"):
        read_odim(MAGIC + bytes(10), "x")


def test_texts_of_a_stranger_are_escaped(foreign: Foreign, tmp_path: Path) -> None:
    foreign.how = {"software": "\x1b]0;x\x07"}
    foreign.what["source"] = "ORG:\x1b[31m"
    opened = hsrgeo.open(foreign.write(tmp_path / "x.h5"))
    assert json.dumps(opened.attrs, ensure_ascii=False).isprintable()


# Other readers


def test_rasterio_finds_the_place_and_the_values(frame: hsrgeo.Frame, tmp_path: Path) -> None:
    part = hsrgeo.rain_frame(frame.crop(window=WIDE))
    with rasterio.open(part.to_odim(tmp_path / "x.h5")) as dataset:
        assert dataset.nodata == 65535
        values = dataset.read(1)
        assert dataset.transform.almost_equals(part.transform, 1e-3)
    observed = values != 65535
    np.testing.assert_allclose(values[observed] * 0.01, part.physical()[observed], atol=1e-5)


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="no gdal-bin")
def test_debians_gdal_finds_the_place_and_the_values(frame: hsrgeo.Frame, tmp_path: Path) -> None:
    part = frame.crop(window=WIDE)
    path = part.to_odim(tmp_path / "x.h5")
    info = json.loads(subprocess.run(["gdalinfo", "-json", str(path)], capture_output=True, check=True).stdout)
    assert info["geoTransform"] == pytest.approx(part.transform.to_gdal(), abs=1e-3)
    assert info["bands"][0]["noDataValue"] == 65535
    command = ["gdallocationinfo", "-valonly", str(path), "7", "5"]
    value = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert value * 0.01 - 327.68 == pytest.approx(part.physical()[5, 7], abs=1e-4)


def test_the_time_of_an_early_frame_is_ten_minutes_long(frame: hsrgeo.Frame, tmp_path: Path) -> None:
    part = frame.crop(window=WIDE)
    early = hsrgeo.frame(part.physical(), part, time=datetime(2018, 6, 9, 11, 10, tzinfo=hsrgeo.KST))
    image = read_odim(early.to_odim(tmp_path / "x.h5").read_bytes(), "x")[0]
    assert image.end - image.start == timedelta(minutes=10)

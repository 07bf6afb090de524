from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.writers.tags import describe, frame_tags, imagery_tags, statistics_tags
from tests.conftest import COUNTS, NX, NY, MakeFile, frame_name

KST = timezone(timedelta(hours=9))
LICENCE = "Korea Open Government Licence type 1 (attribution: Korea Meteorological Administration)"


def test_every_tag_of_a_frame_worked_by_hand(frame: Frame, frame_file: bytes) -> None:
    # 11:15 KST is 02:15 UTC; the header's creation time is 6 min 42 s later: 11:21:42 KST, 02:21:42 UTC
    assert frame_tags(frame) == {
        "TIFFTAG_DATETIME": "2022:06:09 02:15:00",
        "TIFFTAG_IMAGEDESCRIPTION": (
            "KMA HSR composite, reflectivity (dBZ), 2022-06-09 11:15 KST (2022-06-09 02:15 UTC)"
        ),
        "TIFFTAG_COPYRIGHT": LICENCE,
        "TIFFTAG_SOFTWARE": "hsrgeo",
        "PRODUCT": "HSR",
        "KIND": "PUB",
        "QUANTITY": "reflectivity",
        "UNIT": "dBZ",
        "TIME_START_UTC": "2022-06-09T02:15:00Z",
        "TIME_START_KST": "2022-06-09T11:15:00+09:00",
        "CREATED_UTC": "2022-06-09T02:21:42Z",
        "STATION_COUNT": "3",
        "STATIONS": "KWK,GDK,BRI",
        "SOURCE": "RDR_CMP_HSR_PUB_202206091115.bin.gz",
        "SOURCE_CRC32": f"{zlib.crc32(gzip.decompress(frame_file)):08x}",
        "SOURCE_BLOCK": "1 of 1",
        "GRID": "kma-hb-1km",
        "WINDOW": "0 0 1153 1441",
        "VALUES": "raw",
        "NODATA": "-30000",
        "UNDETECT": "-25000",
        "COUNT_NODATA": str(COUNTS["nodata"]),
        "COUNT_UNDETECT": str(COUNTS["undetect"]),
        "COUNT_ECHO": str(COUNTS["echo"]),
        "COUNT_BLEND": str(COUNTS["blend"]),
        "OVERVIEW_RESAMPLING": "NEAREST",
        "LICENCE": LICENCE,
    }
    assert imagery_tags(frame) == {"ACQUISITIONDATETIME": "2022-06-09T02:15:00Z"}


def test_clean_changes_the_policy_and_nothing_else(frame: Frame) -> None:
    raw, clean = frame_tags(frame), frame_tags(frame.clean())
    assert {name for name in raw if raw[name] != clean[name]} == {"VALUES"}
    assert clean["VALUES"] == "clean"
    assert statistics_tags(frame) == statistics_tags(frame.clean())


def test_a_crop_tells_its_window_and_its_own_counts(frame: Frame) -> None:
    # row 150, columns 200..211 are twelve blends below -25000; 199 and 212..213 are -25000
    tags = frame_tags(frame.crop(window=(199, 150, 15, 1)))
    assert tags["WINDOW"] == "199 150 15 1"
    counts = {name: tags[f"COUNT_{name}"] for name in ("NODATA", "UNDETECT", "ECHO", "BLEND")}
    assert counts == {"NODATA": "12", "UNDETECT": "3", "ECHO": "0", "BLEND": "12"}
    inner = frame.crop(window=(100, 100, 200, 200)).crop(window=(7, 9, 2, 3))
    assert frame_tags(inner)["WINDOW"] == "107 109 2 3"  # always within the full grid


def test_utc_may_be_the_day_and_year_before(make_file: MakeFile) -> None:
    time = datetime(2022, 1, 1, 5, 0, tzinfo=KST)  # 9 hours earlier: 2021-12-31 20:00 UTC
    frame = decode(make_file(time=time), frame_name(time))
    tags = frame_tags(frame)
    assert tags["TIME_START_UTC"] == "2021-12-31T20:00:00Z"
    assert tags["TIME_START_KST"] == "2022-01-01T05:00:00+09:00"
    assert tags["TIFFTAG_DATETIME"] == "2021:12:31 20:00:00"
    assert imagery_tags(frame)["ACQUISITIONDATETIME"] == "2021-12-31T20:00:00Z"
    assert describe(frame).endswith("2022-01-01 05:00 KST (2021-12-31 20:00 UTC)")


def test_what_is_unknown_is_left_out(make_file: MakeFile) -> None:
    frame = decode(make_file(tm_in_fields=(0, 0, 0, 0, 0, 0), stations=[]), "whatever.bin.gz")
    tags = frame_tags(frame)
    assert {"CREATED_UTC", "STATIONS", "KIND", "SYNTHETIC"}.isdisjoint(tags)
    assert tags["STATION_COUNT"] == "0"
    assert tags["PRODUCT"] == "HSR"  # by ptype 5
    assert tags["SOURCE"] == "whatever.bin.gz"


def test_only_synthetic_frames_are_called_synthetic(make_file: MakeFile, frame: Frame) -> None:
    made_up = decode(make_file(etc=b"SYNTHETIC"), frame_name())
    assert frame_tags(made_up)["SYNTHETIC"] == "yes"
    assert describe(made_up).startswith("SYNTHETIC KMA HSR composite")
    assert describe(frame).startswith("KMA HSR composite")


@pytest.mark.parametrize(
    ("code", "product", "name", "unit", "codes"),
    [
        (2, "HSR", "height", "m", ("-30000", "-25000")),
        (5, "HSP", "rain_rate", "mm/h", ("-30000", "-25000")),
        (6, "HCI", "hydrometeor", None, ("-300", "-250")),
        (7, "PTY", "precipitation_type", None, ("0", "1")),
        (8, "CPP", "temperature", "degC", ("-30000", "-25000")),
    ],
)
def test_the_quantity_decides_unit_and_codes(
    make_file: MakeFile, code: int, product: str, name: str, unit: str | None, codes: tuple[str, str]
) -> None:
    frame = decode(make_file(data_codes=(code,)), frame_name(product=product))
    tags = frame_tags(frame)
    assert (tags["QUANTITY"], tags.get("UNIT")) == (name, unit)
    assert (tags["NODATA"], tags["UNDETECT"]) == codes
    text = f"{name} ({unit})" if unit else name
    assert describe(frame).startswith(f"KMA {product} composite, {text}, 2022-06-09")


def test_a_second_block_says_so(make_file: MakeFile) -> None:
    layers = [make_file.pixels, np.full((NY, NX), 1234, np.int16), np.full((NY, NX), 2, np.int16)]
    tags = frame_tags(decode(make_file(*layers), frame_name(), block=2))
    assert (tags["SOURCE_BLOCK"], tags["QUANTITY"], tags["COUNT_VALUE"]) == ("2 of 3", "height", str(NX * NY))
    assert "COUNT_ECHO" not in tags  # a height is no echo
    assert statistics_tags(decode(make_file(*layers), frame_name(), block=2))["STATISTICS_OF"] == (
        "cells with a value only"
    )


def test_rain_is_dry_where_kma_stores_no_echo(make_file: MakeFile) -> None:
    # Six cells: outside, two dry, 0.04 and 12.50 mm/h, and one at KMA's cap of 150.00.
    cells = np.full((NY, NX), -30000, np.int16)
    cells[0, 1:6] = (-25000, -25000, 4, 1250, 15000)
    rain = decode(make_file(cells, data_codes=(5,)), frame_name(product="HSP")).crop(window=(0, 0, 6, 1))
    clean = rain.clean()
    assert clean.raw.tolist() == [[-30000, 0, 0, 4, 1250, 15000]]
    tags = frame_tags(clean)
    assert (tags["UNDETECT"], tags["VALUES"], tags["COUNT_CAPPED"]) == ("0", "clean", "1")
    assert [tags[f"COUNT_{name}"] for name in ("NODATA", "UNDETECT", "ECHO", "BLEND")] == ["1", "2", "3", "0"]
    # Of the five observed: mean (4 + 1250 + 15000) / 5 = 3250.8; mean of squares (16 + 1562500 + 225000000) / 5 =
    # 45312503.2; variance 45312503.2 - 3250.8^2 = 34744802.56; 5 of 6 cells are 83.33 %
    assert statistics_tags(clean) == {
        "STATISTICS_MINIMUM": "0",
        "STATISTICS_MAXIMUM": "15000",
        "STATISTICS_MEAN": "3250.8000",
        "STATISTICS_STDDEV": f"{34744802.56**0.5:.4f}",
        "STATISTICS_VALID_PERCENT": "83.33",
        "STATISTICS_OF": "observed cells, dry ones are 0",
    }
    raw = frame_tags(rain)  # bit for bit as stored
    assert (raw["UNDETECT"], raw["VALUES"], raw["COUNT_CAPPED"]) == ("-25000", "raw", "1")
    dry = replace(clean, stored=np.zeros((1, 2), np.int16))
    assert statistics_tags(dry)["STATISTICS_MEAN"] == "0.0000"
    assert statistics_tags(replace(clean, stored=np.full((1, 2), -30000, np.int16))) == {}


def test_statistics_worked_by_hand(frame: Frame) -> None:
    # The echo is k % 6000 - 500 for k in 0..65535: ten whole rounds of 0..5999 and then 0..5535.
    #   sum = 10 * 5999 * 6000 / 2 + 5535 * 5536 / 2 - 500 * 65536 = 179,970,000 + 15,320,880 - 32,768,000
    #       = 162,522,880; mean = 162,522,880 / 65,536 = 2479.902343750
    # 65,536 of 1153 * 1441 = 1,661,473 cells are 3.944 %
    tags = statistics_tags(frame)
    assert tags["STATISTICS_MINIMUM"] == "-500"
    assert tags["STATISTICS_MAXIMUM"] == "5499"
    assert tags["STATISTICS_MEAN"] == "2479.9023"
    assert tags["STATISTICS_VALID_PERCENT"] == "3.944"
    assert tags["STATISTICS_OF"] == "echo cells only"
    echo = (np.arange(65536) % 6000 - 500).astype(np.float64)
    assert float(tags["STATISTICS_STDDEV"]) == pytest.approx(np.sqrt(np.mean((echo - echo.mean()) ** 2)), abs=6e-5)


@pytest.mark.parametrize(
    ("cells", "minimum", "maximum", "mean", "stddev"),
    [
        ([[-25000, 100], [300, -30000]], "100", "300", "200.0000", "100.0000"),
        ([[-10000, -10001]], "-10000", "-10000", "-10000.0000", "0.0000"),  # the limit itself is echo
        ([[-29687, 0, 0, 9]], "0", "9", "3.0000", "4.2426"),  # variance (9 + 9 + 36) / 3 = 18
        ([[32767, 32766]], "32766", "32767", "32766.5000", "0.5000"),
    ],
)
def test_statistics_are_of_echo_only(
    frame: Frame, cells: list[list[int]], minimum: str, maximum: str, mean: str, stddev: str
) -> None:
    stored = np.array(cells, np.int16)
    height, width = stored.shape
    small = replace(frame.crop(window=(0, 0, width, height)), stored=stored)
    tags = statistics_tags(small)
    messages = [tags[f"STATISTICS_{name}"] for name in ("MINIMUM", "MAXIMUM", "MEAN", "STDDEV")]
    assert messages == [minimum, maximum, mean, stddev]


def test_no_echo_no_statistics(frame: Frame) -> None:
    assert statistics_tags(frame.crop(window=(0, 0, 150, 150))) == {}


def test_a_name_and_stations_that_are_no_text_become_text(make_file: MakeFile) -> None:
    tm = (2022, 6, 9, 11, 15, 0)
    data = make_file(stations=[(b"A\x01<&", tm, tm), (b"\xff\xfe", tm, tm)])
    tags = frame_tags(decode(data, "\udcff한글\n\x07.bin.gz"))
    # a byte that is no UTF-8, and control codes, are spelled out; letters of any language stay
    assert tags["SOURCE"] == r"\udcff한글\n\x07.bin.gz"
    assert tags["STATIONS"] == r"A\x01<&,\xff\xfe"
    for value in tags.values():
        assert value.encode("utf-8").decode().isprintable()

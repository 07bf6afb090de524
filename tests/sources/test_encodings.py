"""Texts in other encodings than UTF-8: read where they are named, and said in plain words where they are not."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from hsrgeo.engine.factors import read_factors
from hsrgeo.engine.fetch_gauges import fetch_readings
from hsrgeo.engine.regions import read_regions
from hsrgeo.engine.series.series_table import series_lines
from hsrgeo.errors import HsrGeoError, OptionsError
from hsrgeo.places.places import read_points
from hsrgeo.sources.encodings import decoded
from hsrgeo.sources.gauge_rules import ReadingRules
from hsrgeo.sources.gauges import read_readings
from hsrgeo.sources.select import read_times

GAUGES = "name,lon,lat\n서울,126.9,37.5\n"
READINGS = "time,name,rain_mm\n2022-06-09 12:00,서울,1.5\n"
REGIONS = "name,west,south,east,north\n서울,126.7,37.4,127.2,37.7\n"


def names(path: Path, encoding: str) -> object:
    return read_points(path, encoding).names


def readings(path: Path, encoding: str) -> object:
    rules = ReadingRules(step=timedelta(hours=1), encoding=encoding)
    return tuple(read_readings(path, ("서울",), rules).names)


def regions(path: Path, encoding: str) -> object:
    listed, _notes = read_regions(path, None, encoding)
    return tuple(one.name for one in listed)


READERS: list[tuple[Callable[[Path, str], object], str]] = [(names, GAUGES), (readings, READINGS), (regions, REGIONS)]


@pytest.mark.parametrize(("read", "text"), READERS)
def test_each_file_is_read_in_its_own_encoding(tmp_path: Path, read: Callable[[Path, str], object], text: str) -> None:
    """One --encoding is for all files of a command, so that those that are UTF-8 are seen to be that."""
    path = tmp_path / "a.csv"
    for file, said in (("utf-8", "cp949"), ("utf-8-sig", "cp949"), ("cp949", "cp949"), ("utf-16", "utf-16")):
        path.write_bytes(text.encode(file))
        assert read(path, said) == ("서울",)


@pytest.mark.parametrize(("read", "text"), READERS)
def test_a_wrong_encoding_says_what_to_do(tmp_path: Path, read: Callable[[Path, str], object], text: str) -> None:
    path = tmp_path / "a.csv"
    for file, said, message in (
        ("cp949", "utf-8", r"must be UTF-8.*; in Excel save as 'CSV UTF-8', or say .* such as --encoding cp949$"),
        ("cp949", "ascii", r"is neither UTF-8 nor ascii; in Excel .* such as --encoding cp949$"),
        ("utf-16", "utf-8", r"must be UTF-8.*, and is UTF-16; in Excel .* such as --encoding utf-16$"),
        ("utf-16", "cp949", r"is neither UTF-8 nor cp949, but UTF-16; in Excel .* such as --encoding utf-16$"),
        ("cp949", "klingon", "encoding 'klingon' is not known: expected utf-8 or cp949"),
        ("cp949", "undefined", "encoding 'undefined' is not known"),
        ("cp949", "a\0b", r"encoding 'a\\x00b' is not known"),
        ("cp949", "hex", "encoding 'hex' is not known"),
    ):
        path.write_bytes(text.encode(file))
        with pytest.raises(OptionsError, match=message):
            read(path, said)


@pytest.mark.parametrize("said", ["utf-8", "cp949"])
@pytest.mark.parametrize("read", [names, readings, regions, lambda path, _said: read_times(path)])
def test_an_excel_workbook_is_called_so(tmp_path: Path, read: Callable[[Path, str], object], said: str) -> None:
    workbook = io.BytesIO()
    with zipfile.ZipFile(workbook, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", "<workbook/>" * 100)
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
    for suffix, data in ((".xlsx", workbook.getvalue() + b"\xff\xff"), (".xls", old)):
        path = tmp_path / f"지점{suffix}"
        path.write_bytes(data)
        with pytest.raises(HsrGeoError, match=rf"is an Excel workbook \({suffix}\) .*save as 'CSV UTF-8'$"):
            read(path, said)


def test_no_message_has_pythons_words_of_an_encoding(tmp_path: Path) -> None:
    """Of files that are always UTF-8, as hsrgeo writes them."""
    table = tmp_path / "a.csv"
    head = "time_utc,time_kst,name,hours,bias,rain_mm_h,coverage\n"
    table.write_bytes((head + "2022-06-09T03:00:00Z,,서울,1,1.5,1,1\n").encode("cp949"))
    attempts: list[Callable[[], object]] = [
        lambda: read_factors(table),
        lambda: list(series_lines(table)),
        lambda: read_times(table),
        lambda: fetch_readings(table, start="2022-06-09 00:00", end="2022-06-09 02:00").run(),
    ]
    for attempt in attempts:
        with pytest.raises(HsrGeoError) as caught:
            attempt()
        assert "codec can't decode" not in str(caught.value)
        assert "the byte 0xbc is not of UTF-8; in Excel save as 'CSV UTF-8'" in str(caught.value)  # 서 is bc ad


def test_a_mark_is_no_part_of_the_text() -> None:
    assert decoded("a", "가".encode("utf-8-sig"), None) == "가"

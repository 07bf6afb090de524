from __future__ import annotations

import itertools
import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.engine.regions import Region, read_regions
from hsrgeo.errors import OptionsError
from hsrgeo.model.window import BBox

SEOUL = Region("서울", BBox(126.7, 37.4, 127.2, 37.7))
BUSAN = Region("부산", BBox(128.8, 35.0, 129.3, 35.4))
HEAD = "name,west,south,east,north\n"
NUMBERS = map(str, itertools.count(1))
"""For faults whose text is too long for a name."""


def read(folder: Path, text: str, encoding: str = "utf-8", name: str = "regions.csv") -> tuple[Region, ...]:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return read_regions(path)[0]


def refused(folder: Path, text: str | bytes, message: str) -> None:
    path = folder / "regions.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(OptionsError, match=message) as caught:
        read_regions(path)
    assert str(caught.value).startswith(str(path))


# CSV


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "서울,126.7,37.4,127.2,37.7\n부산,128.8,35.0,129.3,35.4\n",
        HEAD + "서울,126.7,37.4,127.2,37.7\n부산,128.8,35.0,129.3,35.4",
        HEAD.replace("\n", "\r\n") + "서울,126.7,37.4,127.2,37.7\r\n부산,128.8,35.0,129.3,35.4\r\n",
        HEAD + "\n서울,126.7,37.4,127.2,37.7\n\n\n부산,128.8,35.0,129.3,35.4\n,,,,\n \n",
        HEAD + '"서울" , 126.7 , 37.4 , 127.2 , 37.7\n  부산,+128.8,35,1.293e2,35.4,,\n',
        "번호, North ,EAST,South,name,West\n1,37.7,127.2,37.4,서울,126.7\n2,35.4,129.3,35.0, 부산 ,128.8\n",
    ],
    ids=["plain", "no last newline", "Windows", "blank lines", "spaces and forms of numbers", "order and capitals"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv(tmp_path: Path, text: str, encoding: str) -> None:
    assert read(tmp_path, text, encoding) == (SEOUL, BUSAN)


def test_a_name_may_hold_a_comma_and_spaces(tmp_path: Path) -> None:
    (region,) = read(tmp_path, HEAD + '"강남, 서초 (Seoul)",126.7,37.4,127.2,37.7\n')
    assert region.name == "강남, 서초 (Seoul)"


def test_names_become_nfc_as_other_systems_have_them(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "서울")  # as macOS writes it: 4 letters
    assert len(decomposed) > len("서울")
    assert read(tmp_path, f"{HEAD}{decomposed},126.7,37.4,127.2,37.7\n") == (SEOUL,)
    refused(
        tmp_path, f"{HEAD}{decomposed},1,2,3,4\n서울,1,2,3,4\n", r"two regions would share a folder: '서울' and '서울'$"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            r"line 1: must name the columns name,west,.*; missing name,west,south,east,north; found nothing$",
        ),
        (
            "name,west,south,east\nx,1,2,3\n",
            r"line 1: must name the columns .*; missing north; found name, west, south, east$",
        ),
        ("name;west;south;east;north\nx;1;2;3;4\n", r"line 1: must name the columns .*; missing name,west"),
        ("서울,126.7,37.4,127.2,37.7\n", r"line 1: must name the columns"),
        ("boxes\n" + HEAD, r"line 1: must name .*; line 2 has the columns name, west, south, east, north: delete the"),
        ("sep=;\nname;west;south;east;north\na;x;2;3;4\n", r"line 3: west, south, east, north must be numbers$"),
        (HEAD, r"csv: contains no region$"),
        (HEAD + "\n,,,,\n", r"csv: contains no region$"),
        (HEAD + "a,1,2,3,4\nb,x,2,3,4\n", r"line 3: west, south, east, north must be numbers$"),
        (HEAD + "a,1,2,3,4\n\nb,1,2,,4\n", r"line 4: west, south, east, north must be numbers$"),
        (HEAD + "a,1,2,3\n", r"line 2: west, south, east, north must be numbers$"),
        (HEAD + "a,126,7,37,4,127,2,37,7\n", r"line 2: more cells than columns$"),  # commas in place of points
        (HEAD + "a,nan,2,3,4\n", r"line 2: bbox nan 2 3 4: every edge must be a finite number"),
        (HEAD + "a,1,2,inf,4\n", r"line 2: bbox 1 2 inf 4: every edge must be a finite number"),
        (HEAD + "a,3,2,1,4\n", r"line 2: bbox 3 2 1 4: west must be less than east"),
        (HEAD + "a,37.4,126.7,37.7,127.2\n", r"line 2: .*latitudes beyond 90 degrees; the order is WEST SOUTH EAST"),
        (HEAD + ",1,2,3,4\n", r"line 2: region name '': must be usable as a folder name"),
        (HEAD + '"a\nb",1,2,3,4\n', r"line 3: region name 'a\\nb': must be usable as a folder name"),
        (HEAD + "서울,1,2,3,4\nBusan,1,2,3,4\n서울,1,2,3,4\n", r"two regions would share a folder: '서울' and '서울'$"),
        (HEAD + "Seoul,1,2,3,4\nSEOUL,1,2,3,4\n", r"two regions would share a folder: 'Seoul' and 'SEOUL'$"),
        (HEAD + '"' + "x" * 200_000 + '",1,2,3,4\n', r"line \d: has a cell of more than 131,072 letters: is a quote"),
        (
            (HEAD + "서울,126.7,37.4,127.2,37.7\n").encode("cp949"),
            r"must be UTF-8 \(byte 27\); in Excel save as 'CSV UTF-8', or say its encoding, such as --encoding cp949$",
        ),
        ((HEAD + "서울,1,2,3,4\n").encode("utf-16"), r"must be UTF-8 \(byte 0\)"),
    ],
    ids=NUMBERS,
)
def test_csv_faults_name_the_file_and_the_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    refused(tmp_path, text, message)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"nowhere\.csv: cannot be read: No such file or directory$"):
        read_regions(tmp_path / "nowhere.csv")
    with pytest.raises(OptionsError, match=r": cannot be read: Is a directory$"):
        read_regions(tmp_path)


# Names, which become folders

GOOD_NAMES = ["a", "서울", "Han river, upper", "a.b", "x" * 200, "가" * 66, "con1", "comet", "-", "~", "😀"]
BAD_NAMES = {
    "nothing": "",
    "space": " ",
    "space before": " a",
    "space after": "a ",
    "here": ".",
    "above": "..",
    "hidden": ".git",
    "dot after": "a.",
    "slash": "a/b",
    "traversal": "../../etc",
    "absolute": "/etc",
    "backslash": "a\\b",
    "drive": "C:",
    "star": "a*",
    "question": "a?",
    "quote": 'a"b',
    "angle": "a<b",
    "pipe": "a|b",
    "zero": "a\0b",
    "newline": "a\nb",
    "tab": "a\tb",
    "escape": "a\x1b[2Jb",
    "invisible": "a\u200bb",
    "direction": "a\u202eb",
    "lone surrogate": "a\udcffb",
    "device": "NUL",
    "port": "com1",
    "manifest": "manifest.jsonl",
    "options": "Options.JSON",
    "201 bytes": "x" * 201,
    "Korean, 201 bytes": "가" * 67,
}


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names(name: str) -> None:
    assert Region(name, SEOUL.bbox).name == name


@pytest.mark.parametrize("fault", BAD_NAMES)
def test_bad_names(fault: str) -> None:
    with pytest.raises(OptionsError, match=r"^region name .*: must be usable as a folder name \(1 to 200 bytes"):
        Region(BAD_NAMES[fault], SEOUL.bbox)


@given(st.text(max_size=70))
def test_a_name_is_refused_or_makes_one_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    try:
        Region(name, SEOUL.bbox)
    except OptionsError:
        return
    out = tmp_path_factory.getbasetemp() / "names"
    (out / name).mkdir(parents=True, exist_ok=True)
    assert (out / name).parent == out
    assert [path.name for path in out.iterdir()] == [name]
    (out / name).rmdir()


# GeoJSON


def polygon(*corners: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[list(corner) for corner in (*corners, corners[0])]]}


def feature(name: object, geometry: object) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"name": name, "other": 1}, "geometry": geometry}


def collection(*features: object) -> str:
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)


SEOUL_TRIANGLE = polygon((126.7, 37.5), (127.2, 37.4), (127.0, 37.7))
BUSAN_SQUARE = polygon((128.8, 35.0), (129.3, 35.0), (129.3, 35.4), (128.8, 35.4))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_polygons_become_their_boxes(tmp_path: Path, encoding: str) -> None:
    text = "\n  " + collection(feature("서울", SEOUL_TRIANGLE), feature("부산", BUSAN_SQUARE))
    assert read(tmp_path, text, encoding, name="x.geojson") == (SEOUL, BUSAN)


@pytest.mark.parametrize(
    "geometry",
    [
        SEOUL_TRIANGLE,
        {"type": "MultiPoint", "coordinates": [[126.7, 37.5], [127.2, 37.4], [127.0, 37.7]]},
        {"type": "LineString", "coordinates": [[126.7, 37.4, 50.5], [127.2, 37.7, -3]]},  # with heights
        {
            "type": "MultiPolygon",
            "coordinates": [
                [[[126.7, 37.5], [126.8, 37.5], [126.8, 37.7], [126.7, 37.5]]],
                [[[127.1, 37.4], [127.2, 37.4], [127.2, 37.5], [127.1, 37.4]]],
            ],
        },
        {
            "type": "GeometryCollection",
            "geometries": [
                {"type": "Point", "coordinates": [126.7, 37.4]},
                {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [127.2, 37.7]}]},
            ],
        },
    ],
    ids=["Polygon", "MultiPoint", "LineString", "MultiPolygon", "GeometryCollection"],
)
def test_every_geometry_and_a_lone_feature(tmp_path: Path, geometry: dict[str, Any]) -> None:
    assert read(tmp_path, collection(feature("서울", geometry))) == (SEOUL,)
    assert read(tmp_path, json.dumps(feature(" 서울 ", geometry))) == (SEOUL,)


def test_a_number_may_be_a_name(tmp_path: Path) -> None:
    (region,) = read(tmp_path, collection(feature(11110, SEOUL_TRIANGLE)))  # codes of districts are numbers
    assert region.name == "11110"


SHAPE = r"expected properties\.name and a geometry of lon/lat coordinates$"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type": "FeatureCollection", "features": [', r"not valid JSON: Expecting value: line 1"),
        ("{}", rf"feature 1: {SHAPE}"),
        ("[]", r"expected GeoJSON: a Feature, or 'features' that are a list$"),
        ("[" * 100_000, r"not valid JSON: maximum recursion depth exceeded"),
        ('{"features": null}', r"expected GeoJSON: a Feature, or 'features' that are a list$"),
        ('{"features": {"a": 1}}', r"expected GeoJSON: a Feature, or 'features' that are a list$"),
        (collection(), r"contains no region$"),
        (collection(feature("a", SEOUL_TRIANGLE), None), rf"feature 2: {SHAPE}"),
        (collection({"type": "Feature", "properties": None, "geometry": SEOUL_TRIANGLE}), rf"feature 1: {SHAPE}"),
        (collection({"type": "Feature", "properties": {}, "geometry": SEOUL_TRIANGLE}), rf"feature 1: {SHAPE}"),
        (collection(feature(None, SEOUL_TRIANGLE)), rf"feature 1: {SHAPE}"),
        (collection(feature(True, SEOUL_TRIANGLE)), rf"feature 1: {SHAPE}"),  # noqa: FBT003
        (collection(feature(["a"], SEOUL_TRIANGLE)), rf"feature 1: {SHAPE}"),
        (collection(feature("a", None)), rf"feature 1: {SHAPE}"),
        (collection(feature("a", {"type": "Polygon"})), rf"feature 1: {SHAPE}"),
        (collection(feature("a", {"type": "Polygon", "coordinates": []})), rf"feature 1: {SHAPE}"),
        (collection(feature("a", {"type": "Point", "coordinates": [126]})), rf"feature 1: {SHAPE}"),
        (collection(feature("a", {"type": "Point", "coordinates": "126 37"})), rf"feature 1: {SHAPE}"),
        (collection(feature("a", {"type": "Point", "coordinates": ["126", "37"]})), rf"feature 1: {SHAPE}"),
        (collection(feature("a", {"type": "Point", "coordinates": {"0": 126}})), rf"feature 1: {SHAPE}"),
        (collection(feature("a", {"type": "Point", "coordinates": [True, 37]})), rf"feature 1: {SHAPE}"),
        (collection(feature("a", {"type": "Point", "coordinates": [10**400, 37]})), rf"feature 1: {SHAPE}"),
        (
            collection(feature("a", {"type": "Point", "coordinates": [126, 37]})),
            r"feature 1: bbox 126 37 126 37: west must",
        ),
        (collection(feature("a", polygon((1e6, 2e6), (2e6, 3e6)))), r"feature 1: .*latitudes beyond 90 degrees"),
        (
            collection(feature("a", polygon((126, 37), (float("nan"), 38), (127, 39)))),
            r"not valid JSON: NaN is no number$",
        ),
        (collection(feature("a", polygon((126, 37), (1e200, 38)))).replace("1e+200", "1e999"), r"1: .*finite number"),
        (collection(feature("../a", SEOUL_TRIANGLE)), r"feature 1: region name '\.\./a': must be usable"),
        (
            collection(feature("a", SEOUL_TRIANGLE), feature("A", BUSAN_SQUARE)),
            r"two regions would share a folder: 'a' and 'A'$",
        ),
        (collection(feature("서울", SEOUL_TRIANGLE)).encode("cp949"), r"must be UTF-8"),
    ],
    ids=NUMBERS,
)
def test_geojson_faults_name_the_file_and_the_feature(tmp_path: Path, text: str | bytes, message: str) -> None:
    refused(tmp_path, text, message)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_whatever_the_coordinates_they_are_read_or_refused_in_time(
    tmp_path_factory: pytest.TempPathFactory, coordinates: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.geojson"
    path.write_text(collection(feature("a", {"type": "Polygon", "coordinates": coordinates})), encoding="utf-8")
    try:
        read_regions(path)
    except OptionsError as error:
        assert re.search("feature 1|is no number", str(error))  # noqa: PT017 - refusing is one of two right answers


@given(st.text(max_size=200))
def test_whatever_the_text_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(OptionsError):
        read_regions(path)

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hsrgeo.engine.areas import check_areas
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.errors import HsrGeoError, MissingExtraError, OptionsError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.times import KST
from hsrgeo.model.window import BBox, Center, Window
from hsrgeo.outputs.recipe import DEFAULT_NAME, Cut, Recipe, recipe_from_json

TOLD = FrameName("HSR", "PUB", datetime(2022, 6, 9, 11, 15, tzinfo=timezone(timedelta(hours=9))))
SEOUL = BBox(126.7, 37.4, 127.2, 37.7)


def refused(message: str, **options: Any) -> None:
    with pytest.raises(OptionsError, match=message):
        ExportOptions(**options)


def stem(name: str, frame_name: FrameName = TOLD, region: str = "") -> str:
    """Return the path that a template makes of a frame."""
    return ExportOptions(name=name).recipe.stem(frame_name, region)


# Defaults and areas


def test_defaults_are_what_the_help_says() -> None:
    options = ExportOptions()
    assert options.recipe == Recipe(
        (Cut("", None),), ("cog", "png"), "deflate", "clean", "{time:%Y%m/%d/%Y%m%d%H%M}", block=1
    )
    assert options.selection.wants(TOLD)
    assert (options.overwrite, options.fail_fast, options.dry_run) == (False, False, False)
    assert options.workers == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("options", "area"),
    [
        ({"bbox": (126.7, 37.4, 127.2, 37.7)}, SEOUL),
        ({"bbox": SEOUL}, SEOUL),
        ({"window": (1214, 1439, 256, 256)}, Window(1214, 1439, 256, 256)),
        ({"window": Window(1214, 1439, 256, 256)}, Window(1214, 1439, 256, 256)),
        ({"center": (126.98, 37.57), "size": 64}, Center(126.98, 37.57, 64)),
        ({}, None),
    ],
    ids=["bbox", "BBox", "window", "Window", "center", "whole"],
)
def test_an_area_becomes_one_cut_without_a_name(options: dict[str, Any], area: object) -> None:
    assert ExportOptions(**options).recipe.cuts == (Cut("", area),)  # type: ignore[arg-type]


def test_regions_become_a_cut_each(tmp_path: Path) -> None:
    file = tmp_path / "regions.csv"
    file.write_text("name,west,south,east,north\n서울,126.7,37.4,127.2,37.7\nb,1,2,3,4\n", encoding="utf-8")
    cuts = (Cut("서울", SEOUL), Cut("b", BBox(1, 2, 3, 4)))
    assert ExportOptions(regions=file).recipe.cuts == cuts
    assert ExportOptions(regions=str(file)).recipe.cuts == cuts
    boxes = (Region("서울", SEOUL), Region("b", BBox(1, 2, 3, 4)))
    assert ExportOptions(regions=boxes).recipe.cuts == cuts


def test_formats_twice_are_once_and_keep_their_order() -> None:
    assert ExportOptions(formats=("png", "cog", "png")).recipe.formats == ("png", "cog")


# Contradictions and bad values: each with its own message

AREAS: dict[str, Any] = {
    "bbox": (126.7, 37.4, 127.2, 37.7),
    "window": (0, 0, 1, 1),
    "center": (127, 37),
    "regions": (Region("a", SEOUL),),
}


@pytest.mark.parametrize("one", AREAS)
@pytest.mark.parametrize("other", AREAS)
def test_two_areas_exclude_each_other(one: str, other: str) -> None:
    if one == other:
        return
    size = {"size": 5} if "center" in (one, other) else {}
    first, second = sorted((one, other), key=list(AREAS).index)
    refused(
        f"^choose one area: {first} and {second} exclude each other$", **{one: AREAS[one], other: AREAS[other]}, **size
    )


def test_all_areas_at_once() -> None:
    refused("^choose one area: bbox and window and center and regions exclude each other$", **AREAS, size=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"center": (127, 37)}, "^center and size go together"),
        ({"size": 5}, "^center and size go together"),
        ({"size": 5, "bbox": (126, 37, 127, 38)}, "^center and size go together"),
        ({"center": (127, 37), "size": 0}, "^size 0: must be at least 1 cell$"),
        ({"center": (127, 37), "size": -5}, "^size -5: must be at least 1 cell$"),
        ({"center": (200, 37), "size": 5}, "^center 200 37: expected LON LAT in degrees$"),
        ({"center": (37, 127), "size": 5}, "^center 37 127: expected LON LAT in degrees$"),
        ({"center": (float("nan"), 37), "size": 5}, "^center nan 37: expected LON LAT in degrees$"),
        ({"window": (0, 0, 0, 5)}, "^window 0 0 0 5: width and height must be at least 1$"),
        ({"window": (0, 0, 5, -1)}, "^window 0 0 5 -1: width and height must be at least 1$"),
        ({"window": (-1, 0, 5, 5)}, "^window -1 0 5 5: offsets count from the north-west corner"),
        ({"bbox": (127, 37, 126, 38)}, "^bbox 127 37 126 38: west must be less than east"),
        ({"bbox": (126, 37, 127, float("nan"))}, "^bbox 126 37 127 nan: every edge must be a finite number"),
        ({"bbox": (37.4, 126.7, 37.7, 127.2)}, "latitudes beyond 90 degrees; the order is WEST SOUTH EAST NORTH$"),
        ({"regions": ()}, "^regions: contains no region$"),
        ({"regions_field": "x"}, "^regions_field and regions_encoding are for a file of regions"),
        ({"regions_encoding": "cp949"}, "^regions_field and regions_encoding are for a file of regions"),
        (
            {"compress": "zstd", "formats": ("png", "asc", "rgba-png")},
            "^compress is for formats cog, float32 and rgba$",
        ),
        ({"despeckle": 1}, "^despeckle 1: expected 2 to 10,000 cells$"),
        (
            {"regions": (Region("a", SEOUL), Region("A", SEOUL))},
            "^regions: two regions would share a folder: 'a' and 'A'$",
        ),
        ({"regions": "nowhere.csv"}, r"^nowhere\.csv: cannot be read: No such file or directory$"),
        (
            {"sidecars": False, "formats": ("cog",)},
            "^no sidecars goes with PNGs and ASCII grids, and formats has none$",
        ),
        ({"jobs": 0}, "^jobs 0: expected 1 or more, or -1 for one a core$"),
        ({"jobs": -2}, "^jobs -2: expected 1 or more, or -1 for one a core$"),
        ({"block": 0}, "^block 0: blocks are counted from 1$"),
        ({"block": -1}, "^block -1: blocks are counted from 1$"),
        (
            {"formats": ()},
            "^formats: expected one or more of cog, png, odim, float32, asc, rgba, rgba-png and rgba-webp$",
        ),
        (
            {"formats": ("tif",)},
            "^'tif': expected one of cog, png, odim, float32, asc, rgba, rgba-png, rgba-webp, mask$",
        ),
        (
            {"formats": ("cog", "jpeg")},
            "^'jpeg': expected one of cog, png, odim, float32, asc, rgba, rgba-png, rgba-webp, mask$",
        ),
        ({"compress": "lzw"}, "^'lzw': expected one of deflate, zstd, none$"),
        ({"values": "physical"}, "^'physical': expected one of clean, raw$"),
        ({"start": datetime(2022, 6, 1)}, r"^start 2022-06-01 00:00:00: give it a time zone"),  # noqa: DTZ001
        ({"end": datetime(2022, 6, 1)}, r"^end 2022-06-01 00:00:00: give it a time zone"),  # noqa: DTZ001
        (
            {"start": datetime(2022, 6, 1, tzinfo=KST), "end": datetime(2022, 6, 1, tzinfo=KST)},
            r"^end .* is not after start .* \(the end is exclusive\)$",
        ),
        (
            # midnight in Seoul is 15:00 the day before in Greenwich
            {"start": datetime(2022, 6, 1, tzinfo=KST), "end": datetime(2022, 5, 31, 15, tzinfo=UTC)},
            r"is not after start",
        ),
        ({"every": timedelta(0)}, "^every 0:00:00: must divide a day evenly"),
        ({"every": timedelta(minutes=-10)}, "must divide a day evenly"),
        ({"every": timedelta(minutes=7)}, "^every 0:07:00: must divide a day evenly"),
        ({"every": timedelta(days=2)}, "must divide a day evenly"),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    refused(message, **options)


@pytest.mark.parametrize("every", [timedelta(minutes=5), timedelta(minutes=10), timedelta(hours=1), timedelta(days=1)])
def test_steps_that_divide_a_day(every: timedelta) -> None:
    # 11:15 KST is a whole number of steps of 5 minutes after midnight only
    assert ExportOptions(every=every).selection.wants(TOLD) == (every == timedelta(minutes=5))


@given(st.integers(-5, 5))
def test_workers(jobs: int) -> None:
    if jobs > 0:
        assert count_workers(jobs) == jobs
    elif jobs == -1:
        assert count_workers(jobs) >= 1
    else:
        with pytest.raises(OptionsError, match=f"^jobs {jobs}: "):
            count_workers(jobs)


# Names


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (DEFAULT_NAME, "202206/09/202206091115"),
        ("{time:%H%M}", "1115"),
        ("{utc:%Y-%m-%dT%H%MZ}", "2022-06-09T0215Z"),  # nine hours before
        ("{product}_{kind}_{time:%Y%m%d%H%M}", "HSR_PUB_202206091115"),
        ("{time:%Y}/{product:>5}/{time:%j}", "2022/  HSR/160"),  # 31 + 28 + 31 + 30 + 31 + 9
        ("레이더/{time:%Y년 %m월}/{time:%d%H%M}", "레이더/2022년 06월/091115"),
        ("{{{time:%H}}}", "{11}"),
        ("./a/./{time:%H}", "a/11"),
        ("a//{time:%H}", "a/11"),
        ("...{time:%H}/x", "...11/x"),
        ("{time:%H}.v2", "11.v2"),
    ],
)
def test_good_names(name: str, path: str) -> None:
    assert stem(name) == path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "without a time all frames would share one file"),
        ("frame", "without a time all frames would share one file"),
        ("{product}", "without a time all frames would share one file"),
        ("{time}{frame}", "'frame' is not known"),
        ("{time:%H}{0}", "'0' is not known"),
        ("{time:%H}{}", "'' is not known"),
        # attributes and items would reach everything that Python knows
        ("{time.year}", r"'time\.year' is not known"),
        ("{time:%H}{product.__class__.__mro__}", "is not known"),
        ("{time:%H}{region[0]}", r"'region\[0\]' is not known"),
        ("{time:{product.__class__}}", "no field within a field"),
        ("{time:{product}}", "no field within a field"),
        ("{time!r}", "no conversion such as !r"),
        ("{time:%H}{product!s}", "no conversion such as !r"),
        ("{", "Single '{' encountered"),
        ("{time:%H}}", "Single '}' encountered"),
        ("{time:%H}{product:d}", "Unknown format code 'd'"),
        ("/{time:%H}", "the path must stay inside OUT"),
        ("//{time:%H}", "the path must stay inside OUT"),
        ("../{time:%H}", "the path must stay inside OUT"),
        ("a/../{time:%H}", "the path must stay inside OUT"),
        ("{time:%H}/..", "the path must stay inside OUT"),
        ("{time:%H/../..}/x", "the path must stay inside OUT"),
        (".{time:.}/{time:%H}", "the path must stay inside OUT"),  # a dot from the template, a dot from the field
        ("..{kind}/{time:%H}", "the path must stay inside OUT"),  # the kind may be empty
        ("..{region}/{time:%H}", "the path must stay inside OUT"),
        ("a\\..\\{time:%H}", "the path must stay inside OUT"),
        ("{time:%H}/", "the last part must be a visible file name"),
        (".{time:%H}", "the last part must be a visible file name"),
        ("a/.{time:%H}", "the last part must be a visible file name"),
        ("{time}", "not every system takes ':'"),  # 2022-06-09 11:15:00+09:00
        ("{time:%H:%M}", "it makes '11:15', and not every system takes ':'"),
        ("C:{time:%H}", "not every system takes ':'"),
        ("{time:%H}?*", r"not every system takes '\*' '\?'"),
        ("{time:%H}\n", r"not every system takes '\\n'"),
        ("{time:%H}\0", r"not every system takes '\\x00'"),
        ("{time:%H}\u202e", r"not every system takes"),
        ("nul/{time:%H}", "it makes 'nul/11', and Windows takes no 'nul' as a name"),
        ("{time:%H}/COM1.{product}", "and Windows takes no 'COM1.HSR.tif' as a name"),
        ("a./{time:%H}", "and Windows takes no 'a.' as a name"),
        ("{time:%H} /x", "and Windows takes no '11 ' as a name"),
        ("{time:%H}" + "x" * 199, "a part of the path is longer than 200 bytes"),
        ("{time:%H}" + "가" * 67, "a part of the path is longer than 200 bytes"),
        ("{time:%H}{product:>300}", "a part of the path is longer than 200 bytes"),
    ],
)
def test_bad_names(name: str, message: str) -> None:
    refused(rf"(?s)^name {re.escape(repr(name))}: use \{{time:.*{message}", name=name)


@pytest.mark.parametrize("name", ["{kind}/{time:%H}", "{region}/{time:%H}", "{region}/{kind}/{time:%H}/{kind}"])
def test_an_empty_kind_or_region_never_leaves_out(name: str) -> None:
    # A file with any other name than KMA's has no kind: "/11" would be a path from the root.
    path = stem(name, replace(TOLD, kind=""))
    assert path == "11"
    assert not PurePosixPath(path).is_absolute()


@given(
    st.lists(
        st.sampled_from(
            [
                "{time:%H}",
                "{utc:%d}",
                "{product}",
                "{kind}",
                "{region}",
                "/",
                ".",
                "..",
                "a",
                "\\",
                " ",
                "~",
                "{",
                "}",
                ":",
            ]
        ),
        min_size=1,
        max_size=8,
    ).map("".join),
    st.sampled_from(["PUB", ""]),
    st.sampled_from(["", "서울", "a.b"]),
)
def test_whatever_the_template_the_path_stays_below_out(name: str, kind: str, region: str) -> None:
    try:
        recipe = ExportOptions(name=name).recipe
    except OptionsError:
        return
    path = recipe.stem(replace(TOLD, kind=kind), region)
    joined = os.path.normpath(os.path.join("/some/out", path))  # noqa: PTH118 - the oracle is not pathlib
    assert joined.startswith("/some/out/")
    assert joined == f"/some/out/{path}"
    assert not path.rpartition("/")[2].startswith(".")


def test_regions_get_folders_unless_the_template_says_where() -> None:
    assert stem("{time:%H}", region="서울") == "서울/11"
    assert stem("{time:%H}_{region}", region="서울") == "11_서울"
    assert stem("{time:%H}/{region:>4}/x", region="서울") == "11/  서울/x"
    assert stem("{time:%H}", region="") == "11"


def test_times_of_other_zones_are_reported_in_kst_and_utc() -> None:
    utc = FrameName("HSR", "PUB", datetime(2021, 12, 31, 20, 0, tzinfo=UTC))  # 05:00 on New Year's Day in Seoul
    assert stem("{time:%Y%m%d%H%M}-{utc:%Y%m%d%H%M}", utc) == "202201010500-202112312000"


def test_the_first_path_is_that_of_the_first_cut_and_format() -> None:
    regions = (Region("b", SEOUL), Region("a", SEOUL))
    assert ExportOptions(regions=regions).recipe.first_path(TOLD) == "b/202206/09/202206091115.tif"
    assert ExportOptions(formats=("png",)).recipe.first_path(TOLD) == "202206/09/202206091115.png"


# Recipes as JSON

degrees = st.floats(-89, 89, allow_nan=False).map(lambda value: round(value, 6))
boxes = st.builds(
    lambda west, south, wide, high: BBox(west, south, west + wide, south + high),
    degrees,
    st.floats(-80, 70, allow_nan=False),
    st.floats(0.001, 20),
    st.floats(0.001, 10),
)
areas = (
    st.none()
    | boxes
    | st.builds(Window, *[st.integers(0, 3000)] * 2, *[st.integers(1, 3000)] * 2)
    | st.builds(Center, degrees, degrees, st.integers(1, 3000))
)
letters = st.characters(exclude_characters="./\\{}\0", exclude_categories=["Cs"])
# ^ of names that a recipe can have: others are refused, when they are given and when they are read
recipes = st.builds(
    Recipe,
    st.lists(st.builds(Cut, st.text(letters, max_size=10), areas), min_size=1, max_size=4).map(tuple),
    st.sampled_from([("cog",), ("png",), ("cog", "png"), ("png", "cog")]),
    st.sampled_from(["deflate", "zstd", "none"]),
    st.sampled_from(["clean", "raw"]),
    st.text(letters, max_size=20).map("{{time:%Y}}{}".format),
    st.integers(1, 3),
    sidecars=st.booleans(),
)


@given(recipes)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    assert recipe_from_json(json.loads(json.dumps(recipe.as_json()))) == recipe
    assert recipe_from_json(json.loads(json.dumps(recipe.as_json(), ensure_ascii=False))).as_json() == recipe.as_json()


@given(recipes, recipes)
def test_two_recipes_have_two_json_forms(one: Recipe, other: Recipe) -> None:
    assume(one != other)
    assert one.as_json() != other.as_json()


def test_the_json_of_a_recipe_worked_by_hand() -> None:
    recipe = ExportOptions(regions=(Region("서울", SEOUL),), formats=("cog",), values="raw", block=2).recipe
    assert recipe.as_json() == {
        "cuts": [{"region": "서울", "bbox": [126.7, 37.4, 127.2, 37.7]}],
        "formats": ["cog"],
        "compress": "deflate",
        "values": "raw",
        "name": "{time:%Y%m/%d/%Y%m%d%H%M}",
        "block": 2,
    }
    window = ExportOptions(window=(1, 2, 3, 4)).recipe.as_json()["cuts"]
    center = ExportOptions(center=(127, 37), size=5).recipe.as_json()["cuts"]
    assert window == [{"region": "", "window": [1, 2, 3, 4]}]
    assert center == [{"region": "", "center": [127, 37], "size": 5}]


# Areas against the grids


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bbox": SEOUL},
        {"window": (1214, 1439, 256, 256)},  # fits into the 500 m grid only
        {"center": (126.98, 37.57), "size": 256},
        {"window": (0, 0, 2305, 2881)},
    ],
    ids=str,
)
def test_areas_that_fit_a_grid_are_not_worth_a_note(options: dict[str, Any]) -> None:
    assert check_areas(ExportOptions(**options).recipe) == []


def test_a_clipped_box_is_noted_once_for_each_cut() -> None:
    # The 500 m grid's south-west cell is near 120.18 E 30.13 N, its north edge near 43.5 N.
    regions = (Region("inside", SEOUL), Region("south", BBox(126, 20, 127, 35)), Region("all", BBox(100, 20, 150, 60)))
    notes = check_areas(ExportOptions(regions=regions).recipe)
    assert [note.split(" and is cut")[0] for note in notes] == [
        "bbox 126 20 127 35 reaches outside kma-hb-500m",
        "bbox 100 20 150 60 reaches outside kma-hb-500m",
    ]
    assert "south" in notes[0]
    assert "north" not in notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bbox": (1, 1, 2, 2)}, r"^bbox 1 1 2 2 does not touch kma-hb-500m, which lies within 118\.\d+\.\.133\.56 E"),
        ({"bbox": (-60, -40, -50, -30)}, r"^bbox -60 -40 -50 -30 does not touch"),
        ({"window": (2305, 0, 1, 1)}, r"^window 2305 0 1 1 .* reaches outside the 2305 x 2881 cells of kma-hb-500m$"),
        ({"window": (0, 0, 2306, 1)}, r"^window 0 0 2306 1 .* reaches outside"),
        ({"window": (0, 0, 1, 2882)}, r"^window 0 0 1 2882 .* reaches outside"),
        ({"center": (126, 38), "size": 5000}, r"^center 126 38 with size 5000: the square would be .* reaches outside"),
        ({"center": (0, 0), "size": 5}, r"^center 0 0"),
        (
            {"regions": (Region("ok", SEOUL), Region("서울역", BBox(1, 1, 2, 2)))},
            r"^region 서울역: bbox 1 1 2 2 does not touch",
        ),
    ],
    ids=str,
)
def test_areas_outside_every_grid_are_refused(options: dict[str, Any], message: str) -> None:
    recipe = ExportOptions(**options).recipe
    with pytest.raises(OptionsError, match=message):
        check_areas(recipe)


@given(st.floats(-180, 179), st.floats(-90, 89), st.floats(1e-9, 1), st.floats(1e-9, 1))
def test_any_box_on_earth_is_taken_or_refused(west: float, south: float, wide: float, high: float) -> None:
    assume(west + wide > west)
    assume(south + high > south)
    recipe = ExportOptions(bbox=(west, south, west + wide, south + high)).recipe
    try:
        check_areas(recipe)
    except HsrGeoError as error:
        assert isinstance(error, OptionsError)  # noqa: PT017 - refusing is one of two right answers


def test_a_format_without_its_library_is_refused_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsrgeo.engine.export_options.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"needs h5py: pip install 'hsrgeo\[odim\]'"):
        ExportOptions(formats="odim")

"""The arrows of the house: a room imports only from the rooms before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import hsrgeo
from hsrgeo import errors

PACKAGE = Path(__file__).parents[2] / "hsrgeo"
ROOMS = [
    "errors",
    "model",
    "formats",
    "sources",
    "reading",
    "products",
    "writers",
    "outputs",
    "hub",
    "places",
    "cube",
    "gis",
    "engine",
    "cli",
]
FLOORS = [
    {"areas", "factors", "keywords", "name_template", "one_product", "regions"},
    {"lazy", "split", "workers"},
    {"export_options"},
    {"compose", "cube", "export", "extract", "fetch", "fetch_gauges", "inspect", "simulate", "sites"},
    {"axis", "colours", "contents", "verify"},
    {"drawn_sums", "periods"},
    {"drawn", "qgis", "series", "stac", "stats", "view", "vrt"},
    {"accumulate", "render", "watch"},
    {"cells", "events", "gauges", "plot"},
]
# ^ of the largest room, hsrgeo/engine
DOORS = {("model/frame.py", "writers"), ("model/frame.py", "cube"), ("model/frame.py", "gis")}
# ^ the arrows that point down: a frame knows how to save and to show itself, and imports that only when asked to


def _imports(path: Path, part: int = 1) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    above = "hsrgeo." if part == 1 else "hsrgeo.engine."
    return {name.split(".")[part] for name in names if name.startswith(above)}


MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", [m for m in MODULES if m not in ("__init__.py", "__main__.py")])
def test_a_room_imports_only_from_rooms_before_it(module: str) -> None:
    room = module.partition("/")[0].removesuffix(".py")
    upper = ROOMS[: ROOMS.index(room) + 1]
    below = {name for name in _imports(PACKAGE / module) if name not in upper and (module, name) not in DOORS}
    assert not below, f"{module} imports from {below}, which lie below {room}"


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("engine/") and m != "engine/__init__.py"])
def test_a_part_of_the_engine_imports_only_from_floors_below_it(module: str) -> None:
    part = module.split("/")[1].removesuffix(".py")
    floor = next(number for number, floor in enumerate(FLOORS) if part in floor)
    others = _imports(PACKAGE / module, 2) - {part}
    assert others <= set().union(*FLOORS[:floor])


def test_no_unfinished_marks() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented")
    found = [m for m in MODULES for mark in marks if mark in (PACKAGE / m).read_text(encoding="utf-8")]
    assert not found


def test_every_error_is_public_and_a_star_leaves_pythons_open_alone() -> None:
    defined = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == "hsrgeo.errors"
    }
    assert {name for name in defined if issubclass(getattr(errors, name), (Exception, Warning))} <= set(hsrgeo.__all__)
    assert all(getattr(hsrgeo, name) is not None for name in hsrgeo.__all__)
    assert "open" not in hsrgeo.__all__
    assert "open" in dir(hsrgeo)

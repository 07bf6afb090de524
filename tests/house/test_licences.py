"""The list of licences names every dependency, and no copyleft one as a permissive one."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_DECLARED = [*_PROJECT["dependencies"], *(one for extra in _PROJECT["optional-dependencies"].values() for one in extra)]
NAMES = sorted({match[0] for one in _DECLARED if (match := re.match(r"[\w.-]+", one)) and match[0] != "hsrgeo"})


@pytest.mark.parametrize("name", NAMES)
def test_every_dependency_is_listed_with_its_licence(name: str) -> None:
    text = (ROOT / "examples" / "reference" / "licences.md").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith(f"| {name} |")]
    assert len(rows) == 1
    try:
        stated = metadata(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed here")
    fields = ("License-Expression", "License", "Classifier")
    kinds = [kind for field in fields for kind in stated.get_all(field) or ()]
    message = " ".join(kind for kind in kinds if len(kind) < 200 and not kind.startswith("Programming"))
    if re.search(r"L?GPL|Lesser General Public", message):
        assert "GPL" in rows[0]

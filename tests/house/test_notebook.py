"""The notebook runs in a real kernel, and prints what it shows."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


def _shown(notebook: Any) -> list[str]:
    """Each output as text. What a kernel prints arrives in one piece or in several: pieces of one stream are joined."""
    shown: list[str] = []
    for cell in notebook.cells:
        stream = None
        for output in cell.get("outputs", []):
            text = "".join(output.get("text") or output["data"]["text/plain"])
            if stream is not None and output.get("name") == stream:
                shown[-1] += text
            else:
                shown.append(text)
            stream = output.get("name")
    return shown


@pytest.mark.slow
def test_the_notebook_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    kept = nbformat.read(NOTEBOOK, as_version=4)
    run = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        run, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}, timeout=300
    )
    client.execute()  # raises where a cell does, and some cells assert
    assert _shown(run) == _shown(kept)
    assert any("탄천" in text for text in _shown(kept))

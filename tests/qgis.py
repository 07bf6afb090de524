"""QGIS on the machine (Debian's python3-qgis): draws layers without a screen, and shares no code with hsrgeo."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

PYTHON = "/usr/bin/python3"
"""The interpreter that QGIS is installed for."""

_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("PROJ_", "GDAL_", "PYTHON"))},
    "QT_QPA_PLATFORM": "offscreen",
}

_BEFORE = """
import json, os, sys
from qgis.core import *
from qgis.PyQt.QtCore import *
from qgis.PyQt.QtGui import *
QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], False)
application.initQgis()
args = json.loads(sys.argv[1])
answer = None
"""

# exitQgis() crashes without a screen: everything is said by then, so leave without it.
_AFTER = """
print("ANSWER " + json.dumps(answer), flush=True)
os._exit(0)
"""


@functools.cache
def _has_qgis() -> bool:
    try:
        run = subprocess.run(
            [PYTHON, "-c", "import importlib.util as u; raise SystemExit(u.find_spec('qgis') is None)"],
            check=False,
            env=_ENVIRONMENT,
        )
    except OSError:
        return False
    return run.returncode == 0


needs_qgis = pytest.mark.skipif(
    not _has_qgis(), reason=f"no QGIS for {PYTHON} on this machine (Debian: apt install python3-qgis)"
)
"""Marks a test that runs QGIS; it says why it is skipped."""


def qgis(script: str, home: Path, *args: Any, variables: Mapping[str, str] | None = None) -> Any:
    """Run a script inside QGIS and return what it leaves in `answer`; takes about 2 s.

    The script finds QGIS started, ``qgis.core``, ``QtCore`` and ``QtGui`` imported by ``*``, and its arguments in the
    list ``args``. It sets ``answer`` to something that JSON holds::

        count = qgis("answer = QgsRasterLayer(args[0], 'x').bandCount()", tmp_path, str(path))

    Args:
        script: Python, without indentation.
        home: A folder for what QGIS writes as its profile, so that none of the user is read.
        args: What JSON holds.
        variables: Of the environment, beside those that are there.
    """
    own = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "QGIS_CUSTOM_CONFIG_PATH": str(home)}
    run = subprocess.run(
        [PYTHON, "-c", _BEFORE + script + _AFTER, json.dumps(args)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**_ENVIRONMENT, **own, **(variables or {})},
    )
    answers = [line for line in run.stdout.splitlines() if line.startswith("ANSWER ")]
    assert run.returncode == 0, run.stderr or run.stdout
    assert answers, run.stdout + run.stderr
    return json.loads(answers[-1].removeprefix("ANSWER "))

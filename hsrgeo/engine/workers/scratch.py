"""A temporary folder for a run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsrgeo.errors import NO_ROOM, NoRoomError, WriteError

_ELSEWHERE = "the variable TMPDIR names another folder for them"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give an empty folder that is removed at the end, also where a run is dropped half-way.

    `tempfile.TemporaryDirectory` warns then, for it may be collected before the run that uses it.

    Raises:
        WriteError: There is nowhere to make it, or no room left in it.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="hsrgeo-"))
    except OSError as error:
        raise WriteError("temporary files", f"cannot be written: {error.strerror or error}; {_ELSEWHERE}") from error
    try:
        yield folder
    except NoRoomError as error:
        if folder not in Path(error.path).parents:
            raise
        raise NoRoomError(error.path, f"{error.problem}; {_ELSEWHERE}") from error
    except OSError as error:  # of whatever writes there: all else that writes has errors of its own
        if error.errno not in NO_ROOM:
            raise
        raise NoRoomError(str(folder), f"cannot be written: {error.strerror}; {_ELSEWHERE}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""Folders that take another's name: made beside it, on disk before they take it, and mended where a run was killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsrgeo.errors import refused
from hsrgeo.sources.remote import Place
from hsrgeo.writers.disk import flush


def remove(path: Path) -> None:
    """Remove a file, a folder with what it holds, or a link, if it is there; what a link leads to stays."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise refused(str(path), error, "removed") from error


def aside(out: Path) -> Path:
    """Return where an old folder lies while the new one takes its name."""
    return out.with_name(f".{out.name}.old")


def replace_folder(part: Path, out: Path) -> None:
    """Put one folder in the place of another, in two steps; `mend` finds out what a killed run left between them.

    Everything in it is on disk before it takes the name, and the name before the old one goes.
    """
    flush([part], deep=True)
    with write_errors(out):
        if out.exists():
            out.rename(aside(out))
        part.rename(out)
    flush([out.parent])
    shutil.rmtree(aside(out), ignore_errors=True)


def replace_file(part: Path, out: Path) -> None:
    """Put a file that another library wrote in the place of another, when it is on disk."""
    flush([part])
    with write_errors(out):
        os.replace(part, out)  # noqa: PTH105 - as writers do
    flush([out.parent])


def mend(out: Path) -> None:
    """Put an old folder back where a killed run left none, or remove it where the new one is there."""
    with write_errors(out):
        if aside(out).is_symlink():  # none of ours
            aside(out).unlink()
        elif aside(out).exists():
            if out.exists():
                shutil.rmtree(aside(out), ignore_errors=True)
            else:
                aside(out).rename(out)


@contextmanager
def write_errors(out: Place) -> Iterator[None]:
    """Raise what the system refuses as a WriteError of the target."""
    try:
        yield
    except OSError as error:
        raise refused(str(out), error) from error

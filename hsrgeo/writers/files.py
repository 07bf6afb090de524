"""Bytes -> file in one step: nobody ever sees half a file."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from hsrgeo.errors import OutputExistsError, WriteError


def temporary_beside(path: Path, writer: str = "") -> Path:
    """Return the name that a file has while it is written: hidden, in the same folder, always the same.

    Always the same, so that what a killed run left behind is written over by the next.

    Args:
        path: The target.
        writer: Tells writers apart that may work on the same target at the same time.
    """
    return path.with_name(f".{path.name}.{writer}.part" if writer else f".{path.name}.part")


def write_file(path: Path, *chunks: bytes | bytearray | memoryview) -> None:
    """Write a file beside its target, then move it there; folders are made.

    Args:
        path: The target; what is there already is replaced.
        chunks: Its bytes, in order.

    Raises:
        WriteError: The disk refused; nothing is left behind.
    """
    write_chunks(path, chunks)


def write_chunks(
    path: Path, chunks: Iterable[bytes | bytearray | memoryview], *, writer: str = "", replace: bool = True
) -> None:
    """Write a file as `write_file` does, from chunks that are made while it is written.

    Args:
        path: As for `write_file`.
        chunks: As for `write_file`; an error while they are made leaves nothing behind either.
        writer: See `temporary_beside`.
        replace: Replace what is there; else it stays, whoever put it there while this was written, and is fine where
            it has the same bytes.

    Raises:
        WriteError: The disk refused; nothing is left behind.
        OutputExistsError: Something else is there, and is not to be replaced.
    """
    temporary = temporary_beside(path, writer)
    try:
        with _opened(temporary) as file:
            for chunk in chunks:
                file.write(chunk)
        if replace:
            os.replace(temporary, path)  # noqa: PTH105 - Path.replace does the same with one more object
        else:
            _publish(temporary, path)
    except BaseException as error:
        with suppress(OSError):  # the reason that matters is the first
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise WriteError(str(path), f"cannot be written: {error.strerror or error}") from error
        raise


def _publish(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)  # the one move that fails where something is
    except FileExistsError as error:
        if not filecmp.cmp(temporary, path, shallow=False):
            raise OutputExistsError(
                str(path), "is there already and differs; use --overwrite or another --out"
            ) from error
    temporary.unlink()


def _opened(path: Path) -> BinaryIO:
    # Buffered: a raw file writes what fits on a full disk, and says so only in a number.
    try:
        return open(path, "wb")  # noqa: PTH123 - Path.open does the same with two more calls
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")

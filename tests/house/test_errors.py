from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Iterator

import pytest

from hsrgeo import errors
from hsrgeo.errors import (
    ArchiveError,
    ClippedWarning,
    FrameError,
    HsrGeoError,
    HsrGeoWarning,
    OutputError,
    SourceError,
    TruncatedError,
)


def _tree(root: type[HsrGeoError]) -> Iterator[type[HsrGeoError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


CLASSES = list(dict.fromkeys(_tree(HsrGeoError)))


def _one(cls: type[HsrGeoError]) -> HsrGeoError:
    if issubclass(cls, FrameError):
        return cls("length", "1,024 bytes", "7 bytes", "in/archive.tar.gz", "09/frame.bin.gz")
    if issubclass(cls, (SourceError, OutputError)):
        return cls("in/a.file", "is in the way")
    return cls("grid of ± 3 cells")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_a_worker(cls: type[HsrGeoError], protocol: int) -> None:
    error = _one(cls)
    error.add_note("while exporting x")
    back = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
    assert type(back) is cls
    assert str(back) == str(error)
    assert vars(back) == vars(error)
    assert back.args == error.args


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_can_be_copied(cls: type[HsrGeoError]) -> None:
    assert str(copy.copy(_one(cls))) == str(_one(cls))


def _drawn() -> dict[str, str | None]:
    # "│   ├── FrameNameError   its name ...": four characters a level
    drawn: dict[str, str | None] = {}
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:[│ ]   |[├└]── )*)([A-Z]\w+Error)\b", line)
        if match:
            del parents[len(match[1]) // 4 :]
            drawn[match[2]] = parents[-1] if parents else None
            parents.append(match[2])
    return drawn


def test_tree_in_docstring_names_every_class_and_no_other() -> None:
    assert sorted(_drawn()) == sorted(cls.__name__ for cls in CLASSES)


def test_tree_in_docstring_hangs_every_class_under_its_parent() -> None:
    parents = {cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES if cls is not HsrGeoError}
    assert _drawn() == {"HsrGeoError": None, **parents}


def test_every_error_lives_in_the_one_file() -> None:
    assert {cls.__module__ for cls in CLASSES} == {"hsrgeo.errors"}
    defined = {
        value for _name, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == "hsrgeo.errors"
    }
    assert {cls for cls in defined if issubclass(cls, Exception) and not issubclass(cls, Warning)} == set(CLASSES)


def test_frame_error_tells_place_expected_and_found() -> None:
    error = TruncatedError("truncated", "a whole gzip stream", "its end after 9 bytes")
    assert str(error) == "truncated: expected a whole gzip stream, found its end after 9 bytes"
    in_file = error.at("in/f.bin.gz", None)
    assert type(in_file) is TruncatedError
    assert str(in_file) == "in/f.bin.gz: truncated: expected a whole gzip stream, found its end after 9 bytes"
    in_archive = error.at("a.tar.gz", "09/f.bin.gz")
    assert (in_archive.source, in_archive.member) == ("a.tar.gz", "09/f.bin.gz")
    assert str(in_archive).startswith("a.tar.gz [09/f.bin.gz]: truncated: ")
    assert in_archive.detail == error.detail == str(error)


@pytest.mark.parametrize("cls", [SourceError, ArchiveError, *(c for c in CLASSES if issubclass(c, OutputError))])
def test_source_and_output_errors_start_with_the_place(cls: type[SourceError | OutputError]) -> None:
    assert str(cls("in/a.file", "is in the way")) == "in/a.file: is in the way"


def test_warnings_are_no_errors() -> None:
    assert issubclass(ClippedWarning, HsrGeoWarning)
    assert issubclass(HsrGeoWarning, UserWarning)
    assert not issubclass(HsrGeoWarning, HsrGeoError)

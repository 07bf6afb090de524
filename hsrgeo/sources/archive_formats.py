"""The table of archive formats: how a file of each is recognised, and how its members are read.

A new archive format is an entry here, and a function that yields its members (as `hsrgeo.sources.zips` does).
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from hsrgeo.formats.gzipped import MAGIC as GZIP
from hsrgeo.formats.names import claims_frame
from hsrgeo.sources.members import Member
from hsrgeo.sources.remote import Place
from hsrgeo.sources.tars import Unpack, begins_as_tar, tar_members
from hsrgeo.sources.texts import open_file
from hsrgeo.sources.unpacking import Gunzipped, Unpacked
from hsrgeo.sources.zips import zip_members


@dataclass(frozen=True, slots=True)
class ArchiveFormat:
    """One archive format."""

    suffixes: tuple[str, ...]
    """Of the names of such archives, in lower case."""
    magic: bytes
    """First bytes of such a file; empty for a plain tar archive, which begins with the name of its first member."""
    members: Callable[[str, IO[bytes], bytes], Iterator[Member]]
    """Yields the members in stored order. Takes the archive's name for errors, the open file and its first bytes."""
    begins: Callable[[bytes], bool]
    """Tells from the first 64 KiB of a file that begins with `magic` whether it is such an archive."""
    seeks: bool = False
    """Whether `members` needs a file that can seek: inside another archive it is copied to a temporary file first."""


_XZ_MEMORY = 256 << 20
"""Bytes that an archive may ask for as its dictionary: ``xz -9`` takes 65 MB, and the format allows 4 GB."""
_new_xz = partial(lzma.LZMADecompressor, memlimit=_XZ_MEMORY)


def _tar(magic: bytes, *suffixes: str, unpack: Unpack | None = None) -> ArchiveFormat:
    return ArchiveFormat(suffixes, magic, partial(tar_members, unpack=unpack), partial(begins_as_tar, unpack=unpack))


ARCHIVES: tuple[ArchiveFormat, ...] = (
    _tar(GZIP, ".tar.gz", ".tgz", unpack=Gunzipped),
    _tar(b"BZh", ".tar.bz2", ".tbz2", ".tbz", unpack=lambda file: Unpacked(file, bz2.BZ2Decompressor)),
    _tar(b"\xfd7zXZ\0", ".tar.xz", ".txz", unpack=lambda file: Unpacked(file, _new_xz)),
    ArchiveFormat((".zip",), b"PK\3\4", zip_members, lambda _start: True, seeks=True),
    _tar(b"", ".tar"),
)
"""A file is the first whose magic it begins with; a plain tar archive, which has none, comes last."""
ARCHIVE_SUFFIXES = tuple(suffix for one in ARCHIVES for suffix in one.suffixes)
UNREAD_SUFFIXES = (".7z", ".rar", ".alz", ".egg", ".zst", ".tzst", ".lz4", ".tar.z")
"""Of archives that may contain frames, and that hsrgeo does not read."""
UNREAD = "may contain frames, but hsrgeo does not read this kind of archive: unpack it, or repack it as .zip or .tar.gz"
BEGINNING = 1 << 16
"""Bytes that tell what a file without a suffix is. A block of bzip2 can be longer; then only a suffix tells."""
_OPEN_SUFFIXES = ("", ".gz", ".bz2", ".xz")
# ^ of files that may be archives although their names do not say so: "RDR_HSR_202206", "RDR_HSR_202206.tar (1).gz"


def format_of(start: bytes) -> ArchiveFormat:
    """Return the format of an archive by its first bytes; plain tar where they are no other's."""
    return next(one for one in ARCHIVES if start.startswith(one.magic))


def is_archive(path: Place) -> bool:
    """Tell whether a file is an archive that is read: by its name; where the name says nothing, by its first bytes."""
    if is_archive_name(path.name):
        return True
    named = path.name.lower().endswith(".bin.gz") or claims_frame(path.name)
    if not isinstance(path, Path) or named or path.suffix.lower() not in _OPEN_SUFFIXES:
        return False
    try:
        with open_file(path) as file:
            start = file.read(BEGINNING)
    except OSError:
        return False
    return format_of(start).begins(start)


def is_archive_name(name: str) -> bool:
    """Tell whether a name is that of an archive that is read."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def is_unread_archive_name(name: str) -> bool:
    """Tell whether a name is that of an archive that is not read."""
    return name.lower().endswith(UNREAD_SUFFIXES)

"""Headers of tar members, read strictly: tarfile takes damage for the end, and believes whatever a header tells.

What is bounded here is what somebody could make of tarfile with a few kilobytes: sizes that take years to skip, names
upon names, maps of sparse members and attributes that fill the memory, and texts that take its regular expressions
hours (CVE-2024-6232, in Python before 3.11.10 and 3.12.6).
"""

from __future__ import annotations

import re
import tarfile
from typing import IO, Any, Self, cast

_ATTRIBUTE_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_NAME_TYPES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, *_ATTRIBUTE_TYPES)
# ^ members that only carry the next one's name or attributes; tarfile reads them into memory whole
_LONGEST_NAME_BYTES = 1 << 20
_LONGEST_HEADERS_BYTES = 2 << 20
# ^ all that may stand before a member's data: names upon names, and the map of a sparse member, which has no end
_LARGEST_MEMBER_BYTES = 1 << 40
# ^ tarfile skips a member in steps of 1 MiB, also beyond the end of the file: for the largest size that a header can
#   tell, that takes years
_RECORD = re.compile(rb"(\d{1,8}) ([^=\n]+)=")
_MANY_DIGITS = re.compile(rb"\d{256}")  # no part of a name has more; tarfile's time is the square of their number


class DamagedTarError(Exception):
    """A member header is damaged; not a HeaderError, so that tarfile lets it through."""


class StrictMember(tarfile.TarInfo):
    """A tar header that says when it is damaged: tarfile takes that for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header.

        Raises:
            DamagedTarError: It is damaged, or tells of more than can be.
        """
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # not in typeshed
            raise  # two blocks of zeros: the true end
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            raise DamagedTarError("it ends without an end mark: it may be cut short") from error
        except tarfile.HeaderError as error:
            raise DamagedTarError(f"damaged member header ({error}): what follows cannot be read") from error
        check_size(member.size, _LONGEST_NAME_BYTES if member.type in _NAME_TYPES else _LARGEST_MEMBER_BYTES)
        return member

    def _proc_member(self, tar: tarfile.TarFile) -> Self:
        """Read what follows the header and belongs to it, as tarfile does, but no more than can be."""
        process = cast("Any", super())._proc_member  # noqa: SLF001 - the one place that every kind goes through
        if self.type not in (*_NAME_TYPES, tarfile.GNUTYPE_SPARSE) or isinstance(tar.fileobj, _Guard):
            if self.type in _ATTRIBUTE_TYPES:
                cast("_Guard", tar.fileobj).attributes = self.size
            return cast("Self", process(tar))
        stream = tar.fileobj
        guard = _Guard(cast("IO[bytes]", stream))
        guard.attributes = self.size if self.type in _ATTRIBUTE_TYPES else None
        tar.fileobj = cast("Any", guard)
        try:
            return cast("Self", process(tar))
        finally:
            tar.fileobj = stream


def check_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    """Refuse a member whose attributes changed its size to what cannot be, or that are kept for all and pile up.

    Raises:
        DamagedTarError: See above.
    """
    check_size(member.size, _LARGEST_MEMBER_BYTES)
    if tar.pax_headers and sum(len(name) + len(text) for name, text in tar.pax_headers.items()) > _LONGEST_NAME_BYTES:
        raise DamagedTarError("global attributes without end: what follows is not read")


def check_size(size: int, limit: int) -> None:
    """Refuse a size.

    Raises:
        DamagedTarError: It is negative, or above the limit.
    """
    if not 0 <= size <= limit:
        raise DamagedTarError(f"a member of {size:,} bytes where at most {limit:,} can be: what follows is not read")


class _Guard:
    """The stream of an archive while what belongs to one header is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = _LONGEST_HEADERS_BYTES
        self.attributes: int | None = None
        """Length of the attributes that are read next, if any."""

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise DamagedTarError(
                f"more than {_LONGEST_HEADERS_BYTES:,} bytes of names and maps before a member: "
                "what follows is not read"
            )
        data = self._stream.read(size)
        if self.attributes is not None:
            _check_attributes(data[: self.attributes])
            self.attributes = None
        return data

    def tell(self) -> int:
        return self._stream.tell()


def _check_attributes(data: bytes) -> None:
    """Refuse what is not a list of ``length name=value`` lines (POSIX, pax interchange format)."""
    at = 0
    while at < len(data) and data[at]:  # zeros may fill it up
        record = _RECORD.match(data, at)
        end = at + int(record[1]) if record else 0
        if record is None or not record.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise DamagedTarError("damaged attributes of a member: what follows cannot be read")
        at = end
    if _MANY_DIGITS.search(data):
        raise DamagedTarError("attributes of a member with 256 digits and more in a row: what follows is not read")

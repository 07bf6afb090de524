"""Every frame of a list of sources, in a fixed order."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from hsrgeo.errors import FrameError, FrameNameError, SourceError, TooLargeError
from hsrgeo.formats.composite import MAX_STORED_BYTES, peek_header, product_of, unpack
from hsrgeo.formats.names import FrameName, claims_frame, parse_name, preference
from hsrgeo.sources.archive_formats import UNREAD, is_archive, is_unread_archive_name
from hsrgeo.sources.archives import frames_in_archive
from hsrgeo.sources.found import Found, Tally, read_file
from hsrgeo.sources.listing import File, Listing, file_name, frame_name_of, listed_files, place_of, size_of, size_of_all
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.sources.select import Selection
from hsrgeo.sources.texts import refuse_file_type


def scan(sources: Sequence[str | Path] | Listing, selection: Selection, tally: Tally | None = None) -> Iterator[Found]:
    """Yield every wanted frame of the sources, and everything that claims to be one and cannot be used.

    A file named on its own is a frame whatever its name; in folders and archives a frame is what is named
    ``RDR_CMP_*.bin`` or ``.bin.gz``, everything else is passed over and counted, but for archives of a kind that is not
    read: these are errors.

    Args:
        sources: Files, folders (read recursively, sorted by name), globs, and archives (stored order); as paths,
            or as URLs (`hsrgeo.sources.remote`). Or their listing.
        selection: Which frames are wanted.
        tally: Counts everything else, and the bytes for progress.

    Raises:
        SourceError: A source does not exist. Raised at once, before the first frame.
    """
    counted = tally if tally is not None else Tally()
    files = of_one_kind(listed_files(sources), selection, counted)
    counted.measure = partial(size_of_all, files)
    return scan_files(files, selection, counted)


def products_in_names(files: Listing) -> set[str]:
    """Return the products of files that are named as frames, wanted or not."""
    return {product for product, _kind in files.kinds}


def names_in_files(sources: Sequence[str | Path] | Listing, selection: Selection) -> Iterator[FrameName]:
    """Yield product, kind and time of the selected frames by the names of their files; archives are not opened.

    Raises:
        SourceError: A source does not exist.
    """
    for file, _named in listed_files(sources):
        frame_name = frame_name_of(file)
        if frame_name is not None and selection.wants(frame_name):
            yield frame_name


def of_one_kind(files: Listing, selection: Selection, tally: Tally) -> Listing:
    """Return the files without frames that are also there in a preferred kind, and count those left out.

    EXT and PUB of one minute are not one frame twice: numbers of both must not be mixed by chance.
    """
    if not selection.one_kind or selection.kind is not None:
        return files
    kinds = files.kinds
    if len({product for product, _kind in kinds}) == len(kinds):
        return files
    frame_names = [frame_name_of(file) for file, _named in files]
    best: dict[tuple[str, datetime], str] = {}
    for one in frame_names:
        if one is not None:
            key = one.product, one.time
            best[key] = max(best.get(key, one.kind), one.kind, key=preference)
    kept = Listing()
    for entry, one in zip(files, frame_names, strict=True):
        better = "" if one is None else best[one.product, one.time]
        if one is None or one.kind == better:
            kept.append(entry)
        elif selection.wants(one):
            tally.other_kinds[one.kind, better] += 1
            tally.twins.setdefault((one.product, one.time), []).append(((one.kind, better), entry))
    return kept


def scan_twins(selection: Selection, tally: Tally) -> Iterator[Found]:
    """Yield the frames of other kinds that were left out for frames that are broken (`Tally.broken`)."""
    files = Listing()
    for key in sorted(tally.broken & tally.twins.keys()):
        for kinds, entry in tally.twins.pop(key):
            tally.other_kinds[kinds] -= 1
            files.append(entry)
    tally.total_bytes += sum(size_of(file) for file, _named in files)
    return scan_files(files, selection, tally)


def scan_files(files: Listing, selection: Selection, tally: Tally) -> Iterator[Found]:
    """Yield what `scan` yields of files that are listed already."""
    for file, named in files:
        before, frame_name = tally.read_bytes, frame_name_of(file)
        name = "" if frame_name else file_name(file)
        claims = frame_name is not None or claims_frame(name)
        if not claims and is_archive(place_of(file)):
            yield from frames_in_archive(place_of(file), selection, tally)
        elif is_unread_archive_name(name):
            yield Found(str(file), None, None, size_of(file), error=SourceError(str(file), UNREAD))
        elif named or claims:
            found = _found(file, frame_name, claims=claims)
            if found.frame_name is not None and not selection.wants(found.frame_name):
                tally.leave_out(found.frame_name)
            else:
                yield found
            tally.read_bytes = before + found.size
            continue
        else:
            tally.pass_over(name)
        tally.read_bytes = before + size_of(file)


def can_have_frames(file: File) -> bool:
    """Tell whether a file of a folder is read: `scan_files` skips others unless they were named on their own."""
    name = file_name(file)
    return claims_frame(name) or is_archive(place_of(file)) or is_unread_archive_name(name)


def _found(file: File, frame_name: FrameName | None, *, claims: bool) -> Found:
    source, size, version, mode = str(file), 0, "", stat.S_IFREG
    if isinstance(file, RemotePath):
        size, version = size_of(file), file.stat().version
    else:
        with suppress(OSError):
            status = os.stat(file)  # noqa: PTH116 - see `File`
            size, mode = status.st_size, status.st_mode
    if frame_name is None and claims:
        try:
            parse_name(file_name(file))
        except FrameNameError as error:
            return Found(source, None, None, size, error=error.at(source, None))
    if not stat.S_ISREG(mode):
        try:
            refuse_file_type(mode, pipes=False)
        except OSError as error:
            return Found(source, None, frame_name, size, error=SourceError(source, f"cannot be read: {error.strerror}"))
    if size > MAX_STORED_BYTES:
        limit = f"at most {MAX_STORED_BYTES:,} bytes"
        return Found(source, None, frame_name, size, error=TooLargeError("too large", limit, f"{size:,} bytes", source))
    return (
        Found(source, None, frame_name, size, version=version)
        if frame_name
        else _found_by_header(place_of(file), size, version)
    )


def _found_by_header(file: Place, size: int, version: str) -> Found:
    source = str(file)
    try:
        data = read_file(file)
        try:
            header = peek_header(data)
        except FrameError:
            unpack(data, file.name)  # tells what is really wrong with it
            raise
    except FrameError as error:
        return Found(source, None, None, size, error=error.at(source, None))
    except SourceError as error:
        return Found(source, None, None, size, error=error)
    return Found(source, None, FrameName(product_of(header), "", header.time.replace(second=0)), size, version=version)

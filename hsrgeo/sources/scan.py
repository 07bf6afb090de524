"""Every frame of a list of sources, in a fixed order."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

from hsrgeo.errors import FrameError, FrameNameError, SourceError, TooLargeError
from hsrgeo.formats.composite import MAX_STORED_BYTES, peek_header, product_of, unpack
from hsrgeo.formats.names import FrameName, claims_frame, parse_name, preference, product_and_kind
from hsrgeo.sources.archive_formats import UNREAD, is_archive, is_unread_archive_name
from hsrgeo.sources.archives import frames_in_archive
from hsrgeo.sources.found import Found, Tally, read_file
from hsrgeo.sources.remote import Place, RemotePath, place, remote_files
from hsrgeo.sources.select import Selection
from hsrgeo.sources.texts import refuse_file_type

File = str | RemotePath
"""A file of a listing. Local paths are texts: there are hundreds of thousands of them."""


class Listing(list[tuple[File, bool]]):
    """Every file of some sources once, and whether it was named on its own."""

    @cached_property
    def kinds(self) -> set[tuple[str, str]]:
        """Products and kinds of files that are named as frames, wanted or not."""
        kinds: set[tuple[str, str]] = set()
        read: set[str] = set()  # the parts of names that tell both
        for file, _named in self:
            part = str(file).rpartition("_")[0]
            if part not in read and (found := product_and_kind(_name(file))):
                kinds.add(found)
                read.add(part)
        return kinds


def expand(sources: Sequence[str | Path]) -> list[Place]:
    """Return the files, folders and archives that sources name, globs expanded, in order.

    Raises:
        SourceError: A source does not exist, or a glob matches nothing.
        OptionsError: A URL of a kind that is not known.
    """
    paths: list[Place] = []
    for source in sources:
        path = place(source)
        if isinstance(path, RemotePath):
            paths.append(path)  # listed where its files are wanted
        elif os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a name is too long or a folder is closed
            paths.append(path)
        elif glob.has_magic(str(source)):
            matches = sorted(glob.glob(str(source), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
            if not matches:
                raise SourceError(str(source), "no file matches this pattern")
            paths.extend(Path(match) for match in matches)
        else:
            raise SourceError(str(source), f"no such file or folder{_time_hint(str(source))}")
    return paths


def _time_hint(source: str) -> str:
    """Return what to do about a source that is the hour of a time, parted from its day by a shell."""
    if not re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", source):
        return ""
    return f"; a time with a space in it needs quotes, as --start '2022-06-09 {source}', or a T, as 2022-06-09T{source}"


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
        frame_name = _frame_name(file)
        if frame_name is not None and selection.wants(frame_name):
            yield frame_name


def listed_files(sources: Sequence[str | Path] | Listing) -> Listing:
    """Return every file of the sources once, and whether it was named on its own.

    Raises:
        SourceError: A source does not exist, or a folder cannot be read.
    """
    if isinstance(sources, Listing):
        return sources
    # In the place of the first time; on its own where it was named on its own once.
    seen: dict[str, tuple[File, bool]] = {}
    folders: dict[str, str] = {}
    for file, named, real in (entry for path in expand(sources) for entry in _files_of(path, folders)):
        first, was_named = seen.get(real, (file, False))
        seen[real] = (file if named and not was_named else first, was_named or named)
    return Listing(seen.values())


def of_one_kind(files: Listing, selection: Selection, tally: Tally) -> Listing:
    """Return the files without frames that are also there in a preferred kind, and count those left out.

    EXT and PUB of one minute are not one frame twice: numbers of both must not be mixed by chance.
    """
    if not selection.one_kind or selection.kind is not None:
        return files
    kinds = files.kinds
    if len({product for product, _kind in kinds}) == len(kinds):
        return files
    frame_names = [_frame_name(file) for file, _named in files]
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


def _frame_name(file: File) -> FrameName | None:
    try:
        return parse_name(file.name if isinstance(file, RemotePath) else file)
    except FrameNameError:
        return None


def place_of(file: File) -> Place:
    """Return where a file of a listing is."""
    return file if isinstance(file, RemotePath) else Path(file)


def _name(file: File) -> str:
    return file.name if isinstance(file, RemotePath) else os.path.basename(file)  # noqa: PTH119 - see `File`


def scan_files(files: Listing, selection: Selection, tally: Tally) -> Iterator[Found]:
    """Yield what `scan` yields of files that are listed already."""
    for file, named in files:
        before, frame_name = tally.read_bytes, _frame_name(file)
        name = "" if frame_name else _name(file)
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
    name = _name(file)
    return claims_frame(name) or is_archive(place_of(file)) or is_unread_archive_name(name)


def _real_path(file: str, folders: dict[str, str]) -> str:
    """Return a path without links; each folder is asked once, and kept in `folders`."""
    if os.path.islink(file):  # noqa: PTH114 - as expand
        return os.path.realpath(file)
    folder, name = os.path.split(file)
    if name in ("", os.curdir, os.pardir):
        return os.path.realpath(file)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return file if folders[folder] == folder else os.path.join(folders[folder], name)  # noqa: PTH118 - see `File`


def _files_of(path: Place, folders: dict[str, str]) -> Iterator[tuple[File, bool, str]]:
    """Yield every file of a source, whether it was named on its own, and its path without links."""
    if isinstance(path, RemotePath):
        yield from ((file, path == file, str(file)) for file in _files_elsewhere(path))
    elif not path.is_dir():
        yield str(path), True, _real_path(str(path), folders)
    else:
        yield from ((file, False, real) for file, real in _below(path))


def files_below(path: Place) -> list[Place]:
    """Return the files of a folder and its subfolders, sorted by name, or the file itself.

    Raises:
        SourceError: A folder cannot be read, or a URL leads nowhere.
    """
    if isinstance(path, RemotePath):
        return list(_files_elsewhere(path))
    return [Path(file) for file, _real in _below(path)] if path.is_dir() else [path]


def _files_elsewhere(path: RemotePath) -> list[RemotePath]:
    try:
        return list(remote_files(path))
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error


def _below(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each file of a folder, then those of its subfolders, and its path without links."""
    seen: set[str] = set()  # a link to a folder is followed, but not round and round
    root = os.path.realpath(path)
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        seen.add(real)
        names, subfolders, links = _listed(folder)
        waiting += [one for name in subfolders if not _leads_astray(one := folder / name, root, seen)][::-1]
        beginning, really = str(folder / "x")[:-1], os.path.join(real, "")  # noqa: PTH118 - see `File`
        for name in names:
            file = beginning + name
            yield file, os.path.realpath(file) if name in links else file if really == beginning else really + name


def _listed(folder: Path) -> tuple[list[str], list[str], set[str]]:
    """Return the names of the files and of the folders in a folder, and which of these are links."""
    names: list[str] = []
    subfolders: list[str] = []
    links: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                (subfolders if _is_folder(entry) else names).append(entry.name)
                if entry.is_symlink():
                    links.add(entry.name)
    except OSError as error:
        raise SourceError(str(error.filename), f"folder cannot be read: {error.strerror}") from error
    return sorted(names), sorted(subfolders), links


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere
        return False


def _leads_astray(folder: Path, root: str, seen: set[str]) -> bool:
    """Tell whether a folder was met before, or is a link to where no archive is: around `root`, or of the system."""
    real = os.path.realpath(folder)
    if real in seen:
        return True
    return folder.is_symlink() and (Path(root).is_relative_to(real) or real.startswith(_OF_THE_SYSTEM))


_OF_THE_SYSTEM = ("/proc", "/sys", "/dev")  # no files but windows into a running system, some without an end


def is_folder(path: Place) -> bool:
    """Tell whether a path is a folder, or a URL that is no file.

    Raises:
        SourceError: A URL cannot be reached.
    """
    if not isinstance(path, RemotePath):
        return path.is_dir()
    try:
        return path.is_folder()
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error


def size_of_all(files: Listing) -> int:
    """Return the size of all files together, where it is known."""
    return sum(size_of(file) for file, _named in files)


def size_of(path: File) -> int:
    """Return the size of a file, or 0 where it is unknown."""
    try:
        return path.stat().size if isinstance(path, RemotePath) else os.stat(path).st_size  # noqa: PTH116 - see `File`
    except OSError:
        return 0


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
            parse_name(_name(file))
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

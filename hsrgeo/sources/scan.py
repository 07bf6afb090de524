"""Every frame of a list of sources, in a fixed order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from hsrgeo.errors import FrameError, FrameNameError, SourceError, TooLargeError
from hsrgeo.formats.composite import MAX_STORED_BYTES, peek_header, product_of, unpack
from hsrgeo.formats.names import FrameName, claims_frame, parse_name, preference
from hsrgeo.sources.archives import frames_in_archive
from hsrgeo.sources.found import Found, Tally, read_file
from hsrgeo.sources.members import SEALED, is_archive, is_sealed_name
from hsrgeo.sources.remote import Place, RemotePath, place, remote_files
from hsrgeo.sources.select import Selection
from hsrgeo.sources.texts import refuse_special


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
            raise SourceError(str(source), "no such file or folder")
    return paths


def scan(sources: Sequence[str | Path], selection: Selection, tally: Tally | None = None) -> Iterator[Found]:
    """Yield every wanted frame of the sources, and everything that claims to be one and cannot be used.

    A file named on its own is a frame whatever its name; in folders and archives a frame is what is named
    ``RDR_CMP_*.bin`` or ``.bin.gz``, everything else is passed over and counted, but for archives of a kind that is not
    read: these are errors.

    Args:
        sources: Files, folders (read recursively, sorted by name), globs, and archives (stored order); as paths,
            or as URLs (`hsrgeo.sources.remote`).
        selection: Which frames are wanted.
        tally: Counts everything else, and the bytes for progress.

    Raises:
        SourceError: A source does not exist. Raised at once, before the first frame.
    """
    counted = tally if tally is not None else Tally()
    files = of_one_kind(listed_files(sources), selection, counted)
    counted.total_bytes = sum(size_of(file) for file, _named in files)
    return scan_files(files, selection, counted)


def names_in_files(sources: Sequence[str | Path], selection: Selection) -> Iterator[FrameName]:
    """Yield what the names of wanted frames tell that are files of their own; an archive is not opened.

    Raises:
        SourceError: A source does not exist.
    """
    for file, _named in listed_files(sources):
        told = _told_by_name(file)
        if told is not None and selection.wants(told):
            yield told


def listed_files(sources: Sequence[str | Path]) -> list[tuple[Place, bool]]:
    """Return every file of the sources once, and whether it was named on its own."""
    paths = expand(sources)
    return _each_once([(file, path == file) for path in paths for file in files_below(path)])


def of_one_kind(files: list[tuple[Place, bool]], selection: Selection, tally: Tally) -> list[tuple[Place, bool]]:
    """Return the files without frames of which a preferred kind is there too, and count these.

    EXT and PUB of one minute are not one frame twice: numbers of both must not be mixed by chance.
    """
    if not selection.one_kind or selection.kind is not None:
        return files
    told = [_told_by_name(file) for file, _named in files]
    best: dict[tuple[str, datetime], str] = {}
    for one in told:
        if one is not None:
            key = one.product, one.time
            best[key] = max(best.get(key, one.kind), one.kind, key=preference)
    kept = []
    for entry, one in zip(files, told, strict=True):
        better = "" if one is None else best[one.product, one.time]
        if one is None or one.kind == better:
            kept.append(entry)
        elif selection.wants(one):
            tally.other_kinds[one.kind, better] += 1
    return kept


def _told_by_name(file: Place) -> FrameName | None:
    try:
        return parse_name(file.name)
    except FrameNameError:
        return None


def scan_files(files: list[tuple[Place, bool]], selection: Selection, tally: Tally) -> Iterator[Found]:
    """Yield what `scan` yields of files that are listed already."""
    for file, named in files:
        before = tally.read_bytes
        if is_archive(file):
            yield from frames_in_archive(file, selection, tally)
        elif named or claims_frame(file.name):
            found = _found(file, named=named)
            if found.told is not None and not selection.wants(found.told):
                tally.leave_out(found.told)
            else:
                yield found
        elif is_sealed_name(file.name):
            yield Found(str(file), None, None, size_of(file), error=SourceError(str(file), SEALED))
        else:
            tally.pass_over(file.name)
        tally.read_bytes = before + size_of(file)


def _each_once(files: list[tuple[Place, bool]]) -> list[tuple[Place, bool]]:
    # In the place of the first time; on its own where it was named on its own once.
    seen: dict[str, tuple[Place, bool]] = {}
    folders: dict[str, str] = {}
    for file, named in files:
        real = str(file) if isinstance(file, RemotePath) else _real_path(file, folders)
        first, was_named = seen.get(real, (file, False))
        seen[real] = (file if named and not was_named else first, was_named or named)
    return list(seen.values())


def _real_path(file: Path, folders: dict[str, str]) -> str:
    """Return a path without links; each folder is asked once, and kept in `folders`."""
    if os.path.islink(file):  # noqa: PTH114 - as expand
        return os.path.realpath(file)
    folder, name = os.path.split(file)
    if name in ("", os.curdir, os.pardir):
        return os.path.realpath(file)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return os.path.join(folders[folder], name)  # noqa: PTH118 - hundreds of thousands of them


def files_below(path: Place) -> list[Place]:
    """Return the files of a folder and its subfolders, sorted by name, or the file itself.

    Raises:
        SourceError: A folder cannot be read, or a URL leads nowhere.
    """
    if isinstance(path, RemotePath):
        try:
            return list(remote_files(path))
        except OSError as error:
            raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error
    if not path.is_dir():
        return [path]
    files: list[Place] = []
    seen: set[str] = set()  # a link to a folder is followed, but not round and round
    root = os.path.realpath(path)
    for folder, subfolders, names in os.walk(path, onerror=_unreadable, followlinks=True):
        seen.add(os.path.realpath(folder))
        subfolders[:] = [name for name in sorted(subfolders) if not _leads_astray(Path(folder, name), root, seen)]
        files.extend(Path(folder, name) for name in sorted(names))
    return files


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


def _unreadable(error: OSError) -> None:
    raise SourceError(str(error.filename), f"folder cannot be read: {error.strerror}") from error


def size_of(path: Place) -> int:
    """Return the size of a file, or 0 where it cannot be told."""
    try:
        return path.stat().size if isinstance(path, RemotePath) else path.stat().st_size
    except OSError:
        return 0


def _found(file: Place, *, named: bool) -> Found:
    source, size = str(file), size_of(file)
    version = file.stat().version if isinstance(file, RemotePath) else ""
    told = None
    try:
        told = parse_name(file.name)
    except FrameNameError as error:
        if claims_frame(file.name) or not named:
            return Found(source, None, None, size, error=error.at(source, None))
    if not named and isinstance(file, Path):
        try:
            refuse_special(file, pipes=False)
        except OSError as error:
            return Found(source, None, told, size, error=SourceError(source, f"cannot be read: {error.strerror}"))
    if size > MAX_STORED_BYTES:
        limit = f"at most {MAX_STORED_BYTES:,} bytes"
        return Found(source, None, told, size, error=TooLargeError("too large", limit, f"{size:,} bytes", source))
    return Found(source, None, told, size, version=version) if told else _found_by_header(file, size, version)


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

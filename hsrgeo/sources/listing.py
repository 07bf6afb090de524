"""Which files some sources name: files, folders, globs and URLs, each file once."""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from hsrgeo.errors import FrameNameError, SourceError
from hsrgeo.formats.names import FrameName, parse_name, product_and_kind
from hsrgeo.sources.remote import Place, RemotePath, place, remote_files

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
            if part not in read and (found := product_and_kind(file_name(file))):
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
            raise SourceError(str(source), _why_not(str(source)))
    return paths


def _why_not(source: str) -> str:
    """Return why a source is not there: whoever may not look into its folder must not take it for gone."""
    try:
        os.stat(source)  # noqa: PTH116 - see `File`
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return f"cannot be read: {error.strerror}"
    except ValueError:  # a NUL in it, which no name has
        pass
    return f"no such file or folder{_time_hint(source)}"


def _time_hint(source: str) -> str:
    """Return what to do about a source that is the hour of a time, parted from its day by a shell."""
    if not re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", source):
        return ""
    return f"; a time with a space in it needs quotes, as --start '2022-06-09 {source}', or a T, as 2022-06-09T{source}"


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


def frame_name_of(file: File) -> FrameName | None:
    """Return what the name of a file says of its frame; None where it is not named as a frame."""
    try:
        return parse_name(file.name if isinstance(file, RemotePath) else file)
    except FrameNameError:
        return None


def place_of(file: File) -> Place:
    """Return where a file of a listing is."""
    return file if isinstance(file, RemotePath) else Path(file)


def file_name(file: File) -> str:
    """Return the name of a file, without its folders."""
    return file.name if isinstance(file, RemotePath) else os.path.basename(file)  # noqa: PTH119 - see `File`


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

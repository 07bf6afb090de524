"""Text files that others wrote, read without waiting for ever: a device has no end, a pipe perhaps no beginning."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def refuse_special(path: str | Path, *, pipes: bool) -> None:
    """Refuse what is there and no file; what is not there is left to whoever opens it.

    Args:
        path: On this machine.
        pipes: Whether a pipe is welcome: a user may name one, as a shell's ``<(...)`` does; a folder or a catalogue
            must not lead to one, for nobody may ever write to it.

    Raises:
        OSError: It is a device, or a pipe that is not welcome.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - Path.stat does the same with one more object
    except (OSError, ValueError):
        return
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise OSError(0, "is a device, not a file")
    if stat.S_ISFIFO(mode) and not pipes:
        raise OSError(0, "is a pipe, not a file")


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """Return the text of a file that a user named.

    Raises:
        OSError: It cannot be read, or is a device.
        UnicodeDecodeError: It is in another encoding.
    """
    refuse_special(path, pipes=True)
    return Path(path).read_text(encoding=encoding)

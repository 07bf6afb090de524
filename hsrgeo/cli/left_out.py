"""The files of an export that something made of it lacks."""

from collections.abc import Sequence

from hsrgeo.cli.common import Status, counted, say
from hsrgeo.errors import ReadbackError

_SHOWN = 5  # of each kind


def tell_left_out(made: str, damaged: Sequence[ReadbackError], missing: Sequence[str]) -> Status:
    """Print what was made, such as ``17 layers``, and which files of the export are not in it.

    Damaged ones cannot be read; missing ones are in the manifest, and not there.

    Returns:
        The exit status: whoever counts on the whole export must hear of it.
    """
    for error in damaged[:_SHOWN]:
        say(f"left out: {error}")
    if len(damaged) > _SHOWN:
        say(f"left out: {counted(len(damaged) - _SHOWN, 'more file')} that cannot be read; `hsrgeo verify` lists them")
    for path in missing[:_SHOWN]:
        say(f"left out: {path} is in the manifest and not in the folder")
    if len(missing) > _SHOWN:
        say(f"left out: {counted(len(missing) - _SHOWN, 'more file')} that the manifest lists")
    count = len(damaged) + len(missing)
    say(f"{made}; {counted(count, 'file')} missing or unreadable" if count else made)
    return Status.BROKEN if count else Status.DONE

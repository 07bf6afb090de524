"""Files and frames that a run skipped, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it would load numpy for nothing
    from hsrgeo.sources.found import Tally

ZARR_ROOTS = ("zarr.json", ".zgroup")
"""In the root of a Zarr store, of Zarr 3 and Zarr 2."""
_SHOWN = 5  # suffixes, and products


def skipped_text(tally: Tally) -> str:
    """Return what was not taken, in a line; empty where all was."""
    parts = [f"{tally.unselected:,} outside the selection"] if tally.unselected else []
    if tally.passed_over:
        count = tally.passed_over.total()
        parts.append(f"{count:,} other file{'s' if count > 1 else ''} skipped ({suffix_counts(tally)})")
    return "; ".join(parts)


def suffix_counts(tally: Tally) -> str:
    """Return how many files are no frames, by suffix."""
    return ", ".join(f"{count:,} x {suffix}" for suffix, count in tally.passed_over.most_common(_SHOWN))


def other_command(tally: Tally) -> str:
    """Return what to do with files that are no frames but have a use; empty where there are none."""
    from hsrgeo.formats.volume import SUFFIXES  # noqa: PLC0415 - only where nothing was found, and many modules

    kinds = {kind.lower() for kind in tally.passed_over}
    parts = []
    if kinds & {".tif", ".tiff"}:
        parts.append("a .tif, such as a sum or a merged sum, is a result: give the frames that it was made from")
    if kinds & {*ZARR_ROOTS}:
        parts.append("a Zarr store, such as a cube, is a result too: hsrgeo series, accumulate and stats read one")
    if volumes := sorted(kinds & {*SUFFIXES}):
        parts.append(f"if the {' and '.join(volumes)} files are volumes of radars: hsrgeo compose makes frames of them")
    return "; ".join(parts)


def skipped_for_their_names(*names: str) -> str:
    """Return why files were skipped that end like frames."""
    which = "them, give them as sources" if len(names) > 1 else "it, give it as a source"
    return f"skipped, because not named RDR_CMP_*.bin.gz: {', '.join(names)}; to read {which}"


def no_frame(tally: Tally) -> str:
    """Return why a run has no frame: what is there instead, so that nobody has to look with another command."""
    reason = skipped_text(tally) or "the sources contain none"
    if not tally.spans:
        advice = other_command(tally)
        return f"no frame found ({reason})" + (f"; {advice}" if advice else "")
    spans = [
        f"{product} of {first:%Y-%m-%d %H:%M}" + (f" to {last:%Y-%m-%d %H:%M}" if last > first else "")
        for product, (first, last) in list(tally.spans.items())[:_SHOWN]
    ]
    return f"no frame found ({reason}): there is {', '.join(spans)} KST"

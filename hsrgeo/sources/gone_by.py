"""What went by while sources were read, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it would load numpy for nothing
    from hsrgeo.sources.found import Tally

_SHOWN = 5  # suffixes, and products


def gone_by(tally: Tally) -> str:
    """Return what was not taken, in a line; empty where all was."""
    parts = [f"{tally.unselected:,} outside the selection"] if tally.unselected else []
    if tally.passed_over:
        parts.append(f"{tally.passed_over.total():,} other files skipped ({suffixes(tally)})")
    return "; ".join(parts)


def suffixes(tally: Tally) -> str:
    """Return how many files are no frames, by suffix."""
    return ", ".join(f"{count:,} x {suffix}" for suffix, count in tally.passed_over.most_common(_SHOWN))


def no_frame(tally: Tally) -> str:
    """Return why a run has no frame: what is there instead, so that nobody has to look with another command."""
    reason = gone_by(tally) or "the sources contain none"
    if not tally.spans:
        return f"no frame found ({reason})"
    spans = [
        f"{product} of {first:%Y-%m-%d %H:%M}" + (f" to {last:%Y-%m-%d %H:%M}" if last > first else "")
        for product, (first, last) in list(tally.spans.items())[:_SHOWN]
    ]
    return f"no frame found ({reason}): there is {', '.join(spans)} KST"

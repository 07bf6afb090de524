"""The frames of one product and time, of which one is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from hsrgeo.outputs.outcome import Outcome


@dataclass(slots=True)
class Contest:
    """Those that are under way."""

    labels: set[str] = field(default_factory=set)
    first: str = ""
    """Label of the one that is being written in place, if any."""
    waiting: list[Outcome] = field(default_factory=list)
    """Staged frames that are done, until that one is."""
    before: Outcome | None = None
    """What was kept when one of them, the same frame, was taken up to be made again."""
    retired: bool = False
    """Whether what was made of that frame before was removed: it is broken now, or lost."""
    paths: set[str] = field(default_factory=set)
    """First paths that they claim: more than one where a template has the kind."""

"""The frames of one product and time: one of them is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from hsrgeo.outputs.outcome import Outcome


@dataclass(slots=True)
class Contest:
    """The frames of one product and time that this run works on."""

    labels: set[str] = field(default_factory=set)
    first: str = ""
    """Label of the one that is being written in place, if any."""
    waiting: list[Outcome] = field(default_factory=list)
    """Staged frames that are done and wait for that one."""
    before: Outcome | None = None
    """What was kept when one of them, the same frame, was taken up to be made again."""
    retired: bool = False
    """Whether the earlier outputs of that frame were removed: the frame is broken now, or lost."""
    paths: set[str] = field(default_factory=set)
    """First paths that these frames claim: more than one if the template has the kind."""

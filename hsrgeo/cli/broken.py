"""The broken frames of a run, as reported: a few on the terminal, more in a JSON summary."""

from hsrgeo.cli.common import say
from hsrgeo.errors import HsrGeoError
from hsrgeo.outputs.outcome import Outcome

_KEPT = 1000  # in the JSON summary


class Broken:
    """What went wrong, in the order in which it was found.

    Args:
        most: How many are printed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._errors: list[tuple[str, HsrGeoError]] = []

    def note(self, outcome: Outcome) -> None:
        """Take note of what is wrong with a frame, if anything is."""
        if outcome.error and len(self._errors) < _KEPT:
            self._errors.append((outcome.label, outcome.error))

    def tell(self, count: int, rest: str = "") -> None:
        """Print the first of them, of `count` in all; `rest` says where the others are."""
        for label, error in self._errors[: self._most]:
            text = str(error)
            say(f"failed: {text if label in text else f'{label}: {text}'}")
        if (more := count - self._most) > 0:
            say(f"failed: {more:,} more{rest}")

    def as_json(self) -> list[dict[str, str]]:
        """Return them for a summary."""
        return [{"frame": label, "type": type(error).__name__, "message": str(error)} for label, error in self._errors]

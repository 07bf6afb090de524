"""How a run over frames is followed: progress, broken frames, and a summary for people or for a script."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from hsrgeo.cli.common import Status as ExitStatus
from hsrgeo.cli.common import answer_json, counted, say, say_notes
from hsrgeo.engine.lazy import Run
from hsrgeo.errors import HsrGeoError
from hsrgeo.outputs.outcome import Outcome, Status
from hsrgeo.sources.skipped import no_frame, skipped_text

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


if TYPE_CHECKING:
    from hsrgeo.engine.cells.rows_run import RowsRun
    from hsrgeo.engine.stats.stats_run import Stats


class Follower:
    """Follows a run to its end and tells what was wrong on the way.

    Args:
        run: The run, not begun.
        title: One word for the progress bar; empty for no bar.
        quiet: Tell only errors.
        json: Print one JSON object on stdout at the end.
    """

    words: ClassVar[dict[Status, str]] = {"ok": "used", "duplicate": "duplicate", "failed": "failed"}
    """What the summary calls frames of each status."""
    shown = 20
    """Broken frames printed; there is no manifest that has the rest."""
    rest = ""
    """Where the others are."""

    def __init__(self, run: Run, title: str, *, quiet: bool, json: bool) -> None:
        self._run = run
        self._title = title
        self._quiet = quiet
        self._json = json
        self._broken = Broken(self.shown)
        self._notes_printed = 0
        self._begun = time.perf_counter()

    @property
    def failed(self) -> bool:
        """Whether any frame was broken, or nothing was found at all."""
        return self._run.counts["failed"] > 0 or not self._run.counts.total()

    def follow(self) -> None:
        """Run to the end; notes and broken frames go to stderr."""
        self._tell_notes()
        try:
            for outcome in self._outcomes():
                self._note(outcome)
        finally:  # where an error ends the run, what came before it is reported too
            self._tell_notes()
            self._broken.tell(self._run.counts["failed"], self.rest)

    def finish(self, made: str, values: Mapping[str, object]) -> ExitStatus:
        """Print what came of it, and return the exit status.

        `made` says what was made, for the summary; `values` is what the JSON object has of it beside what every run
        has.
        """
        replaced = self._run.replaced
        made += f", replacing {counted(replaced, 'file')}" if replaced else ""
        summary = [f"{made}: {self._frames()}, {self._counts()} ({self._speed()})"]
        if skipped := skipped_text(self._run.tally):
            summary.append(skipped)
        return self._end(summary, {**values, "replaced": replaced})

    def _end(self, summary: Sequence[str], values: Mapping[str, object]) -> ExitStatus:
        if not self._run.counts.total():  # printed whatever was asked for: it is why the exit status is 1
            say(no_frame(self._run.tally))
        elif not self._quiet:
            say(*summary)
        if self._json:
            answer_json({**values, **self._as_json()})
        return ExitStatus.BROKEN if self.failed else ExitStatus.DONE

    def _note(self, outcome: Outcome) -> None:
        self._broken.note(outcome)

    def _frames(self) -> str:
        return counted(self._run.counts.total(), "frame")

    def _counts(self) -> str:
        counts = self._run.counts
        return ", ".join(f"{counts[status]:,} {word}" for status, word in self.words.items() if counts[status])

    def _speed(self) -> str:
        seconds = time.perf_counter() - self._begun
        return f"{seconds:.1f} s, {counted(round(self._run.counts.total() / seconds), 'frame')}/s"

    def _tell_notes(self) -> None:
        say_notes(self._run.notes[self._notes_printed :])
        self._notes_printed = len(self._run.notes)

    def _as_json(self) -> dict[str, object]:
        """Return the part of a JSON summary that is the same for every run."""
        run = self._run
        return {
            "frames": run.counts.total(),
            **{status: run.counts[status] for status in self.words},
            "unselected": run.tally.unselected,
            "passed_over": dict(run.tally.passed_over),
            "seconds": round(time.perf_counter() - self._begun, 3),
            "notes": run.notes,
            "errors": self._broken.as_json(),
        }

    def _outcomes(self) -> Iterator[Outcome]:
        if not self._title or self._quiet or not sys.stderr.isatty():
            return self._run
        from hsrgeo.cli.progress import with_bar  # noqa: PLC0415 - rich takes a while to import

        return with_bar(self._run, self._title)


def follow_rows(run: "RowsRun | Stats", title: str, what: str, out: str, *, quiet: bool, json: bool) -> ExitStatus:
    """Follow a run, not begun, that writes rows to a table, and return the exit status.

    `what` is one row, in the singular, such as ``storm cell``; for the title, `quiet` and `json` see `Follower`.
    """
    follower = Follower(run, title, quiet=quiet, json=json)
    follower.follow()
    return follower.finish(counted(run.rows, what), {"out": out if run.counts["ok"] else None, "rows": run.rows})

"""How a run that makes one thing of many frames is followed: progress, broken frames, a summary."""

import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hsrgeo.cli.broken import Broken
from hsrgeo.cli.common import counted, say
from hsrgeo.engine.lazy import Run
from hsrgeo.outputs.outcome import Outcome, Status
from hsrgeo.sources.gone_by import gone_by, no_frame

_SHOWN = 20  # broken frames printed; there is no manifest that has the rest


class Follower:
    """Follows a run to its end and tells what was wrong on the way.

    Args:
        run: The run, not begun.
        title: One word for the progress bar.
        quiet: Tell only errors.
    """

    def __init__(self, run: Run, title: str, *, quiet: bool) -> None:
        self._run = run
        self._title = title
        self._quiet = quiet
        self._broken = Broken(_SHOWN)
        self._begun = time.perf_counter()

    @property
    def failed(self) -> bool:
        """Whether any frame was broken, or nothing was found at all."""
        return self._run.counts["failed"] > 0 or not self._run.counts.total()

    def follow(self) -> None:
        """Run to the end; notes and broken frames go to stderr."""
        try:
            for outcome in self._outcomes():
                self._broken.note(outcome)
        finally:  # where an error ends the run, what came before it is reported too
            self._tell_errors()

    def _tell_errors(self) -> None:
        for note in self._run.notes:
            say(f"note: {note}")
        self._broken.tell(self._run.counts["failed"])

    def tell(self, made: str) -> None:
        """Print what came of it, in one line."""
        counts = self._run.counts
        frames = counts.total()
        if not frames:  # printed whatever was asked for: it is why the exit status is 1
            say(no_frame(self._run.tally))
            return
        if self._quiet:
            return
        words: dict[Status, str] = {"ok": "used", "duplicate": "duplicate", "failed": "failed"}
        summary = ", ".join(f"{counts[status]:,} {word}" for status, word in words.items() if counts[status])
        seconds = time.perf_counter() - self._begun
        say(f"{made}: {counted(frames, 'frame')}, {summary} ({seconds:.1f} s, {frames / seconds:,.0f} frames/s)")
        if passed := gone_by(self._run.tally):
            say(passed)

    def as_json(self) -> dict[str, object]:
        """Return the part of a JSON summary that is the same for every run."""
        run = self._run
        return {
            "frames": run.counts.total(),
            **{status: run.counts[status] for status in ("ok", "failed", "duplicate")},
            "unselected": run.tally.unselected,
            "passed_over": dict(run.tally.passed_over),
            "seconds": round(time.perf_counter() - self._begun, 3),
            "notes": run.notes,
            "errors": self._broken.as_json(),
        }

    def _outcomes(self) -> Iterator[Outcome]:
        console = Console(stderr=True)
        if self._quiet or not console.is_terminal:
            yield from self._run
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[frames]:,} frames", style="cyan"),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            bar = progress.add_task(self._title, total=None, frames=0)
            for frames, outcome in enumerate(self._run, 1):
                tally = self._run.tally
                progress.update(bar, total=max(tally.total_bytes, 1), completed=tally.read_bytes, frames=frames)
                yield outcome

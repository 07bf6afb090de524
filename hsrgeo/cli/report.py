"""How an export is followed on a terminal, in a pipe and by a script."""

import sys
import time
from collections.abc import Iterator

from hsrgeo.cli.broken import Broken
from hsrgeo.cli.common import answer, answer_json, counted, say
from hsrgeo.engine.export.export_run import Export
from hsrgeo.errors import HsrGeoError
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.outputs.outcome import Outcome, Status
from hsrgeo.sources.gone_by import gone_by, no_frame
from hsrgeo.sources.remote import Place

_SHOWN = 10  # broken frames printed; the manifest has all


class Report:
    """Follows a run and tells what came of it.

    Args:
        run: The run, not begun.
        out: Its output folder.
        quiet: Tell only errors.
        json: Tell one JSON object on stdout at the end.
        dry_run: List planned files on stdout.
    """

    def __init__(self, run: Export, out: Place, *, quiet: bool, json: bool, dry_run: bool) -> None:
        self._run = run
        self._out = out
        self._quiet = quiet
        self._json = json
        self._dry_run = dry_run
        self._broken = Broken(_SHOWN)
        self._notes_printed = 0
        self._begun = time.perf_counter()

    @property
    def failed(self) -> bool:
        """Whether any frame was broken, or nothing was found at all."""
        return self._run.counts["failed"] > 0 or not self._run.counts.total()

    @property
    def any_output(self) -> bool:
        """Whether OUT holds anything."""
        return self._run.counts["ok"] + self._run.counts["skipped"] > 0

    def follow(self) -> None:
        """Run to the end and tell what came of it."""
        self._tell_notes()
        try:
            for outcome in self._outcomes():
                self._note(outcome)
        except HsrGeoError:  # what came before it is reported too
            if self._run.counts.total():
                self._tell_errors()
                if not self._quiet:
                    self._tell_summary(time.perf_counter() - self._begun)
            raise
        seconds = time.perf_counter() - self._begun
        self._tell_errors()
        if not self._run.counts.total():  # printed whatever was asked for: it is why the exit status is 1
            say(no_frame(self._run.tally))
        elif not self._quiet:
            self._tell_summary(seconds)
        if self._json:
            answer_json(self._as_json(seconds))

    def _note(self, outcome: Outcome) -> None:
        if outcome.status == "planned" and not (self._json or self._quiet):
            for output in outcome.outputs:
                answer(str(self._out / output.path))
        self._broken.note(outcome)

    def _outcomes(self) -> Iterator[Outcome]:
        if self._quiet or self._dry_run or not sys.stderr.isatty():
            return self._run
        from hsrgeo.cli.progress import with_bar  # noqa: PLC0415 - rich takes a while to import

        return with_bar(self._run)

    def _tell_notes(self) -> None:
        for note in self._run.notes[self._notes_printed :]:
            say(f"note: {note}")
        self._notes_printed = len(self._run.notes)

    def _tell_errors(self) -> None:
        self._tell_notes()
        rest = "" if self._dry_run else f"; all are in {self._out / MANIFEST}"
        self._broken.tell(self._run.counts["failed"], rest)

    def _tell_summary(self, seconds: float) -> None:
        counts, tally = self._run.counts, self._run.tally
        frames = counts.total()
        words: dict[Status, str] = {
            "planned": "would be written",
            "ok": "written",
            "skipped": "there already",
            "dry": "dry",
            "duplicate": "duplicate",
            "failed": "failed",
        }
        summary = ", ".join(f"{counts[status]:,} {word}" for status, word in words.items() if counts[status])
        line = f"{counted(frames, 'frame')}: {summary}"
        if not self._dry_run:
            line += f" ({_size(self._run.written_bytes)} in {seconds:.1f} s, {frames / seconds:,.0f} frames/s)"
        say(line)
        if passed := gone_by(tally):
            say(passed)
        if tally.lookalikes:
            names = ", ".join(tally.lookalikes)
            say(f"skipped, because not named RDR_CMP_*.bin.gz: {names}; to read them, give them as sources")

    def _as_json(self, seconds: float) -> dict[str, object]:
        run = self._run
        return {
            "out": str(self._out),
            "manifest": None if self._dry_run else str(self._out / MANIFEST),
            "frames": run.counts.total(),
            **{status: run.counts[status] for status in ("ok", "skipped", "dry", "failed", "duplicate", "planned")},
            "unselected": run.tally.unselected,
            "passed_over": dict(run.tally.passed_over),
            "bytes": run.written_bytes,
            "seconds": round(seconds, 3),
            "notes": run.notes,
            "errors": self._broken.as_json(),
        }


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 - SI
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"

"""How an export is followed on a terminal, in a pipe and by a script."""

from typing import ClassVar

from hsrgeo.cli.common import Status as ExitStatus
from hsrgeo.cli.common import answer, say
from hsrgeo.cli.follow import Follower
from hsrgeo.engine.export.export_run import Export
from hsrgeo.errors import HsrGeoError
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.outputs.outcome import Outcome, Status
from hsrgeo.sources.remote import Place
from hsrgeo.sources.skipped import skipped_for_their_names, skipped_text


class Report(Follower):
    """Follows an export and tells what came of it.

    Args:
        run: The run, not begun.
        out: Its output folder.
        quiet: Tell only errors.
        json: Print one JSON object on stdout at the end.
        dry_run: List planned files on stdout.
    """

    words: ClassVar[dict[Status, str]] = {
        "planned": "would be written",
        "ok": "written",
        "skipped": "there already",
        "dry": "dry",
        "duplicate": "duplicate",
        "failed": "failed",
    }
    shown = 10  # the manifest has all

    def __init__(self, run: Export, out: Place, *, quiet: bool, json: bool, dry_run: bool) -> None:
        super().__init__(run, "" if dry_run else "export", quiet=quiet, json=json)
        self._export = run
        self._out = out
        self._dry_run = dry_run
        self.rest = "" if dry_run else f"; all are in {out / MANIFEST}"

    @property
    def any_output(self) -> bool:
        """Whether OUT holds anything."""
        return self._run.counts["ok"] + self._run.counts["skipped"] > 0

    def report(self) -> ExitStatus:
        """Run to the end and tell what came of it."""
        try:
            self.follow()
        except HsrGeoError:
            if self._run.counts.total() and not self._quiet:
                say(*self._summary())
            raise
        manifest = None if self._dry_run else str(self._out / MANIFEST)
        return self._end(self._summary(), {"out": str(self._out), "manifest": manifest})

    def _note(self, outcome: Outcome) -> None:
        if outcome.status == "planned" and not (self._json or self._quiet):
            for output in outcome.outputs:
                answer(str(self._out / output.path))
        super()._note(outcome)

    def _summary(self) -> list[str]:
        speed = "" if self._dry_run else f" ({_size(self._export.written_bytes)} in {self._speed()})"
        lines = [f"{self._frames()}: {self._counts()}{speed}"]
        if skipped := skipped_text(self._run.tally):
            lines.append(skipped)
        if names := self._run.tally.lookalikes:
            lines.append(skipped_for_their_names(*names))
        return lines

    def _as_json(self) -> dict[str, object]:
        return {**super()._as_json(), "bytes": self._export.written_bytes}


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 - SI
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"

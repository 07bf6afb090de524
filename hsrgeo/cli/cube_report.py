"""How the making of a cube is reported on a terminal and to a script."""

from typing import ClassVar

from hsrgeo.cli.common import Status as ExitStatus
from hsrgeo.cli.common import counted
from hsrgeo.cli.follow import Follower
from hsrgeo.engine.cube.cube_run import Cube
from hsrgeo.outputs.outcome import Status


class CubeReport(Follower):
    """Follows the making of a cube."""

    words: ClassVar[dict[Status, str]] = {
        "ok": "added",
        "skipped": "there already",
        "dry": "dry",
        "duplicate": "duplicate",
        "failed": "failed",
    }
    shown = 10
    rest = "; --json lists them"

    def __init__(self, run: Cube, out: str, *, quiet: bool, json: bool) -> None:
        super().__init__(run, "", quiet=quiet, json=json)
        self._cube = run
        self._out = out

    def report(self) -> ExitStatus:
        """Run to the end and tell what came of it."""
        self.follow()
        run = self._cube
        dry = f", {run.dry:,} dry" if run.dry else ""
        made = f"{self._out}: {counted(run.built, 'time')}{dry}, {run.missing:,} missing"
        summary = [
            f"{self._frames()}: {self._counts()} ({self._speed()})",
            made if run.built else f"{self._out} is not written",
        ]
        return self._end(summary, {"out": self._out, "times": run.built, "missing": run.missing, "times_dry": run.dry})

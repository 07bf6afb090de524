"""How the making of a cube is reported on a terminal and to a script."""

import time

from hsrgeo.cli.broken import Broken
from hsrgeo.cli.common import answer_json, counted, say
from hsrgeo.engine.cube.cube_run import Cube
from hsrgeo.sources.gone_by import no_frame

_SHOWN = 10  # broken frames printed


def follow(run: Cube, out: str, *, quiet: bool, json: bool) -> None:
    """Run to the end and tell what came of it."""
    begun = time.perf_counter()
    known = len(run.notes)
    for note in run.notes:
        say(f"note: {note}")
    broken = Broken(_SHOWN)
    try:
        for outcome in run:
            broken.note(outcome)
    finally:  # where an error ends the run, what came before it is reported too
        for note in run.notes[known:]:
            say(f"note: {note}")
        broken.tell(run.counts["failed"], "; --json lists them")
    seconds = time.perf_counter() - begun
    counts, total = run.counts, run.counts.total()
    if not total:  # printed whatever was asked for: it is why the exit status is 1
        say(no_frame(run.tally))
    elif not quiet:
        numbers = {
            "added": counts["ok"],
            "there already": counts["skipped"],
            "dry": counts["dry"],
            "duplicate": counts["duplicate"],
            "failed": counts["failed"],
        }
        summary = ", ".join(f"{number:,} {word}" for word, number in numbers.items() if number)
        say(f"{counted(total, 'frame')}: {summary} ({seconds:.1f} s, {total / seconds:,.0f} frames/s)")
        dry = f", {run.dry:,} dry" if run.dry else ""
        there = f"{out}: {counted(run.built, 'time')}{dry}, {run.missing:,} missing"
        say(there if run.built else f"{out} is not written")
    if json:
        answer_json(
            {
                "out": out,
                "frames": total,
                **{status: counts[status] for status in ("ok", "skipped", "dry", "failed", "duplicate")},
                "times": run.built,
                "missing": run.missing,
                "times_dry": run.dry,
                "seconds": round(seconds, 3),
                "notes": run.notes,
                "errors": broken.as_json(),
            }
        )

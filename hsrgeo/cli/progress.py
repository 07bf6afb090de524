"""Bars that show how far a run is, on a terminal that can show one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from hsrgeo.engine.lazy import Run
    from hsrgeo.outputs.outcome import Outcome


class _FramesColumn(ProgressColumn):
    """Frames so far, and frames a second."""

    def render(self, task: Task) -> Text:
        frames = task.fields["frames"]
        rate = frames / task.elapsed if task.elapsed else 0
        return Text(f"{frames:,} frames  {rate:,.0f}/s", style="cyan")


def with_bar(run: "Run", title: str) -> Iterator["Outcome"]:
    """Yield the outcomes of a run over frames, with a bar."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from run
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _FramesColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as progress:
        # The bar follows the bytes read, for nobody knows how many frames an archive holds.
        bar = progress.add_task(title, total=max(run.tally.total_bytes, 1), frames=0)
        for frames, outcome in enumerate(run, 1):
            tally = run.tally
            progress.update(bar, total=max(tally.total_bytes, 1), completed=tally.read_bytes, frames=frames)
            yield outcome


@contextmanager
def steps_bar(
    title: str, steps: int, *, quiet: bool = False, redirect_stdout: bool = False
) -> Iterator[Callable[[], None]]:
    """Show a bar of so many steps, and give what advances it by one."""
    console = Console(stderr=True)
    silent = quiet or not console.is_terminal
    console.quiet = silent  # rich before 14 ends a bar that is not shown with a line all the same
    columns = (title, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    how = Progress(*columns, console=console, transient=True, disable=silent, redirect_stdout=redirect_stdout)
    with how as progress:
        bar = progress.add_task(title, total=steps)
        yield lambda: progress.advance(bar)

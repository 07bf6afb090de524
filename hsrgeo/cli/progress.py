"""The bar that shows how far a run over frames is."""

from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from hsrgeo.engine.lazy import Run
from hsrgeo.outputs.outcome import Outcome


class _FramesColumn(ProgressColumn):
    """Frames so far, and frames a second."""

    def render(self, task: Task) -> Text:
        frames = task.fields["frames"]
        rate = frames / task.elapsed if task.elapsed else 0
        return Text(f"{frames:,} frames  {rate:,.0f}/s", style="cyan")


def with_bar(run: Run, title: str) -> Iterator[Outcome]:
    """Yield the outcomes of a run, with a bar on a terminal that can show one."""
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

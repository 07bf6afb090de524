"""The page in a notebook: a widget that holds all that it shows, so that it works where no port can be reached."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.view.pages import ViewOptions, make_page
from hsrgeo.engine.view.written import saved_bytes
from hsrgeo.errors import needs
from hsrgeo.sources.remote import local

HEIGHT_PX = 600


@takes(ViewOptions)
def view(
    out: str | Path,
    options: ViewOptions | None = None,
    *,
    detail: str | None = None,
    height: int = HEIGHT_PX,
    **keywords: Any,  # noqa: ANN401 - see `options_of`
) -> Any:  # noqa: ANN401 - anywidget may not be there
    """Return the page of `hsrgeo view` as a widget of Jupyter, VS Code, Colab or marimo.

    It holds what `save_view` writes: about 50 kB a frame of a whole composite, and asks the kernel for nothing more.

    Args:
        out: The output folder of an export, sums or fields.
        options: What is shown; None is all of it.
        detail: See `save_view`.
        height: Of the widget [pixels].
        keywords: Fields of `ViewOptions`.

    Returns:
        An ``anywidget.AnyWidget`` with the traits ``page`` (HTML) and ``height``.

    Raises:
        MissingExtraError: anywidget is not installed.
        HsrGeoError: See `save_view`.
    """
    with needs("anywidget", "notebook"):
        import anywidget  # noqa: PLC0415 - of an extra
        import traitlets  # noqa: PLC0415 - comes with it
    page, _damaged = saved_bytes(
        make_page(local(out, "hsrgeo.view"), options_of(ViewOptions, options, keywords)), detail
    )
    script = (resources.files("hsrgeo.gis.view") / "notebook.js").read_text("utf-8")
    traits = {
        "_esm": script,
        "page": traitlets.Unicode(page.decode()).tag(sync=True),
        "height": traitlets.Int(height).tag(sync=True),
    }
    return type("View", (anywidget.AnyWidget,), traits)()

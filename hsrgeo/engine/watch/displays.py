"""What shows an output folder while it changes: a QGIS project of the newest frame, and a page for the browser."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from hsrgeo.engine.qgis import make_latest_project
from hsrgeo.engine.view.pages import ViewOptions, make_page
from hsrgeo.engine.view.written import write_page
from hsrgeo.engine.watch.latest import latest_name
from hsrgeo.errors import OptionsError
from hsrgeo.gis.project import is_own
from hsrgeo.outputs.names import LATEST_PROJECT
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.outputs.stacks import Stack
from hsrgeo.products.rain import Law
from hsrgeo.sources.remote import Place, local
from hsrgeo.sources.texts import read_regular


class Displays:
    """Keeps them current each time it is called.

    Args:
        out: The output folder.
        recipe: What its outputs are made with.
        qgis: Keep ``OUT/latest.qgz``. It is written once, for QGIS may have it open: the layers follow ``latest.tif``.
        view: Keep the page that `hsrgeo.write_view` writes.
        law: By which reflectivity has the classes of rain in QGIS.

    Raises:
        OptionsError: OUT is a bucket, or has no COGs.
    """

    def __init__(
        self, out: str | Place, recipe: Recipe, *, qgis: bool = False, view: bool = False, law: Law | None = None
    ) -> None:
        self._out = local(out, "hsrgeo watch --qgis or --view")
        self._recipe, self._qgis, self._view, self._law = recipe, qgis, view, law
        self._seen = False
        if "cog" not in recipe.formats:
            raise OptionsError("--qgis and --view show COGs: use --format cog")

    def __call__(self) -> Sequence[str]:
        """Write what has to be written, and return what a user should know.

        Raises:
            HsrGeoError: See `hsrgeo.engine.qgis.write_project` and `hsrgeo.write_view`.
        """
        notes: list[str] = []
        if self._qgis:
            notes += self._project()
        if self._view:
            page = make_page(self._out, ViewOptions())
            notes += page.notes
            write_page(page)
        return notes

    def _project(self) -> Sequence[str]:
        """Write the project where there is none, and see once whether one that is there is hsrgeo's own."""
        path = self._out / LATEST_PROJECT
        if not path.exists():
            self._seen = True
            return make_latest_project(self._out, self._latest, self._law).notes
        if self._seen:
            return ()
        self._seen = True
        with suppress(OSError):
            if is_own(read_regular(path)):
                return ()
        return (f"{path} was changed in QGIS, or is not of hsrgeo watch, and is kept; remove it to get a new one",)

    def _latest(self, stack: Stack) -> str:
        folder = f"{stack.region}/" if stack.region else ""
        return f"{folder}{latest_name(self._recipe, stack.product)}.tif"

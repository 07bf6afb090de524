"""`hsrgeo stac`."""

from typing import Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import answer, counted, honest_exit
from hsrgeo.cli.left_out import tell_left_out

ItemsChoice = Literal["auto", "json", "parquet"]
"""Where items go."""


def stac(
    out: Annotated[
        str, typer.Argument(metavar="OUT", help="Folder written by hsrgeo export, accumulate or gauges field.")
    ],
    items: Annotated[
        ItemsChoice,
        typer.Option(help="One JSON file per frame, or one GeoParquet file. auto: JSON up to 500 frames."),
    ] = "auto",
    name: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Id of the collection. Default: from product and quantity."),
    ] = None,
    zr: options.RainClasses = None,
) -> None:
    """Write OUT/collection.json: a STAC catalogue of an export, to search by place and time.

    Every frame is an item with its outline in longitude and latitude, its time span in UTC, projection, packing,
    statistics and counts. Styles and a legend lie beside it. Paths are relative: move OUT as a whole. Run it again
    after another export to the same folder.
    """
    with honest_exit():
        from hsrgeo.engine.stac import make_catalog  # noqa: PLC0415 - only where it runs
        from hsrgeo.products.rain import Law  # noqa: PLC0415
        from hsrgeo.sources.remote import target  # noqa: PLC0415

        made = make_catalog(target(out), items=items, name=name, law=None if zr is None else Law(*zr))
        answer(str(made.path))
        where = "items.parquet" if made.form == "parquet" else "items/"
        missing = (*made.contents.missing, *made.lacking)
        raise typer.Exit(tell_left_out(f"{counted(made.items, 'item')} in {where}", made.damaged, missing))

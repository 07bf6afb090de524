"""Sources of one product: what holds one value a time, as a cube or a series does, cannot hold two."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from hsrgeo.errors import OptionsError
from hsrgeo.formats.names import FrameName
from hsrgeo.sources.scan import names_in_files
from hsrgeo.sources.select import Selection


class Told(Protocol):
    """Something whose product may be known."""

    @property
    def frame_name(self) -> FrameName | None:
        """Product, kind and time."""


One = TypeVar("One", bound=Told)


def product_guard(found: Iterable[One]) -> Generator[One]:
    """Pass frames on as long as all are of one product.

    Raises:
        OptionsError: Another product turns up; one value a time cannot be both.
    """
    product: str | None = None
    for one in found:
        if one.frame_name is not None:
            product = product or one.frame_name.product
            if one.frame_name.product != product:
                both = " and ".join(sorted({product, one.frame_name.product}))
                raise OptionsError(f"the sources contain {both}: choose one with --product")
        yield one


def refuse_products(sources: Sequence[str | Path], selection: Selection) -> None:
    """Refuse files of several products by their names, before any of them is read.

    Raises:
        OptionsError: There are several.
        SourceError: A source does not exist.
    """
    products = sorted({frame_name.product for frame_name in names_in_files(sources, selection)})
    if len(products) > 1:
        raise OptionsError(f"the sources contain {' and '.join(products)}: choose one with --product")

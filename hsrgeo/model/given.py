"""What callers give, which may be anything."""

from __future__ import annotations

import operator
from typing import cast

from hsrgeo.errors import OptionsError


def refuse_fractions(name: str, value: object) -> None:
    """Refuse what is no whole number.

    Args:
        name: What it is called.
        value: What was given.

    Raises:
        OptionsError: It is none.
    """
    try:
        operator.index(cast("int", value))
    except TypeError as error:
        raise OptionsError(f"{name} {value!r}: expected a whole number") from error

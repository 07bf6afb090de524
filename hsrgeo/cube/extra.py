"""The libraries of the extra `cube`: imported here, so that the error names what to install."""

from __future__ import annotations

import importlib
from typing import Any

from hsrgeo.errors import MissingExtraError

EXTRA = "cube"
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, MemoryError)
"""What libraries of arrays raise of a cube or a reference that is damaged, or that a stranger made up."""


def need(module: str) -> Any:  # noqa: ANN401 - a module
    """Import a library of the extra."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, but something else is not
        raise MissingExtraError(module, EXTRA) from error

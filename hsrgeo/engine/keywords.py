"""Options of a function as keywords: ``export(sources, out, every="1h")`` beside an object of options."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from hsrgeo.errors import OptionsError

F = TypeVar("F", bound=Callable[..., Any])
Options = TypeVar("Options")


def options_of(
    options_class: type[Options], options: Options | None, keywords: Mapping[str, object], **parts: type
) -> Options:
    """Return options, None for the defaults, with what keywords say in their place.

    Keywords are fields of the dataclass, or of one of its parts, fields that are dataclasses themselves.

    Raises:
        OptionsError: A keyword is no option, or an option that is needed is missing.
    """
    known = _names(options_class)
    if options is not None and not isinstance(options, options_class):
        raise OptionsError(f"options {options!r}: expected {options_class.__name__}")
    given: dict[str, Any] = {name: value for name, value in keywords.items() if name in known}
    rest = {name: value for name, value in keywords.items() if name not in known}
    for field, part in parts.items():
        inner = {name: rest.pop(name) for name in _names(part) if name in rest}
        if inner or (options is None and field in _needed(options_class) and field not in given):
            given[field] = options_of(part, given.get(field, getattr(options, field, None)), inner)
    for name in rest:
        near = get_close_matches(name, [*known, *(one for part in parts.values() for one in _names(part))], 1)
        raise OptionsError(f"{name!r} is no option" + (f": did you mean {near[0]!r}?" if near else ""))
    if options is not None:
        return dataclasses.replace(options, **given) if given else options  # type: ignore[type-var] # a dataclass
    if missing := [name for name in _needed(options_class) if name not in given]:
        raise OptionsError(f"{' and '.join(missing)} must be given, as {options_class.__name__} explains")
    return options_class(**given)


def takes(options_class: type, *parts: type) -> Callable[[F], F]:
    """Return a decorator that shows the fields of options, and of their parts, in a signature, for ``help()``."""

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        fixed = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        fields = [one for each in (options_class, *parts) for one in inspect.signature(each).parameters.values()]
        taken = {one.name for one in fixed}
        shown = {one.name: one for one in fields if one.name not in taken}
        function.__signature__ = own.replace(parameters=[*fixed, *shown.values()])  # type: ignore[attr-defined]
        return function

    return decorate


def shared_with(options_class: type, options: object) -> dict[str, Any]:
    """Return the fields of options that another class of options has too, as keywords for that."""
    known = {*_names(options_class)}
    return {name: getattr(options, name) for name in _names(type(options)) if name in known}


def _needed(options_class: type) -> list[str]:
    return [one.name for one in inspect.signature(options_class).parameters.values() if one.default is one.empty]


def _names(options_class: type) -> list[str]:
    return [field.name for field in dataclasses.fields(options_class) if field.init]

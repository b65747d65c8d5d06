"""Check settings from a config against the type hints of the class that takes them."""

import dataclasses
import difflib
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

CLASS_KEYS = ("type", "_scope_")
"""Keys of a config's dict that name its class."""


class SettingError(ValueError):
    """A setting that is unknown or has a wrong type; the message is one line that names it and where it stands."""


def check_arguments(
    kind: type, settings: Mapping[str, Any], place: str, others: Mapping[str, Any] | None = None
) -> None:
    """Compare settings with the constructor of a class and, if it passes settings on, with those of its parents.

    A setting whose type is a dataclass is a dict with the settings of that dataclass, which are checked too.

    Args:
        kind: The class, or a dataclass that declares settings.
        settings: Name to value.
        place: Place of the settings in the config, such as `model.test_cfg.rcnn`.
        others: Names and types of further settings.

    Raises:
        SettingError: A setting is unknown or has the wrong type.
    """
    hints = constructor_hints(kind) | dict(others or {})
    for name, value in settings.items():
        where = f"{place}.{name}" if place else str(name)
        if name not in hints:
            if name in CLASS_KEYS:
                continue
            near = difflib.get_close_matches(str(name), hints, n=1)
            meant = f"did you mean {near[0]}?" if near else f"it has {', '.join(hints) or 'none'}"
            raise SettingError(f"{where} is unknown: {kind.__name__} has no such setting ({meant})")
        inner = next(filter(dataclasses.is_dataclass, (hints[name], *typing.get_args(hints[name]))), None)
        if inner is not None and isinstance(value, Mapping):
            check_arguments(inner, value, where)
        elif not fits(value, hints[name]):
            raise SettingError(f"{where} = {value!r} has the wrong type: {kind.__name__} takes {_name_of(hints[name])}")


def is_own(kind: type) -> bool:
    """Whether a class is defined in this package."""
    return kind.__module__.split(".")[0] == "tio2"


def constructor_hints(kind: type) -> dict[str, Any]:
    """Settings of a class with their types: its constructor's, and its parents' if it passes settings on.

    Of parents in other packages only hints of numbers, strings and booleans are used: MMDetection's visualizer, for
    example, declares a list of backends as a dict.
    """
    hints: dict[str, Any] = {}
    for parent in kind.__mro__[:-1]:
        if "__init__" not in vars(parent):
            continue
        constructor = parent.__init__
        try:
            types_of = typing.get_type_hints(constructor)
        except (NameError, TypeError):  # names imported for type checkers only
            types_of = {}
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                hint = types_of.get(parameter.name, Any)
                hints.setdefault(parameter.name, hint if is_own(parent) or _is_plain(hint) else Any)
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
            break
    return hints


def _is_plain(hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return all(map(_is_plain, typing.get_args(hint)))
    return hint in (int, float, str, bool, type(None))


def fits(value: Any, hint: Any) -> bool:
    """Whether a config's value fits a type hint; a dict fits any class, because configs write objects as dicts."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint in (Any, inspect.Parameter.empty) or isinstance(hint, str | typing.TypeVar):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is typing.Literal:
        return value in parts
    if hint is None or hint is type(None):
        return value is None
    if hint in (int, float):  # a bool does not count as a number
        return isinstance(value, int | float if hint is float else int) and not isinstance(value, bool)
    kind = origin or hint
    if not isinstance(kind, type):
        return True
    if kind in (str, bool):
        return isinstance(value, kind)
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping)
    if issubclass(kind, Sequence):
        return _fits_sequence(value, kind, parts)
    return isinstance(value, kind | Mapping)


def _fits_sequence(value: Any, kind: type, parts: tuple) -> bool:
    # a list may stand for a tuple and a tuple for a list, since config files and --cfg-options write them differently
    if not isinstance(value, list | tuple):
        return False
    if kind is tuple and parts and parts[-1] is not Ellipsis:
        return len(value) == len(parts) and all(map(fits, value, parts))
    return not parts or all(fits(item, parts[0]) for item in value)


def _name_of(hint: Any) -> str:
    """A type hint as it stands in the source."""
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")

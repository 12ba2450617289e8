"""Attributes of operators to and from what JSON can say."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Hashable, Mapping
from typing import Any, cast, get_args, get_origin, get_type_hints

from refcompress.errors import ModelError

MAX_INT = 2**31 - 1
MAX_TUPLE = 16  # more axes or pads than any operator has
MAX_TEXT = 256


def attrs_to_dict(attrs: Any) -> dict[str, Any]:
    """Return the fields of an operator's attributes as JSON values; tuples become lists.

    Examples
    --------
    >>> from refcompress.ops.conv import Conv
    >>> attrs_to_dict(Conv(group=2))["strides"]
    [1, 1]

    """
    values = ((field.name, getattr(attrs, field.name)) for field in dataclasses.fields(attrs))
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values}


@functools.cache  # evaluated anew they would make a container of many nodes slow to read
def _hints(attrs: Hashable) -> dict[str, Any]:
    return get_type_hints(attrs)


def build(attrs: type[Any], mapping: Mapping[str, Any], what: str) -> Any:
    """Build the dataclass ``attrs`` from exactly its fields, each checked against its declared type.

    Parameters
    ----------
    attrs
        Frozen dataclass whose fields are bool, int, float, str or tuples of int.
    mapping
        Decoded JSON; nothing about it is taken for granted.
    what
        Whose attributes they are, for the messages.

    Raises
    ------
    ModelError
        A field is missing or unknown, of another type, not finite or too large.

    """
    if not isinstance(mapping, Mapping):
        raise ModelError(f"{what}: attributes of type {type(mapping).__name__}; give an object of named fields")
    hints = _hints(cast(Hashable, attrs))  # every class is, which mypy does not see of type[Any]
    names = [field.name for field in dataclasses.fields(attrs)]
    wanted = ", ".join(names) or "none"
    for name in mapping:
        if name not in names:
            raise ModelError(f"{what}: an unknown attribute {_shown(name)}; its attributes are {wanted}")
    values = {}
    for name in names:
        if name not in mapping:
            raise ModelError(f"{what}: the attribute {name!r} is missing; its attributes are {wanted}")
        values[name] = _value(mapping[name], hints[name], f"{what}: the attribute {name!r}")
    return attrs(**values)


def _value(value: Any, hint: Any, what: str) -> Any:
    if get_origin(hint) is tuple:
        return _integers(value, hint, what)
    if hint is bool:
        if not isinstance(value, bool):
            raise _refused(what, value, "true or false")
        return value
    if hint is int:
        return _integer(value, what)
    if hint is float:
        return _number(value, what)
    if hint is str:
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise _refused(what, value, f"a text of at most {MAX_TEXT} characters")
        return value
    raise TypeError(f"{what} is declared as {hint}, which JSON attributes cannot be")


def _integer(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_INT:
        raise _refused(what, value, f"an integer between -{MAX_INT} and {MAX_INT}")
    return value


def _number(value: Any, what: str) -> float:
    allowed = "a finite number that float32 can hold"
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _refused(what, value, allowed)
    # comparing an integer of any length with a float is exact, so nothing overflows here
    if (isinstance(value, float) and not math.isfinite(value)) or abs(value) > float.fromhex("0x1.fffffep+127"):
        raise _refused(what, value, allowed)
    return float(value)


def _integers(value: Any, hint: Any, what: str) -> tuple[int, ...]:
    kinds = get_args(hint)
    count = None if kinds[-1] is Ellipsis else len(kinds)
    allowed = f"a list of {count if count is not None else f'at most {MAX_TUPLE}'} integers"
    if not isinstance(value, list | tuple) or len(value) > MAX_TUPLE or (count is not None and len(value) != count):
        raise _refused(what, value, allowed)
    return tuple(_integer(item, what) for item in value)


def _refused(what: str, value: Any, allowed: str) -> ModelError:
    return ModelError(f"{what} is {_shown(value)}; allowed is {allowed}")


def _shown(value: Any) -> str:
    """Return a short form of a value that may be of any type and size."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_INT:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, bool | int | float) or value is None:
        return repr(value)
    if isinstance(value, str):
        return repr(value[:40])
    return f"a {type(value).__name__}"

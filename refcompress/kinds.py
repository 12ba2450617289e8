"""What an option of a recipe takes: a number, a text, a list, one of some texts."""

from __future__ import annotations

from typing import Any

Kind = str | tuple[str, ...]
"""One of the six below, in words for errors; or the texts that are allowed."""

NUMBER = "a number"
WHOLE = "a whole number"
FLAG = "true or false"
TEXT = "a text"
NUMBERS = "a list of numbers"
TEXTS = "a list of texts"


def is_kind(value: Any, kind: Kind) -> bool:
    """Whether a value, as TOML gives it, is what an option takes.

    Examples
    --------
    >>> is_kind(4, WHOLE), is_kind(4, NUMBER), is_kind(True, WHOLE), is_kind("layer", ("layer", "global"))
    (True, True, False, True)
    >>> is_kind([0.5, 1], NUMBERS), is_kind([], NUMBERS), is_kind("fc*", TEXTS)
    (True, False, False)

    """
    if isinstance(kind, tuple):
        return value in kind
    if kind in {NUMBERS, TEXTS}:
        each = NUMBER if kind == NUMBERS else TEXT
        return isinstance(value, list | tuple) and len(value) > 0 and all(is_kind(item, each) for item in value)
    if kind in {FLAG, TEXT}:
        return isinstance(value, bool if kind == FLAG else str)
    allowed = (int,) if kind == WHOLE else (int, float)
    return isinstance(value, allowed) and not isinstance(value, bool)

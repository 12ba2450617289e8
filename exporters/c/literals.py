"""C literals that read back to the same bits, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError

WIDTH = 112


def float_literal(value: float | np.float32) -> str:
    """Shortest decimal that a compiler rounds to this float32.

    Raises
    ------
    ModelError
        The value is infinite or no number, for which C has no literal.

    Examples
    --------
    >>> float_literal(np.float32(0.1)), float_literal(1.0), float_literal(-0.0), float_literal(1e-45)
    ('0.1f', '1.0f', '-0.0f', '1e-45f')
    >>> float_literal(np.finfo(np.float32).max)
    '3.4028235e+38f'

    """
    number = np.float32(value)
    if not np.isfinite(number):
        raise ModelError(f"the value {number} has no C literal; weights must be finite")
    if number == 0 or 1e-3 <= abs(number) < 1e6:
        return np.format_float_positional(number, unique=True, trim="0") + "f"
    return np.format_float_scientific(number, unique=True, trim="-") + "f"


def table(c_type: str, name: str, values: NDArray[Any]) -> str:
    """Define a constant array; one with no values gets a zero, since C has no empty arrays.

    Examples
    --------
    >>> print(table("uint8_t", "net_bytes", np.array([1, 2], np.uint8)), end="")
    static const RC_FLASH uint8_t net_bytes[2] = {
        1, 2
    };

    """
    if values.dtype == np.float32:
        words: Iterable[str] = map(float_literal, values)
    else:
        suffix = "u" if values.dtype == np.uint32 else ""  # which C wants beyond 2^31
        words = (f"{value}{suffix}" for value in values.tolist())
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) + 6 > WIDTH:
            lines.append(line)
            line = ""
        line += f"{word}, " if line else f"    {word}, "
    lines.append(line or "    0, ")
    body = "\n".join(text.rstrip() for text in lines)
    return f"static const RC_FLASH {c_type} {name}[{max(values.size, 1)}] = {{\n{body.rstrip(',')}\n}};\n"

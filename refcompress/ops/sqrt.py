"""Sqrt: the square root."""

from __future__ import annotations

import numpy as np

from refcompress.ops.base import SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.elementwise import library_error
from refcompress.ops.unary import Gamma, range_bound, unary


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval, plus 8 ULP of the result; infinite where the argument may be negative.

    A denormal argument may be flushed to 0, its root with it.
    """
    moved = range_bound(lambda z: np.sqrt(np.maximum(z, 0)), x, errors, output)
    bound = moved + library_error(gamma) * (output + moved)
    bound += np.where((x - errors < SMALLEST_NORMAL) & (x + errors > 0), np.sqrt(SMALLEST_NORMAL), 0.0)
    return np.where(x >= errors, bound, np.inf)


# exact: one operation that IEEE 754 rounds correctly, sqrtf in C
OP = unary(
    "Sqrt",
    function=lambda _, x: np.sqrt(x),
    exact=lambda _, x: np.sqrt(x),
    slope=lambda _, _x, y: 0.5 / y,
    bound=_bound,
)

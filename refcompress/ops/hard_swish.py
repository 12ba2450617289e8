"""HardSwish: x times a hard sigmoid of slope 1/6, x max(0, min(1, x / 6 + 1/2))."""

from __future__ import annotations

import numpy as np

from refcompress.ops.base import SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.unary import Float32, Gamma, range_bound, unary

MINIMUM = -1.5  # where it is least, -0.375


def _function(x: Array) -> Array:
    return x * np.clip(x / 6 + 0.5, 0, 1)


def _exact(_attrs: NoAttrs, x: Float32) -> Float32:
    """Return the product with a clipped line.

    In C::

        t = x * 0.16666667f;                          /* 0x1.555556p-3f */
        t = t + 0.5f;
        t = t < 0.0f ? 0.0f : t;
        t = t > 1.0f ? 1.0f : t;
        return x * t;
    """
    t = x * np.float32(1 / 6) + np.float32(0.5)
    t = np.where(t < 0, np.float32(0), t)
    return x * np.where(t > 1, np.float32(1), t)


def _slope(_attrs: NoAttrs, x: Array, _output: Array) -> Array:
    inner = np.where(x < 3, x / 3 + x.dtype.type(0.5), x.dtype.type(1))
    return np.where(x > -3, inner, x.dtype.type(0))


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval, and roundings relative to x: of the line, at most 1, and of products.

    Below -3 the line is negative however it is rounded, and the result exactly 0.
    """
    moved = range_bound(_function, x, errors, output, (MINIMUM,))
    # the line x / 6 + 1/2 is off by at most 4 roundings of numbers up to 1
    touches = x + errors > -3 * (1 + 8 * gamma(1))
    return np.where(touches, moved + gamma(6) * (np.abs(x) + errors) + SMALLEST_NORMAL, moved)


OP = unary("HardSwish", function=lambda _, x: _function(x), exact=_exact, slope=_slope, bound=_bound)

"""Softsign: x / (1 + abs(x))."""

from __future__ import annotations

import numpy as np

from refcompress.ops.base import SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.unary import Float32, Gamma, range_bound, unary


def _function(x: Array) -> Array:
    result: Array = x / (1 + np.abs(x))
    return result


def _exact(_attrs: NoAttrs, x: Float32) -> Float32:
    """Return ``d = 1.0f + fabsf(x); x / d``."""
    result: Float32 = x / (1 + np.abs(x))
    return result


def _slope(_attrs: NoAttrs, x: Array, _output: Array) -> Array:
    result: Array = 1 / np.square(1 + np.abs(x))
    return result


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval, plus the rounding of the sum, a reciprocal (off by 1 ULP) and the product."""
    moved = range_bound(_function, x, errors, output)
    return np.asarray(moved + gamma(4) * (np.abs(output) + moved) + SMALLEST_NORMAL * (1 + np.abs(x) + errors))


OP = unary("Softsign", function=lambda _, x: _function(x), exact=_exact, slope=_slope, bound=_bound)

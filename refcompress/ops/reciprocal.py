"""Reciprocal: 1 / x."""

from __future__ import annotations

import numpy as np

from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.unary import Gamma, unary


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Bound e / (|x| (|x| - e)), plus 2 ULP for approximations of hardware; infinite where x may be 0 or denormal."""
    least = np.abs(x) - errors
    moved = np.abs(output) * errors / least
    bound = (moved + gamma(4) * (np.abs(output) + moved)) * FLOAT64_SLACK + SMALLEST_NORMAL
    return np.where(least >= SMALLEST_NORMAL, bound, np.inf)


OP = unary(
    "Reciprocal",
    function=lambda _, x: 1 / x,
    exact=lambda _, x: np.float32(1) / x,
    slope=lambda _, _x, y: -y * y,
    bound=_bound,
)

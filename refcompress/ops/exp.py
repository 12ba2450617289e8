"""Exp: the exponential function."""

from __future__ import annotations

import numpy as np

from refcompress.kernels.exact_math import exp32
from refcompress.ops.base import SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.elementwise import library_error
from refcompress.ops.unary import Gamma, range_bound, unary


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval, plus 8 ULP of the result; a denormal may be flushed."""
    moved = range_bound(np.exp, x, errors, output)
    return np.asarray(moved + library_error(gamma) * (output + moved) + SMALLEST_NORMAL)


OP = unary("Exp", function=lambda _, x: np.exp(x), exact=lambda _, x: exp32(x), slope=lambda _, _x, y: y, bound=_bound)

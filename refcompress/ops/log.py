"""Log: the natural logarithm."""

from __future__ import annotations

import numpy as np

from refcompress.kernels.exact_log import log32
from refcompress.ops.base import SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.elementwise import library_error
from refcompress.ops.unary import Gamma, range_bound, unary


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval, plus 8 ULP of the result; infinite where the argument may be 0 or denormal."""
    moved = range_bound(np.log, x, errors, output)
    bound = moved + library_error(gamma) * (np.abs(output) + moved) + SMALLEST_NORMAL
    return np.where(x - errors >= SMALLEST_NORMAL, bound, np.inf)


OP = unary(
    "Log", function=lambda _, x: np.log(x), exact=lambda _, x: log32(x), slope=lambda _, x, _y: 1 / x, bound=_bound
)

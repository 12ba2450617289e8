"""Swish, or SiLU: x times the logistic function of x."""

from __future__ import annotations

import numpy as np

from refcompress.kernels.exact_math import sigmoid32
from refcompress.ops.base import SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.elementwise import library_error, logistic
from refcompress.ops.unary import Gamma, range_bound, unary

MINIMUM = -1.2784645427610738  # where it is least, -0.278465


def _function(x: Array) -> Array:
    return x * logistic(x)


def _slope(_attrs: NoAttrs, x: Array, _output: Array) -> Array:
    share = logistic(x)
    result: Array = share * (1 + x * (1 - share))
    return result


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval, x times what Sigmoid may be off by (8 ULP and 2**-23), and the product."""
    moved = range_bound(_function, x, errors, output, (MINIMUM,))
    share = library_error(gamma) * logistic(x + errors) + 2 * gamma(1)
    absolute = (np.abs(x) + errors) * (share + SMALLEST_NORMAL)
    return np.asarray(moved + absolute + gamma(2) * (np.abs(output) + moved) + SMALLEST_NORMAL)


# in exact order: x times the twin of Sigmoid
OP = unary("Swish", function=lambda _, x: _function(x), exact=lambda _, x: x * sigmoid32(x), slope=_slope, bound=_bound)

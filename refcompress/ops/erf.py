"""Erf: the error function."""

from __future__ import annotations

import numpy as np

from refcompress.kernels.exact_erf import erf32
from refcompress.ops.base import SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.elementwise import library_error
from refcompress.ops.unary import Gamma, range_bound, unary


def _function(x: Array) -> Array:
    from scipy import special

    result: Array = special.erf(x)
    return result


def _slope(_attrs: NoAttrs, x: Array, _output: Array) -> Array:
    result: Array = (2 / float(np.sqrt(np.pi))) * np.exp(-x * x)
    return result


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval, plus 8 ULP of the result; a denormal may be flushed."""
    moved = range_bound(_function, x, errors, output)
    return np.asarray(moved + library_error(gamma) * (np.abs(output) + moved) + SMALLEST_NORMAL)


OP = unary("Erf", function=lambda _, x: _function(x), exact=lambda _, x: erf32(x), slope=_slope, bound=_bound)

"""Softplus: log(1 + exp(x))."""

from __future__ import annotations

import numpy as np

from refcompress.kernels.exact_log import softplus32
from refcompress.ops.base import SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.elementwise import library_error, logistic
from refcompress.ops.unary import Gamma, range_bound, unary


def softplus(x: Array) -> Array:
    """Compute log(1 + exp(x)) without overflow, in the dtype of ``x``.

    Examples
    --------
    >>> softplus(np.array([-1000.0, 0.0, 1000.0])).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+03])

    """
    return np.logaddexp(x, x.dtype.type(0))


def softplus_rounding(x: Array, errors: Array, most: Array, gamma: Gamma) -> Array:
    """Bound the rounding of log(1 + exp(x)), and of max(x, 0) + log1p(exp(-|x|)).

    The sum 1 + exp(x) is rounded, so for negative x the first formula is exact relative to 1, not to the result; the
    error of exp counts with the weight that exp has in the sum, the logistic function.

    Parameters
    ----------
    x, errors
        The argument and how far it may be off.
    most
        The largest value that softplus may have there.
    gamma
        See :class:`refcompress.ops.base.Op`.

    Examples
    --------
    >>> softplus_rounding(np.array([-50.0]), np.zeros(1), np.zeros(1), lambda n: n * 2.0**-24).round(9)
    array([1.19e-07])

    """
    library = library_error(gamma)
    return np.asarray(library * logistic(x + errors) + library * most + 2 * gamma(1) + SMALLEST_NORMAL)


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval, and the rounding of either formula."""
    moved = range_bound(softplus, x, errors, output)
    return np.asarray(moved + softplus_rounding(x, errors, output + moved, gamma))


OP = unary(
    "Softplus",
    function=lambda _, x: softplus(x),
    exact=lambda _, x: softplus32(x),
    slope=lambda _, x, _y: logistic(x),
    bound=_bound,
)

"""Mish: x tanh(softplus(x)) (Misra 2019)."""

from __future__ import annotations

import numpy as np

from refcompress.kernels.exact_math import exp32
from refcompress.ops.base import SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.elementwise import library_error, logistic
from refcompress.ops.softplus import softplus, softplus_rounding
from refcompress.ops.unary import Float32, Gamma, range_bound, unary

MINIMUM = -1.1924312145154956  # where it is least, -0.308841


def _function(x: Array) -> Array:
    return x * np.tanh(softplus(x))


def _exact(_attrs: NoAttrs, x: Float32) -> Float32:
    """Return x n / (n + 2) with n = e (e + 2) and e = exp(x): the same function without cancellation.

    In C::

        e = rc_expf(x > 20.0f ? 20.0f : x);           /* the quotient is 1 from 9 on */
        n = e + 2.0f;
        n = e * n;
        d = n + 2.0f;
        q = n / d;
        return x * q;
    """
    e = exp32(np.minimum(x, np.float32(20)))
    n = e * (e + 2)
    result: Float32 = x * (n / (n + 2))
    return result


def _slope(_attrs: NoAttrs, x: Array, _output: Array) -> Array:
    share = np.tanh(softplus(x))
    result: Array = share + x * ((1 - share) * (1 + share)) * logistic(x)
    return result


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval, and x times the error of tanh(s) for a softplus s that is rounded.

    That of s counts with the slope of tanh, at most 1 and 4 exp(-2 s); s may be half of what it is at the lower end.
    """
    moved = range_bound(_function, x, errors, output, (MINIMUM,))
    steep = np.minimum(1.0, 4 * np.exp(-softplus(x - errors)))
    inner = softplus_rounding(x, errors, softplus(x + errors), gamma)
    absolute = (np.abs(x) + errors) * (steep * inner + SMALLEST_NORMAL)
    relative = (2 * library_error(gamma) + gamma(4)) * (np.abs(output) + moved)
    return np.asarray(moved + absolute + relative + SMALLEST_NORMAL)


OP = unary("Mish", function=lambda _, x: _function(x), exact=_exact, slope=_slope, bound=_bound)

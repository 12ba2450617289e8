"""Gelu: x times the normal distribution function of x (Hendrycks and Gimpel 2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refcompress.errors import ModelError
from refcompress.kernels.exact_erf import erf32
from refcompress.kernels.exact_math import tanh32
from refcompress.ops.base import SMALLEST_NORMAL, Array
from refcompress.ops.elementwise import library_error, logistic
from refcompress.ops.unary import Float32, Gamma, range_bound, unary

APPROXIMATIONS = ("none", "tanh")
CUBIC = 0.044715
ROOT = math.sqrt(2 / math.pi)
_MINIMA = {"none": -0.7517915246935645, "tanh": -0.7524614220710162}


@dataclass(frozen=True, slots=True)
class Gelu:
    """Attributes of Gelu.

    Attributes
    ----------
    approximate
        ``"none"``: x (1 + erf(x / sqrt(2))) / 2. ``"tanh"``: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, up to
        5e-4 away from it.

    Raises
    ------
    ModelError
        It is neither of the two.

    Examples
    --------
    >>> Gelu()
    Gelu(approximate='none')

    """

    approximate: str = "none"

    def __post_init__(self) -> None:
        if self.approximate not in APPROXIMATIONS:
            raise ModelError(f"approximate {self.approximate!r}; it must be one of {', '.join(APPROXIMATIONS)}")


def _share(attrs: Gelu, x: Array) -> Array:
    """How much of x passes: the distribution function without cancellation, or (1 + tanh z) / 2 = logistic(2 z)."""
    if attrs.approximate == "tanh":
        return logistic(2 * ROOT * (x + CUBIC * x * x * x))
    from scipy import special

    result: Array = special.ndtr(x)
    return result


def _function(attrs: Gelu, x: Array) -> Array:
    return x * _share(attrs, x)


def _exact(attrs: Gelu, x: Float32) -> Float32:
    """Return the usual formula, which cancels for negative x.

    In C::

        t = x * 0.70710677f;                          /* 0x1.6a09e6p-1f */
        t = rc_erff(t);
        /* or, approximated: */
        t = x * x; t = t * x; t = t * 0.044715f;      /* 0x1.6e4e26p-5f */
        t = x + t; t = t * 0.7978846f;                /* 0x1.988454p-1f */
        t = rc_tanhf(t);

        t = 1.0f + t;
        h = 0.5f * x;
        return h * t;
    """
    if attrs.approximate == "tanh":
        inner = (x + x * x * x * np.float32(CUBIC)) * np.float32(ROOT)
        part = tanh32(inner)
    else:
        part = erf32(x * np.float32(math.sqrt(0.5)))
    return (np.float32(0.5) * x) * (np.float32(1) + part)


def _slope(attrs: Gelu, x: Array, _output: Array) -> Array:
    # beyond 20 the share is 0 or 1; cubes would overflow
    x = np.clip(x, -20, 20)
    share = _share(attrs, x)
    if attrs.approximate == "tanh":
        density = share * (1 - share) * (2 * ROOT * (1 + 3 * CUBIC * x * x))
    else:
        density = np.exp(-x * x / 2) * (1 / math.sqrt(2 * math.pi))
    result: Array = share + x * density
    return result


def _bound(attrs: Gelu, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval, and what rounding leaves of x / 2 times a sum 1 + t that cancels.

    The argument z of erf or tanh takes up to 8 roundings; relative ones move t by at most |z| t'(z) < 1/2 of them.
    The function itself is off by 8 ULP of at most 1; the rest is relative to the result.
    """
    moved = range_bound(lambda z: _function(attrs, z), x, errors, output, (_MINIMA[attrs.approximate],))
    absolute = 0.5 * (np.abs(x) + errors) * (library_error(gamma) + gamma(8))
    return np.asarray(moved + absolute + gamma(4) * (np.abs(output) + moved) + 2 * SMALLEST_NORMAL)


OP = unary("Gelu", Gelu, function=_function, exact=_exact, slope=_slope, bound=_bound)

"""Elu: x above 0, alpha (exp(x) - 1) below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcompress.kernels.exact_erf import expm1_32
from refcompress.ops.base import SMALLEST_NORMAL, Array
from refcompress.ops.elementwise import library_error
from refcompress.ops.unary import Float32, Gamma, keep_as_float32, range_bound, unary


@dataclass(frozen=True, slots=True)
class Elu:
    """Attributes of Elu.

    Attributes
    ----------
    alpha
        Minus the limit for x towards minus infinity; kept as the nearest float32.

    Raises
    ------
    ModelError
        It is not finite in float32.

    Examples
    --------
    >>> Elu()
    Elu(alpha=1.0)

    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        keep_as_float32(self, "alpha")


def elu(x: Array, alpha: float) -> Array:
    """Compute it in the dtype of ``x``, near 0 without cancellation.

    Examples
    --------
    >>> elu(np.array([-1e-9, 2.0]), 3.0)
    array([-3.e-09,  2.e+00])

    """
    result: Array = np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))
    return result


def elu_slope(x: Array, alpha: float) -> Array:
    """Return the derivative, 1 above 0 and alpha exp(x) below and at 0.

    Examples
    --------
    >>> elu_slope(np.array([0.0, 2.0]), 3.0)
    array([3., 1.])

    """
    result: Array = np.where(x > 0, x.dtype.type(1), alpha * np.exp(np.minimum(x, 0)))
    return result


def difference_rounding(x: Array, errors: Array, scale: float, gamma: Gamma) -> Array:
    """Bound the rounding of ``scale * (exp(x) - 1)`` for negative x, where it is computed as that difference.

    The error of exp stays when 1 is taken away, so that near 0 it is large relative to the result. 0 where x is
    positive whatever its error.

    Examples
    --------
    >>> difference_rounding(np.array([-0.5, 0.5]), np.zeros(2), 2.0, lambda n: n * 2.0**-24).round(8)
    array([1.16e-06, 0.00e+00])

    """
    power = np.exp(np.minimum(x + errors, 0))
    return np.where(x - errors < 0, abs(scale) * (library_error(gamma) * power + SMALLEST_NORMAL), 0.0)


def _exact(attrs: Elu, x: Float32) -> Float32:
    """Return ``x > 0.0f ? x : alpha * rc_expm1f(x)``."""
    return np.where(x > 0, x, np.float32(attrs.alpha) * expm1_32(x))


def _bound(attrs: Elu, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval; below 0 the error of exp or expm1, and of alpha, the product and the difference."""
    moved = range_bound(lambda z: elu(z, attrs.alpha), x, errors, output, (0.0,))
    relative = (library_error(gamma) + gamma(3)) * (np.abs(output) + moved)
    rounded = difference_rounding(x, errors, attrs.alpha, gamma) + relative + SMALLEST_NORMAL
    return np.where(x - errors < 0, moved + rounded, moved)


OP = unary(
    "Elu",
    Elu,
    function=lambda attrs, x: elu(x, attrs.alpha),
    exact=_exact,
    slope=lambda attrs, x, _: elu_slope(x, attrs.alpha),
    bound=_bound,
)

"""Celu: x above 0, alpha (exp(x / alpha) - 1) below; its slope is continuous (Barron 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcompress.errors import ModelError
from refcompress.kernels.exact_erf import expm1_32
from refcompress.ops.base import SMALLEST_NORMAL, Array
from refcompress.ops.elementwise import library_error
from refcompress.ops.elu import difference_rounding
from refcompress.ops.unary import Float32, Gamma, keep_as_float32, range_bound, unary


@dataclass(frozen=True, slots=True)
class Celu:
    """Attributes of Celu.

    Attributes
    ----------
    alpha
        Minus the limit for x towards minus infinity; kept as the nearest float32.

    Raises
    ------
    ModelError
        It is not positive, or not finite in float32.

    Examples
    --------
    >>> Celu()
    Celu(alpha=1.0)

    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        keep_as_float32(self, "alpha")
        if self.alpha <= 0:
            raise ModelError(f"alpha {self.alpha}; it must be positive, since x is divided by it")


def _function(attrs: Celu, x: Array) -> Array:
    return np.where(x > 0, x, attrs.alpha * np.expm1(np.minimum(x, 0) / attrs.alpha))


def _exact(attrs: Celu, x: Float32) -> Float32:
    """Return ``x > 0.0f ? x : alpha * rc_expm1f(x / alpha)``."""
    alpha = np.float32(attrs.alpha)
    return np.where(x > 0, x, alpha * expm1_32(x / alpha))


def _slope(attrs: Celu, x: Array, _output: Array) -> Array:
    return np.exp(np.minimum(x, 0) / attrs.alpha)


def _bound(attrs: Celu, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """As for Elu; the rounding of z = x / alpha costs z exp(z) of it, which is less than 1 - exp(z)."""
    moved = range_bound(lambda z: _function(attrs, z), x, errors, output)
    relative = (library_error(gamma) + gamma(6)) * (np.abs(output) + moved)
    difference = difference_rounding(x / attrs.alpha, errors / attrs.alpha, attrs.alpha, gamma)
    rounded = difference + relative + SMALLEST_NORMAL * (1 + attrs.alpha)
    return np.where(x - errors < 0, moved + rounded, moved)


OP = unary("Celu", Celu, function=_function, exact=_exact, slope=_slope, bound=_bound)

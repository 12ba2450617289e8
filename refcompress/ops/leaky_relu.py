"""LeakyRelu: x above 0, alpha x below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcompress.ops.base import SMALLEST_NORMAL, Array
from refcompress.ops.unary import Float32, Gamma, keep_as_float32, range_bound, unary


@dataclass(frozen=True, slots=True)
class LeakyRelu:
    """Attributes of LeakyRelu.

    Attributes
    ----------
    alpha
        Slope below 0; kept as the nearest float32.

    Raises
    ------
    ModelError
        It is not finite in float32.

    Examples
    --------
    >>> LeakyRelu(0.25)
    LeakyRelu(alpha=0.25)

    """

    alpha: float = 0.01

    def __post_init__(self) -> None:
        keep_as_float32(self, "alpha")


def leaky(x: Array, slope: float | Array) -> Array:
    """Return x above 0, slope * x below, in the dtype of ``x``.

    Examples
    --------
    >>> leaky(np.array([-2.0, 2.0]), 0.5)
    array([-1.,  2.])

    """
    return np.where(x > 0, x, slope * x)


def leaky_bound(x: Array, errors: Array, output: Array, slope: float | Array, gamma: Gamma) -> Array:
    """Range over the interval; a product with a constant is rounded, of that part of it which is negative.

    Examples
    --------
    >>> x, e = np.array([-2.0, 2.0]), np.array([1.0, 4.0])
    >>> leaky_bound(x, e, leaky(x, 0.5), 0.5, lambda n: n * 2.0**-24).round(3)
    array([0.5, 4. ])

    """
    moved = range_bound(lambda z: leaky(z, slope), x, errors, output, (0.0,))
    below = np.maximum(errors - x, 0.0)
    return np.where(below > 0, moved + gamma(2) * np.abs(slope) * below + SMALLEST_NORMAL, moved)


def _exact(attrs: LeakyRelu, x: Float32) -> Float32:
    """Return ``x > 0.0f ? x : alpha * x``."""
    return leaky_exact(x, np.float32(attrs.alpha))


def leaky_exact(x: Float32, slope: np.float32 | Float32) -> Float32:
    """Return ``x > 0.0f ? x : slope * x``, rounded once.

    Examples
    --------
    >>> leaky_exact(np.array([-2.0], np.float32), np.float32(0.5))
    array([-1.], dtype=float32)

    """
    return np.where(x > 0, x, slope * x)


OP = unary(
    "LeakyRelu",
    LeakyRelu,
    function=lambda attrs, x: leaky(x, attrs.alpha),
    exact=_exact,
    slope=lambda attrs, x, _: np.where(x > 0, x.dtype.type(1), x.dtype.type(attrs.alpha)),
    bound=lambda attrs, x, errors, output, gamma: leaky_bound(x, errors, output, attrs.alpha, gamma),
)

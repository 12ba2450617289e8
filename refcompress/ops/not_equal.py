"""NotEqual: 1 where x differs from a constant, 0 where it is that constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcompress.ops.base import FLOAT64_SLACK, Array
from refcompress.ops.unary import Float32, Gamma, keep_as_float32, unary


@dataclass(frozen=True, slots=True)
class NotEqual:
    """Attributes of NotEqual.

    Attributes
    ----------
    value
        The constant; kept as the nearest float32.

    Raises
    ------
    ModelError
        It is not finite in float32.

    Examples
    --------
    >>> NotEqual(0)
    NotEqual(value=0.0)

    """

    value: float

    def __post_init__(self) -> None:
        keep_as_float32(self, "value")


def _function(attrs: NotEqual, x: Array) -> Array:
    return np.asarray(x != attrs.value, x.dtype)


def _exact(attrs: NotEqual, x: Float32) -> Float32:
    """Return ``x != value ? 1.0f : 0.0f``, 1 for NaN."""
    return np.asarray(x != np.float32(attrs.value), np.float32)


def _bound(attrs: NotEqual, x: Array, errors: Array, _output: Array, _gamma: Gamma) -> Array:
    """0 where x is exact, or so far from the constant that its error cannot bridge that; 1 elsewhere."""
    certain = (errors == 0) | (np.abs(x - attrs.value) > errors * FLOAT64_SLACK)
    return np.where(certain, 0.0, 1.0)


OP = unary(
    "NotEqual",
    NotEqual,
    function=_function,
    exact=_exact,
    slope=lambda _, x, _y: np.zeros_like(x),
    bound=_bound,
)

"""ThresholdedRelu: x above alpha, 0 elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcompress.ops.base import FLOAT64_SLACK, Array
from refcompress.ops.unary import Float32, Gamma, keep_as_float32, unary


@dataclass(frozen=True, slots=True)
class ThresholdedRelu:
    """Attributes of ThresholdedRelu.

    Attributes
    ----------
    alpha
        What x must exceed; kept as the nearest float32.

    Raises
    ------
    ModelError
        It is not finite in float32.

    Examples
    --------
    >>> ThresholdedRelu()
    ThresholdedRelu(alpha=1.0)

    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        keep_as_float32(self, "alpha")


def _function(attrs: ThresholdedRelu, x: Array) -> Array:
    return np.where(x > attrs.alpha, x, x.dtype.type(0))


def _exact(attrs: ThresholdedRelu, x: Float32) -> Float32:
    """Return ``x > alpha ? x : 0.0f``."""
    return np.where(x > np.float32(attrs.alpha), x, np.float32(0))


def _slope(attrs: ThresholdedRelu, x: Array, _output: Array) -> Array:
    return (x > attrs.alpha).astype(x.dtype)


def _bound(attrs: ThresholdedRelu, x: Array, errors: Array, output: Array, _gamma: Gamma) -> Array:
    """No rounding. Where the interval contains alpha, the result is 0 or anything from alpha to its upper end."""
    least, most = x - errors, x + errors
    jump = np.maximum(np.abs(output), np.maximum(np.abs(most - output), np.abs(attrs.alpha - output)))
    bound = np.where(least > attrs.alpha, errors, np.where(most <= attrs.alpha, 0.0, jump))
    return np.asarray(bound * FLOAT64_SLACK)


OP = unary("ThresholdedRelu", ThresholdedRelu, function=_function, exact=_exact, slope=_slope, bound=_bound)

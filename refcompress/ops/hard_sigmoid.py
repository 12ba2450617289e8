"""HardSigmoid: alpha x + beta, kept between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array
from refcompress.ops.unary import Float32, Gamma, keep_as_float32, unary


@dataclass(frozen=True, slots=True)
class HardSigmoid:
    """Attributes of HardSigmoid.

    Attributes
    ----------
    alpha, beta
        Slope and value at 0; kept as the nearest float32. ONNX's defaults are those of Keras up to 2; Keras 3 and
        PyTorch have a slope of 1/6.

    Raises
    ------
    ModelError
        One of them is not finite in float32.

    Examples
    --------
    >>> HardSigmoid(0.25)
    HardSigmoid(alpha=0.25, beta=0.5)

    """

    alpha: float = 0.2
    beta: float = 0.5

    def __post_init__(self) -> None:
        keep_as_float32(self, "alpha", "beta")


def _function(attrs: HardSigmoid, x: Array) -> Array:
    result: Array = np.clip(attrs.alpha * x + attrs.beta, 0, 1)
    return result


def _exact(attrs: HardSigmoid, x: Float32) -> Float32:
    """Return ``t = x * alpha; t = t + beta; t = t < 0.0f ? 0.0f : t; t > 1.0f ? 1.0f : t``."""
    t = x * np.float32(attrs.alpha) + np.float32(attrs.beta)
    t = np.where(t < 0, np.float32(0), t)
    return np.where(t > 1, np.float32(1), t)


def _slope(attrs: HardSigmoid, _x: Array, output: Array) -> Array:
    """Return alpha where 0 < y < 1; at both ends the derivative is taken to be 0."""
    inside = (output > 0) & (output < 1)
    return np.where(inside, output.dtype.type(attrs.alpha), output.dtype.type(0))


def _bound(attrs: HardSigmoid, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Error of x, and rounding of product and sum or of (x + 3) / 6, cut where the result is cut."""
    slope = abs(attrs.alpha)
    size = slope * (np.abs(x) + errors) + abs(attrs.beta)
    width = (slope * errors + gamma(4) * size) * FLOAT64_SLACK + SMALLEST_NORMAL
    t = attrs.alpha * x + attrs.beta
    most, least = np.clip(t + width, 0, 1), np.clip(t - width, 0, 1)
    return np.asarray(np.maximum(most - output, output - least) * FLOAT64_SLACK)


OP = unary("HardSigmoid", HardSigmoid, function=_function, exact=_exact, slope=_slope, bound=_bound)

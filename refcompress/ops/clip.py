"""Clip: x kept between two constants; ReLU6 is ``Clip(0, 6)``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops.base import Array, Cotangents, Op, Params
from refcompress.ops.elementwise import monotone_bound, no_macs, pass_where, same_shape


@dataclass(frozen=True, slots=True)
class Clip:
    """Attributes of Clip.

    Attributes
    ----------
    min, max
        The least and the largest value of the output; kept as the nearest float32, in which networks compute.

    Raises
    ------
    ModelError
        One of them is not finite in float32, or min exceeds max.

    Examples
    --------
    >>> Clip(0, 6)
    Clip(min=0.0, max=6.0)

    """

    min: float
    max: float

    def __post_init__(self) -> None:
        for name in ("min", "max"):
            with np.errstate(over="ignore"):
                object.__setattr__(self, name, float(np.float32(getattr(self, name))))
        if not (math.isfinite(self.min) and math.isfinite(self.max) and self.min <= self.max):
            raise ModelError(f"min {self.min} and max {self.max}; give two finite float32 numbers, min <= max")


def forward(attrs: Clip, inputs: Sequence[Array], _params: Params) -> Array:
    """Return min(max(x, attrs.min), attrs.max).

    Examples
    --------
    >>> forward(Clip(0, 6), [np.array([-1.0, 2.0, 7.0])], {})
    array([0., 2., 6.])

    """
    return _clipped(attrs, inputs[0])


def exact(attrs: Clip, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return ``t = x < min ? min : x; t > max ? max : t``."""
    least, most = np.float32(attrs.min), np.float32(attrs.max)
    raised = np.where(inputs[0] < least, least, inputs[0])
    return np.where(raised > most, most, raised)


def vjp(
    attrs: Clip,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Pass the cotangent where min < x < max; at both ends the derivative is taken to be 0."""
    inside = (inputs[0] > attrs.min) & (inputs[0] < attrs.max)
    return (pass_where(inside, cotangent),), {}


def error_bound(
    attrs: Clip,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """No rounding; the error is cut where the constants cut x."""
    return monotone_bound(lambda x: _clipped(attrs, x), inputs[0], errors[0], output)


def _clipped(attrs: Clip, x: Array) -> Array:
    return np.minimum(np.maximum(x, x.dtype.type(attrs.min)), x.dtype.type(attrs.max))


OP = Op("Clip", Clip, same_shape, forward, exact, vjp, error_bound, no_macs)

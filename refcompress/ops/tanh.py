"""Tanh: the hyperbolic tangent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.kernels.exact_math import tanh32
from refcompress.ops.base import SMALLEST_NORMAL, Array, Cotangents, NoAttrs, Op, Params
from refcompress.ops.elementwise import library_error, monotone_bound, no_macs, same_shape


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return tanh(x).

    Examples
    --------
    >>> forward(NoAttrs(), [np.array([0.0, 1000.0])], {})
    array([0., 1.])

    """
    return np.tanh(inputs[0])


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return it in the order of :func:`refcompress.kernels.exact_math.tanh32`."""
    return tanh32(inputs[0])


def vjp(
    _attrs: NoAttrs,
    _inputs: Sequence[Array],
    _params: Params,
    output: Array,
    cotangent: Array,
) -> Cotangents:
    """Multiply with the derivative 1 - y^2, as (1 - y) (1 + y): without rounding near 1."""
    return (cotangent * ((1 - output) * (1 + output)),), {}


def error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Range over the interval, plus 8 ULP of the result; a denormal may be flushed."""
    moved = monotone_bound(np.tanh, inputs[0], errors[0], output)
    bound: Array = moved + library_error(gamma) * (np.abs(output) + moved) + SMALLEST_NORMAL
    return bound


OP = Op("Tanh", NoAttrs, same_shape, forward, exact, vjp, error_bound, no_macs)

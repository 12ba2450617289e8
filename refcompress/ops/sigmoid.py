"""Sigmoid: the logistic function 1 / (1 + exp(-x))."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.kernels.exact_math import sigmoid32
from refcompress.ops.base import Array, Cotangents, NoAttrs, Op, Params
from refcompress.ops.elementwise import library_error, logistic, monotone_bound, no_macs, same_shape


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return 1 / (1 + exp(-x)), never overflowing.

    Examples
    --------
    >>> forward(NoAttrs(), [np.array([0.0, 1000.0])], {})
    array([0.5, 1. ])

    """
    return logistic(inputs[0])


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return it in the order of :func:`refcompress.kernels.exact_math.sigmoid32`."""
    return sigmoid32(inputs[0])


def vjp(
    _attrs: NoAttrs,
    _inputs: Sequence[Array],
    _params: Params,
    output: Array,
    cotangent: Array,
) -> Cotangents:
    """Multiply with the derivative, y (1 - y)."""
    return (cotangent * (output * (1 - output)),), {}


def error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Range over the interval, plus 8 ULP of the result and two roundings of 1.

    The absolute term is for implementations that end in adding 0.5 (Eigen's rational approximation,
    0.5 + 0.5 tanh(x / 2)): for large negative x they are exact relative to 0.5, not to the result.
    """
    moved = monotone_bound(logistic, inputs[0], errors[0], output)
    bound: Array = moved + library_error(gamma) * (output + moved) + 2 * gamma(1)
    return bound


OP = Op("Sigmoid", NoAttrs, same_shape, forward, exact, vjp, error_bound, no_macs)

"""Softmax over the last axis: exp(x_i) / sum_j exp(x_j)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.kernels.exact_math import softmax32
from refcompress.ops.base import (
    FLOAT64_SLACK,
    SMALLEST_NORMAL,
    Array,
    Cotangents,
    NoAttrs,
    Op,
    Params,
    Shape,
)
from refcompress.ops.elementwise import library_error, no_macs


def infer_shape(_attrs: NoAttrs, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return the input's shape, which needs an axis besides the batch."""
    if not input_shapes[0]:
        raise ModelError("an input without axes; softmax runs over the last axis besides the batch")
    return input_shapes[0]


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return exp(x_i - max x) / sum_j exp(x_j - max x).

    Examples
    --------
    >>> forward(NoAttrs(), [np.array([[1000.0, 1000.0]])], {})
    array([[0.5, 0.5]])

    """
    with np.errstate(invalid="ignore"):  # infinite inputs give NaN, which whoever compares will see
        powers = np.exp(inputs[0] - inputs[0].max(-1, keepdims=True))
        result: Array = powers / powers.sum(-1, keepdims=True)
    return result


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return it in the order of :func:`refcompress.kernels.exact_math.softmax32`."""
    return softmax32(inputs[0])


def vjp(
    _attrs: NoAttrs,
    _inputs: Sequence[Array],
    _params: Params,
    output: Array,
    cotangent: Array,
) -> Cotangents:
    """Multiply with the Jacobian matrix diag(y) - y y^T: y (c - y . c)."""
    projected = (output * cotangent).sum(-1, keepdims=True)
    return (output * (cotangent - projected),), {}


def error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Range of the softmax over a box, plus the rounding of the sum and the quotient.

    The computed power of element i is exp(x_i - m + t_i) with |t_i| <= w_i: w_i holds the error of x_i, the
    rounding of the difference (gamma(1) times at most |x_i - m| + e_i + max e) and the library's relative error of
    exp, d of it, which is log(1 / (1 - d)) in the exponent. The common m, whatever its own error,
    cancels in the quotient. So up to the sum (n - 1 roundings of positive terms) and the quotient (one
    rounding, two where one multiplies by the reciprocal) the result is the softmax of a point in the box x
    +- w. Element i increases with x_i and decreases with every other x_j, so its extremes over the box lie
    at two corners; they are evaluated as a logistic function of x_i +- w_i less the log of the sum of the
    others, without cancellation. Powers that are denormal, or flushed to zero, are off by less than the
    smallest normal number each, over a sum of about 1 or more.
    """
    x, e = inputs[0], errors[0]
    distance = x.max(-1, keepdims=True) - x + e + e.max(-1, keepdims=True)
    with np.errstate(over="ignore", divide="ignore"):  # exp(-z) may overflow: the logistic function is then 0
        width = e + gamma(1) * distance - np.log1p(-min(1.0, library_error(gamma)))
        most = 1 / (1 + np.exp(log_sum_of_others(x - width) - x - width))
        least = 1 / (1 + np.exp(log_sum_of_others(x + width) - x + width))
    n = x.shape[-1]
    moved = np.maximum(most - output, output - least)
    bound: Array = (moved + gamma(n + 1) * most) * FLOAT64_SLACK + 2 * n * SMALLEST_NORMAL
    return bound


def log_sum_of_others(x: Array) -> Array:
    """For each i the logarithm of the sum of exp(x_j) over all j but i of the last axis."""
    nothing = np.full_like(x[..., :1], -np.inf)
    before = np.concatenate([nothing, np.logaddexp.accumulate(x[..., :-1], -1)], -1)
    after = np.concatenate([nothing, np.logaddexp.accumulate(x[..., :0:-1], -1)], -1)[..., ::-1]
    result: Array = np.logaddexp(before, after)
    return result


OP = Op("Softmax", NoAttrs, infer_shape, forward, exact, vjp, error_bound, no_macs)

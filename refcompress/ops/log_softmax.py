"""LogSoftmax over the last axis: x_i - log(sum_j exp(x_j))."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.kernels.exact_log import log_softmax32
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, NoAttrs, Op, Params
from refcompress.ops.elementwise import library_error, no_macs
from refcompress.ops.softmax import infer_shape, log_sum_of_others


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return (x_i - max x) - log(sum_j exp(x_j - max x)).

    Examples
    --------
    >>> forward(NoAttrs(), [np.array([[1000.0, 1000.0]])], {}).round(6)
    array([[-0.693147, -0.693147]])

    """
    with np.errstate(invalid="ignore"):  # infinite inputs give NaN, which whoever compares will see
        below = inputs[0] - inputs[0].max(-1, keepdims=True)
        result: Array = below - np.log(np.exp(below).sum(-1, keepdims=True))
    return result


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return it in the order of :func:`refcompress.kernels.exact_log.log_softmax32`."""
    return log_softmax32(inputs[0])


def vjp(
    _attrs: NoAttrs,
    _inputs: Sequence[Array],
    _params: Params,
    output: Array,
    cotangent: Array,
) -> Cotangents:
    """Multiply with the transposed Jacobian matrix: c - exp(y) sum_j c_j."""
    return (cotangent - np.exp(output) * cotangent.sum(-1, keepdims=True),), {}


def error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Range over a box, plus the rounding of sum, logarithm and differences.

    With d_j = x_j - m rounded (u times at most |x_j - m| + e_j + max e) the result is that of a point in the box x
    +- w, whatever the error of m, which cancels. Element i increases with x_i and decreases with every other x_j, so
    its extremes over the box lie at two corners; they are -log(1 + exp(z)) with z the log of the sum of the others
    less x_i. The sum of the powers is off by n - 1 roundings and by 8 ULP for exp, its logarithm (between 0 and log
    n) by as much and another 8 ULP of itself; the last difference is rounded. Computed as x - (m + log(sum)), the
    rounding of the sum in parentheses is relative to |m| + log n.
    """
    x, e = inputs[0], errors[0]
    n, unit, library = x.shape[-1], gamma(1), library_error(gamma)
    slack = e.max(-1, keepdims=True)
    most = x.max(-1, keepdims=True)
    width = e + unit * (most - x + e + slack)
    with np.errstate(all="ignore"):
        highest = -np.logaddexp(0.0, log_sum_of_others(x - width) - x - width)
        lowest = -np.logaddexp(0.0, log_sum_of_others(x + width) - x + width)
        moved = np.maximum(highest - output, output - lowest)
        logarithm = -np.log1p(-min(1.0, library + gamma(n))) + library * np.log(n)
        outer = unit * (np.abs(most) + slack + np.log(n)) + gamma(2) * (np.abs(output) + moved)
        bound: Array = (moved + logarithm + outer) * FLOAT64_SLACK + 2 * n * SMALLEST_NORMAL
    return bound


OP = Op("LogSoftmax", NoAttrs, infer_shape, forward, exact, vjp, error_bound, no_macs)

"""MatMul: the matrices in the last two axes of one input times those of another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, NoAttrs, Op, Params, Shape
from refcompress.ops.broadcasting import aligned, broadcast_shape, summed_to_input


def _infer_shape(attrs: NoAttrs, inputs: Sequence[Shape], params: Mapping[str, Shape]) -> Shape:
    left, right = inputs
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
        raise ModelError(
            f"inputs of shapes {left} and {right}; they must be (..., m, k) and (..., k, n): reshape a vector first"
        )
    leading = broadcast_shape(attrs, [left[:-2], right[:-2]], params)
    return (*leading, left[-2], right[-1])


def _forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    result: Array = np.matmul(*aligned(inputs))
    return result


def _exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Start at 0.0f; for k in order, round the product and then the sum."""
    left, right = aligned(inputs)
    shape = (*np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), left.shape[-2], right.shape[-1])
    out, product = np.zeros(shape, np.float32), np.empty(shape, np.float32)
    for k in range(left.shape[-1]):
        np.multiply(left[..., k, None], right[..., k, None, :], out=product)
        out += product
    return out


def _vjp(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params, _output: Array, cotangent: Array) -> Cotangents:
    left, right = aligned(inputs)
    by_left = cotangent @ right.swapaxes(-1, -2)
    by_right = left.swapaxes(-1, -2) @ cotangent
    return (summed_to_input(by_left, inputs[0].shape), summed_to_input(by_right, inputs[1].shape)), {}


def _error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Carry both inputs' errors on; a product is rounded once and then takes part in at most k additions."""
    left, right = (np.abs(x) for x in aligned(inputs))
    left_error, right_error = aligned(errors)
    n = left.shape[-1]
    reach = (left + left_error) @ (right + right_error)
    moved = left_error @ (right + right_error) + left @ right_error
    return np.asarray((moved + gamma(n + 1) * reach + 2 * (n + 1) * SMALLEST_NORMAL) * FLOAT64_SLACK)


def _macs(_attrs: NoAttrs, inputs: Sequence[Shape], output: Shape, _params: Params) -> int:
    return math.prod(output) * inputs[0][-1]


OP = Op("MatMul", NoAttrs, _infer_shape, _forward, _exact, _vjp, _error_bound, _macs, n_inputs=(2, 2))

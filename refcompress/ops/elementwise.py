"""What operators on single elements share: shape rules, no multiplications, bounds of monotone functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.base import FLOAT64_SLACK, Array, Cotangents, Params, Shape


def library_error(gamma: Callable[[int], float]) -> float:
    """Relative error granted to exp, tanh and the like in any framework or C library: 8 ULP of the result.

    An ULP is at most two roundings of the result. Libraries in use state 1 to 5 ULP for float32.

    Examples
    --------
    >>> library_error(lambda n: n * 2.0**-24) == 2.0**-20
    True

    """
    return 16 * gamma(1)


def same_shape(_attrs: Any, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Shape rule of operators whose output looks like their only input."""
    return input_shapes[0]


def no_macs(_attrs: Any, _input_shapes: Sequence[Shape], _output_shape: Shape, _params: Params) -> int:
    """Return 0: the operator multiplies nothing by weights."""
    return 0


def monotone_bound(function: Callable[[Array], Array], x: Array, errors: Array, output: Array) -> Array:
    """How far a function that never decreases gets when its argument moves by at most ``errors``.

    Exact up to float64 rounding: the extremes lie at the ends of the interval.

    Examples
    --------
    >>> monotone_bound(np.exp, np.zeros(1), np.ones(1), np.ones(1)).round(3)
    array([1.718])

    """
    bound: Array = np.maximum(function(x + errors) - output, output - function(x - errors)) * FLOAT64_SLACK
    return bound


def logistic(x: Array) -> Array:
    """Compute 1 / (1 + exp(-x)) without overflow, in the dtype of ``x``.

    Examples
    --------
    >>> logistic(np.array([-800.0, 0.0, 800.0]))
    array([0. , 0.5, 1. ])

    """
    power = np.exp(-np.abs(x))
    result: Array = np.where(x >= 0, x.dtype.type(1), power) / (1 + power)
    return result


def pass_where(passes: NDArray[np.bool_], cotangent: Array) -> Array:
    """Return the cotangent where it passes, +0 elsewhere.

    Bits are masked: ``np.where`` branches on every element, ten times slower, and a product would make NaN of
    infinity.

    Examples
    --------
    >>> pass_where(np.array([True, False]), np.array([2.0, np.inf]))
    array([2., 0.])

    """
    whole = np.dtype(f"i{cotangent.dtype.itemsize}")
    masks = np.negative(passes.view(np.int8)).astype(whole)  # 0 or all bits
    masks &= cotangent.view(whole)
    result: Array = masks.view(cotangent.dtype)
    return result


def identity(_attrs: Any, inputs: Sequence[Array], _params: Params) -> Array:
    """Return the only input."""
    return inputs[0]


def identity_vjp(
    _attrs: Any, _inputs: Sequence[Array], _params: Params, _output: Array, cotangent: Array
) -> Cotangents:
    """Return the cotangent."""
    return (cotangent,), {}


def identity_exact(_attrs: Any, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the only input."""
    return inputs[0]

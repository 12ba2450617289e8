"""Add: two or more inputs of equal shapes, summed from left to right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, NoAttrs, Op, Params, Shape
from refcompress.ops.elementwise import no_macs


def infer_shape(_attrs: NoAttrs, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return the shape that all inputs have."""
    if any(shape != input_shapes[0] for shape in input_shapes):
        raise ModelError(f"inputs of shapes {list(input_shapes)}; they must be equal, nothing is broadcast")
    return input_shapes[0]


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return ((a + b) + c) + ...

    Examples
    --------
    >>> forward(NoAttrs(), [np.ones(2), np.ones(2), np.ones(2)], {})
    array([3., 3.])

    """
    return reduce(np.add, inputs)


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the same, each sum rounded to float32."""
    return reduce(np.add, inputs)


def vjp(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Each input gets the cotangent."""
    return (cotangent,) * len(inputs), {}


def error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Sum of the errors and the rounding of n - 1 sums, in any order (Higham 2002, section 4.2)."""
    moved = reduce(np.add, errors)
    size = reduce(np.add, [np.abs(x) for x in inputs]) + moved
    bound: Array = (moved + gamma(len(inputs) - 1) * size) * FLOAT64_SLACK + len(inputs) * SMALLEST_NORMAL
    return bound


OP = Op("Add", NoAttrs, infer_shape, forward, exact, vjp, error_bound, no_macs, n_inputs=(2, None))

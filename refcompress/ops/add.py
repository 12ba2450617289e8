"""Add: two or more inputs, broadcast and summed from left to right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, NoAttrs, Op, Params
from refcompress.ops.broadcasting import aligned, broadcast_shape, summed_to_input
from refcompress.ops.elementwise import no_macs


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return ((a + b) + c) + ...

    Examples
    --------
    >>> forward(NoAttrs(), [np.ones((1, 2)), np.ones((1, 1)), np.ones((1, 2))], {})
    array([[3., 3.]])

    """
    return reduce(np.add, aligned(inputs))


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the same, each sum rounded to float32."""
    return reduce(np.add, aligned(inputs))


def vjp(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Each input gets the cotangent, summed over the axes along which it was repeated."""
    return tuple(summed_to_input(cotangent, x.shape) for x in inputs), {}


def error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Sum of the errors and the rounding of n - 1 sums, in any order (Higham 2002, section 4.2)."""
    moved = reduce(np.add, aligned(errors))
    size = reduce(np.add, [np.abs(x) for x in aligned(inputs)]) + moved
    bound: Array = (moved + gamma(len(inputs) - 1) * size) * FLOAT64_SLACK + len(inputs) * SMALLEST_NORMAL
    return bound


OP = Op("Add", NoAttrs, broadcast_shape, forward, exact, vjp, error_bound, no_macs, n_inputs=(2, None))

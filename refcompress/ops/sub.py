"""Sub: the first input less the second, broadcast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, NoAttrs, Op, Params
from refcompress.ops.broadcasting import aligned, broadcast_shape, summed_to_input
from refcompress.ops.elementwise import no_macs


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return a - b.

    Examples
    --------
    >>> forward(NoAttrs(), [np.array([[1.0, 2.0]]), np.array([[3.0]])], {})
    array([[-2., -1.]])

    """
    return np.subtract(*aligned(inputs))


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the same, rounded to float32 once."""
    return np.subtract(*aligned(inputs))


def vjp(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Return the cotangent and its negative, summed over the axes along which an input was repeated."""
    first, second = (summed_to_input(cotangent, x.shape) for x in inputs)
    return (first, -second), {}


def error_bound(
    _attrs: NoAttrs,
    _inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Sum of the errors, and one rounding of the result."""
    moved = np.add(*aligned(errors))
    bound: Array = (moved + gamma(1) * (np.abs(output) + moved)) * FLOAT64_SLACK + SMALLEST_NORMAL
    return bound


OP = Op("Sub", NoAttrs, broadcast_shape, forward, exact, vjp, error_bound, no_macs, n_inputs=(2, 2))

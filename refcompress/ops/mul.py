"""Mul: two or more inputs, broadcast and multiplied from left to right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, NoAttrs, Op, Params
from refcompress.ops.broadcasting import aligned, broadcast_shape, summed_to_input
from refcompress.ops.elementwise import no_macs


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return ((a * b) * c) * ...

    Examples
    --------
    >>> forward(NoAttrs(), [np.full((1, 2), 3.0), np.full((1, 1), 2.0)], {})
    array([[6., 6.]])

    """
    return reduce(np.multiply, aligned(inputs))


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the same, each product rounded to float32."""
    return reduce(np.multiply, aligned(inputs))


def vjp(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Each input gets the cotangent times all others, summed over the axes along which it was repeated."""
    fitted = aligned(inputs)
    parts = (reduce(np.multiply, [*fitted[:i], *fitted[i + 1 :]], cotangent) for i in range(len(fitted)))
    return tuple(summed_to_input(part, x.shape) for part, x in zip(parts, inputs, strict=True)), {}


def error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound the product of |x| + e less that of |x|, and n - 1 roundings of it.

    A product of some inputs that is denormal may be flushed to zero before it meets the others.
    """
    fitted, moves = aligned(inputs), aligned(errors)
    size, moved = np.abs(fitted[0]), moves[0]
    others = np.ones_like(size)  # what a flushed product of two may still be multiplied with
    for x, e in zip(fitted[1:], moves[1:], strict=True):
        moved = moved * (np.abs(x) + e) + size * e
        size = size * np.abs(x)
    if len(fitted) > 2:
        others = reduce(np.multiply, [np.maximum(1.0, np.abs(x) + e) for x, e in zip(fitted, moves, strict=True)])
    rounded = moved + gamma(len(fitted) - 1) * (size + moved)
    bound: Array = rounded * FLOAT64_SLACK + (len(fitted) - 1) * SMALLEST_NORMAL * others
    return bound


OP = Op("Mul", NoAttrs, broadcast_shape, forward, exact, vjp, error_bound, no_macs, n_inputs=(2, None))

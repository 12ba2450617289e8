"""Flatten: all axes but the batch become one, the last axis (channels) running fastest."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.base import Array, Cotangents, NoAttrs, Op, Params, Shape
from refcompress.ops.elementwise import no_macs


def infer_shape(_attrs: NoAttrs, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return one axis with all elements."""
    return (math.prod(input_shapes[0]),)


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return x as (batch, elements).

    Examples
    --------
    >>> forward(NoAttrs(), [np.zeros((2, 3, 4, 5))], {}).shape
    (2, 60)

    """
    return inputs[0].reshape(len(inputs[0]), math.prod(inputs[0].shape[1:]))


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the same elements."""
    return inputs[0].reshape(len(inputs[0]), math.prod(inputs[0].shape[1:]))


def vjp(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Return the same elements in the shape of the input."""
    return (cotangent.reshape(inputs[0].shape),), {}


def error_bound(
    attrs: NoAttrs,
    _inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """Errors move with their elements."""
    return forward(attrs, errors, params)


OP = Op("Flatten", NoAttrs, infer_shape, forward, exact, vjp, error_bound, no_macs)

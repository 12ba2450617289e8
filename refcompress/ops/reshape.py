"""Reshape: the same elements, in the same order, in another shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.elementwise import no_macs


@dataclass(frozen=True, slots=True)
class Reshape:
    """Attributes of Reshape.

    Attributes
    ----------
    shape
        The new shape without the batch axis; positive sizes only (no -1: an importer works it out).

    Raises
    ------
    ModelError
        A size is below 1.

    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.shape):
            raise ModelError(f"shape {self.shape}; every size must be at least 1: replace -1 by what it stands for")


def infer_shape(attrs: Reshape, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return the new shape, which must have as many elements."""
    have, want = math.prod(input_shapes[0]), math.prod(attrs.shape)
    if have != want:
        raise ModelError(f"{input_shapes[0]} has {have} elements and {attrs.shape} {want}; they must be as many")
    return attrs.shape


def forward(attrs: Reshape, inputs: Sequence[Array], _params: Params) -> Array:
    """Return x in the new shape.

    Examples
    --------
    >>> forward(Reshape((2, 3)), [np.zeros((5, 6))], {}).shape
    (5, 2, 3)

    """
    return inputs[0].reshape(len(inputs[0]), *attrs.shape)


def exact(attrs: Reshape, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the same elements."""
    return inputs[0].reshape(len(inputs[0]), *attrs.shape)


def vjp(
    _attrs: Reshape,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Return the same elements in the shape of the input."""
    return (cotangent.reshape(inputs[0].shape),), {}


def error_bound(
    attrs: Reshape,
    _inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """Errors move with their elements."""
    return forward(attrs, errors, params)


OP = Op("Reshape", Reshape, infer_shape, forward, exact, vjp, error_bound, no_macs)

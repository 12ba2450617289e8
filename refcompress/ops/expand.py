"""Expand: axes of size 1 repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refcompress.errors import ModelError
from refcompress.ops.arrangement import arrangement
from refcompress.ops.base import Array, Shape
from refcompress.ops.broadcasting import broadcast_shape, summed_to_input


@dataclass(frozen=True, slots=True)
class Expand:
    """Attributes of Expand.

    Attributes
    ----------
    shape
        What the input is broadcast with, without the batch axis and aligned from the right: where a size is 1 the
        input's stays, where the input's is 1 it is repeated, and axes the input lacks are put behind the batch axis.

    Raises
    ------
    ModelError
        A size is below 1.

    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.shape):
            raise ModelError(f"shape {self.shape}; every size must be at least 1")


def infer_shape(attrs: Expand, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return the common shape."""
    return broadcast_shape(attrs, [input_shapes[0], attrs.shape], {})


def move(attrs: Expand, x: Array) -> Array:
    """Return x repeated.

    Examples
    --------
    >>> move(Expand((2, 2)), np.array([[1.0, 2.0]])).tolist()
    [[[1.0, 2.0], [1.0, 2.0]]]

    """
    shape = np.broadcast_shapes(x.shape[1:], attrs.shape)
    wide = x.reshape(len(x), *(1,) * (len(shape) - x.ndim + 1), *x.shape[1:])
    return np.ascontiguousarray(np.broadcast_to(wide, (len(x), *shape)))


def adjoint(_attrs: Expand, cotangent: Array, shape: tuple[int, ...]) -> Array:
    """Return the sum of the cotangents of all copies."""
    return summed_to_input(cotangent, shape)


OP = arrangement("Expand", Expand, infer_shape, move, adjoint)

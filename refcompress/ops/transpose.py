"""Transpose: the axes in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refcompress.errors import ModelError
from refcompress.ops.arrangement import arrangement
from refcompress.ops.base import Array, Shape


@dataclass(frozen=True, slots=True)
class Transpose:
    """Attributes of Transpose.

    Attributes
    ----------
    perm
        For each axis of the output, batch included, the axis of the input it is; the batch stays axis 0.

    Raises
    ------
    ModelError
        It is no permutation, or the batch axis moves.

    Examples
    --------
    >>> Transpose((0, 3, 1, 2)).perm
    (0, 3, 1, 2)

    """

    perm: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(self.perm) != list(range(len(self.perm))) or self.perm[:1] != (0,):
            raise ModelError(f"perm {self.perm}; give each axis once, the batch axis 0 first")


def infer_shape(attrs: Transpose, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return the sizes in their new order."""
    shape = input_shapes[0]
    if len(attrs.perm) != len(shape) + 1:
        raise ModelError(
            f"perm {attrs.perm} for an input of shape {shape}; it must name {len(shape) + 1} axes, the batch included"
        )
    return tuple(shape[axis - 1] for axis in attrs.perm[1:])


def move(attrs: Transpose, x: Array) -> Array:
    """Return x with its axes in their new order, contiguous.

    Examples
    --------
    >>> move(Transpose((0, 2, 1)), np.array([[[1.0, 2.0, 3.0]]])).tolist()
    [[[1.0], [2.0], [3.0]]]

    """
    return np.ascontiguousarray(x.transpose(attrs.perm))


def adjoint(attrs: Transpose, cotangent: Array, _shape: tuple[int, ...]) -> Array:
    """Return the cotangent with its axes in their old order."""
    return np.ascontiguousarray(cotangent.transpose(np.argsort(attrs.perm)))


OP = arrangement("Transpose", Transpose, infer_shape, move, adjoint)

"""Slice: every so-many-th index of some axes, from a start to before an end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refcompress.errors import ModelError
from refcompress.ops.arrangement import arrangement
from refcompress.ops.axes import check_axes, check_rank
from refcompress.ops.base import Array, Shape


@dataclass(frozen=True, slots=True)
class Slice:
    """Attributes of Slice, as ONNX has them.

    Attributes
    ----------
    axes
        Axes that are cut, counted with the batch axis as 0, so at least 1.
    starts
        For each of them the first index; a negative one counts from the end, one out of range is clamped.
    ends
        The index before which it ends; the same. With a negative step, an end below minus the size takes the index
        0 in too.
    steps
        Distance of neighbouring indices; not 0.

    Raises
    ------
    ModelError
        The four differ in length, an axis is below 1 or named twice, or a step is 0.

    Examples
    --------
    >>> Slice((2,), (0,), (-1,), (1,)).axes
    (2,)

    """

    axes: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    steps: tuple[int, ...]

    def __post_init__(self) -> None:
        check_axes(self.axes)
        if {len(self.starts), len(self.ends), len(self.steps)} != {len(self.axes)}:
            raise ModelError(
                f"{len(self.axes)} axes, {len(self.starts)} starts, {len(self.ends)} ends and {len(self.steps)} steps; "
                "give one of each for every axis"
            )
        if 0 in self.steps:
            raise ModelError(f"steps {self.steps}; none may be 0")


def taken(size: int, start: int, end: int, step: int) -> range:
    """Return the indices that a cut takes of an axis.

    Examples
    --------
    >>> list(taken(5, -2, -100, -2))
    [3, 1]

    """
    start, end = (value + size if value < 0 else value for value in (start, end))
    if step > 0:
        return range(min(max(start, 0), size), min(max(end, 0), size), step)
    return range(min(max(start, 0), size - 1), min(max(end, -1), size - 1), step)


def infer_shape(attrs: Slice, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return the shape with the cut axes as long as what is taken of them."""
    shape = input_shapes[0]
    check_rank(attrs.axes, shape)
    sizes = list(shape)
    for axis, start, end, step in zip(attrs.axes, attrs.starts, attrs.ends, attrs.steps, strict=True):
        sizes[axis - 1] = len(taken(shape[axis - 1], start, end, step))
        if not sizes[axis - 1]:
            raise ModelError(f"start {start}, end {end} and step {step} take nothing of axis {axis} of {shape}")
    return tuple(sizes)


def _cut(attrs: Slice, shape: tuple[int, ...]) -> tuple[slice, ...]:
    cuts = [slice(None)] * len(shape)
    for axis, start, end, step in zip(attrs.axes, attrs.starts, attrs.ends, attrs.steps, strict=True):
        indices = taken(shape[axis], start, end, step)
        # before the first index comes no index: a slice says None
        cuts[axis] = slice(indices.start, indices.stop if indices.stop >= 0 else None, step)
    return tuple(cuts)


def move(attrs: Slice, x: Array) -> Array:
    """Return what is taken of x.

    Examples
    --------
    >>> move(Slice((1,), (-1,), (-100,), (-2,)), np.array([[0.0, 1.0, 2.0]]))
    array([[2., 0.]])

    """
    return np.ascontiguousarray(x[_cut(attrs, x.shape)])


def adjoint(attrs: Slice, cotangent: Array, shape: tuple[int, ...]) -> Array:
    """Return zeros with the cotangent where it was taken from."""
    out = np.zeros(shape, cotangent.dtype)
    out[_cut(attrs, shape)] = cotangent
    return out


OP = arrangement("Slice", Slice, infer_shape, move, adjoint)

"""What sums, means and extremes over axes share: attributes, shape rule, gradients and bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refcompress.ops.axes import as_rows, check_axes, from_rows, reduced_shape
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, Params, Shape


@dataclass(frozen=True, slots=True)
class Reduction:
    """Attributes of a reduction.

    Attributes
    ----------
    axes
        Axes to reduce, counted with the batch axis as 0, so at least 1; elements are taken in the order in which
        they lie in the input, whatever the order of the axes here.
    keepdims
        Whether a reduced axis stays, of size 1.

    Raises
    ------
    ModelError
        There is no axis, or one is below 1 or named twice.

    """

    axes: tuple[int, ...]
    keepdims: bool = False

    def __post_init__(self) -> None:
        check_axes(self.axes)

    def reduced(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the output's shape for an input's, batch axis included."""
        return shape[0], *reduced_shape(shape[1:], self.axes, keepdims=self.keepdims)

    def count(self, shape: tuple[int, ...]) -> int:
        """How many elements make one of the output."""
        return math.prod(shape[axis] for axis in self.axes)


def infer_shape(attrs: Reduction, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return what is left of the input's shape."""
    return reduced_shape(input_shapes[0], attrs.axes, keepdims=attrs.keepdims)


def spread(attrs: Reduction, y: Array, shape: tuple[int, ...]) -> Array:
    """Return what stands at every element of an input of that shape when it reads its output: a view."""
    kept = tuple(1 if axis in attrs.axes else size for axis, size in enumerate(shape))
    return np.broadcast_to(y.reshape(kept), shape)


def sum_bound(attrs: Reduction, x: Array, errors: Array, n: int, gamma: Callable[[int], float]) -> Array:
    """Bound the error of sums in any order, n roundings each.

    Parameters
    ----------
    attrs
        Attributes.
    x, errors
        Reference input and how far the float32 input may be from it.
    n
        Roundings.
    gamma
        Relative error of so many.

    """
    moved = errors.sum(attrs.axes, keepdims=attrs.keepdims)
    reach = np.abs(x).sum(attrs.axes, keepdims=attrs.keepdims) + moved
    return np.asarray((moved + gamma(n) * reach + n * SMALLEST_NORMAL) * FLOAT64_SLACK)


def extreme_vjp(
    attrs: Reduction, inputs: Sequence[Array], _params: Params, output: Array, cotangent: Array
) -> Cotangents:
    """Give the cotangent to the first of the elements that equal the extreme; where one is NaN, to none."""
    shape = inputs[0].shape
    rows = as_rows(inputs[0], attrs.axes)
    kept = rows.shape[:-1]
    equal = rows == output.reshape(*kept, 1)
    first = equal.argmax(-1)[..., None]
    passes = np.take_along_axis(equal, first, -1)
    out = np.zeros(rows.shape, cotangent.dtype)
    np.put_along_axis(out, first, np.where(passes, cotangent.reshape(*kept, 1), 0), -1)
    return (from_rows(out, attrs.axes, shape),), {}

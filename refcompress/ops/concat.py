"""Concat: inputs put one behind the other along an axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.elementwise import no_macs


@dataclass(frozen=True, slots=True)
class Concat:
    """Attributes of Concat.

    Attributes
    ----------
    axis
        Counted with the batch axis as 0, so at least 1; an importer turns a negative one into this.

    Raises
    ------
    ModelError
        The axis is below 1.

    """

    axis: int

    def __post_init__(self) -> None:
        if self.axis < 1:
            raise ModelError(
                f"axis {self.axis}; count it from the batch axis 0, at least 1 (add the rank to a negative)"
            )


def infer_shape(attrs: Concat, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return the common shape with the sizes along the axis added."""
    first, axis = input_shapes[0], attrs.axis - 1
    if axis >= len(first):
        raise ModelError(f"axis {attrs.axis} of inputs of shape {first}; the largest is {len(first)}")
    for shape in input_shapes:
        if len(shape) != len(first) or (*shape[:axis], *shape[axis + 1 :]) != (
            *first[:axis],
            *first[axis + 1 :],
        ):
            raise ModelError(
                f"inputs of shapes {list(input_shapes)}; they may differ along axis {attrs.axis} only "
                "(the batch is axis 0)"
            )
    return (*first[:axis], sum(shape[axis] for shape in input_shapes), *first[axis + 1 :])


def forward(attrs: Concat, inputs: Sequence[Array], _params: Params) -> Array:
    """Return the inputs one behind the other.

    Examples
    --------
    >>> forward(Concat(1), [np.zeros((1, 2)), np.ones((1, 1))], {})
    array([[0., 0., 1.]])

    """
    return np.concatenate(inputs, attrs.axis)


def exact(attrs: Concat, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the same elements."""
    return np.concatenate(inputs, attrs.axis)


def vjp(
    attrs: Concat,
    inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Each input gets its part of the cotangent."""
    ends = np.cumsum([x.shape[attrs.axis] for x in inputs])
    return tuple(np.split(cotangent, ends[:-1], attrs.axis)), {}


def error_bound(
    attrs: Concat,
    _inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """Errors move with their elements."""
    return np.concatenate(errors, attrs.axis)


OP = Op("Concat", Concat, infer_shape, forward, exact, vjp, error_bound, no_macs, n_inputs=(2, None))

"""Operators on several inputs element by element: shapes aligned from the right, the batch axis apart.

Axes of length 1 that a shape lacks are inserted right after the batch axis; then NumPy's rules hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops.base import Array, Shape, batch_sum

T = TypeVar("T", bound=np.generic)


def broadcast_shape(_attrs: Any, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return the shape to which all inputs broadcast, without the batch axis.

    Raises
    ------
    ModelError
        They do not fit together.

    Examples
    --------
    >>> broadcast_shape(None, [(4, 1), (3,)], {})
    (4, 3)

    """
    try:
        return np.broadcast_shapes(*input_shapes)
    except ValueError:
        raise ModelError(
            f"inputs of shapes {list(input_shapes)}, which do not broadcast; "
            "aligned from the right, axes must be equally long or 1"
        ) from None


def check_parameter(role: str, shape: Shape, input_shape: Shape) -> None:
    """Refuse a parameter that does not broadcast to the input's shape.

    Raises
    ------
    ModelError
        It has more axes, or one that is neither as long as the input's nor 1.

    """
    own = input_shape[len(input_shape) - len(shape) :]
    if len(shape) > len(input_shape) or any(n not in {1, size} for n, size in zip(shape, own, strict=True)):
        raise ModelError(
            f"a {role} of shape {shape} for an input of shape {input_shape}; "
            "aligned from the right, each of its axes must be as long as the input's or 1"
        )


def aligned(inputs: Sequence[NDArray[T]]) -> list[NDArray[T]]:
    """Insert the axes that shapes lack, after the batch axis.

    Examples
    --------
    >>> [x.shape for x in aligned([np.ones((8, 4, 3)), np.ones((8, 3))])]
    [(8, 4, 3), (8, 1, 3)]

    """
    ndim = max(x.ndim for x in inputs)
    return [x.reshape(*x.shape[:1], *(1,) * (ndim - x.ndim), *x.shape[1:]) for x in inputs]


def summed_to_input(cotangent: Array, shape: Shape) -> Array:
    """Sum a cotangent over the axes along which an input was repeated, never over the batch.

    Parameters
    ----------
    cotangent
        Of the output, batch first.
    shape
        The input's, batch included.

    Examples
    --------
    >>> summed_to_input(np.ones((2, 4, 3)), (2, 3))
    array([[4., 4., 4.],
           [4., 4., 4.]])

    """
    lead = cotangent.ndim - len(shape)
    repeated = [lead + i for i in range(1, len(shape)) if shape[i] == 1 != cotangent.shape[lead + i]]
    axes = (*range(1, 1 + lead), *repeated)
    if not axes:
        return cotangent
    result: Array = cotangent.sum(axes).reshape(shape)
    return result


def summed_to_parameter(cotangent: Array, shape: Shape) -> Array:
    """Sum a cotangent over the batch and the axes along which a parameter was repeated.

    Examples
    --------
    >>> summed_to_parameter(np.ones((2, 4, 3)), (4, 1))
    array([[6.],
           [6.],
           [6.],
           [6.]])

    """
    lead = cotangent.ndim - len(shape)
    own = cotangent.shape[lead:]
    total = batch_sum(cotangent.reshape(*cotangent.shape[:lead], math.prod(own))).reshape(own)
    repeated = tuple(i for i, size in enumerate(shape) if size == 1 != own[i])
    return np.asarray(total.sum(repeated, keepdims=True) if repeated else total)

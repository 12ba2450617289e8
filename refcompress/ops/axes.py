"""Axes of activations, counted with the batch axis as 0: checks, the order of sums over them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops.base import Array, Shape


def check_axes(axes: tuple[int, ...], what: str = "axes") -> None:
    """Refuse axes that are not distinct and at least 1.

    Raises
    ------
    ModelError
        With what is allowed.

    Examples
    --------
    >>> check_axes((2, 1))

    """
    if not axes or min(axes) < 1 or len(set(axes)) != len(axes):
        raise ModelError(
            f"{what} {axes}; give distinct ones, each at least 1: the batch is axis 0 (add the rank to a negative one)"
        )


def check_rank(axes: Sequence[int], shape: Shape) -> None:
    """Refuse axes that an input does not have.

    Raises
    ------
    ModelError
        An axis is beyond the last one of ``shape``, which leaves the batch axis out.

    """
    if max(axes) > len(shape):
        raise ModelError(
            f"axis {max(axes)} of an input of shape {shape}; its last axis is {len(shape)}, the batch is 0"
        )


def reduced_shape(shape: Shape, axes: tuple[int, ...], *, keepdims: bool) -> Shape:
    """Return what is left of a shape without batch when some axes are reduced.

    Examples
    --------
    >>> reduced_shape((4, 5, 6), (1, 3), keepdims=False), reduced_shape((4, 5, 6), (1, 3), keepdims=True)
    ((5,), (1, 5, 1))

    """
    check_rank(axes, shape)
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape, 1))
    return tuple(size for axis, size in enumerate(shape, 1) if axis not in axes)


def as_rows(x: Array, axes: tuple[int, ...]) -> Array:
    """Return (kept axes..., elements to reduce): in the order in which they lie in ``x``.

    Examples
    --------
    >>> as_rows(np.arange(8.0).reshape(1, 2, 2, 2), (1, 2))
    array([[[0., 2., 4., 6.],
            [1., 3., 5., 7.]]])

    """
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    moved = x.transpose(*kept, *sorted(axes))
    return moved.reshape(*moved.shape[: len(kept)], math.prod(moved.shape[len(kept) :]))


def from_rows(rows: Array, axes: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Invert :func:`as_rows` for an array of that shape, batch axis included.

    Examples
    --------
    >>> x = np.arange(8.0).reshape(1, 2, 2, 2)
    >>> bool((from_rows(as_rows(x, (1, 2)), (1, 2), x.shape) == x).all())
    True

    """
    order = [*(axis for axis in range(len(shape)) if axis not in axes), *sorted(axes)]
    return rows.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


def ordered_sum(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum the last axis from 0.0f, element after element, each sum rounded to float32; the axis stays, of size 1.

    Examples
    --------
    >>> ordered_sum(np.array([[1, 2.0**-24, 2.0**-24]], np.float32))
    array([[1.]], dtype=float32)

    """
    from refcompress.kernels import exact_reductions

    flat = _flat(rows)
    sums = np.empty(len(flat), np.float32)
    exact_reductions.sum_rows(flat, sums)
    return sums.reshape(*rows.shape[:-1], 1)


def ordered_max(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take the first element of the last axis, then ``x > m ? x : m`` along it; the axis stays, of size 1.

    Examples
    --------
    >>> ordered_max(np.array([[1, 3, 2]], np.float32))
    array([[3.]], dtype=float32)

    """
    from refcompress.kernels import exact_reductions

    flat = _flat(rows)
    most = np.empty(len(flat), np.float32)
    exact_reductions.max_rows(flat, most)
    return most.reshape(*rows.shape[:-1], 1)


def _flat(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = np.ascontiguousarray(rows).reshape(math.prod(rows.shape[:-1]), rows.shape[-1])
    flat.flags.writeable = False  # one signature for the kernels; a reshape is a view of its own
    return flat

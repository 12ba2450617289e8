"""The order in which every stream stores a weight: one row per output unit."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import OptionError

T = TypeVar("T", bound=np.generic)

MAX_AXES = 8
MAX_ELEMENTS = (1 << 31) - 1


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse shapes that no array may have.

    Raises
    ------
    OptionError
        More than 8 axes, a negative length, or 2^31 elements or more.

    Examples
    --------
    >>> check_shape((3, -1))
    Traceback (most recent call last):
    ...
    refcompress.errors.OptionError: the shape (3, -1); allowed are up to 8 axes and fewer than 2^31 elements

    """
    # an axis of any length beside one of 0 would pass the product alone
    fits = len(shape) <= MAX_AXES and all(0 <= n <= MAX_ELEMENTS for n in shape)
    if not fits or math.prod(shape) > MAX_ELEMENTS:
        raise OptionError(f"the shape {shape}; allowed are up to {MAX_AXES} axes and fewer than 2^31 elements")


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows (output units) and columns (flattened inputs) of a weight.

    A kernel (kh, kw, cin, cout) has cout rows of kh * kw * cin columns, a matrix (in, out) has out rows;
    anything of fewer dimensions is one row.

    Examples
    --------
    >>> matrix_shape((3, 3, 8, 16))
    (16, 72)
    >>> matrix_shape((10,))
    (1, 10)

    """
    if len(shape) < 2:
        return 1, math.prod(shape)
    return shape[-1], math.prod(shape[:-1])


def to_rows(array: NDArray[T]) -> NDArray[T]:
    """Return a weight as its matrix of rows: a new C-contiguous array.

    Examples
    --------
    >>> to_rows(np.arange(6).reshape(3, 2))
    array([[0, 2, 4],
           [1, 3, 5]])

    """
    rows, columns = matrix_shape(array.shape)
    if array.ndim < 2:
        return np.array(array.reshape(rows, columns), order="C")
    return np.array(array.reshape(columns, rows).T, order="C")


def from_rows(matrix: NDArray[T], shape: tuple[int, ...]) -> NDArray[T]:
    """Invert :func:`to_rows`; the result shares no memory with ``matrix``.

    Examples
    --------
    >>> from_rows(np.array([[0, 2, 4], [1, 3, 5]]), (3, 2))
    array([[0, 1],
           [2, 3],
           [4, 5]])

    """
    if len(shape) < 2:
        return np.array(matrix.reshape(shape), order="C")
    return np.array(matrix.reshape(matrix_shape(shape)).T, order="C").reshape(shape)

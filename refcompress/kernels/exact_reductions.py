"""Sums and maxima of rows in float32, element after element: the same bits in NumPy and in C."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@njit(cache=True)
def sum_rows(rows: Float32, out: Float32) -> None:
    """Sum every row: ``s = 0.0f``, then ``s = s + x``, each sum rounded.

    Parameters
    ----------
    rows
        (rows, elements).
    out
        (rows,), overwritten.

    """
    for r in range(rows.shape[0]):
        total = np.float32(0)
        for value in rows[r]:
            total += value
        out[r] = total


@njit(cache=True)
def max_rows(rows: Float32, out: Float32) -> None:
    """Maximum of every row: the first element, then ``m = x > m ? x : m``.

    Parameters
    ----------
    rows
        (rows, elements), at least one element.
    out
        (rows,), overwritten.

    """
    for r in range(rows.shape[0]):
        most = rows[r, 0]
        for value in rows[r, 1:]:
            most = max(most, value)  # the former unless the latter is greater, NaN and zeros included
        out[r] = most

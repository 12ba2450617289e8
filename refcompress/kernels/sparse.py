"""Sparse rows times dense data: one kernel for convolutions and batches, one for single vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

STRIP = 1024  # output positions worked on at a time: 4 KiB of float32, far inside the first-level cache


@njit(cache=True)
def _add_eight(y: Array, data: Array, at: NDArray[np.int64], flat: Array, j: int) -> None:
    # eight entries a pass, so that the sums are loaded and stored once for eight products
    n = y.size
    x0, x1, x2, x3 = flat[at[0] :][:n], flat[at[1] :][:n], flat[at[2] :][:n], flat[at[3] :][:n]
    x4, x5, x6, x7 = flat[at[4] :][:n], flat[at[5] :][:n], flat[at[6] :][:n], flat[at[7] :][:n]
    w0, w1, w2, w3 = data[j], data[j + 1], data[j + 2], data[j + 3]
    w4, w5, w6, w7 = data[j + 4], data[j + 5], data[j + 6], data[j + 7]
    for t in range(n):
        y[t] += ((w0 * x0[t] + w1 * x1[t]) + (w2 * x2[t] + w3 * x3[t])) + (
            (w4 * x4[t] + w5 * x5[t]) + (w6 * x6[t] + w7 * x7[t])
        )


@njit(cache=True)
def _add_two(y: Array, data: Array, at: NDArray[np.int64], flat: Array, j: int) -> None:
    n = y.size
    x0, x1 = flat[at[0] :][:n], flat[at[1] :][:n]
    w0, w1 = data[j], data[j + 1]
    for t in range(n):
        y[t] += w0 * x0[t] + w1 * x1[t]


@njit(cache=True)
def _add_one(y: Array, data: Array, at: NDArray[np.int64], flat: Array, j: int) -> None:
    x, w = flat[at[0] :][: y.size], data[j]
    for t in range(y.size):
        y[t] += w * x[t]


@njit(cache=True)
def accumulate(
    data: Array,
    indices: NDArray[np.int32],
    indptr: NDArray[np.int64],
    shifts: NDArray[np.int64],
    flat: Array,
    group_rows: int,
    group_step: int,
    positions: int,
    out: Array,
) -> None:
    """Multiply sparse rows with shifted windows of one flat array.

    ``out[r, p] = sum over the entries j of row r of data[j] * flat[s + p]`` with
    ``s = shifts[indices[j]] + r // group_rows * group_step``: each entry is a constant offset, and the inner
    loops run over consecutive memory.

    Parameters
    ----------
    data, indices, indptr
        The sparse rows; every row's columns increase.
    shifts
        Offset of each column into ``flat``; with the last group and position it must stay inside.
    flat
        One dimension, same dtype as ``data`` and ``out``: float32 or float64.
    group_rows, group_step
        Rows of a group, and how far the next group's data lie.
    positions
        How many columns of ``out`` to compute, from the first.
    out
        (rows, at least ``positions``), C-contiguous, overwritten.

    """
    at = np.empty(8, np.int64)
    for start in range(0, positions, STRIP):
        stop = min(start + STRIP, positions)
        for row in range(out.shape[0]):
            base = start + row // group_rows * group_step
            y = out[row, start:stop]
            y[:] = 0
            j, end = indptr[row], indptr[row + 1]
            while j < end:
                step = 8 if end - j >= 8 else 2 if end - j >= 2 else 1
                for i in range(step):
                    at[i] = shifts[indices[j + i]] + base
                if step == 8:
                    _add_eight(y, data, at, flat, j)
                elif step == 2:
                    _add_two(y, data, at, flat, j)
                else:
                    _add_one(y, data, at, flat, j)
                j += step


@njit(cache=True)
def multiply(data: Array, indices: NDArray[np.int32], indptr: NDArray[np.int64], x: Array, out: Array) -> None:
    """Multiply sparse rows with each vector of a small batch: ``out[b, r] = row r . x[b]``.

    Parameters
    ----------
    data, indices, indptr
        The sparse rows.
    x
        (batch, columns).
    out
        (batch, rows), overwritten.

    """
    zero = data.dtype.type(0)
    for b in range(x.shape[0]):
        vector = x[b]
        for row in range(out.shape[1]):
            # four sums, because one would wait for each addition to end
            s0 = s1 = s2 = s3 = zero
            start, end = indptr[row], indptr[row + 1]
            whole = end - (end - start) % 4
            for j in range(start, whole, 4):
                # unsigned indices spare the test for negative ones
                s0 += data[j] * vector[np.uint32(indices[j])]
                s1 += data[j + 1] * vector[np.uint32(indices[j + 1])]
                s2 += data[j + 2] * vector[np.uint32(indices[j + 2])]
                s3 += data[j + 3] * vector[np.uint32(indices[j + 3])]
            for j in range(whole, end):
                s0 += data[j] * vector[np.uint32(indices[j])]
            out[b, row] = (s0 + s1) + (s2 + s3)

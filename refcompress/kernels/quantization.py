"""Linear quantization loops: integers of a grid, and the error they leave."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def integers(
    matrix: NDArray[np.float32], scales: NDArray[np.float64], zero_points: NDArray[np.float64], least: int, most: int
) -> NDArray[np.uint16]:
    """Round each row to its grid, halves to even, clipped to ``least`` and ``most``."""
    rounded = np.empty(matrix.shape, np.uint16)
    for row in range(matrix.shape[0]):
        scale, zero_point = scales[row], zero_points[row]
        for column in range(matrix.shape[1]):
            step = np.rint(np.float64(matrix[row, column]) / scale) + zero_point
            rounded[row, column] = np.uint16(min(max(step, np.float64(least)), np.float64(most)))
    return rounded


@njit(cache=True)
def squared_error(
    matrix: NDArray[np.float32], scales: NDArray[np.float64], zero_points: NDArray[np.float64], least: int, most: int
) -> NDArray[np.float64]:
    """Sum over each row the squared distances to what :func:`integers` makes of it.

    Four partial sums, always the same, let the additions overlap.
    """
    errors = np.empty(matrix.shape[0], np.float64)
    for row in range(matrix.shape[0]):
        scale, zero_point = scales[row], zero_points[row]
        low, high = np.float64(least) - zero_point, np.float64(most) - zero_point
        lanes = np.zeros(4, np.float64)
        for column in range(matrix.shape[1]):
            value = np.float64(matrix[row, column])
            away = min(max(np.rint(value / scale), low), high) * scale - value
            lanes[column & 3] += away * away
        errors[row] = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
    return errors

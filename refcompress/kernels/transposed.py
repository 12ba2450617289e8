"""Transposed convolution, each stored weight over the whole plane: float32 in the stated order, or float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


@njit(cache=True)
def scatter(
    x: Array,
    data: Array,
    indices: NDArray[np.int32],
    indptr: NDArray[np.int64],
    bias: Array,
    kernel_width: int,
    group: int,
    strides: tuple[int, int],
    corner: tuple[int, int],
    dilations: tuple[int, int],
    batch: int,
    out: Array,
) -> None:
    """Add the products of all stored entries, row by row in increasing column order, to planes of the bias.

    Parameters
    ----------
    x
        (cin, height, width * batch): the images interleaved, so that a line is long even in small planes.
    data, indices, indptr
        The sparse rows, cout / group of them; a column is (ky * kw + kx) * cin + channel.
    bias
        (cout,).
    kernel_width
        kw.
    group
        Groups of channels.
    strides, corner, dilations
        (height, width) each; ``corner`` is what is cropped at the top and at the left.
    batch
        Images, at least 1.
    out
        (cout, output height, output width * batch), overwritten.

    """
    cin, units = x.shape[0], out.shape[0] // group
    group_in = cin // group
    for unit in range(out.shape[0]):
        out[unit] = bias[unit]
    for row in range(units):
        for j in range(indptr[row], indptr[row + 1]):
            tap, channel = divmod(indices[j], cin)
            ky, kx = divmod(tap, kernel_width)
            dy, dx = ky * dilations[0] - corner[0], kx * dilations[1] - corner[1]
            planes = out[channel // group_in * units + row]
            _add_plane(planes, data[j], x[channel], dy, dx, strides, batch)


@njit(cache=True)
def _add_plane(y: Array, weight: Any, x: Array, dy: int, dx: int, strides: tuple[int, int], batch: int) -> None:
    """Add weight * x, its pixels ``strides`` apart and shifted by (dy, dx), wherever they lie inside of y."""
    sy, sx = strides
    top, left = max(0, -(dy // sy)), max(0, -(dx // sx))
    bottom = min(x.shape[0], (y.shape[0] - 1 - dy) // sy + 1)
    right = min(x.shape[1] // batch, (y.shape[1] // batch - 1 - dx) // sx + 1)
    if right <= left:
        return
    for iy in range(top, bottom):
        values = x[iy, left * batch : right * batch]
        sums = y[iy * sy + dy, (left * sx + dx) * batch :]
        if sx == 1:
            for t in range(values.size):
                sums[t] += weight * values[t]
        else:
            for i in range(right - left):
                for t in range(batch):
                    sums[i * sx * batch + t] += weight * values[i * batch + t]

"""Float32 convolution and matrix product in the stated order: one rounding a product, one a sum.

Every output starts at its bias (0.0 if there is none) and adds the products of its row's stored entries in
increasing column order, never contracted. Loops inside run over outputs, not over terms, so they vectorise
without changing any sum.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@njit(cache=True)
def gemm_dense(x: Float32, weight: Float32, bias: Float32, out: Float32) -> None:
    """Multiply vectors with a dense matrix.

    Parameters
    ----------
    x
        (batch, in).
    weight
        (in, out): the matrix of rows, transposed.
    bias
        (out,).
    out
        (batch, out), overwritten.

    """
    for b in range(x.shape[0]):
        y = out[b]
        y[:] = bias
        for k in range(x.shape[1]):
            value, row = x[b, k], weight[k]
            for o in range(y.size):
                y[o] += row[o] * value


@njit(cache=True)
def gemm_sparse(
    x: Float32,
    data: Float32,
    indices: NDArray[np.int32],
    indptr: NDArray[np.int64],
    bias: Float32,
    out: Float32,
) -> None:
    """Multiply vectors with sparse rows.

    Parameters
    ----------
    x
        (in, batch): one vector a column.
    data, indices, indptr
        The sparse rows.
    bias
        (out,).
    out
        (out, batch), overwritten.

    """
    for row in range(out.shape[0]):
        y = out[row]
        y[:] = bias[row]
        for j in range(indptr[row], indptr[row + 1]):
            value, column = data[j], x[indices[j]]
            for b in range(y.size):
                y[b] += value * column[b]


@njit(cache=True)
def conv_dense(
    x: Float32,
    weight: Float32,
    bias: Float32,
    strides: tuple[int, int],
    corner: tuple[int, int],
    dilations: tuple[int, int],
    out: Float32,
) -> None:
    """Convolve planes with a dense kernel; taps in the padding are skipped.

    Fast where a group has many output channels; elsewhere :func:`conv_sparse` is, with all entries stored.

    Parameters
    ----------
    x
        (batch, height, width, cin).
    weight
        (kh, kw, cin / group, cout).
    bias
        (cout,).
    strides, corner, dilations
        (height, width) each; ``corner`` is the padding at the top and at the left.
    out
        (batch, output height, output width, cout), overwritten.

    """
    for n in range(out.shape[0]):
        for oy in range(out.shape[1]):
            for ox in range(out.shape[2]):
                y = out[n, oy, ox]
                y[:] = bias
                for ky in range(weight.shape[0]):
                    iy = oy * strides[0] - corner[0] + ky * dilations[0]
                    if iy < 0 or iy >= x.shape[1]:
                        continue
                    for kx in range(weight.shape[1]):
                        ix = ox * strides[1] - corner[1] + kx * dilations[1]
                        if ix < 0 or ix >= x.shape[2]:
                            continue
                        _add_tap(y, x[n, iy, ix], weight[ky, kx])


@njit(cache=True)
def _add_tap(y: Float32, pixel: Float32, tap: Float32) -> None:
    """Add one tap (cin / group, cout) of all channels of a pixel to the outputs at one place."""
    group_in, cout = tap.shape
    group = pixel.size // group_in
    group_out = cout // group
    for g in range(group):
        sums = y[g * group_out : (g + 1) * group_out]
        for c in range(group_in):
            value = pixel[g * group_in + c]
            weights = tap[c, g * group_out : (g + 1) * group_out]
            for o in range(group_out):
                sums[o] += weights[o] * value


@njit(cache=True)
def conv_sparse(
    x: Float32,
    data: Float32,
    indices: NDArray[np.int32],
    indptr: NDArray[np.int64],
    bias: Float32,
    kernel: tuple[int, int, int],
    strides: tuple[int, int],
    corner: tuple[int, int],
    dilations: tuple[int, int],
    batch: int,
    out: Float32,
) -> None:
    """Convolve planes with sparse rows, each stored entry over the whole output plane; padding is skipped.

    Parameters
    ----------
    x
        (cin, height, width * batch): the images interleaved, so that a line is long even in small planes.
    data, indices, indptr
        The sparse rows; a column is (ky * kw + kx) * (cin / group) + channel.
    bias
        (cout,).
    kernel
        (kh, kw, cin / group).
    strides, corner, dilations
        As in :func:`conv_dense`.
    batch
        Images, at least 1.
    out
        (cout, output height, output width * batch), overwritten.

    """
    group_rows = out.shape[0] // (x.shape[0] // kernel[2])
    for row in range(out.shape[0]):
        planes = out[row]
        planes[:] = bias[row]
        first = row // group_rows * kernel[2]
        for j in range(indptr[row], indptr[row + 1]):
            tap, channel = divmod(indices[j], kernel[2])
            ky, kx = divmod(tap, kernel[1])
            dy, dx = ky * dilations[0] - corner[0], kx * dilations[1] - corner[1]
            _add_planes(planes, data[j], x[first + channel], dy, dx, strides, batch)


@njit(cache=True)
def _first_inside(shift: int, stride: int) -> int:
    """Least output coordinate o with o * stride + shift >= 0."""
    return max(0, -(shift // stride))


@njit(cache=True)
def _add_planes(
    y: Float32, weight: np.float32, x: Float32, dy: int, dx: int, strides: tuple[int, int], batch: int
) -> None:
    """Add weight * x, shifted by (dy, dx), wherever the shifted place lies inside of x."""
    sy, sx = strides
    top, left = _first_inside(dy, sy), _first_inside(dx, sx)
    bottom = min(y.shape[0], (x.shape[0] - 1 - dy) // sy + 1)
    right = min(y.shape[1] // batch, (x.shape[1] // batch - 1 - dx) // sx + 1)
    if right <= left:
        return
    for oy in range(top, bottom):
        sums = y[oy, left * batch : right * batch]
        values = x[oy * sy + dy, (left * sx + dx) * batch :]
        if sx == 1:
            for t in range(sums.size):
                sums[t] += weight * values[t]
        else:
            for i in range(right - left):
                for t in range(batch):
                    sums[i * batch + t] += weight * values[i * sx * batch + t]

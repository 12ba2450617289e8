"""Training with few weights: arrays (height, width, channels, batch), so that every loop runs along the batch.

A weight is the list of its surviving entries in row order: ``taps`` (n, 3) holds row and column of the window and input
channel, ``units`` the index of each output channel's first tap. A matrix is a convolution of one pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]
Pair = tuple[int, int]


@njit(cache=True)
def convolve(
    x: Array,
    taps: Indices,
    units: Indices,
    values: Array,
    bias: Array,
    strides: Pair,
    before: Pair,
    dilations: Pair,
    out: Array,
) -> None:
    """Write the bias plus the sum of the surviving products.

    Parameters
    ----------
    x
        (height, width, channels, batch), contiguous as all of them.
    taps, units, values
        The weight: (n, 3), (output channels + 1,) and (n,).
    bias
        (output channels,).
    strides, before, dilations
        (height, width) each; ``before`` is the padding at the top and at the left.
    out
        (output height, output width, output channels, batch).

    """
    height, width, channels, batch = x.shape
    source, target = x.reshape(-1), out.reshape(-1)
    starts = np.empty(len(values) + 3, np.int64)  # of the samples that the taps inside meet
    factors = np.empty(len(values) + 3, x.dtype)
    at = 0
    for oy in range(out.shape[0]):
        for ox in range(out.shape[1]):
            for unit in range(out.shape[2]):
                inside = 0
                for tap in range(units[unit], units[unit + 1]):
                    iy = oy * strides[0] + taps[tap, 0] * dilations[0] - before[0]
                    ix = ox * strides[1] + taps[tap, 1] * dilations[1] - before[1]
                    if 0 <= iy < height and 0 <= ix < width:
                        starts[inside] = ((iy * width + ix) * channels + taps[tap, 2]) * batch
                        factors[inside] = values[tap]
                        inside += 1
                for rest in range(inside, inside + 3):  # whole fours: sums are loaded and stored a quarter as often
                    starts[rest], factors[rest] = 0, 0
                sums = target[at : at + batch]
                at += batch
                for n in range(batch):
                    sums[n] = bias[unit]
                for k in range(0, inside, 4):
                    v0, v1, v2, v3 = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
                    x0 = source[starts[k] : starts[k] + batch]
                    x1 = source[starts[k + 1] : starts[k + 1] + batch]
                    x2 = source[starts[k + 2] : starts[k + 2] + batch]
                    x3 = source[starts[k + 3] : starts[k + 3] + batch]
                    for n in range(batch):
                        sums[n] += (v0 * x0[n] + v1 * x1[n]) + (v2 * x2[n] + v3 * x3[n])


@njit(cache=True)
def input_vjp(
    cotangent: Array,
    taps: Indices,
    units: Indices,
    values: Array,
    strides: Pair,
    before: Pair,
    dilations: Pair,
    out: Array,
) -> None:
    """Add to ``out``, of the input's shape, what flows back; the other parameters are those of :func:`convolve`."""
    height, width, channels, batch = out.shape
    source, target = cotangent.reshape(-1), out.reshape(-1)
    at = 0
    for oy in range(cotangent.shape[0]):
        for ox in range(cotangent.shape[1]):
            for unit in range(cotangent.shape[2]):
                flowing = source[at : at + batch]
                at += batch
                for tap in range(units[unit], units[unit + 1]):
                    iy = oy * strides[0] + taps[tap, 0] * dilations[0] - before[0]
                    ix = ox * strides[1] + taps[tap, 1] * dilations[1] - before[1]
                    if 0 <= iy < height and 0 <= ix < width:
                        start = ((iy * width + ix) * channels + taps[tap, 2]) * batch
                        back = target[start : start + batch]
                        value = values[tap]
                        for n in range(batch):
                            back[n] += value * flowing[n]


@njit(cache=True, fastmath={"reassoc", "nsz"})
def _dot(a: Array, b: Array) -> Any:
    total = a.dtype.type(0)
    for n in range(len(a)):
        total += a[n] * b[n]
    return total


@njit(cache=True)
def weight_vjp(
    x: Array,
    cotangent: Array,
    taps: Indices,
    units: Indices,
    strides: Pair,
    before: Pair,
    dilations: Pair,
    out: Array,
) -> None:
    """Write the gradient of each surviving entry, (n,); the other parameters are those of :func:`convolve`."""
    height, width, channels, batch = x.shape
    source, flowing = x.reshape(-1), cotangent.reshape(-1)
    out[:] = 0
    at = 0
    for oy in range(cotangent.shape[0]):
        for ox in range(cotangent.shape[1]):
            for unit in range(cotangent.shape[2]):
                back = flowing[at : at + batch]
                at += batch
                for tap in range(units[unit], units[unit + 1]):
                    iy = oy * strides[0] + taps[tap, 0] * dilations[0] - before[0]
                    ix = ox * strides[1] + taps[tap, 1] * dilations[1] - before[1]
                    if 0 <= iy < height and 0 <= ix < width:
                        start = ((iy * width + ix) * channels + taps[tap, 2]) * batch
                        out[tap] += _dot(source[start : start + batch], back)

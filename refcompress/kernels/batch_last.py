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


@njit(cache=True)
def max_pool(x: Array, kernel: Pair, strides: Pair, before: Pair, out: Array) -> None:
    """Write the maximum of each window, (output height, output width, channels, batch); NaN wins.

    A window has at least one element inside; ``before`` is the padding at the top and at the left.
    """
    height, width, channels, batch = x.shape
    run = channels * batch
    source, target = x.reshape(-1), out.reshape(-1)
    at = 0
    for oy in range(out.shape[0]):
        for ox in range(out.shape[1]):
            top, side = oy * strides[0] - before[0], ox * strides[1] - before[1]
            most = target[at : at + run]
            at += run
            for k in range(run):
                most[k] = -np.inf
            for iy in range(max(top, 0), min(top + kernel[0], height)):
                for ix in range(max(side, 0), min(side + kernel[1], width)):
                    start = (iy * width + ix) * run
                    seen = source[start : start + run]
                    for k in range(run):
                        most[k] = most[k] if most[k] > seen[k] or most[k] != most[k] else seen[k]


@njit(cache=True)
def max_pool_vjp(
    x: Array, most: Array, cotangent: Array, kernel: Pair, strides: Pair, before: Pair, out: Array
) -> None:
    """Add each cotangent to the first element of its window that equals the window's maximum.

    As :func:`refcompress.kernels.pooling.max_pool_vjp`, with the batch last.
    """
    height, width, channels, batch = x.shape
    run = channels * batch
    pixels, maxima, flowing, back = x.reshape(-1), most.reshape(-1), cotangent.reshape(-1), out.reshape(-1)
    left = np.empty(run, x.dtype)  # what is left of the cotangents of one place
    zero = x.dtype.type(0)
    at = 0
    for oy in range(most.shape[0]):
        for ox in range(most.shape[1]):
            top, side = oy * strides[0] - before[0], ox * strides[1] - before[1]
            best = maxima[at : at + run]
            for k in range(run):
                left[k] = flowing[at + k]
            at += run
            for iy in range(max(top, 0), min(top + kernel[0], height)):
                for ix in range(max(side, 0), min(side + kernel[1], width)):
                    start = (iy * width + ix) * run
                    seen, target = pixels[start : start + run], back[start : start + run]
                    for k in range(run):
                        won = seen[k] == best[k]
                        target[k] += left[k] if won else zero
                        left[k] = zero if won else left[k]

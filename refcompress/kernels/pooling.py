"""Gradients of pools: which element of every window was the first maximum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


@njit(cache=True)
def max_pool_vjp(
    x: Array,
    most: Array,
    cotangent: Array,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    before: tuple[int, int],
    out: Array,
) -> None:
    """Add each cotangent to the first element of its window that equals the window's maximum.

    Parameters
    ----------
    x
        (batch, height, width, channels), not padded, contiguous as all of them.
    most, cotangent
        (batch, output height, output width, channels): the maxima, and what flows back into them.
    kernel, strides
        (height, width) each.
    before
        Padding (top, left).
    out
        Shape of ``x``, added to.

    """
    batch, height, width, channels = x.shape
    # flat arrays and slices of them, and no branch, let the loop over channels run in vectors
    pixels, maxima, flowing, back = x.reshape(-1), most.reshape(-1), cotangent.reshape(-1), out.reshape(-1)
    left = np.empty(channels, x.dtype)  # what is left of the cotangents of one window
    zero = x.dtype.type(0)
    at = 0
    for n in range(batch):
        for oy in range(most.shape[1]):
            for ox in range(most.shape[2]):
                top, side = oy * strides[0] - before[0], ox * strides[1] - before[1]
                best = maxima[at : at + channels]
                for c in range(channels):
                    left[c] = flowing[at + c]
                at += channels
                for iy in range(max(top, 0), min(top + kernel[0], height)):
                    for ix in range(max(side, 0), min(side + kernel[1], width)):
                        start = ((n * height + iy) * width + ix) * channels
                        seen, target = pixels[start : start + channels], back[start : start + channels]
                        for c in range(channels):
                            won = seen[c] == best[c]
                            target[c] += left[c] if won else zero
                            left[c] = zero if won else left[c]

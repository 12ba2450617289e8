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
        (batch, height, width, channels), not padded.
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
    # what is left of the cotangents of one window: no branch, so that the loop over channels runs in vectors
    left = np.empty(channels, x.dtype)
    zero = x.dtype.type(0)
    for n in range(batch):
        for oy in range(most.shape[1]):
            for ox in range(most.shape[2]):
                top, side = oy * strides[0] - before[0], ox * strides[1] - before[1]
                left[:] = cotangent[n, oy, ox]
                best = most[n, oy, ox]
                for iy in range(max(top, 0), min(top + kernel[0], height)):
                    for ix in range(max(side, 0), min(side + kernel[1], width)):
                        seen, target = x[n, iy, ix], out[n, iy, ix]
                        for c in range(channels):
                            won = seen[c] == best[c]
                            target[c] += left[c] if won else zero
                            left[c] = zero if won else left[c]

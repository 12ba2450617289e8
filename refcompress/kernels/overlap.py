"""Overlap-add: what lies in every window added to the places the windows show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


@njit(cache=True)
def add_runs(seen: Array, step: tuple[int, int], tap_step: tuple[int, int], out: Array) -> None:
    """Add runs of neighbouring numbers, of which every window has some, to lines.

    Parameters
    ----------
    seen
        (batch, output height, output width, kernel height, runs, numbers in a run).
    step, tap_step
        How far the next window lies, and the next line or run of one window: lines, numbers in a line.
    out
        (batch, lines, numbers in a line), added to.

    """
    batch, height, width, kernel_height, runs, length = seen.shape
    for n in range(batch):
        for oy in range(height):
            for ky in range(kernel_height):
                line = out[n, oy * step[0] + ky * tap_step[0]]
                for ox in range(width):
                    for run in range(runs):
                        start = ox * step[1] + run * tap_step[1]
                        source, target = seen[n, oy, ox, ky, run], line[start : start + length]
                        for i in range(length):
                            target[i] += source[i]

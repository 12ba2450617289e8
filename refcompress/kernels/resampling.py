"""Reading images between their pixels, for augmentation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


@njit(cache=True)
def bilinear(images: Array, rows: NDArray[np.float64], columns: NDArray[np.float64], fill: float, out: Array) -> None:
    """Interpolate between the four pixels around each place; outside, every pixel is the fill.

    Parameters
    ----------
    images
        (samples, height, width, channels).
    rows, columns
        Where to read, (samples, h, w) each, finite.
    fill
        Value outside.
    out
        Written, (samples, h, w, channels).

    """
    _, height, width, channels = images.shape
    one, outside = images.dtype.type(1), images.dtype.type(fill)
    for n in range(rows.shape[0]):
        for y in range(rows.shape[1]):
            for x in range(rows.shape[2]):
                # one pixel of fill on each side; further out all is fill too
                down = min(max(rows[n, y, x], -1.0), float(height))
                right = min(max(columns[n, y, x], -1.0), float(width))
                top, left = int(np.floor(down)), int(np.floor(right))
                lower = images.dtype.type(down - top)
                later = images.dtype.type(right - left)
                above, below = 0 <= top < height, 0 <= top + 1 < height
                before, after = 0 <= left < width, 0 <= left + 1 < width
                for c in range(channels):
                    a = images[n, top, left, c] if above and before else outside
                    b = images[n, top, left + 1, c] if above and after else outside
                    d = images[n, top + 1, left, c] if below and before else outside
                    e = images[n, top + 1, left + 1, c] if below and after else outside
                    upper = a * (one - later) + b * later
                    out[n, y, x, c] = upper * (one - lower) + (d * (one - later) + e * later) * lower

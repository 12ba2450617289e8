"""From what an activation was seen to be to its scale and zero point: min/max, percentile, least squared error."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from refcompress.integer import Quantization
from refcompress.integer.spans import quantization_for
from refcompress.post_training.histograms import Histogram, Moments, moments

Ranges = Literal["minmax", "percentile", "mse"]
RANGES: tuple[Ranges, ...] = get_args(Ranges)

_COARSE = np.arange(16, 0, -1) / 16  # shares of the full range that the search tries first ...
_FINE = np.arange(7, -8, -1) / 128  # ... and then around the best ones


def range_of(histogram: Histogram, ranges: Ranges, percentile: float) -> tuple[float, float]:
    """Return the range that the integers of an activation are to span; it holds 0.

    Parameters
    ----------
    histogram
        Its values.
    ranges
        ``"minmax"``: all of them. ``"percentile"``: the values in the middle, as many on either side left out.
        ``"mse"``: the range with the least squared error, see :func:`least_error`.
    percentile
        How many of a hundred values the second keeps.

    Examples
    --------
    >>> even = Histogram(-1.0, 3.0, np.ones(400))
    >>> range_of(even, "minmax", 99), tuple(round(end, 2) for end in range_of(even, "percentile", 90))
    ((-1.0, 3.0), (-0.8, 2.8))

    """
    if ranges == "minmax" or histogram.low == histogram.high:
        return histogram.low, histogram.high
    if ranges == "percentile":
        return _percentile(histogram, percentile)
    return least_error(histogram)


def _percentile(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """Cut as many values off on either side; within a bin they lie evenly."""
    edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
    below = np.concatenate([[0.0], np.cumsum(histogram.counts)])
    left_out = histogram.total * (1 - percentile / 100) / 2
    low = float(np.interp(left_out, below, edges))
    high = float(np.interp(below[-1] - left_out, below, edges))
    return min(low, 0.0), max(high, 0.0)


def least_error(histogram: Histogram) -> tuple[float, float]:
    """Return the range whose 256 levels are nearest to the values, in the mean of the squares.

    Both ends are searched together: every pair of sixteenths of the full range first, then steps of 1/128 around the
    best pair. The error is exact for values that lie evenly within each bin, saturation and the rounding of the zero
    point included. On a tie the wider range wins; it is never worse than min/max.

    Parameters
    ----------
    histogram
        The values, of some width.

    References
    ----------
    Nagel et al. 2021, "A white paper on neural network quantization", section 3.1 (range setting by the mean squared
    error, by a grid search).

    Examples
    --------
    >>> counts = np.zeros(4096)
    >>> counts[1920:2176] = 1e5  # millions of values between -0.5 and 0.5 ...
    >>> counts[-1] = 1  # ... and one of 8
    >>> low, high = least_error(Histogram(-8.0, 8.0, counts))
    >>> -0.7 < low < -0.4, high < 3
    (True, True)

    """
    exact = moments(histogram)
    shares, best = (1.0, 1.0), squared_error(exact, quantization_for(histogram.low, histogram.high))
    for offsets in (_COARSE, _FINE):
        centre = (0.0, 0.0) if offsets is _COARSE else shares
        lows = [min(centre[0] + each, 1.0) for each in offsets.tolist()] if histogram.low < 0 else [1.0]
        highs = [min(centre[1] + each, 1.0) for each in offsets.tolist()] if histogram.high > 0 else [1.0]
        for share_low in lows:
            for share_high in highs:
                quantization = quantization_for(histogram.low * share_low, histogram.high * share_high)
                error = squared_error(exact, quantization)
                if error < best:
                    shares, best = (share_low, share_high), error
    return histogram.low * shares[0], histogram.high * shares[1]


def squared_error(exact: Moments, quantization: Quantization) -> float:
    """Return the sum of the squared distances of all values to their levels.

    Parameters
    ----------
    exact
        Integrals of the values.
    quantization
        The levels.

    Examples
    --------
    >>> whole = moments(Histogram(0.0, 255.0, np.ones(255)))  # values between whole numbers, rounded to these
    >>> round(squared_error(whole, Quantization(1.0, -128)) / 255 * 12, 9)
    1.0

    """
    integers = np.arange(quantization.low, quantization.high + 1)
    levels = quantization.scale * (integers - quantization.zero_point)
    between = (levels[:-1] + levels[1:]) / 2
    bounds = np.concatenate([[-np.inf], between, [np.inf]])
    mass, first, second = np.diff(exact.upto(bounds), axis=1)
    return float(np.sum(second - 2 * levels * first + levels**2 * mass))

"""Where the pixels of a resized axis lie on the original one: exact fractions, and what float32 may make of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

COORDINATES = ("half_pixel", "asymmetric", "align_corners")
ROUNDINGS = ("floor", "round_prefer_floor", "round_prefer_ceil", "ceil")

# Which coordinates an index stands for, less the index: in float64 both ends count as in it
_REACHES = {
    "floor": (0.0, 1.0),
    "round_prefer_floor": (-0.5, 0.5),
    "round_prefer_ceil": (-0.5, 0.5),
    "ceil": (-1.0, 0.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Coordinates of the pixels of a resized axis: ``numerators / denominator``, not clamped.

    Attributes
    ----------
    numerators
        (pixels,).
    denominator
        At least 1.
    scale
        Input pixels an output pixel: numerator and denominator in lowest terms.
    size
        Input pixels.

    """

    numerators: Indices
    denominator: int
    scale: tuple[int, int]
    size: int


def places(size: int, new_size: int, coordinates: str) -> Places:
    """Return where the pixels of an axis of ``new_size`` lie on one of ``size``.

    Pixel o lies at (o + 1/2) size / new_size - 1/2 (``half_pixel``), at o size / new_size (``asymmetric``) or at
    o (size - 1) / (new_size - 1) (``align_corners``; at 0 if it is the only one).

    Examples
    --------
    >>> there = places(2, 4, "half_pixel")
    >>> there.numerators / there.denominator
    array([-0.25,  0.25,  0.75,  1.25])

    """
    index = np.arange(new_size, dtype=np.int64)
    if coordinates == "align_corners":
        over, under = size - 1, max(1, new_size - 1)
    else:
        over, under = size, new_size
    divisor = math.gcd(over, under)
    scale = over // divisor, under // divisor
    if coordinates == "half_pixel":
        return Places((2 * index + 1) * scale[0] - scale[1], 2 * scale[1], scale, size)
    return Places(index * scale[0], scale[1], scale, size)


def nearest(there: Places, rounding: str) -> Indices:
    """Return which pixel stands for each place, clamped.

    Examples
    --------
    >>> nearest(places(2, 5, "asymmetric"), "ceil")
    array([0, 1, 1, 1, 1])

    """
    return np.clip(_rounded(there, rounding), 0, there.size - 1)


def _rounded(there: Places, rounding: str) -> Indices:
    over, under = there.numerators, there.denominator
    if rounding == "floor":
        return over // under
    if rounding == "ceil":
        return -(-over // under)
    if rounding == "round_prefer_floor":
        return -((under - 2 * over) // (2 * under))
    return (2 * over + under) // (2 * under)


def neighbours(there: Places) -> tuple[Indices, Indices, Indices]:
    """Return the pixels before and behind each place, and how many denominators-th it lies behind the former.

    Examples
    --------
    >>> neighbours(places(2, 4, "half_pixel"))
    (array([0, 0, 0, 1]), array([0, 1, 1, 1]), array([0, 1, 3, 0]))

    """
    before, rest = np.divmod(np.clip(there.numerators, 0, (there.size - 1) * there.denominator), there.denominator)
    behind = np.minimum(before + 1, there.size - 1)
    # at the last pixel there is nothing behind
    return before, np.where(rest > 0, behind, before), rest


def uncertainty(there: Places, gamma: Callable[[int], float]) -> NDArray[np.float64]:
    """Bound how far coordinates computed in float32 are from the true ones.

    The scale, its product with a pixel's number and two shifts by 1/2 are rounded, one more to spare: five roundings
    of at most the distance from the axis's beginning plus 1. A scale that is a power of two, and so its reciprocal,
    makes no error at all.
    """
    if all(part & (part - 1) == 0 for part in there.scale):
        return np.zeros(there.numerators.shape)
    return gamma(5) * (np.abs(there.numerators / there.denominator) + 2)


def other_nearest(there: Places, rounding: str, gamma: Callable[[int], float]) -> Indices:
    """Return the pixel that rounded coordinates may choose in place of :func:`nearest`'s; the same where none may.

    Examples
    --------
    >>> other_nearest(places(3, 9, "asymmetric"), "floor", lambda n: n * 2.0**-24)
    array([0, 0, 0, 0, 1, 1, 1, 2, 2])

    """
    pixel, doubt = _rounded(there, rounding), uncertainty(there, gamma)
    first, last = _REACHES[rounding]
    shift = there.numerators / there.denominator - pixel
    below, above = (shift - first <= doubt) & (doubt > 0), (last - shift <= doubt) & (doubt > 0)
    return np.clip(pixel - below + (above & ~below), 0, there.size - 1)


def reach(there: Places, gamma: Callable[[int], float]) -> list[Indices]:
    """Return the pixels between which each place may lie: up to three, as rounding may take it over one of them.

    Examples
    --------
    >>> reach(places(3, 2, "asymmetric"), lambda n: 0.0)
    [array([0, 1]), array([0, 2]), array([0, 2])]

    """
    coordinate, doubt = there.numerators / there.denominator, uncertainty(there, gamma)
    first, last = (np.floor(coordinate - doubt).astype(np.int64), np.ceil(coordinate + doubt).astype(np.int64))
    return [np.clip(pixel, 0, there.size - 1) for pixel in (first, np.minimum(first + 1, last), last)]

"""What the pools share: checks of their windows, shape rules, the taps of all windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from refcompress.errors import ModelError
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Shape
from refcompress.ops.windows import Pads, Pair, check_pads, check_pair, output_plane, windows


def check_window(kernel: Pair, strides: Pair, pads: Pads) -> None:
    """Refuse a window that is no window, or padding by which one could lie in the padding altogether.

    Raises
    ------
    ModelError
        With what is allowed.

    Examples
    --------
    >>> check_window((2, 2), (2, 2), (0, 0, 1, 1))

    """
    check_pair(kernel, "kernel_shape")
    check_pair(strides, "strides")
    check_pads(pads)
    if max(pads[0], pads[2]) >= kernel[0] or max(pads[1], pads[3]) >= kernel[1]:
        raise ModelError(f"pads {pads} of a pool of {kernel}; each must be less than the kernel: put a Pad before it")


def pooled_shape(input_shapes: Sequence[Shape], kernel: Pair, strides: Pair, pads: Pads) -> Shape:
    """Return the shape (height, width, channels) of what a pool makes."""
    return (*output_plane(input_shapes[0], kernel, strides, pads), input_shapes[0][-1])


def globally_pooled_shape(input_shapes: Sequence[Shape], *, keepdims: bool) -> Shape:
    """Return the shape of what a global pool makes: (channels,), or (1, 1, channels) with ``keepdims``."""
    if len(input_shapes[0]) != 3:
        raise ModelError(f"an input of shape {input_shapes[0]}; it must have the three axes (height, width, channels)")
    channels = input_shapes[0][-1]
    return (1, 1, channels) if keepdims else (channels,)


def taps(padded: Array, kernel: Pair, strides: Pair) -> Iterator[Array]:
    """Yield, tap by tap, what all windows of (batch, height, width, channels) see through it."""
    view = windows(padded, kernel, strides)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            yield view[:, :, :, i, j]


def mean_bound(mean: Callable[[Array], Array], x: Array, errors: Array, n: int, gamma: Callable[[int], float]) -> Array:
    """Bound the error of means of n elements: n - 1 sums in any order, and the quotient.

    One rounding more is granted for a product with the rounded reciprocal of n.

    Parameters
    ----------
    mean
        Takes the means in float64.
    x, errors
        Reference input and how far the float32 input may be from it.
    n
        Most elements of one mean.
    gamma
        Relative error of so many roundings.

    """
    moved = mean(errors)
    bound = moved + gamma(n + 1) * (mean(np.abs(x)) + moved)
    return bound * FLOAT64_SLACK + 2 * n * SMALLEST_NORMAL

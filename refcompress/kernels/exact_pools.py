"""Pooling in float32 with every rounding in a stated order: the same bits in NumPy and in C."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Pads = tuple[int, int, int, int]


def max_pool32(x: Float32, kernel: tuple[int, int], strides: tuple[int, int], pads: Pads) -> Float32:
    """Maximum of every window; taps in the padding are skipped.

    In C, for each output element, over the taps (kh, kw) in order that lie inside the image: the first one is
    taken as it is, then ``m = v > m ? v : m``.

    Parameters
    ----------
    x
        Images (batch, height, width, channels).
    kernel, strides
        Of height and width.
    pads
        (top, left, bottom, right), each less than the kernel.

    Examples
    --------
    >>> x = np.array([1, 5, 2, 4], np.float32).reshape(1, 2, 2, 1)
    >>> max_pool32(x, (2, 2), (1, 1), (0, 0, 0, 1)).ravel()
    array([5., 5.], dtype=float32)

    """
    size = _pooled_size(x, kernel, strides, pads)
    most = np.full((len(x), *size, x.shape[3]), -np.inf, np.float32)
    first = np.ones((*size, 1), np.bool_)
    with np.errstate(invalid="ignore"):
        for target, source in _taps(x, kernel, strides, pads):
            values = x[:, source[0], source[1]]
            part = most[:, target[0], target[1]]
            np.copyto(part, values, where=(values > part) | first[target])
            first[target] = False
    return most


def average_pool32(
    x: Float32, kernel: tuple[int, int], strides: tuple[int, int], pads: Pads, *, count_include_pad: bool
) -> Float32:
    """Mean of every window; taps in the padding are skipped.

    In C, for each output element: ``s = 0.0f``; over the taps (kh, kw) in order that lie inside the image
    ``s = s + v``; then ``s / (float)count``, where count is the number of these taps, or of all taps with
    `count_include_pad`.

    Parameters
    ----------
    x
        Images (batch, height, width, channels).
    kernel, strides
        Of height and width.
    pads
        (top, left, bottom, right), each less than the kernel.
    count_include_pad
        Whether the padding counts as zeros that belong to the window.

    Examples
    --------
    >>> x = np.array([1, 5, 2, 4], np.float32).reshape(1, 2, 2, 1)
    >>> average_pool32(x, (2, 2), (1, 1), (0, 0, 0, 1), count_include_pad=False).ravel()
    array([3. , 4.5], dtype=float32)

    """
    size = _pooled_size(x, kernel, strides, pads)
    total = np.zeros((len(x), *size, x.shape[3]), np.float32)
    count = np.zeros((*size, 1), np.float32)
    with np.errstate(all="ignore"):
        for target, source in _taps(x, kernel, strides, pads):
            total[:, target[0], target[1]] += x[:, source[0], source[1]]
            count[target] += np.float32(1)
        if count_include_pad:
            count[...] = np.float32(kernel[0] * kernel[1])
        total /= count
    return total


def _pooled_size(x: Float32, kernel: tuple[int, int], strides: tuple[int, int], pads: Pads) -> tuple[int, int]:
    height = (x.shape[1] + pads[0] + pads[2] - kernel[0]) // strides[0] + 1
    width = (x.shape[2] + pads[1] + pads[3] - kernel[1]) // strides[1] + 1
    return height, width


def _taps(
    x: Float32, kernel: tuple[int, int], strides: tuple[int, int], pads: Pads
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Yield, tap by tap, the rectangle of outputs whose tap lies in the image, and the elements it meets."""
    size = _pooled_size(x, kernel, strides, pads)
    for i in range(kernel[0]):
        rows = _inside(i - pads[0], strides[0], x.shape[1], size[0])
        for j in range(kernel[1]):
            columns = _inside(j - pads[1], strides[1], x.shape[2], size[1])
            yield (rows[0], columns[0]), (rows[1], columns[1])


def _inside(offset: int, stride: int, length: int, n_windows: int) -> tuple[slice, slice]:
    """Windows o with 0 <= o * stride + offset < length, and the elements they meet."""
    first = max(0, -(offset // stride))
    stop = max(first, min(n_windows, (length - 1 - offset) // stride + 1))
    start = first * stride + offset
    return slice(first, stop), slice(start, start + (stop - first) * stride, stride)

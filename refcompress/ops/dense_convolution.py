"""Convolution with dense rows: im2col and BLAS, one tap after another for depthwise kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.windows import Pads, Pair, pad_plane, windows

Array = NDArray[np.floating[Any]]

BLOCK_BYTES = 1 << 21  # of copied windows at a time: they stay in the cache until BLAS reads them


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the taps of a convolution lie.

    Attributes
    ----------
    kernel
        (kh, kw).
    strides, pads, dilations, group
        As in :class:`refcompress.ops.conv.Conv`.

    """

    kernel: Pair
    strides: Pair
    pads: Pads
    dilations: Pair
    group: int


def convolve(x: Array, rows: Array, geometry: Geometry, out: Array) -> None:
    """Convolve with a dense matrix of rows.

    Parameters
    ----------
    x
        (batch, height, width, cin), float32 or float64.
    rows
        (cout, kh * kw * cin / group), same dtype.
    geometry
        Where the taps lie.
    out
        (batch, output height, output width, cout), overwritten.

    """
    if geometry.group > 1 and geometry.group == x.shape[3]:
        _depthwise(pad_plane(x, geometry.pads), rows, geometry, out)
    elif _is_matrix_product(geometry):
        np.matmul(x, rows.T, out=out)
    else:
        _im2col(pad_plane(x, geometry.pads), rows, geometry, out)


def _is_matrix_product(geometry: Geometry) -> bool:
    return geometry.kernel == (1, 1) == geometry.strides and not any(geometry.pads) and geometry.group == 1


def _im2col(padded: Array, rows: Array, geometry: Geometry, out: Array) -> None:
    group = geometry.group
    view = windows(padded, geometry.kernel, geometry.strides, geometry.dilations)
    columns = rows.shape[1]
    matrices = rows.reshape(group, -1, columns).transpose(0, 2, 1)
    pixel_bytes = columns * group * rows.itemsize
    for images, lines in _blocks(out.shape[:3], pixel_bytes):
        block = view[images, lines]
        places = block.shape[:3]
        # (images, lines, width, kh, kw, group, channels) -> (group, places, taps)
        split = block.reshape(*block.shape[:5], group, -1).transpose(5, 0, 1, 2, 3, 4, 6)
        product = np.matmul(split.reshape(group, -1, columns), matrices)
        out[images, lines] = product.transpose(1, 0, 2).reshape(*places, -1)


def _blocks(places: tuple[int, ...], pixel_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Cut (batch, height, width) into slices of images and of lines whose windows take about BLOCK_BYTES."""
    batch, height, width = places
    lines = max(1, min(height, BLOCK_BYTES // max(1, width * pixel_bytes)))
    images = max(1, BLOCK_BYTES // max(1, height * width * pixel_bytes)) if lines == height else 1
    for n in range(0, batch, images):
        for line in range(0, height, lines):
            yield slice(n, n + images), slice(line, line + lines)


def _depthwise(padded: Array, rows: Array, geometry: Geometry, out: Array) -> None:
    """Multiply whole lines with one tap after another: BLAS would see products of a few numbers only."""
    channels = rows.shape[0]
    if channels > padded.shape[3]:  # a multiplier: each channel meets several weights
        padded = np.repeat(padded, channels // padded.shape[3], axis=3)
    taps = rows.T.reshape(*geometry.kernel, channels)
    batch, height, width, _ = out.shape
    view = windows(padded, geometry.kernel, geometry.strides, geometry.dilations)
    view, target = np.moveaxis(view, 5, 3), out
    if geometry.strides[1] == 1:
        # a line of pixels is a longer line of numbers, with the taps as many times farther apart
        numbers = padded.reshape(*padded.shape[:2], padded.shape[2] * channels, 1)
        dilations = (geometry.dilations[0], geometry.dilations[1] * channels)
        view = windows(numbers, geometry.kernel, geometry.strides, dilations)[..., 0]
        taps, target = np.tile(taps, width), out.reshape(batch, height, width * channels)
    for images, lines in _blocks(out.shape[:3], 4 * channels * out.itemsize):
        sums = target[images, lines]
        product = np.empty_like(sums)
        for ky, kx in np.ndindex(*geometry.kernel):
            first = ky == kx == 0
            np.multiply(view[images, lines, ..., ky, kx], taps[ky, kx], out=sums if first else product)
            if not first:
                np.add(sums, product, out=sums)

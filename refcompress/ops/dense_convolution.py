"""Convolution with dense rows: im2col and BLAS, one tap after another for depthwise kernels."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.windows import Pads, Pair, crop_plane, overlap_add, pad_plane, padded_shape, windows

Array = NDArray[np.floating[Any]]

BLOCK_BYTES = 1 << 20  # of copied windows at a time: they stay in the cache until BLAS reads them

_memory = threading.local()


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
    if _is_depthwise(geometry, x):
        _depthwise(pad_plane(x, geometry.pads), rows, geometry, out)
    elif _is_matrix_product(geometry):
        # one product: matmul would make one of every line
        np.matmul(x.reshape(-1, x.shape[3]), rows.T, out=out.reshape(-1, len(rows)))
    else:
        _im2col(pad_plane(x, geometry.pads), rows, geometry, out)


def _is_depthwise(geometry: Geometry, x: Array) -> bool:
    return geometry.group > 1 and geometry.group == x.shape[3]


def _is_matrix_product(geometry: Geometry) -> bool:
    return geometry.kernel == (1, 1) == geometry.strides and not any(geometry.pads) and geometry.group == 1


def _im2col(padded: Array, rows: Array, geometry: Geometry, out: Array) -> None:
    group, (cout, columns) = geometry.group, rows.shape
    matrices = rows.reshape(group, -1, columns).transpose(0, 2, 1)
    for images, lines, taps in _copied_windows(padded, geometry, out.shape[:3]):
        part = out[images, lines]
        if group == 1:
            # a block is all lines of some images or some lines of one: without gaps, so this is a view
            np.matmul(taps[0], rows.T, out=part.reshape(-1, cout))
        else:
            part[...] = np.matmul(taps, matrices).transpose(1, 0, 2).reshape(part.shape)


def _copied_windows(padded: Array, geometry: Geometry, places: tuple[int, ...]) -> Iterator[tuple[slice, slice, Array]]:
    """Yield blocks of images and lines with their windows, (group, places, taps), in memory that is used again."""
    group, channels = geometry.group, padded.shape[3]
    kernel_size = geometry.kernel[0] * geometry.kernel[1]
    view = windows(padded, geometry.kernel, geometry.strides, geometry.dilations)
    split = view.reshape(*view.shape[:5], group, channels // group)
    for images, lines in _blocks(places, kernel_size * channels * padded.itemsize):
        block = split[images, lines]
        count = block.shape[0] * block.shape[1] * block.shape[2]
        flat = _scratch(block.size, padded.dtype)
        if channels == 1:
            # tap after tap: lines of the image are longer runs than the taps of one window
            np.copyto(flat.reshape(*geometry.kernel, *block.shape[:3]), block[..., 0, 0].transpose(3, 4, 0, 1, 2))
            yield images, lines, flat.reshape(1, kernel_size, count).transpose(0, 2, 1)
        else:
            ordered = block.transpose(5, 0, 1, 2, 3, 4, 6)
            np.copyto(flat.reshape(ordered.shape), ordered)
            yield images, lines, flat.reshape(group, count, -1)


def _scratch(size: int, dtype: np.dtype[Any]) -> Array:
    """Return memory for the windows of one block, valid until this thread asks again.

    Fresh memory for every convolution would cost about as much as copying the windows: the system hands out
    zeroed pages one by one. A thread keeps no more than four blocks.
    """
    need = size * dtype.itemsize
    if need > 4 * BLOCK_BYTES:
        return np.empty(size, dtype)
    kept: NDArray[np.uint8] | None = getattr(_memory, "scratch", None)
    if kept is None or kept.size < need:
        kept = np.empty(max(need, BLOCK_BYTES), np.uint8)
        _memory.scratch = kept
    return kept[:need].view(dtype)


def _blocks(places: tuple[int, ...], pixel_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Cut (batch, height, width) into slices of images and of lines whose windows take about BLOCK_BYTES."""
    batch, height, width = places
    lines = max(1, min(height, BLOCK_BYTES // max(1, width * pixel_bytes)))
    images = max(1, BLOCK_BYTES // max(1, height * width * pixel_bytes)) if lines == height else 1
    for n in range(0, batch, images):
        for line in range(0, height, lines):
            yield slice(n, min(n + images, batch)), slice(line, min(line + lines, height))


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


def weight_vjp(x: Array, cotangent: Array, geometry: Geometry, shape: tuple[int, ...]) -> Array:
    """Differentiate :func:`convolve` by its weight: the windows' transpose times the cotangent.

    Parameters
    ----------
    x
        (batch, height, width, cin), what was convolved.
    cotangent
        (batch, output height, output width, cout), same dtype, contiguous.
    geometry
        Where the taps lie.
    shape
        The weight's: (kh, kw, cin / group, cout).

    Returns
    -------
    NDArray
        (kh, kw, cin / group, cout).

    """
    group, cout = geometry.group, shape[3]
    if _is_depthwise(geometry, x):
        return _depthwise_weight_vjp(pad_plane(x, geometry.pads), cotangent, geometry)
    if _is_matrix_product(geometry):
        return (x.reshape(-1, x.shape[3]).T @ cotangent.reshape(-1, cout)).reshape(shape)
    total = np.zeros((group, shape[0] * shape[1] * shape[2], cout // group), x.dtype)
    for images, lines, taps in _copied_windows(pad_plane(x, geometry.pads), geometry, cotangent.shape[:3]):
        part = _by_group(cotangent[images, lines], group)
        total += taps.transpose(0, 2, 1) @ part
    return total.transpose(1, 0, 2).reshape(shape)


def input_vjp(cotangent: Array, rows: Array, geometry: Geometry, shape: tuple[int, ...]) -> Array:
    """Differentiate :func:`convolve` by its input: each window gets the rows its outputs were made with.

    Parameters
    ----------
    cotangent
        (batch, output height, output width, cout), contiguous.
    rows
        (cout, kh * kw * cin / group), same dtype.
    geometry
        Where the taps lie.
    shape
        The input's: (batch, height, width, cin).

    Returns
    -------
    NDArray
        Of that shape.

    """
    if _is_matrix_product(geometry):
        return (cotangent.reshape(-1, len(rows)) @ rows).reshape(shape)
    padded = np.zeros(padded_shape(shape, geometry.pads), cotangent.dtype)
    if geometry.group > 1 and geometry.group == shape[3]:
        _depthwise_input_vjp(cotangent, rows, geometry, padded)
        return crop_plane(padded, geometry.pads)
    group, columns = geometry.group, rows.shape[1]
    matrices = rows.reshape(group, -1, columns)
    step, reach = geometry.strides[0], (geometry.kernel[0] - 1) * geometry.dilations[0] + 1
    for images, lines in _blocks(cotangent.shape[:3], columns * group * rows.itemsize):
        part = _by_group(cotangent[images, lines], group)
        shape_of_taps = (group, part.shape[1], columns)
        taps = np.matmul(part, matrices, out=_scratch(math.prod(shape_of_taps), part.dtype).reshape(shape_of_taps))
        target = padded[images, lines.start * step : (lines.stop - 1) * step + reach]
        # (group, places, taps) -> (images, lines, width, kh, kw, channels)
        places = cotangent[images, lines].shape[:3]
        seen = taps.reshape(group, *places, *geometry.kernel, -1).transpose(1, 2, 3, 4, 5, 0, 6)
        overlap_add(seen.reshape(*places, *geometry.kernel, -1), geometry.strides, geometry.dilations, target)
    return crop_plane(padded, geometry.pads)


def _by_group(cotangent: Array, group: int) -> Array:
    """Return (group, places, cout / group)."""
    return cotangent.reshape(-1, group, cotangent.shape[3] // group).transpose(1, 0, 2)


def _depthwise_weight_vjp(padded: Array, cotangent: Array, geometry: Geometry) -> Array:
    channels = padded.shape[3]
    view = windows(padded, geometry.kernel, geometry.strides, geometry.dilations)
    split = cotangent.reshape(*cotangent.shape[:3], channels, cotangent.shape[3] // channels)
    weight = np.empty((*geometry.kernel, channels, split.shape[4]), padded.dtype)
    for ky, kx in np.ndindex(*geometry.kernel):
        np.einsum("nhwc,nhwcm->cm", view[:, :, :, ky, kx], split, out=weight[ky, kx])
    return weight.reshape(*geometry.kernel, 1, -1)


def _depthwise_input_vjp(cotangent: Array, rows: Array, geometry: Geometry, padded: Array) -> None:
    channels = padded.shape[3]
    taps = rows.T.reshape(*geometry.kernel, channels, -1)
    split = cotangent.reshape(*cotangent.shape[:3], channels, cotangent.shape[3] // channels)
    for ky, kx in np.ndindex(*geometry.kernel):
        seen = np.einsum("nhwcm,cm->nhwc", split, taps[ky, kx])
        first = (ky * geometry.dilations[0], kx * geometry.dilations[1])
        overlap_add(seen[:, :, :, None, None], geometry.strides, (1, 1), padded[:, first[0] :, first[1] :])

"""Sliding windows over planes: output sizes, padding, and the view that convolution and pooling share."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from refcompress.errors import ModelError

T = TypeVar("T", bound=np.generic)

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


def check_pair(value: tuple[int, ...], what: str, *, least: int = 1) -> None:
    """Refuse an attribute that is not two integers (height, width) of at least ``least``.

    Raises
    ------
    ModelError
        With the attribute's name and what is allowed.

    Examples
    --------
    >>> check_pair((2, 2), "strides")

    """
    if len(value) != 2 or min(value) < least:
        raise ModelError(f"{what} {value}; give two integers (height, width), each at least {least}")


def check_pads(value: tuple[int, ...]) -> None:
    """Refuse padding that is not four integers (top, left, bottom, right) of at least 0.

    Raises
    ------
    ModelError
        With what is allowed.

    """
    if len(value) != 4 or min(value) < 0:
        raise ModelError(f"pads {value}; give four integers (top, left, bottom, right), each at least 0")


def same_pads(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Return the padding before and after an axis under TensorFlow's rule SAME: the odd one goes after.

    Examples
    --------
    >>> same_pads(32, 3, 2)
    (0, 1)
    >>> same_pads(5, 3, 1)
    (1, 1)

    """
    output = -(-size // stride)
    total = max(0, (output - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2


def output_size(size: int, kernel: int, stride: int, pads: Pair, dilation: int = 1) -> int:
    """How many windows fit along one axis; below 1 if none does.

    Examples
    --------
    >>> output_size(32, 3, 2, (0, 1))
    16

    """
    return (size + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1


def output_plane(shape: tuple[int, ...], kernel: Pair, strides: Pair, pads: Pads, dilations: Pair = (1, 1)) -> Pair:
    """Height and width of what a window makes of an input (height, width, channels).

    Raises
    ------
    ModelError
        The input has another number of axes, or is smaller than one window.

    Examples
    --------
    >>> output_plane((32, 32, 3), (3, 3), (2, 2), (0, 0, 1, 1))
    (16, 16)

    """
    if len(shape) != 3:
        raise ModelError(f"an input of shape {shape}; it must have the three axes (height, width, channels)")
    top, left, bottom, right = pads
    height = output_size(shape[0], kernel[0], strides[0], (top, bottom), dilations[0])
    width = output_size(shape[1], kernel[1], strides[1], (left, right), dilations[1])
    if height < 1 or width < 1:
        raise ModelError(
            f"a window of {kernel} (dilations {dilations}) is larger than the input {shape} "
            f"with pads {pads}; enlarge the input or the pads"
        )
    return height, width


def pad_plane(x: NDArray[T], pads: Pads, value: float = 0.0) -> NDArray[T]:
    """Surround the planes of ``x`` (batch, height, width, channels) with a constant.

    Examples
    --------
    >>> pad_plane(np.ones((1, 1, 1, 1), np.float32), (0, 1, 0, 0))[0, 0, :, 0]
    array([0., 1.], dtype=float32)

    """
    if not any(pads):
        return x
    top, left, bottom, right = pads
    batch, height, width, channels = x.shape
    padded = np.full((batch, top + height + bottom, left + width + right, channels), value, x.dtype)
    padded[:, top : top + height, left : left + width] = x
    return padded


def padded_shape(shape: tuple[int, ...], pads: Pads) -> tuple[int, int, int, int]:
    """Return the shape of what :func:`pad_plane` makes of (batch, height, width, channels).

    Examples
    --------
    >>> padded_shape((1, 4, 4, 2), (0, 1, 2, 3))
    (1, 6, 8, 2)

    """
    top, left, bottom, right = pads
    batch, height, width, channels = shape
    return batch, top + height + bottom, left + width + right, channels


def crop_plane(x: NDArray[T], pads: Pads) -> NDArray[T]:
    """Return the planes inside the padding, the adjoint of :func:`pad_plane` with zeros: a view.

    Examples
    --------
    >>> crop_plane(np.arange(3.0).reshape(1, 1, 3, 1), (0, 1, 0, 0)).ravel()
    array([1., 2.])

    """
    top, left, bottom, right = pads
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def windows(x: NDArray[T], kernel: Pair, strides: Pair, dilations: Pair = (1, 1)) -> NDArray[T]:
    """View every window of ``x`` without copying.

    Parameters
    ----------
    x
        (batch, height, width, channels), padded already.
    kernel, strides, dilations
        (height, width) each.

    Returns
    -------
    NDArray
        Read-only view (batch, output height, output width, kernel height, kernel width, channels).

    Examples
    --------
    >>> windows(np.arange(3.0).reshape(1, 1, 3, 1), (1, 2), (1, 1))[0, 0, :, 0, :, 0]
    array([[0., 1.],
           [1., 2.]])

    """
    batch, height, width, channels = x.shape
    out_height = max(0, output_size(height, kernel[0], strides[0], (0, 0), dilations[0]))
    out_width = max(0, output_size(width, kernel[1], strides[1], (0, 0), dilations[1]))
    step_n, step_h, step_w, step_c = x.strides
    view: NDArray[Any] = as_strided(
        x,
        (batch, out_height, out_width, *kernel, channels),
        (
            step_n,
            step_h * strides[0],
            step_w * strides[1],
            step_h * dilations[0],
            step_w * dilations[1],
            step_c,
        ),
        writeable=False,
    )
    return view


def overlap_add(seen: NDArray[Any], strides: Pair, dilations: Pair, out: NDArray[Any]) -> None:
    """Add what lies in every window to the places the windows show: the adjoint of :func:`windows`.

    Parameters
    ----------
    seen
        (batch, output height, output width, kernel height, kernel width, channels), as ``windows(out, ...)``.
    strides, dilations
        (height, width) each.
    out
        (batch, height, width, channels), padded; added to.

    Examples
    --------
    >>> out = np.zeros((1, 1, 3, 1))
    >>> overlap_add(np.ones((1, 1, 2, 1, 2, 1)), (1, 1), (1, 1), out)
    >>> out.ravel()
    array([1., 2., 1.])

    """
    batch, height, width, kh, kw, channels = seen.shape
    (sy, sx), (dy, dx) = strides, dilations
    lines_are_whole = out.strides[2:] == (channels * out.itemsize, out.itemsize)
    if out.dtype.kind == "f" and seen.flags.c_contiguous and lines_are_whole and seen.size:
        from refcompress.kernels import overlap

        # without dilation the taps of a line are neighbours: one run
        runs = seen.reshape(batch, height, width, kh, *((1, kw * channels) if dx == 1 else (kw, channels)))
        runs.flags.writeable = False
        overlap.add_runs(runs, (sy, sx * channels), (dy, dx * channels), out.reshape(*out.shape[:2], -1))
        return
    for ky, kx in np.ndindex(kh, kw):
        top, left = ky * dy, kx * dx
        shown = out[:, top : top + (height - 1) * sy + 1 : sy, left : left + (width - 1) * sx + 1 : sx]
        shown += seen[:, :, :, ky, kx]

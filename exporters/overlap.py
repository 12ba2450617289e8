"""How far the output of a step may lie over its input: kernels that go forward read what they no longer overwrite."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

ANYWHERE = -(1 << 31)  # the whole input is read before the first output is written


def lag(sizes: Mapping[str, int], channels: int, out_channels: int, *, pixels_at_once: int, gathers: bool) -> int:
    """Return by how many elements the output must begin before the input, so that nothing is overwritten too early.

    Outputs are made row by row, pixel by pixel. Those of pixel p must end where the inputs of the pixels after p begin
    (of p itself, unless it ``gathers`` all it reads before it writes).

    Parameters
    ----------
    sizes
        Of a window that moves over a plane: ``in_h``, ``in_w``, ``out_h``, ``out_w``, ``stride_h``, ``stride_w``,
        ``pad_top``, ``pad_left``.
    channels, out_channels
        Elements of a pixel of the input and the output.
    pixels_at_once
        Neighbours in a row of which all is read before any is written.
    gathers
        Whether all that a pixel takes is read before it is written.

    Examples
    --------
    >>> plane = {"in_h": 4, "in_w": 5, "out_h": 4, "out_w": 5}
    >>> plane |= {"stride_h": 1, "stride_w": 1, "pad_top": 1, "pad_left": 1}
    >>> lag(plane, 2, 2, pixels_at_once=1, gathers=True)  # a row and a pixel
    12

    """
    read = _first_read(sizes) * channels
    written = (np.arange(read.size) + 1) * out_channels
    if pixels_at_once > 1:
        start = np.arange(read.size) % sizes["out_w"] // pixels_at_once * pixels_at_once
        whole = np.minimum(start + pixels_at_once, sizes["out_w"])
        written = (np.arange(read.size) // sizes["out_w"] * sizes["out_w"] + whole) * out_channels
        read = np.repeat(read.reshape(sizes["out_h"], -1)[:, ::pixels_at_once], pixels_at_once, axis=1)
        read = read[:, : sizes["out_w"]].reshape(-1)
    needed = np.minimum.accumulate(read[::-1])[::-1]
    if not gathers:
        return int((written - needed).max())
    later = np.append(needed, np.iinfo(np.int64).max // 2)[np.searchsorted(written, written, side="right")]
    return max(int((written - later).max()), ANYWHERE)


def _first_read(sizes: Mapping[str, int]) -> NDArray[np.int64]:
    """Index of the first pixel of the input that each output takes."""
    firsts = []
    for axis, pad in (("h", "pad_top"), ("w", "pad_left")):
        at = np.arange(sizes[f"out_{axis}"], dtype=np.int64) * sizes[f"stride_{axis}"] - sizes[pad]
        firsts.append(np.clip(at, 0, sizes[f"in_{axis}"] - 1))
    return (firsts[0][:, None] * sizes["in_w"] + firsts[1][None, :]).reshape(-1)

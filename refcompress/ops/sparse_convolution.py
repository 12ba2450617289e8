"""Convolution with sparse rows: each stored weight is one constant offset into flattened, padded planes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.dense_convolution import Geometry
from refcompress.ops.weights import SparseRows
from refcompress.ops.windows import Pair

Array = NDArray[np.floating[Any]]

MIN_POSITIONS = 4096  # images share a plane until it is at least so long, so that inner loops stay long


@dataclass(frozen=True, slots=True)
class _Layout:
    """How padded images lie in flat memory: (channel, phase, image, line, column).

    A stride s turns a plane into s * s phases, in each of which neighbouring outputs read neighbouring
    inputs. Without a stride the zeros that end a line or an image begin the next one too.
    """

    lines: int
    columns: int
    phases: Pair
    images: int
    channels: int

    @property
    def image(self) -> int:
        return self.lines * self.columns

    @property
    def phase(self) -> int:
        return self.images * self.image

    @property
    def channel(self) -> int:
        return self.phases[0] * self.phases[1] * self.phase


def convolve(x: Array, rows: SparseRows, geometry: Geometry, out: Array) -> None:
    """Convolve with sparse rows, by Numba.

    Parameters
    ----------
    x
        (batch, height, width, cin), float32 or float64.
    rows
        cout rows of kh * kw * cin / group columns, same dtype.
    geometry
        Where the taps lie.
    out
        (batch, output height, output width, cout), overwritten.

    """
    from refcompress.kernels import sparse

    batch, height, width, cout = out.shape
    if not batch:
        return
    layout = _layout(x, geometry, (height, width))
    shifts = _shifts(rows.columns, geometry, layout)
    # the last positions of the last channel read beyond it, and so do those that fill up the lanes
    beyond = _farthest_shift(geometry, layout) + sparse.LANES
    flat = np.zeros(layout.channels * layout.channel + beyond, x.dtype)
    sums = np.empty((cout, sparse.padded_positions(layout.phase)), x.dtype)
    group_rows, group_step = cout // geometry.group, layout.channels // geometry.group * layout.channel
    for n in range(0, batch, layout.images):
        _fill(flat, x[n : n + layout.images], geometry, layout)
        sparse.accumulate(rows.data, rows.indices, rows.indptr, shifts, flat, group_rows, group_step, sums)
        planes = sums[:, : layout.phase].reshape(cout, layout.images, layout.lines, layout.columns)
        target = out[n : n + layout.images]
        target[...] = planes[:, : len(target), :height, :width].transpose(1, 2, 3, 0)


def _layout(x: Array, geometry: Geometry, plane: Pair) -> _Layout:
    top, left, bottom, right = geometry.pads
    last = _last_tap(geometry)
    lines, columns = plane[0] + last[0], plane[1] + last[1]
    if geometry.strides[0] == 1:
        lines -= min(top, bottom)
    if geometry.strides[1] == 1:
        columns -= min(left, right)
    # a plane may consist of padding alone, but outputs need their places in it
    lines, columns = max(lines, plane[0]), max(columns, plane[1])
    images = min(x.shape[0], max(1, -(-MIN_POSITIONS // (lines * columns))))
    return _Layout(lines, columns, geometry.strides, images, x.shape[3])


def _shifts(count: int, geometry: Geometry, layout: _Layout) -> NDArray[np.int64]:
    """Offset of every column (ky, kx, channel) of a row into the planes of its group."""
    kh, kw = geometry.kernel
    ky, kx, channel = np.unravel_index(np.arange(count), (kh, kw, layout.channels // geometry.group))
    line, phase_y = np.divmod(ky * geometry.dilations[0], layout.phases[0])
    column, phase_x = np.divmod(kx * geometry.dilations[1], layout.phases[1])
    phase = phase_y * layout.phases[1] + phase_x
    shifts: NDArray[np.int64] = channel * layout.channel + phase * layout.phase + line * layout.columns + column
    return shifts


def _farthest_shift(geometry: Geometry, layout: _Layout) -> int:
    """Offset of the last tap within a plane."""
    line, column = _last_tap(geometry)
    return line * layout.columns + column


def _last_tap(geometry: Geometry) -> Pair:
    """Line and column of the last tap in the phase it reads."""
    (kh, kw), (dy, dx), (sy, sx) = geometry.kernel, geometry.dilations, geometry.strides
    return (kh - 1) * dy // sy, (kw - 1) * dx // sx


def _fill(flat: Array, x: Array, geometry: Geometry, layout: _Layout) -> None:
    """Write images into the planes; all that is padding is zero already."""
    top, left = geometry.pads[:2]
    step_y, step_x = layout.phases
    shape = (layout.channels, step_y, step_x, layout.images, layout.lines, layout.columns)
    planes = flat[: layout.channels * layout.channel].reshape(shape)
    for phase_y, phase_x in np.ndindex(step_y, step_x):
        first_y, first_x = (phase_y - top) % step_y, (phase_x - left) % step_x
        line, column = (first_y + top) // step_y, (first_x + left) // step_x
        part = x[:, first_y::step_y, first_x::step_x].transpose(3, 0, 1, 2)
        target = planes[:, phase_y, phase_x, : len(x), line:, column:]
        height, width = min(part.shape[2], target.shape[2]), min(part.shape[3], target.shape[3])
        target[:, :, :height, :width] = part[:, :, :height, :width]

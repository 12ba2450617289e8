"""Resize: planes in another size, each pixel the nearest one or interpolated between four."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import sampling
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, Op, Params, Shape
from refcompress.ops.elementwise import no_macs
from refcompress.ops.sampling import COORDINATES, ROUNDINGS, Indices, Places
from refcompress.ops.windows import check_pair

MODES = ("nearest", "linear")

# Of an interpolation a (1 - v) + b v or a + (b - a) v along one axis, in units of the larger of |a| and |b|
_ROUNDINGS = 6


@dataclass(frozen=True, slots=True)
class Resize:
    """Attributes of Resize, in ONNX's words; no antialiasing.

    Attributes
    ----------
    size
        The new (height, width).
    mode
        ``"nearest"`` or ``"linear"``; beyond the border lies the border's pixel.
    coordinates
        Where an output pixel lies on the input: ``"half_pixel"``, ``"asymmetric"`` or ``"align_corners"``, see
        :func:`refcompress.ops.sampling.places`.
    nearest
        Which pixel is the nearest: ``"floor"``, ``"round_prefer_floor"``, ``"round_prefer_ceil"`` or ``"ceil"`` of
        the coordinate. Where it lies on a boundary float32 may see it on either side: to repeat pixels k times,
        ``"half_pixel"`` with either rounding stays clear of all of them.

    Raises
    ------
    ModelError
        A size is below 1, or a word is none of these.

    Examples
    --------
    >>> Resize((8, 8)).nearest
    'round_prefer_floor'

    """

    size: tuple[int, int]
    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"

    def __post_init__(self) -> None:
        check_pair(self.size, "size")
        for what, allowed in (("mode", MODES), ("coordinates", COORDINATES), ("nearest", ROUNDINGS)):
            if getattr(self, what) not in allowed:
                raise ModelError(f"{what} {getattr(self, what)!r}; it must be one of {', '.join(allowed)}")


def infer_shape(attrs: Resize, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return (new height, new width, channels)."""
    if len(input_shapes[0]) != 3:
        raise ModelError(f"an input of shape {input_shapes[0]}; it must have the three axes (height, width, channels)")
    return (*attrs.size, input_shapes[0][2])


def _places(attrs: Resize, shape: tuple[int, ...]) -> tuple[Places, Places]:
    lines = sampling.places(shape[1], attrs.size[0], attrs.coordinates)
    return lines, sampling.places(shape[2], attrs.size[1], attrs.coordinates)


def _pick(x: Array, lines: Indices, columns: Indices) -> Array:
    return x[:, lines[:, None], columns]


def forward(attrs: Resize, inputs: Sequence[Array], _params: Params) -> Array:
    """Return x in its new size.

    Interpolation rounds in this order, for which C needs float32 alone: for each line of the input
    ``t = a * (1.0f - v) + b * v`` between the pixels a and b beside the column, with
    ``v = (float)rest / (float)denominator`` as :func:`refcompress.ops.sampling.neighbours` has them; then the same
    between two such lines.

    Examples
    --------
    >>> forward(Resize((1, 4), "linear"), [np.array([[[[0.0], [4.0]]]])], {}).ravel()
    array([0., 1., 3., 4.])

    """
    x = inputs[0]
    lines, columns = _places(attrs, x.shape)
    if attrs.mode == "nearest":
        return _pick(x, sampling.nearest(lines, attrs.nearest), sampling.nearest(columns, attrs.nearest))
    return _interpolated(_interpolated(x, columns, 2), lines, 1)


def _interpolated(x: Array, there: Places, axis: int) -> Array:
    before, behind, rest = sampling.neighbours(there)
    weight = rest.astype(x.dtype) / x.dtype.type(there.denominator)
    weight = weight.reshape(-1, *[1] * (x.ndim - 1 - axis))
    out: Array = x.take(before, axis) * (1 - weight)
    out += x.take(behind, axis) * weight
    return out


def _matrix(there: Places, attrs: Resize, dtype: Any) -> Array:
    """Return (new size, size): the weight of each input pixel for each output pixel."""
    out = np.zeros((len(there.numerators), there.size), dtype)
    row = np.arange(len(out))
    if attrs.mode == "nearest":
        out[row, sampling.nearest(there, attrs.nearest)] = 1
        return out
    before, behind, rest = sampling.neighbours(there)
    weight = rest.astype(dtype) / out.dtype.type(there.denominator)
    out[row, before] = 1 - weight
    out[row, behind] += weight
    return out


def vjp(attrs: Resize, inputs: Sequence[Array], _params: Params, _output: Array, cotangent: Array) -> Cotangents:
    """Each input pixel gets the cotangents of all output pixels, by its weights in them."""
    batch, height, width, channels = inputs[0].shape
    lines, columns = (_matrix(there, attrs, cotangent.dtype) for there in _places(attrs, inputs[0].shape))
    back = columns.T @ cotangent  # (batch, new height, width, channels)
    flat = lines.T @ back.reshape(batch, attrs.size[0], width * channels)
    return (flat.reshape(batch, height, width, channels),), {}


def error_bound(
    attrs: Resize,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Cover coordinates in float32: other pixels where they are near a boundary, and other weights.

    The interpolated plane is continuous and linear between pixels. Coordinates off by at most d along an axis change
    its value by at most d times the range of the pixels between which they may lie. Then every product and sum is
    rounded, whatever the order of the axes: twice five roundings of at most the four pixels' magnitudes.
    """
    x, e = inputs[0], errors[0]
    lines, columns = _places(attrs, x.shape)
    if attrs.mode == "nearest":
        return _nearest_bound(attrs, x, e, output, gamma)
    between = list(product(sampling.reach(lines, gamma), sampling.reach(columns, gamma)))
    most = reduce(np.maximum, (_pick(x + e, *place) for place in between))
    least = reduce(np.minimum, (_pick(x - e, *place) for place in between))
    doubt = sampling.uncertainty(lines, gamma)[:, None, None] + sampling.uncertainty(columns, gamma)[:, None]
    rounded = gamma(2 * _ROUNDINGS) * np.maximum(np.abs(most), np.abs(least))
    carried = _interpolated(_interpolated(e, columns, 2), lines, 1)
    return np.asarray((carried + doubt * (most - least) + rounded) * FLOAT64_SLACK + 8 * SMALLEST_NORMAL)


def _nearest_bound(attrs: Resize, x: Array, e: Array, output: Array, gamma: Callable[[int], float]) -> Array:
    """Take the farthest of the pixels that may be chosen, with its own error."""
    lines, columns = (
        (sampling.nearest(there, attrs.nearest), sampling.other_nearest(there, attrs.nearest, gamma))
        for there in _places(attrs, x.shape)
    )
    if all(np.array_equal(*pair) for pair in (lines, columns)):
        return _pick(e, lines[0], columns[0])
    chosen = (np.abs(_pick(x, i, j) - output) + _pick(e, i, j) for i, j in product(lines, columns))
    return reduce(np.maximum, chosen)


def exact(attrs: Resize, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    """Return it in the order that :func:`forward` states."""
    return forward(attrs, inputs, params).astype(np.float32, copy=False)


OP = Op("Resize", Resize, infer_shape, forward, exact, vjp, error_bound, no_macs)

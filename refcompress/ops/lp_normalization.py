"""LpNormalization: vectors along an axis brought to Euclidean length 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.ops import normalization
from refcompress.ops.axes import check_axes, check_rank, ordered_sum
from refcompress.ops.base import SMALLEST_NORMAL, Array, Cotangents, Op, Params, Shape
from refcompress.ops.elementwise import no_macs
from refcompress.ops.normalization import check_epsilon


@dataclass(frozen=True, slots=True)
class LpNormalization:
    """Attributes of LpNormalization, of order 2.

    Attributes
    ----------
    axis
        Along which the vectors lie; counted with the batch axis as 0, so at least 1.
    epsilon
        Least square of a length to divide by; finite and not negative. A vector of zeros stays one with 0 too.

    Raises
    ------
    ModelError
        The axis or epsilon is out of range.

    Examples
    --------
    >>> LpNormalization(1).epsilon
    1e-12

    """

    axis: int
    epsilon: float = 1e-12

    def __post_init__(self) -> None:
        check_axes((self.axis,), "axis")
        check_epsilon(self.epsilon)


def _infer_shape(attrs: LpNormalization, inputs: Sequence[Shape], _params: Mapping[str, Shape]) -> Shape:
    check_rank((attrs.axis,), inputs[0])
    return inputs[0]


def _length(square: Array, epsilon: float) -> Array:
    """Return what to divide by: 1 in place of 0."""
    length: Array = np.sqrt(np.maximum(square, square.dtype.type(epsilon)))
    return np.where(length == 0, square.dtype.type(1), length)


def _forward(attrs: LpNormalization, inputs: Sequence[Array], _params: Params) -> Array:
    x = inputs[0]
    return x / _length((x * x).sum(attrs.axis, keepdims=True), attrs.epsilon)


def _exact(attrs: LpNormalization, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Round in this order: ``q = ((0.0f + x_0 * x_0) + x_1 * x_1) + ...``, ``x_i / sqrtf(q > epsilon ? q : epsilon)``.

    A root of 0 divides nothing.
    """
    rows = inputs[0].swapaxes(attrs.axis, -1)
    y = rows / _length(ordered_sum(rows * rows), attrs.epsilon)
    return np.ascontiguousarray(y.swapaxes(attrs.axis, -1))


def _vjp(
    attrs: LpNormalization, inputs: Sequence[Array], _params: Params, _output: Array, cotangent: Array
) -> Cotangents:
    """With y = x / r, x gets (c - y sum(c y)) / r; c / r where r is epsilon's."""
    x, axis = inputs[0], attrs.axis
    square = (x * x).sum(axis, keepdims=True)
    length = _length(square, attrs.epsilon)
    y = x / length
    along = np.where(square > attrs.epsilon, (cotangent * y).sum(axis, keepdims=True), x.dtype.type(0))
    return ((cotangent - y * along) / length,), {}


def _error_bound(
    attrs: LpNormalization,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound by :func:`refcompress.ops.normalization.scaled_bound`."""
    rows, moved = (x.swapaxes(attrs.axis, -1) for x in (inputs[0], errors[0]))
    # float32 rounds epsilon, too small a one to 0
    floors = (attrs.epsilon * (1 - gamma(1)) - SMALLEST_NORMAL, attrs.epsilon * (1 + gamma(1)) + SMALLEST_NORMAL)
    squares = normalization.squares_range(rows, moved, gamma)
    least, most = (np.maximum(total, floor) for total, floor in zip(squares, floors, strict=True))
    square = np.maximum((rows * rows).sum(-1, keepdims=True), attrs.epsilon)
    bound = normalization.scaled_bound(rows, moved, square, (least, most), gamma)
    return np.ascontiguousarray(bound.swapaxes(attrs.axis, -1))


OP = Op("LpNormalization", LpNormalization, _infer_shape, _forward, _exact, _vjp, _error_bound, no_macs)

"""RMSNormalization: all elements from some axis on divided by the root of their mean square."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.ops import normalization
from refcompress.ops.axes import check_axes, check_rank, ordered_sum
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.normalization import apply_factors, check_epsilon, check_factors, trailing


@dataclass(frozen=True, slots=True)
class RMSNormalization:
    """Attributes of RMSNormalization.

    Attributes
    ----------
    axis
        This axis and all behind it are normalised together; counted with the batch axis as 0, so at least 1.
    epsilon
        Added to the mean square; finite and not negative.

    Raises
    ------
    ModelError
        The axis or epsilon is out of range.

    Examples
    --------
    >>> RMSNormalization(3).epsilon
    1e-06

    """

    axis: int
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        check_axes((self.axis,), "axis")
        check_epsilon(self.epsilon)


def _infer_shape(attrs: RMSNormalization, inputs: Sequence[Shape], params: Mapping[str, Shape]) -> Shape:
    check_rank((attrs.axis,), inputs[0])
    check_factors(params, inputs[0][attrs.axis - 1 :])
    return inputs[0]


def _root(rows: Array, epsilon: float) -> Array:
    root: Array = np.sqrt((rows * rows).mean(-1, keepdims=True) + rows.dtype.type(epsilon))
    return root


def _forward(attrs: RMSNormalization, inputs: Sequence[Array], params: Params) -> Array:
    rows = trailing(inputs[0], attrs.axis)
    return apply_factors((rows / _root(rows, attrs.epsilon)).reshape(inputs[0].shape), params)


def _exact(attrs: RMSNormalization, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    """Round in this order: ``q = (((0.0f + x_0 * x_0) + x_1 * x_1) + ...) / (float)n``, ``x_i / sqrtf(q + epsilon)``.

    Then follows the product with the scale.
    """
    rows = trailing(inputs[0], attrs.axis)
    square = ordered_sum(rows * rows) / np.float32(rows.shape[-1])
    y = rows / np.sqrt(square + np.float32(attrs.epsilon))
    return apply_factors(y.reshape(inputs[0].shape), params)


def _vjp(
    attrs: RMSNormalization, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
) -> Cotangents:
    """With y = x / r and the cotangent c of y, x gets (c - y mean(c y)) / r."""
    x = inputs[0]
    rows, inner = (trailing(c, attrs.axis) for c in (x, normalization.times_scale(cotangent, params)))
    root = _root(rows, attrs.epsilon)
    y = rows / root
    back = (inner - y * (inner * y).mean(-1, keepdims=True)) / root
    return (back.reshape(x.shape),), normalization.factor_vjps(y.reshape(x.shape), params, cotangent)


def _error_bound(
    attrs: RMSNormalization,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound by :func:`refcompress.ops.normalization.scaled_bound`."""
    rows = trailing(inputs[0], attrs.axis)
    moved, n = errors[0].reshape(rows.shape), rows.shape[-1]
    least, most = (total / n + attrs.epsilon for total in normalization.squares_range(rows, moved, gamma))
    square = (rows * rows).mean(-1, keepdims=True) + attrs.epsilon
    bound = normalization.scaled_bound(rows, moved, square, (least, most), gamma)
    return normalization.factors_bound(bound.reshape(inputs[0].shape), params, gamma)


OP = Op(
    name="RMSNormalization",
    attrs=RMSNormalization,
    infer_shape=_infer_shape,
    forward=_forward,
    exact=_exact,
    vjp=_vjp,
    error_bound=_error_bound,
    macs=normalization.factor_macs,
    roles=("scale",),
    optional_roles=("scale",),
)

"""LayerNormalization: all elements from some axis on brought to mean 0 and variance 1, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.ops import normalization
from refcompress.ops.axes import check_axes, check_rank
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.normalization import apply_factors, check_epsilon, check_factors, trailing

ROLES = ("scale", "bias")


@dataclass(frozen=True, slots=True)
class LayerNormalization:
    """Attributes of LayerNormalization.

    Attributes
    ----------
    axis
        This axis and all behind it are normalised together; counted with the batch axis as 0, so at least 1.
    epsilon
        Added to the variance; finite and not negative.

    Raises
    ------
    ModelError
        The axis or epsilon is out of range.

    Examples
    --------
    >>> LayerNormalization(3).epsilon
    0.001

    """

    axis: int
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        check_axes((self.axis,), "axis")
        check_epsilon(self.epsilon)


def _infer_shape(attrs: LayerNormalization, inputs: Sequence[Shape], params: Mapping[str, Shape]) -> Shape:
    check_rank((attrs.axis,), inputs[0])
    check_factors(params, inputs[0][attrs.axis - 1 :])
    return inputs[0]


def _forward(attrs: LayerNormalization, inputs: Sequence[Array], params: Params) -> Array:
    y = normalization.centred(trailing(inputs[0], attrs.axis), attrs.epsilon)[0]
    return apply_factors(y.reshape(inputs[0].shape), params)


def _exact(attrs: LayerNormalization, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    """Compute :func:`refcompress.ops.normalization.centred_exact`, times the scale, plus the bias."""
    y = normalization.centred_exact(trailing(inputs[0], attrs.axis), attrs.epsilon)
    return apply_factors(y.reshape(inputs[0].shape), params)


def _vjp(
    attrs: LayerNormalization, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
) -> Cotangents:
    x = inputs[0]
    rows, inner = (trailing(c, attrs.axis) for c in (x, normalization.times_scale(cotangent, params)))
    y, deviation = normalization.centred(rows, attrs.epsilon)
    back = normalization.centred_vjp(y, deviation, inner).reshape(x.shape)
    return (back,), normalization.factor_vjps(y.reshape(x.shape), params, cotangent)


def _error_bound(
    attrs: LayerNormalization,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound by :func:`refcompress.ops.normalization.centred_bound`."""
    rows = trailing(inputs[0], attrs.axis)
    bound = normalization.centred_bound(rows, errors[0].reshape(rows.shape), attrs.epsilon, gamma)
    return normalization.factors_bound(bound.reshape(inputs[0].shape), params, gamma)


OP = Op(
    name="LayerNormalization",
    attrs=LayerNormalization,
    infer_shape=_infer_shape,
    forward=_forward,
    exact=_exact,
    vjp=_vjp,
    error_bound=_error_bound,
    macs=normalization.factor_macs,
    roles=ROLES,
    optional_roles=ROLES,
)

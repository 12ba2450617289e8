"""GroupNormalization: the channels of each group, over all places, brought to mean 0 and variance 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import normalization
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.normalization import apply_factors, check_epsilon, check_factors

ROLES = ("scale", "bias")


@dataclass(frozen=True, slots=True)
class GroupNormalization:
    """Attributes of GroupNormalization.

    Attributes
    ----------
    num_groups
        Groups of neighbouring channels; it divides the number of channels.
    epsilon
        Added to the variance; finite and not negative.

    Raises
    ------
    ModelError
        One of them is out of range.

    Examples
    --------
    >>> GroupNormalization(8).epsilon
    0.001

    """

    num_groups: int
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        if self.num_groups < 1:
            raise ModelError(f"num_groups {self.num_groups}; it must be at least 1")
        check_epsilon(self.epsilon)


def _infer_shape(attrs: GroupNormalization, inputs: Sequence[Shape], params: Mapping[str, Shape]) -> Shape:
    shape = inputs[0]
    if not shape or shape[-1] % attrs.num_groups:
        raise ModelError(
            f"an input of shape {shape}; its last axis holds the channels, which {attrs.num_groups} groups must divide"
        )
    check_factors(params, shape[-1:])
    return shape


def _rows(attrs: GroupNormalization, x: Array) -> Array:
    """Return (batch, groups, places * channels of a group)."""
    groups, size = attrs.num_groups, x.shape[-1] // attrs.num_groups
    places = math.prod(x.shape[1:-1])
    return x.reshape(len(x), places, groups, size).swapaxes(1, 2).reshape(len(x), groups, places * size)


def _unrows(rows: Array, shape: tuple[int, ...]) -> Array:
    """Invert :func:`_rows` for an input of that shape."""
    batch, groups, n = rows.shape
    size = shape[-1] // groups
    return rows.reshape(batch, groups, n // size, size).swapaxes(1, 2).reshape(shape)


def _forward(attrs: GroupNormalization, inputs: Sequence[Array], params: Params) -> Array:
    y = normalization.centred(_rows(attrs, inputs[0]), attrs.epsilon)[0]
    return apply_factors(_unrows(y, inputs[0].shape), params)


def _exact(attrs: GroupNormalization, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    """Compute :func:`refcompress.ops.normalization.centred_exact`, times the scale, plus the bias.

    The elements of a group come in the order in which they lie in the input: place by place, channel by channel.
    """
    y = normalization.centred_exact(_rows(attrs, inputs[0]), attrs.epsilon)
    return apply_factors(_unrows(y, inputs[0].shape), params)


def _vjp(
    attrs: GroupNormalization, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
) -> Cotangents:
    x = inputs[0]
    rows, inner = _rows(attrs, x), _rows(attrs, normalization.times_scale(cotangent, params))
    y, deviation = normalization.centred(rows, attrs.epsilon)
    back = _unrows(normalization.centred_vjp(y, deviation, inner), x.shape)
    return (back,), normalization.factor_vjps(_unrows(y, x.shape), params, cotangent)


def _error_bound(
    attrs: GroupNormalization,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Bound by :func:`refcompress.ops.normalization.centred_bound`."""
    rows, moved = _rows(attrs, inputs[0]), _rows(attrs, errors[0])
    bound = normalization.centred_bound(rows, moved, attrs.epsilon, gamma)
    return normalization.factors_bound(_unrows(bound, inputs[0].shape), params, gamma)


OP = Op(
    name="GroupNormalization",
    attrs=GroupNormalization,
    infer_shape=_infer_shape,
    forward=_forward,
    exact=_exact,
    vjp=_vjp,
    error_bound=_error_bound,
    macs=normalization.factor_macs,
    roles=ROLES,
    optional_roles=ROLES,
)

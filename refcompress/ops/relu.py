"""Relu: max(x, 0)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.ops.base import Array, Cotangents, NoAttrs, Op, Params
from refcompress.ops.elementwise import no_macs, pass_where, same_shape


def forward(_attrs: NoAttrs, inputs: Sequence[Array], _params: Params) -> Array:
    """Return max(x, 0).

    Examples
    --------
    >>> forward(NoAttrs(), [np.array([-1.0, 2.0])], {})
    array([0., 2.])

    """
    return np.maximum(inputs[0], 0)


def exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return ``x > 0 ? x : 0.0f``: -0 and NaN give +0."""
    return np.where(inputs[0] > 0, inputs[0], np.float32(0))


def vjp(
    _attrs: NoAttrs,
    _inputs: Sequence[Array],
    _params: Params,
    output: Array,
    cotangent: Array,
) -> Cotangents:
    """Pass the cotangent where x > 0; at 0 the derivative is taken to be 0."""
    return (pass_where(output > 0, cotangent),), {}


def error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """No rounding; the error is cut where x stays negative whatever the error."""
    bound: Array = np.clip(inputs[0] + errors[0], 0, errors[0])
    return bound


OP = Op("Relu", NoAttrs, same_shape, forward, exact, vjp, error_bound, no_macs)

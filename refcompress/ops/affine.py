"""Affine: x * scale + bias with constants that broadcast to the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import weights
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, NoAttrs, Op, Params, Shape
from refcompress.ops.broadcasting import check_parameter, summed_to_parameter

ROLES = ("scale", "bias")

# Product and sum; for those who compute (x - mean) / sqrt(variance) the constants here are rounded, their root and
# its reciprocal too.
_ROUNDINGS = 5


def _infer_shape(_attrs: NoAttrs, input_shapes: Sequence[Shape], param_shapes: Mapping[str, Shape]) -> Shape:
    if not param_shapes:
        raise ModelError("neither scale nor bias; it needs one of them at least")
    for role, shape in param_shapes.items():
        check_parameter(role, shape, input_shapes[0])
    return input_shapes[0]


def _parts(params: Params, dtype: np.dtype[np.floating]) -> tuple[Array | None, Array | None]:
    scale, bias = (weights.optional_array(params.get(role), dtype) for role in ROLES)
    return scale, bias


def _forward(_attrs: NoAttrs, inputs: Sequence[Array], params: Params) -> Array:
    x = inputs[0]
    scale, bias = _parts(params, x.dtype)
    out = x if scale is None else x * scale
    return out if bias is None else out + bias


def _exact(attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    # NumPy multiplies and adds in two passes, each rounded: that is the stated order
    return _forward(attrs, inputs, params).astype(np.float32, copy=False)


def _vjp(_attrs: NoAttrs, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array) -> Cotangents:
    scale, bias = _parts(params, cotangent.dtype)
    by_role = {}
    if scale is not None:
        by_role["scale"] = summed_to_parameter(cotangent * inputs[0], scale.shape)
    if bias is not None:
        by_role["bias"] = summed_to_parameter(cotangent, bias.shape)
    return (cotangent if scale is None else cotangent * scale,), by_role


def _error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Cover x * scale + bias and (x - mean) / deviation, all of it in float32."""
    scale, bias = _parts(params, np.dtype(np.float64))
    size = np.float64(1) if scale is None else np.abs(scale)
    reach = (np.abs(inputs[0]) + errors[0]) * size
    if bias is not None:
        reach = reach + np.abs(bias)
    bound = size * errors[0] + gamma(_ROUNDINGS) * reach + 2 * SMALLEST_NORMAL * (1 + size)
    return np.asarray(bound * FLOAT64_SLACK)


def _macs(_attrs: NoAttrs, _inputs: Sequence[Shape], output: Shape, params: Params) -> int:
    return math.prod(output) if "scale" in params else 0


OP = Op(
    name="Affine",
    attrs=NoAttrs,
    infer_shape=_infer_shape,
    forward=_forward,
    exact=_exact,
    vjp=_vjp,
    error_bound=_error_bound,
    macs=_macs,
    roles=ROLES,
    optional_roles=ROLES,
)

"""PRelu: x above 0, slope x below, with slopes that were learnt (He et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.ops import weights
from refcompress.ops.base import Array, Cotangents, NoAttrs, Op, Params, Shape
from refcompress.ops.broadcasting import check_parameter, summed_to_parameter
from refcompress.ops.elementwise import no_macs
from refcompress.ops.leaky_relu import leaky, leaky_bound, leaky_exact


def _infer_shape(_attrs: NoAttrs, input_shapes: Sequence[Shape], param_shapes: Mapping[str, Shape]) -> Shape:
    check_parameter("slope", param_shapes["slope"], input_shapes[0])
    return input_shapes[0]


def _forward(_attrs: NoAttrs, inputs: Sequence[Array], params: Params) -> Array:
    return leaky(inputs[0], weights.array(params["slope"], inputs[0].dtype))


def _exact(_attrs: NoAttrs, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    """Return ``x > 0.0f ? x : slope * x``."""
    return leaky_exact(inputs[0], weights.array(params["slope"], np.float32).astype(np.float32, copy=False))


def _vjp(_attrs: NoAttrs, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array) -> Cotangents:
    """Multiply with 1 or the slope; the slopes get the sums of cotangent * x over negative x."""
    x = inputs[0]
    slope = weights.array(params["slope"], cotangent.dtype)
    by_slope = summed_to_parameter(cotangent * np.minimum(x, 0), slope.shape)
    return (np.where(x > 0, cotangent, cotangent * slope),), {"slope": by_slope}


def _error_bound(
    _attrs: NoAttrs,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """As for LeakyRelu."""
    return leaky_bound(inputs[0], errors[0], output, weights.array(params["slope"], np.float64), gamma)


OP = Op("PRelu", NoAttrs, _infer_shape, _forward, _exact, _vjp, _error_bound, no_macs, roles=("slope",))

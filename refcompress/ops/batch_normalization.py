"""BatchNormalization at inference: scale and shift each channel by the moments kept from training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import weights
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Cotangents, Op, Params, Shape, batch_sum

ROLES = ("scale", "bias", "mean", "var")
OPTIONAL_ROLES = ("scale", "bias")

# Roundings from var to scale / sqrt(var + epsilon) in float32: epsilon and the sum (halved by the root), a
# reciprocal root that may be wrong by four, the product with the scale; one to spare.
_FACTOR_ROUNDINGS = 7


@dataclass(frozen=True, slots=True)
class BatchNormalization:
    """Attributes of a batch normalization.

    Attributes
    ----------
    epsilon
        Added to the variance; finite and not negative.

    Raises
    ------
    ModelError
        The epsilon is out of range.

    Examples
    --------
    >>> BatchNormalization().epsilon
    0.001

    """

    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise ModelError(f"epsilon {self.epsilon}; it must be finite and at least 0")


def factor_and_offset(attrs: BatchNormalization, params: Params) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a batch normalization multiplies each channel with, and what it then adds.

    Parameters
    ----------
    attrs
        Attributes.
    params
        Roles ``mean``, ``var`` and, if there are any, ``scale`` and ``bias``, (channels,) each.

    Returns
    -------
    factor, offset
        ``scale / sqrt(var + epsilon)`` and ``bias - mean * factor`` in float64, (channels,).

    Raises
    ------
    ModelError
        ``var + epsilon`` is not positive somewhere.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> factor_and_offset(BatchNormalization(0.0), {"mean": encode([3.0]), "var": encode([4.0])})
    (array([0.5]), array([-1.5]))

    """
    mean, var = (weights.array(params[role], np.float64) for role in ("mean", "var"))
    scale, bias = (weights.optional_array(params.get(role), np.float64) for role in OPTIONAL_ROLES)
    spread = var + attrs.epsilon
    if not (spread > 0).all():
        raise ModelError(f"a variance of {float(var.min())} with epsilon {attrs.epsilon}; their sum must be positive")
    factor = (1.0 if scale is None else scale) / np.sqrt(spread)
    return factor, (0.0 if bias is None else bias) - mean * factor


def _infer_shape(_attrs: BatchNormalization, inputs: Sequence[Shape], params: Mapping[str, Shape]) -> Shape:
    shape = inputs[0]
    if not shape:
        raise ModelError("an input without axes; batch normalization acts on the last axis")
    for role in ROLES:
        if role in params and params[role] != shape[-1:]:
            raise ModelError(f"a {role} of shape {params[role]} for an input of shape {shape}; it must be {shape[-1:]}")
    return shape


def _forward(attrs: BatchNormalization, inputs: Sequence[Array], params: Params) -> Array:
    x = inputs[0]
    factor, offset = (part.astype(x.dtype) for part in factor_and_offset(attrs, params))
    out = x * factor
    out += offset
    return out


def _exact(attrs: BatchNormalization, inputs: Sequence[NDArray[np.float32]], params: Params) -> NDArray[np.float32]:
    # NumPy multiplies and adds in two passes, each rounded: that is the stated order
    return _forward(attrs, inputs, params).astype(np.float32, copy=False)


def _vjp(
    attrs: BatchNormalization, inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
) -> Cotangents:
    """Treat the moments as the constants they are at inference, and give their cotangents too.

    With s the sum of the cotangents over the batch and t that of cotangent * (x - mean): bias gets s, scale gets
    t / sqrt(var + epsilon), mean gets -factor s, var gets -factor t / (2 (var + epsilon)).
    """
    x, dtype = inputs[0], cotangent.dtype
    factor = factor_and_offset(attrs, params)[0]
    spread = weights.array(params["var"], np.float64) + attrs.epsilon
    total = batch_sum(cotangent)
    moment = batch_sum(cotangent * (x - weights.array(params["mean"], dtype)))
    gradients = {
        "scale": moment / np.sqrt(spread),
        "bias": total,
        "mean": -factor * total,
        "var": -factor * moment / (2 * spread),
    }
    wanted = {role: value.astype(dtype, copy=False) for role, value in gradients.items() if role in params}
    return (cotangent * factor.astype(dtype),), wanted


def _error_bound(
    attrs: BatchNormalization,
    inputs: Sequence[Array],
    errors: Sequence[Array],
    params: Params,
    _output: Array,
    gamma: Callable[[int], float],
) -> Array:
    """Cover (x - mean) * factor + bias and x * factor + (bias - mean * factor), all of it in float32."""
    factor = np.abs(factor_and_offset(attrs, params)[0])
    mean = np.abs(weights.array(params["mean"], np.float64))
    bias = weights.optional_array(params.get("bias"), np.float64)
    # the factor, its product with x or the mean, and two sums
    relative = gamma(_FACTOR_ROUNDINGS + 3)
    reach = (np.abs(inputs[0]) + errors[0] + mean) * factor
    if bias is not None:
        reach = reach + np.abs(bias)
    underflow = 8 * SMALLEST_NORMAL * (1 + factor)
    return np.asarray((factor * errors[0] + relative * reach + underflow) * FLOAT64_SLACK)


def _macs(_attrs: BatchNormalization, _inputs: Sequence[Shape], output: Shape, _params: Params) -> int:
    return math.prod(output)


OP = Op(
    name="BatchNormalization",
    attrs=BatchNormalization,
    infer_shape=_infer_shape,
    forward=_forward,
    exact=_exact,
    vjp=_vjp,
    error_bound=_error_bound,
    macs=_macs,
    roles=ROLES,
    optional_roles=OPTIONAL_ROLES,
)

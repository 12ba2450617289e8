"""Selu: the Elu that keeps mean and variance of a layer's outputs (Klambauer et al. 2017)."""

from __future__ import annotations

import numpy as np

from refcompress.kernels.exact_erf import expm1_32
from refcompress.ops.base import SMALLEST_NORMAL, Array, NoAttrs
from refcompress.ops.elementwise import library_error
from refcompress.ops.elu import difference_rounding, elu, elu_slope
from refcompress.ops.unary import Float32, Gamma, range_bound, unary

# as ONNX states them: rounded to float32
ALPHA = 1.67326319217681884765625
SCALE = 1.05070102214813232421875


def selu(x: Array) -> Array:
    """Compute SCALE * elu(x, ALPHA) in the dtype of ``x``.

    Examples
    --------
    >>> selu(np.array([-100.0, 1.0])).round(6)
    array([-1.758099,  1.050701])

    """
    result: Array = SCALE * elu(x, ALPHA)
    return result


def _exact(_attrs: NoAttrs, x: Float32) -> Float32:
    """Return ``x > 0.0f ? 1.050701f * x : 1.7580993f * rc_expm1f(x)``: 0x1.0cfabep+0f and 0x1.c212ccp+0f."""
    return np.where(x > 0, np.float32(1.050701) * x, np.float32(1.7580993) * expm1_32(x))


def _bound(_attrs: NoAttrs, x: Array, errors: Array, output: Array, gamma: Gamma) -> Array:
    """Range over the interval; the rounding of both constants and products, and below 0 that of exp or expm1."""
    moved = range_bound(selu, x, errors, output)
    relative = gamma(4) + np.where(x - errors < 0, library_error(gamma), 0.0)
    rounded = difference_rounding(x, errors, SCALE * ALPHA, gamma) + relative * (np.abs(output) + moved)
    return np.asarray(moved + rounded + SMALLEST_NORMAL)


OP = unary(
    "Selu",
    function=lambda _, x: selu(x),
    exact=_exact,
    slope=lambda _, x, _y: SCALE * elu_slope(x, ALPHA),
    bound=_bound,
)

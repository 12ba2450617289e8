"""What the normalizations share: the last axis brought to a common mean and size, and how far roundings get.

All functions act on arrays (..., n) whose last axis holds what is normalised together, in the order in which it lies
in the operator's input. Scale and bias broadcast to the operator's input, aligned from the right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import weights
from refcompress.ops.axes import ordered_sum
from refcompress.ops.base import FLOAT64_SLACK, SMALLEST_NORMAL, Array, Params, Shape
from refcompress.ops.broadcasting import summed_to_parameter
from refcompress.ops.elementwise import library_error

T = TypeVar("T", bound=np.generic)

# Roundings of one element beside those of the sums: epsilon, its sum, the quotient or the reciprocal and two
# products, the difference from the mean, the same again where scale * rsqrt and bias - mean * scale * rsqrt are
# formed first, and what second-order terms amount to.
_ROUNDINGS = 12


def check_epsilon(epsilon: float) -> None:
    """Refuse an epsilon that is not finite or below 0.

    Raises
    ------
    ModelError
        With what is allowed.

    Examples
    --------
    >>> check_epsilon(1e-3)

    """
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise ModelError(f"epsilon {epsilon}; it must be finite and at least 0")


def check_factors(params: Mapping[str, Shape], shape: Shape) -> None:
    """Refuse a scale or a bias of another shape.

    Raises
    ------
    ModelError
        With the shape it must have.

    """
    for role, got in params.items():
        if got != shape:
            raise ModelError(f"a {role} of shape {got}; it must be {shape}, as what it acts on")


def trailing(x: NDArray[T], axis: int) -> NDArray[T]:
    """Return an array with ``axis`` and all axes behind it as one.

    Examples
    --------
    >>> trailing(np.zeros((2, 3, 4, 5)), 2).shape
    (2, 3, 20)

    """
    return x.reshape(*x.shape[:axis], math.prod(x.shape[axis:]))


def centred(x: Array, epsilon: float) -> tuple[Array, Array]:
    """Return (x - mean) / deviation and the deviation sqrt(variance + epsilon), over the last axis.

    Examples
    --------
    >>> centred(np.array([[1.0, 3.0]]), 0.0)
    (array([[-1.,  1.]]), array([[1.]]))

    """
    difference = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((difference * difference).mean(-1, keepdims=True) + x.dtype.type(epsilon))
    return difference / deviation, deviation


def centred_exact(x: NDArray[np.float32], epsilon: float) -> NDArray[np.float32]:
    """Return it with every rounding in the stated order.

    In C, for the n elements x_i in order: ``m = (((0.0f + x_0) + x_1) + ...) / (float)n``; ``d_i = x_i - m``;
    ``v = (((0.0f + d_0 * d_0) + d_1 * d_1) + ...) / (float)n``; ``s = sqrtf(v + epsilon)``; ``d_i / s``. Each
    operation is rounded to float32, and so is epsilon.
    """
    n = np.float32(x.shape[-1])
    difference = x - ordered_sum(x) / n
    variance = ordered_sum(difference * difference) / n
    result: NDArray[np.float32] = difference / np.sqrt(variance + np.float32(epsilon))
    return result


def centred_vjp(y: Array, deviation: Array, cotangent: Array) -> Array:
    """Differentiate :func:`centred`'s first result by its input: (c - mean c - y mean(c y)) / deviation."""
    moment = (cotangent * y).mean(-1, keepdims=True)
    result: Array = (cotangent - cotangent.mean(-1, keepdims=True) - y * moment) / deviation
    return result


def centred_bound(x: Array, errors: Array, epsilon: float, gamma: Callable[[int], float]) -> Array:
    """Bound the error of (x - mean) / deviation by any usual float32 formula, room for scale and bias included.

    With sizes s_i = |x_i| + e_i, n elements and g = gamma(n + 4), more than the roundings of a sum and a quotient:

    * The mean is off by at most mean(e) + g mean(s).
    * Errors of the input move the variance by at most 2 mean(|x - m| e) + mean(e**2).
    * Roundings move it by at most (3 g + g**2) mean(s**2): that is what mean(x**2) - mean(x)**2 costs, g mean(s**2)
      for the first term and 2 |m| g mean(s) + (g mean(s))**2 for the second, with |m| mean(s) <= mean(s**2). Two passes
      and Welford's updates (Chan, Golub and LeVeque 1983) stay below, about n u sqrt(variance mean(s**2)).

    So the reciprocal deviation lies between those of two variances; where the lower one is not above -epsilon,
    nothing is promised: the bound is infinite.
    """
    n = x.shape[-1]
    g, size = gamma(n + 4), np.abs(x) + errors
    mean = x.mean(-1, keepdims=True)
    distance = np.abs(x - mean)
    mean_error = errors.mean(-1, keepdims=True) + g * size.mean(-1, keepdims=True) + n * SMALLEST_NORMAL
    variance = (distance * distance).mean(-1, keepdims=True)
    carried = (2 * distance * errors + errors * errors).mean(-1, keepdims=True)
    rounded = (3 * g + g * g) * (size * size).mean(-1, keepdims=True) + 4 * n * SMALLEST_NORMAL
    least, most = (variance + epsilon + sign * (carried + rounded) for sign in (-1, 1))
    distances = (distance, errors + mean_error, size + np.abs(mean) + mean_error)
    return _quotient_bound(distances, variance + epsilon, (least, most), gamma)


def squares_range(x: Array, errors: Array, gamma: Callable[[int], float]) -> tuple[Array, Array]:
    """Return the least and the most that a float32 sum of squares over the last axis may be.

    Examples
    --------
    >>> least, most = squares_range(np.array([[3.0, -4.0]]), np.array([[1.0, 0.0]]), lambda n: n * 2.0**-24)
    >>> least.round(3), most.round(3)
    (array([[20.]]), array([[32.]]))

    """
    n = x.shape[-1]
    size = np.abs(x)
    least = np.square(np.maximum(size - errors, 0)).sum(-1, keepdims=True)
    most = np.square(size + errors).sum(-1, keepdims=True)
    slack, underflow = gamma(n + 2), 2 * n * SMALLEST_NORMAL
    return np.maximum(least * (1 - slack) - underflow, 0), most * (1 + slack) + underflow


def scaled_bound(
    x: Array, errors: Array, square: Array, squares: tuple[Array, Array], gamma: Callable[[int], float]
) -> Array:
    """Bound the error of x / sqrt(square), room for a scale included.

    Parameters
    ----------
    x, errors
        Reference input and how far the float32 input may be from it.
    square
        The reference, (..., 1).
    squares
        The least and the most a float32 computation may find for it.
    gamma
        Relative error of so many roundings.

    """
    size = np.abs(x)
    return _quotient_bound((size, errors, size + errors), square, squares, gamma)


def _quotient_bound(
    distances: tuple[Array, Array, Array],
    square: Array,
    squares: tuple[Array, Array],
    gamma: Callable[[int], float],
) -> Array:
    """Bound the error of d / sqrt(square).

    ``distances`` are |d|, how far d may be off before its last rounding, and what roundings are relative to, as d may
    be a difference of products. Infinite where ``square`` may be 0, unless d is sure to be 0.
    """
    distance, error, reach = distances
    least, most = squares
    with np.errstate(divide="ignore", invalid="ignore"):  # where nothing can be promised
        largest = np.where(least > 0, 1 / np.sqrt(least), np.inf)
        middle, smallest = 1 / np.sqrt(square), 1 / np.sqrt(most)
        off = np.maximum(largest - middle, middle - smallest)
        relative = library_error(gamma) + gamma(_ROUNDINGS)
        bound = error * largest + distance * off + (relative * reach + 4 * SMALLEST_NORMAL) * largest
        bound = np.where(np.isfinite(bound), bound * FLOAT64_SLACK, np.inf)
    return np.where(reach == 0, 0, bound)


def apply_factors(y: Array, params: Params) -> Array:
    """Multiply by the scale, then add the bias, where there are any."""
    scale, bias = (weights.optional_array(params.get(role), y.dtype) for role in ("scale", "bias"))
    if scale is not None:
        y = y * scale
    return y if bias is None else y + bias


def factor_vjps(y: Array, params: Params, cotangent: Array) -> dict[str, Array]:
    """Differentiate :func:`apply_factors` by the scale and the bias."""
    gradients = {}
    if "scale" in params:
        gradients["scale"] = summed_to_parameter(cotangent * y, params["scale"].shape)
    if "bias" in params:
        gradients["bias"] = summed_to_parameter(cotangent, params["bias"].shape)
    return gradients


def times_scale(cotangent: Array, params: Params) -> Array:
    """Return the cotangent of what :func:`apply_factors` took."""
    scale = weights.optional_array(params.get("scale"), cotangent.dtype)
    return cotangent if scale is None else cotangent * scale


def factors_bound(bound: Array, params: Params, gamma: Callable[[int], float]) -> Array:
    """Carry a bound through :func:`apply_factors`; the roundings that are relative to y are in it already."""
    scale, bias = (weights.optional_array(params.get(role), np.float64) for role in ("scale", "bias"))
    if scale is not None:
        with np.errstate(invalid="ignore"):  # a scale of 0 and an infinite bound
            bound = bound * np.abs(scale)
        bound = np.where(np.isnan(bound), np.inf, bound)
    if bias is not None:
        bound = bound + gamma(4) * np.abs(bias)
    return bound + 4 * SMALLEST_NORMAL


def factor_macs(_attrs: Any, _inputs: Sequence[Shape], output: Shape, params: Params) -> int:
    """Return one multiplication an element where there is a scale."""
    return math.prod(output) if "scale" in params else 0

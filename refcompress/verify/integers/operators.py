"""What an integer operator would give without its roundings, and how far any sound runtime may be from that.

Everything is counted in steps of the output's quantization, before the clamp. `value` is the real number that the
formula gives for real inputs; `error` holds |result before the clamp - value| for every runtime that

- adds exact products in 32 bits,
- takes each real factor with a relative error of at most :data:`FACTOR` (significands of 31 bits err by 2^-31;
  three to five roundings in float32, as XNNPACK's, by 2^-22), and
- rounds to the nearest integer, halves in any direction, once, or first to a finer grid and then to integers.

That is half a step for the last rounding, and what is said at each operator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from refcompress.integer.step import Step, integer_rows, weight_scales
from refcompress.ops import dense_convolution
from refcompress.ops.broadcasting import aligned
from refcompress.ops.dense_convolution import Geometry
from refcompress.ops.windows import output_plane, pad_plane, windows
from refcompress.verify.precision import Float64

Real = tuple[Float64, Float64]  # value, error
RealOp = Callable[[Step, Sequence[Float64], Sequence[Float64]], Real]

FACTOR = 2.0**-21
HALF = 0.5
MOST = 2.0**31  # accumulators beyond it wrap
LARGEST = 256.0  # beyond every difference of two int8 integers
COARSE_FACTOR = 2.0**-9  # half a unit of a factor with 8 bits behind the point
ADD_FACTOR = 2.0**-20
SOFTMAX_FACTOR = 2.0**-19
FUNCTION = 2.0**-8


def above(x: Float64, step: Step, index: int = 0) -> Float64:
    """Return an input counted from its zero point."""
    return x - step.inputs[index].zero_point


def first_rounding(factor: NDArray[np.float64], spread: float = 1.0) -> NDArray[np.float64]:
    """Bound the rounding before the last shift.

    A factor q 2^e, 1/2 <= q < 1, is a product with q, rounded, and for e < 0 a shift: the first rounding errs by
    half a unit, which is 2^(e - 1) <= factor steps, and at most a quarter of one. ``spread`` is by how much the
    factor may be larger than q 2^e.

    Examples
    --------
    >>> first_rounding(np.array([0.01, 0.4, 2.0]))
    array([0.01, 0.25, 0.  ])

    """
    shifts = factor < HALF * (1 + FACTOR)
    return np.where(shifts, np.minimum(spread * factor * (1 + FACTOR), 0.25), 0.0)


def _scaled(sums: Float64, moved: Float64, factor: NDArray[np.float64], spread: float = 1.0) -> Real:
    """Bring sums, off by at most ``moved``, to the steps of the output; infinite errors where 32 bits may not do."""
    size = np.abs(sums) + moved
    error = HALF + first_rounding(factor, spread) + factor * moved + FACTOR * factor * size
    return sums * factor, np.where(size * np.maximum(1.0, 2 * factor) < MOST, error, np.inf)


def _result(step: Step, real: Real) -> Real:
    return real[0] + step.result.zero_point, real[1]


def _products(step: Step, sums: Float64, moved: Float64) -> Real:
    """Bring sums of products to int8; they are exact, only the way there rounds."""
    if step.bias is not None:
        sums = sums + step.bias
    factor = step.inputs[0].scale * weight_scales(step.params["weight"]).astype(np.float64) / step.result.scale
    return _result(step, _scaled(sums, moved, factor))


def conv(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
    """Errors of the inputs go through |weight|."""
    rows = integer_rows(step.params["weight"])
    return _products(step, _convolved(step, above(values[0], step), rows), _convolved(step, errors[0], np.abs(rows)))


def _convolved(step: Step, x: Float64, rows: NDArray[np.float64]) -> Float64:
    attrs, (kh, kw, _, cout) = step.attrs, step.params["weight"].shape
    plane = output_plane(x.shape[1:], (kh, kw), attrs.strides, attrs.pads, attrs.dilations)
    sums = np.zeros((len(x), *plane, cout))
    if x.any():
        geometry = Geometry((kh, kw), attrs.strides, attrs.pads, attrs.dilations, attrs.group)
        dense_convolution.convolve(np.ascontiguousarray(x), rows, geometry, sums)
    return sums


def gemm(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
    """Errors of the inputs go through |weight|."""
    rows = integer_rows(step.params["weight"])
    return _products(step, above(values[0], step) @ rows.T, errors[0] @ np.abs(rows).T)


def add(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
    """Both inputs are brought to one scale by factors with an absolute error, and rounded there before they are added.

    In units of 2^-20 of twice the larger scale, TFLite rounds each input by at most 0.75 and the sum by 1 before the
    last shift: 5 units of 2^-20 of the larger scale together. XNNPACK takes factors of 21 bits, the smaller with the
    absolute error of the larger: 2^-21 of the larger scale for each step of an input.
    """
    largest = max(quantization.scale for quantization in step.inputs) / step.result.scale
    total, moved, size = np.zeros(()), np.zeros(()), np.full((), 8.0)
    sources = zip(aligned(values), aligned(errors), step.inputs, strict=True)
    for x, error, quantization in sources:
        scale, steps = quantization.scale / step.result.scale, x - quantization.zero_point
        total, moved, size = total + scale * steps, moved + scale * error, size + np.abs(steps) + error
    error = HALF + moved + ADD_FACTOR * largest * size
    return _result(step, (total, np.where(size * largest < MOST / 2**10, error, np.inf)))


def average_pool(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
    """Means of the integers, zero point and all; padding is left out."""
    counts = _window_sums(step, np.ones((1, *values[0].shape[1:3], 1)))
    moved = _window_sums(step, errors[0]) / counts
    return _window_sums(step, values[0]) / counts, HALF + moved + FACTOR * LARGEST


def _window_sums(step: Step, x: Float64) -> Float64:
    view = windows(pad_plane(x, step.attrs.pads), step.attrs.kernel_shape, step.attrs.strides)
    result: Float64 = view.sum(axis=(3, 4))
    return result


def global_average_pool(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
    """Bound a mean by a factor that holds the division, which truncates its significand: a few bits less, a unit more.

    With k = min(floor(log2 n), 31 + e) places more, m 2^k / n of at least 2^(30 + k) / n is cut off: by at most
    n 2^-(30 + k) of itself, which is 2^-29 unless the factor is tiny. Before the last shift it is rounded to half a
    unit of 2^(e - k) < 4 factor / n.
    """
    plane = values[0].shape[1:3]
    count, factor = math.prod(plane), step.inputs[0].scale / step.result.scale
    sums = above(values[0], step).sum(axis=(1, 2), keepdims=step.attrs.keepdims)
    moved = errors[0].sum(axis=(1, 2), keepdims=step.attrs.keepdims)
    places = max(0, min(count.bit_length() - 1, 30 + math.frexp(factor)[1]))
    value, error = _scaled(sums, moved, np.array(factor / count), spread=2.0)
    cut = count * 2.0 ** -(30 + places) * (np.abs(value) + factor * moved / count)
    return _result(step, (value, error + cut))


def _extremes(step: Step, x: Float64, fill: float) -> Float64:
    if step.node.op == "GlobalMaxPool":
        return np.asarray(x.max(axis=(1, 2), keepdims=step.attrs.keepdims))
    view = windows(pad_plane(x, step.attrs.pads, fill), step.attrs.kernel_shape, step.attrs.strides)
    return np.asarray(view.max(axis=(3, 4)))


def max_pool(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
    """Exact; the maximum moves by no more than the inputs."""
    return _between(
        _extremes(step, values[0], -np.inf),
        _extremes(step, values[0] - errors[0], -np.inf),
        _extremes(step, values[0] + errors[0], -np.inf),
        0.0,
    )


def _between(value: Float64, low: Float64, high: Float64, error: float | Float64) -> Real:
    """Return a value whose real number lies between two others, and which is rounded after that."""
    return value, np.maximum(high - value, value - low) + error


def rescaling(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
    """Relu, Clip and QUANTIZE alone: XNNPACK's factors there have no more than 8 bits behind the point."""
    steps, factor = above(values[0], step), np.array(step.inputs[0].scale / step.result.scale)
    value, error = _scaled(steps, errors[0], factor)
    return _result(step, (value, error + COARSE_FACTOR * (np.abs(steps) + errors[0])))


def softmax(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
    """Powers are right to 2^-21 and count in the sum in units of 2^-19; those below exp(-15.5) may be left out.

    So the sum of n powers, at least 1, is right to (n + 1) 2^-19 of itself, and small results to 2^-13 of a step.
    Errors e of the inputs: largest if one power grows by exp(e) and all others shrink.
    """
    logits, moved = step.inputs[0].scale * values[0], step.inputs[0].scale * errors[0]
    count, levels = logits.shape[-1], 1 / step.result.scale
    value, low, high = (levels * _share(logits, sign * moved) for sign in (0, -1, 1))
    error = HALF + FUNCTION + SOFTMAX_FACTOR * (count + 2) * high
    return _result(step, _between(value, low, high, error))


def _share(logits: Float64, moved: Float64) -> Float64:
    """Share of each power if its own logit is moved this way and the others the other way."""
    top = logits.max(-1, keepdims=True)
    others = np.exp(logits - top - moved)
    own = np.exp(logits - top + moved)
    return np.asarray(own / (own + np.maximum(others.sum(-1, keepdims=True) - others, 0)))


def _function(function: Callable[[Float64], Float64]) -> RealOp:
    """Bound functions that rise. TFLite Micro takes them for saturated from 15 2^-e steps on, scale = q 2^e.

    That is from 7.5 on where steps are small, and much too early where they are large.
    """

    def run(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
        scale, steps = step.inputs[0].scale, above(values[0], step)
        value, low, high = (function(scale * (steps + sign * errors[0])) for sign in (0, -1, 1))
        radius = math.floor(math.ldexp(15, -math.frexp(scale)[1]))
        low = np.where(steps - errors[0] <= -radius, function(np.array(-np.inf)), low)
        high = np.where(steps + errors[0] >= radius, function(np.array(np.inf)), high)
        levels = 1 / step.result.scale
        return _result(step, _between(levels * value, levels * low, levels * high, HALF + FUNCTION))

    return run


def _logistic(x: Float64) -> Float64:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _moving(move: Callable[[Step, Sequence[Float64], float], Float64]) -> RealOp:
    """Operators that only move integers move errors likewise; what they add is exact."""

    def run(step: Step, values: Sequence[Float64], errors: Sequence[Float64]) -> Real:
        return move(step, values, float(step.result.zero_point)), move(step, errors, 0.0)

    return run


REAL_OPS: Mapping[str, RealOp] = MappingProxyType(
    {
        "Add": add,
        "AveragePool": average_pool,
        "Clip": rescaling,
        "Concat": _moving(lambda step, arrays, _fill: np.concatenate(arrays, step.attrs.axis)),
        "Conv": conv,
        "Dropout": _moving(lambda _step, arrays, _fill: arrays[0]),
        "Flatten": _moving(lambda _step, arrays, _fill: arrays[0].reshape(len(arrays[0]), -1)),
        "Gemm": gemm,
        "GlobalAveragePool": global_average_pool,
        "GlobalMaxPool": max_pool,
        "MaxPool": max_pool,
        "Pad": _moving(lambda step, arrays, fill: pad_plane(arrays[0], step.attrs.pads, fill)),
        "Relu": rescaling,
        "Reshape": _moving(lambda step, arrays, _fill: arrays[0].reshape(len(arrays[0]), *step.attrs.shape)),
        "Sigmoid": _function(_logistic),
        "Softmax": softmax,
        "Tanh": _function(lambda x: np.asarray(np.tanh(x))),
    }
)

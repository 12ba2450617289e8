"""Weights, biases and factors of integer layers as the runtime reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from exporters.integer.context import RUNTIME
from refcompress.encodings import Encoding
from refcompress.encodings.integers import rows_of
from refcompress.integer.fixed_point import multiply
from refcompress.integer.operators.gemm import fixed_point_factors
from refcompress.integer.operators.products import real_factors
from refcompress.integer.quantization import Multiplier, quantize_multiplier
from refcompress.integer.step import Step

SMALL_SUM = 1 << 30  # sums below it can be doubled


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What brings sums to an output, one of each for every output unit.

    Attributes
    ----------
    bias
        int32.
    factors
        Significands, int32.
    shifts
        int8; places to the right that follow on the product with the significand, less one.

    """

    bias: NDArray[np.int32]
    factors: NDArray[np.int32]
    shifts: NDArray[np.int8]


def conv_output(step: Step) -> Output:
    """Return what a Conv's sums take."""
    return _output(step, real_factors(step))


def gemm_output(step: Step) -> Output:
    """Return what a Gemm's sums take."""
    return _output(step, fixed_point_factors(step))


def _output(step: Step, real: NDArray[np.float64]) -> Output:
    rows = rows_of(step.params["weight"])
    constant: NDArray[np.bool_] = np.logical_not(rows.any(axis=1))
    factor = quantize_multiplier(np.broadcast_to(real, rows.shape[:1]))
    bias = np.zeros(len(rows), np.int32) if step.bias is None else step.bias
    output = Output(bias, factor.significand.astype(np.int32), (-factor.shift - 1).astype(np.int8))
    return _settled(output, factor, constant, step)


def _settled(output: Output, factor: Multiplier, constant: NDArray[np.bool_], step: Step) -> Output:
    """Give units without weights small numbers: converters leave them with biases of up to 2^30."""
    values = multiply(output.bias.astype(np.int64), factor, RUNTIME.rounding) + step.result.zero_point
    steps = step.clamp(values).astype(np.int32) - step.result.zero_point
    return Output(
        np.where(constant, 4 * steps, output.bias).astype(np.int32),
        np.where(constant, 1 << 30, output.factors).astype(np.int32),
        np.where(constant, 0, output.shifts).astype(np.int8),
    )


def folded(step: Step, output: Output) -> Output:
    """Add to the biases what the input's zero point adds to every sum."""
    sums = rows_of(step.params["weight"]).astype(np.int64).sum(axis=1)
    bias = output.bias - step.inputs[0].zero_point * sums
    return replace(output, bias=bias.astype(np.int32))  # wraps, as sums do


def is_small(step: Step, output: Output) -> bool:
    """Whether no sum can reach 2^30: the fast kernels take such layers."""
    zero_point = step.inputs[0].zero_point
    furthest = max(127 - zero_point, 128 + zero_point)
    most = np.abs(rows_of(step.params["weight"]).astype(np.int64)).sum(axis=1) * furthest
    bounds = most + np.abs(output.bias.astype(np.int64))
    return bool((bounds < SMALL_SUM).all())


def fits_int8(encoding: Encoding) -> bool:
    """Whether every integer of a weight is an int8."""
    rows = rows_of(encoding)
    return int(rows.min(initial=0)) >= -128 and int(rows.max(initial=0)) <= 127


def plain(encoding: Encoding) -> NDArray[np.int8]:
    """Return row after row."""
    return rows_of(encoding).astype(np.int8).reshape(-1)


def interleaved(encoding: Encoding) -> NDArray[np.int8]:
    """Return the rows in pairs, four columns of one, then of the other; both numbers are rounded up with zeros.

    Examples
    --------
    >>> from refcompress.encodings.integers import from_rows
    >>> weight = from_rows(np.arange(1, 16).reshape(3, 5), (5, 3), np.ones(1, np.float32), 8)
    >>> interleaved(weight).reshape(-1, 8)
    array([[ 1,  2,  3,  4,  6,  7,  8,  9],
           [ 5,  0,  0,  0, 10,  0,  0,  0],
           [11, 12, 13, 14,  0,  0,  0,  0],
           [15,  0,  0,  0,  0,  0,  0,  0]], dtype=int8)

    """
    rows = rows_of(encoding).astype(np.int8)
    whole = np.pad(rows, ((0, rows.shape[0] % 2), (0, -rows.shape[1] % 4)))
    return np.ascontiguousarray(whole.reshape(whole.shape[0] // 2, 2, -1, 4).swapaxes(1, 2)).reshape(-1)


def taps(encoding: Encoding) -> NDArray[np.int8]:
    """Return all channels of the first tap, then of the next."""
    return np.ascontiguousarray(rows_of(encoding).astype(np.int8).T).reshape(-1)

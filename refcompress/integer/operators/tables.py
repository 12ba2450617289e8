"""Sigmoid and Tanh: a table of the 256 inputs, made in float32 or by gemmlowp's fixed-point functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.integer import fixed_point
from refcompress.integer.fixed_point import multiply, shift_right
from refcompress.integer.quantization import Integers, Quantization, quantize_multiplier, round_half_away
from refcompress.integer.runtimes import Runtime
from refcompress.integer.step import Activation, IntegerOp, Step, check_result

INPUT_BITS = 4  # integer bits of the input of the fixed-point functions
INTEGERS = np.arange(-128, 128)

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def float32_table(function: Function, source: Quantization, result: Quantization) -> Integers:
    """Return the function of every integer as TFLite's ``LUTPopulate`` does.

    Products, the function's value and its quotient are float32; halves are rounded away from zero.

    Parameters
    ----------
    function
        Evaluated in float64 and rounded, which equals a float32 library within its last place.
    source, result
        Quantizations of input and output.

    """
    x = np.float32(source.scale) * (INTEGERS - source.zero_point).astype(np.float32)
    y = function(x.astype(np.float64)).astype(np.float32)
    steps = round_half_away(y * (np.float32(1) / np.float32(result.scale)))
    table: Integers = (steps + result.zero_point).astype(np.int64)
    return table


def fixed_table(function: Callable[[Integers], Integers], step: Step, runtime: Runtime, places: int) -> Integers:
    """Return the function of every integer as TFLite Micro does, in steps of 2^-places above the zero point.

    Inputs of 16 and more saturate at the ends of int8.
    """
    steps = INTEGERS - step.inputs[0].zero_point
    factor = quantize_multiplier(step.inputs[0].scale * (1 << (31 - INPUT_BITS)))
    shift = int(factor.shift)
    radius = ((1 << INPUT_BITS) - 1) << (31 - INPUT_BITS)
    radius = radius >> shift if shift >= 0 else radius << -shift
    small = np.clip(steps, -radius, radius)
    values = shift_right(function(multiply(small, factor, runtime.rounding)), 31 - places) + step.result.zero_point
    saturated = np.where(steps >= radius, step.result.high, values)
    return np.where(steps <= -radius, step.result.low, saturated)


def sigmoid(step: Step, inputs: Sequence[Activation], runtime: Runtime) -> Activation:
    """Return 1 / (1 + exp(-x)) in steps of 1/256."""
    if runtime.functions == "float32":
        return _look_up(float32_table(_logistic32, step.inputs[0], step.result), inputs[0], step)
    return _look_up(fixed_table(fixed_point.logistic, step, runtime, 8), inputs[0], step)


def tanh(step: Step, inputs: Sequence[Activation], runtime: Runtime) -> Activation:
    """Return tanh(x) in steps of 1/128."""
    if runtime.functions == "float32":
        return _look_up(float32_table(np.tanh, step.inputs[0], step.result), inputs[0], step)
    return _look_up(fixed_table(fixed_point.tanh, step, runtime, 7), inputs[0], step)


def _logistic32(x: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        power = np.exp(-x).astype(np.float32)
        quotient = np.float32(1) / (np.float32(1) + power)
    return quotient.astype(np.float64)


def _look_up(table: Integers, x: Activation, step: Step) -> Activation:
    return step.clamp(table)[x.astype(np.int64) + 128]


SIGMOID = IntegerOp(sigmoid, lambda step: check_result(step, 1 / 256, -128))
TANH = IntegerOp(tanh, lambda step: check_result(step, 1 / 128, 0))

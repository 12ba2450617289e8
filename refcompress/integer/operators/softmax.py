"""Softmax over the last axis, by gemmlowp's fixed-point exponential and reciprocal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from refcompress.errors import ModelError
from refcompress.integer.fixed_point import (
    INT32_MAX,
    bit_length,
    exp_of_negative,
    high_multiply,
    multiply,
    reciprocal_of_one_plus,
    shift_right,
)
from refcompress.integer.quantization import Integers, quantize_multiplier
from refcompress.integer.runtimes import Runtime
from refcompress.integer.step import Activation, IntegerOp, Step, check_result

DIFFERENCE_BITS = 5  # integer bits of the differences to the largest input
SUM_BITS = 12  # integer bits of the sum of powers
LEVELS = 256


def forward(step: Step, inputs: Sequence[Activation], runtime: Runtime) -> Activation:
    """Return exp(x - max) / sum exp(x - max) in steps of 1/256.

    Differences below a limit at which powers vanish count as 0 altogether, and give the least integer.
    """
    powers, limit = powers_of_differences(step, runtime)
    x = inputs[0].astype(np.int64)
    below = x.max(-1, keepdims=True) - x
    counts = below <= limit
    power = powers[below]
    total = np.where(counts, shift_right(power, SUM_BITS), 0).sum(-1, keepdims=True)
    headroom = 32 - bit_length(total)
    reciprocal = reciprocal_of_one_plus((total << headroom) - (1 << 31))
    shares = shift_right(high_multiply(reciprocal, power), SUM_BITS - headroom + 31 - 8)
    return step.clamp(np.where(counts, shares, 0) + step.result.zero_point)


def powers_of_differences(step: Step, runtime: Runtime) -> tuple[Integers, int]:
    """Return exp of every difference from 0 to -255, raw without integer bits, and the largest that counts."""
    largest = float(INT32_MAX) if runtime.rounding == "double" else 2.0**30 - 1
    real = min(step.inputs[0].scale * (1 << (31 - DIFFERENCE_BITS)), largest)
    factor = quantize_multiplier(real)
    limit = (((1 << DIFFERENCE_BITS) - 1) << (31 - DIFFERENCE_BITS)) >> int(factor.shift)
    differences = -np.minimum(np.arange(LEVELS), limit)  # smaller ones would overflow, and count for nothing
    return exp_of_negative(multiply(differences, factor, runtime.rounding), DIFFERENCE_BITS), limit


def check(step: Step) -> None:
    """Refuse an output that does not count in steps of 1/256 from 0, and an input whose steps are next to nothing."""
    check_result(step, 1 / 256, -128, relative=1e-3)
    if step.inputs[0].scale * (1 << (31 - DIFFERENCE_BITS)) <= 1 or not math.isfinite(step.inputs[0].scale):
        raise ModelError(f"its input has the scale {step.inputs[0].scale}; it must exceed 2^-26")


OP = IntegerOp(forward, check)

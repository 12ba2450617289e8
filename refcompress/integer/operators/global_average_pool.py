"""GlobalAveragePool: the sum of each channel times a factor that holds the division."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from refcompress.integer.fixed_point import multiply
from refcompress.integer.quantization import Multiplier, quantize_multiplier
from refcompress.integer.runtimes import Runtime
from refcompress.integer.step import Activation, IntegerOp, Step, check_nothing


def forward(step: Step, inputs: Sequence[Activation], runtime: Runtime) -> Activation:
    """Return the means as TFLite's operator MEAN does, by a truncated quotient of the significand."""
    steps = inputs[0].astype(np.int64) - step.inputs[0].zero_point
    sums = steps.sum(axis=(1, 2), keepdims=step.attrs.keepdims)
    factor = mean_factor(step, math.prod(steps.shape[1:3]))
    return step.clamp(multiply(sums, factor, runtime.rounding) + step.result.zero_point)


def mean_factor(step: Step, count: int) -> Multiplier:
    """Return the factor that brings the sum of so many integers to the scale of their mean."""
    factor = quantize_multiplier(step.inputs[0].scale / step.result.scale)
    shift = int(factor.shift)
    places = min(count.bit_length() - 1, 32, 31 + shift)
    return Multiplier((factor.significand << places) // count, np.asarray(shift - places))


OP = IntegerOp(forward, check_nothing)

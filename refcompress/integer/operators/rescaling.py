"""Relu and Clip on their own: integers brought to the output's scale and clamped; Clip is also requantization."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcompress.integer.fixed_point import multiply
from refcompress.integer.quantization import quantize_multiplier
from refcompress.integer.runtimes import Runtime
from refcompress.integer.step import Activation, IntegerOp, Step, check_nothing


def relu(step: Step, inputs: Sequence[Activation], runtime: Runtime) -> Activation:
    """Return max(x, 0)."""
    factor = step.inputs[0].scale / step.result.scale
    if runtime.relu_scale == "float32":
        factor = float(np.float32(step.inputs[0].scale) / np.float32(step.result.scale))
    return _rescaled(step, inputs[0], factor, runtime)


def clip(step: Step, inputs: Sequence[Activation], runtime: Runtime) -> Activation:
    """Return x between the two bounds."""
    return _rescaled(step, inputs[0], step.inputs[0].scale / step.result.scale, runtime)


def _rescaled(step: Step, x: Activation, factor: float, runtime: Runtime) -> Activation:
    steps = x.astype(np.int64) - step.inputs[0].zero_point
    return step.clamp(multiply(steps, quantize_multiplier(factor), runtime.rounding) + step.result.zero_point)


RELU = IntegerOp(relu, check_nothing)
CLIP = IntegerOp(clip, check_nothing)

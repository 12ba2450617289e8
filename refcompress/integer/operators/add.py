"""Add: both inputs brought to one scale with 20 bits below the point, summed, and rescaled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcompress.errors import ModelError
from refcompress.integer.fixed_point import multiply
from refcompress.integer.quantization import quantize_multiplier
from refcompress.integer.runtimes import Runtime
from refcompress.integer.step import Activation, IntegerOp, Step
from refcompress.ops.broadcasting import aligned

LEFT_SHIFT = 20


def forward(step: Step, inputs: Sequence[Activation], runtime: Runtime) -> Activation:
    """Return the sum: the larger of the input scales, doubled, is what both are counted in."""
    common = 2 * max(quantization.scale for quantization in step.inputs)
    total = np.zeros((), np.int64)
    for x, quantization in zip(aligned(inputs), step.inputs, strict=True):
        steps = (x.astype(np.int64) - quantization.zero_point) << LEFT_SHIFT
        total = total + multiply(steps, quantize_multiplier(quantization.scale / common), runtime.rounding)
    factor = quantize_multiplier(common / ((1 << LEFT_SHIFT) * step.result.scale))
    return step.clamp(multiply(total, factor, runtime.rounding) + step.result.zero_point)


def check(step: Step) -> None:
    """Refuse more than two inputs."""
    if len(step.inputs) != 2:
        raise ModelError(f"{len(step.inputs)} inputs; the integer sum takes 2: add them one after the other")


OP = IntegerOp(forward, check, fuses=True)

"""Gemm: exact integer sums, then a factor for the tensor or for each output unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from refcompress.integer.operators.products import accumulators, real_factors, rescale, shifted
from refcompress.integer.quantization import round_half_away
from refcompress.integer.runtimes import Runtime
from refcompress.integer.step import Activation, IntegerOp, Step, check_weights, integer_rows, weight_scales


def forward(step: Step, inputs: Sequence[Activation], runtime: Runtime) -> Activation:
    """Return the product of the last axis with the weight."""
    sums = accumulators(shifted(inputs[0], step) @ integer_rows(step.params["weight"]).T, step)
    if runtime.gemm == "float64":
        scaled = round_half_away(sums * real_factors(step))
        inside = np.clip(scaled, -(2.0**31), 2.0**31 - 1).astype(np.int64)
        return step.clamp(inside + step.result.zero_point)
    return rescale(sums, fixed_point_factors(step), step, runtime.rounding)


def fixed_point_factors(step: Step) -> NDArray[np.float64]:
    """Return the factors: with one scale for the tensor, the product of the two scales is rounded to float32 first."""
    scales = weight_scales(step.params["weight"])
    if len(scales) > 1:
        return real_factors(step)
    product = np.float32(step.inputs[0].scale) * scales
    result: NDArray[np.float64] = product.astype(np.float64) / step.result.scale
    return result


OP = IntegerOp(forward, check_weights, fuses=True)

"""What convolution and matrix product share: the accumulators' way to int8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refcompress.integer.fixed_point import Rounding, multiply, wrap
from refcompress.integer.quantization import Integers, quantize_multiplier
from refcompress.integer.step import Activation, Step, weight_scales


def shifted(x: Activation, step: Step) -> NDArray[np.float64]:
    """Return the steps of an activation above its zero point, float64."""
    return x.astype(np.float64) - step.inputs[0].zero_point


def accumulators(sums: NDArray[np.float64], step: Step) -> Integers:
    """Return exact sums of products plus bias as an int32 register holds them."""
    integers = sums.astype(np.int64)
    return wrap(integers if step.bias is None else integers + step.bias)


def real_factors(step: Step) -> NDArray[np.float64]:
    """Return (input scale * weight scale) / output scale, in float64, for the tensor or for each output unit."""
    scales = weight_scales(step.params["weight"]).astype(np.float64)
    result: NDArray[np.float64] = step.inputs[0].scale * scales / step.result.scale
    return result


def rescale(sums: Integers, real: NDArray[np.float64], step: Step, rounding: Rounding) -> Activation:
    """Bring accumulators to the output's scale by quantized factors, add its zero point and clamp."""
    return step.clamp(multiply(sums, quantize_multiplier(real), rounding) + step.result.zero_point)

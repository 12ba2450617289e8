"""Conv: exact integer sums, then a factor for each output channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcompress.integer.operators.products import accumulators, real_factors, rescale, shifted
from refcompress.integer.runtimes import Runtime
from refcompress.integer.step import Activation, IntegerOp, Step, check_weights, integer_rows
from refcompress.ops import dense_convolution
from refcompress.ops.dense_convolution import Geometry
from refcompress.ops.windows import output_plane


def forward(step: Step, inputs: Sequence[Activation], runtime: Runtime) -> Activation:
    """Return the convolution; depthwise ones are those with as many groups as input channels."""
    attrs, (kh, kw, _, cout) = step.attrs, step.params["weight"].shape
    x = shifted(inputs[0], step)
    plane = output_plane(x.shape[1:], (kh, kw), attrs.strides, attrs.pads, attrs.dilations)
    sums = np.empty((len(x), *plane, cout))
    geometry = Geometry((kh, kw), attrs.strides, attrs.pads, attrs.dilations, attrs.group)
    dense_convolution.convolve(x, integer_rows(step.params["weight"]), geometry, sums)
    return rescale(accumulators(sums, step), real_factors(step), step, runtime.rounding)


OP = IntegerOp(forward, check_weights, fuses=True)

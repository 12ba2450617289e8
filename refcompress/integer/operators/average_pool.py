"""AveragePool: the rounded mean of the integers of every window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcompress.errors import ModelError
from refcompress.integer.quantization import Integers
from refcompress.integer.runtimes import Runtime
from refcompress.integer.step import Activation, IntegerOp, Step, check_same_quantization
from refcompress.ops.windows import pad_plane, windows


def forward(step: Step, inputs: Sequence[Activation], _runtime: Runtime) -> Activation:
    """Return the means, halves away from zero (of the integers, whatever their zero point); padding is left out."""
    x = inputs[0].astype(np.int64)
    counts = _sums(np.ones((1, *x.shape[1:3], 1), np.int64), step)
    sums = _sums(x, step)
    means = (np.abs(sums) + counts // 2) // counts
    return step.clamp(np.where(sums > 0, means, -means))


def _sums(x: Integers, step: Step) -> Integers:
    view = windows(pad_plane(x, step.attrs.pads), step.attrs.kernel_shape, step.attrs.strides)
    result: Integers = view.sum(axis=(3, 4))
    return result


def check(step: Step) -> None:
    """Refuse padding that counts, and an output of another scale."""
    if step.attrs.count_include_pad and any(step.attrs.pads):
        raise ModelError("padding that counts into the mean; put a Pad before it and leave the padding out here")
    check_same_quantization(step)


OP = IntegerOp(forward, check, fuses=True)

"""MaxPool and GlobalMaxPool: the largest integer of every window, or of the plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcompress.integer.runtimes import Runtime
from refcompress.integer.step import Activation, IntegerOp, Step, check_same_quantization
from refcompress.ops.windows import pad_plane, windows


def forward(step: Step, inputs: Sequence[Activation], _runtime: Runtime) -> Activation:
    """Return the largest of each window."""
    padded = pad_plane(inputs[0], step.attrs.pads, np.iinfo(np.int8).min)
    return step.clamp(windows(padded, step.attrs.kernel_shape, step.attrs.strides).max(axis=(3, 4)))


def forward_global(step: Step, inputs: Sequence[Activation], _runtime: Runtime) -> Activation:
    """Return the largest of each channel."""
    return step.clamp(inputs[0].max(axis=(1, 2), keepdims=step.attrs.keepdims))


OP = IntegerOp(forward, check_same_quantization, fuses=True)
GLOBAL_OP = IntegerOp(forward_global, check_same_quantization, fuses=True)

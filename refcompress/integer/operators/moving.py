"""Operators that only move integers: Reshape, Flatten, Dropout, Concat and Pad."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcompress.integer.runtimes import Runtime
from refcompress.integer.step import Activation, IntegerOp, Step, check_same_quantization
from refcompress.ops.windows import pad_plane


def reshape(step: Step, inputs: Sequence[Activation], _runtime: Runtime) -> Activation:
    """Return the same integers in another shape."""
    return inputs[0].reshape(len(inputs[0]), *step.attrs.shape)


def flatten(_step: Step, inputs: Sequence[Activation], _runtime: Runtime) -> Activation:
    """Return the same integers in one axis."""
    return inputs[0].reshape(len(inputs[0]), int(np.prod(inputs[0].shape[1:])))


def identity(_step: Step, inputs: Sequence[Activation], _runtime: Runtime) -> Activation:
    """Return the input."""
    return inputs[0]


def concat(step: Step, inputs: Sequence[Activation], _runtime: Runtime) -> Activation:
    """Return the inputs side by side."""
    return step.clamp(np.concatenate(inputs, step.attrs.axis))


def pad(step: Step, inputs: Sequence[Activation], _runtime: Runtime) -> Activation:
    """Return the input surrounded by its zero point, which stands for 0."""
    return pad_plane(inputs[0], step.attrs.pads, step.result.zero_point)


RESHAPE = IntegerOp(reshape, check_same_quantization)
FLATTEN = IntegerOp(flatten, check_same_quantization)
DROPOUT = IntegerOp(identity, check_same_quantization)
CONCAT = IntegerOp(concat, check_same_quantization, fuses=True)
PAD = IntegerOp(pad, check_same_quantization)

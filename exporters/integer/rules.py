"""Lowering operators without weights."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from exporters.integer.context import RUNTIME, Context, Rule
from exporters.overlap import lag
from exporters.program import Step, Table
from refcompress.errors import ModelError
from refcompress.graph import Shape
from refcompress.integer.operators import INTEGER_OPS
from refcompress.integer.operators.add import LEFT_SHIFT
from refcompress.integer.operators.global_average_pool import mean_factor
from refcompress.integer.operators.softmax import powers_of_differences
from refcompress.integer.quantization import quantize_multiplier
from refcompress.integer.step import Step as IntegerStep

MAX_SOFTMAX = 8191  # the sum of so many powers fits into 32 bits
LEAST_POWER = 1 << 11  # a smaller one is 0 in the sum, and below half a step of any output


def looked_up(step: IntegerStep, context: Context) -> Iterator[Step]:
    """Tabulate any function of one integer: the reference itself makes the table."""
    every = np.arange(-128, 128, dtype=np.int8)[None]
    values = INTEGER_OPS[step.node.op].forward(step, [every], RUNTIME)[0]
    label = f"{step.node.name} table"
    table = Table(f"{values.tobytes().hex()}\0table", label, values)
    sizes = {"n": math.prod(context.shapes[step.output])}
    names = step.node.name, context.inputs(step), step.output
    yield Step("q_table", *names, sizes, tables={"table": table}, overwrites=(0,))


def softmax(step: IntegerStep, context: Context) -> Iterator[Step]:
    """Take powers from a table."""
    *lead, n = context.shape(step)
    if n > MAX_SOFTMAX:
        raise ModelError(f"a Softmax over {n} integers; the runtime sums up to {MAX_SOFTMAX}")
    powers, limit = powers_of_differences(step, RUNTIME)
    seen = np.flatnonzero(powers[: limit + 1] >= LEAST_POWER)
    values = powers[: int(seen[-1]) + 1].astype(np.int32)
    table = Table(f"{step.inputs[0].scale}\0powers", f"{step.node.name} powers", values)
    sizes = {"n_powers": values.size, "rows": math.prod(lead), "n": n}
    names = step.node.name, context.inputs(step), step.output
    yield Step("q_softmax", *names, sizes, tables={"powers": table}, overwrites=(0,))


def _pool_step(
    kernel: str, step: IntegerStep, context: Context, window: tuple[int, int], strides: tuple[int, int], pads: Shape
) -> Step:
    shape, out = context.shape(step), context.shapes[step.output]
    plane = out[:2] if len(out) == 3 else (1, 1)
    keys = ("in_h", "in_w", "channels", "out_h", "out_w", "kernel_h", "kernel_w", "stride_h", "stride_w")
    sizes = dict(zip(keys, (*shape, *plane, *window, *strides), strict=True))
    sizes |= {"pad_top": pads[0], "pad_left": pads[1]}
    distance = lag(sizes, shape[2], shape[2], pixels_at_once=1, gathers=False)
    return Step(kernel, step.node.name, context.inputs(step), step.output, sizes, lag=distance)


def pool(kernel: str) -> Rule:
    """Return the rule of a pooling kernel."""

    def rule(step: IntegerStep, context: Context) -> Iterator[Step]:
        attrs = step.attrs
        yield _pool_step(kernel, step, context, attrs.kernel_shape, attrs.strides, attrs.pads)

    return rule


def global_max(step: IntegerStep, context: Context) -> Iterator[Step]:
    """Let one window be the whole plane."""
    height, width = context.shape(step)[:2]
    yield _pool_step("q_max_pool", step, context, (height, width), (1, 1), (0, 0, 0, 0))


def global_mean(step: IntegerStep, context: Context) -> Iterator[Step]:
    """Multiply the sum of each channel by a factor."""
    height, width, channels = context.shape(step)
    factor = mean_factor(step, height * width)
    integers = {
        "in_zero_point": step.inputs[0].zero_point,
        "out_zero_point": step.result.zero_point,
        "factor": int(factor.significand),
        "shift": -int(factor.shift) - 1,
    }
    sizes = {"pixels": height * width, "channels": channels}
    yield Step("q_global_mean", step.node.name, context.inputs(step), step.output, sizes, integers=integers)


def add(step: IntegerStep, context: Context) -> Iterator[Step]:
    """Bring two inputs of one shape to one scale."""
    shapes = [context.shapes[name] for name in step.node.inputs]
    if shapes[0] != shapes[1]:
        raise ModelError(f"inputs of shapes {shapes}; the runtime adds equal shapes only, and broadcasts nothing")
    common = 2 * max(quantization.scale for quantization in step.inputs)
    integers: dict[str, int] = {}
    for key, quantization in zip("ab", step.inputs, strict=True):
        term = quantize_multiplier(quantization.scale / common)
        exact = int(term.shift) == 0 and int(term.significand) > 0  # a half, which the kernel takes as a quarter
        integers |= {
            f"{key}.zero_point": quantization.zero_point,
            f"{key}.factor": int(term.significand),
            f"{key}.left": LEFT_SHIFT + 2 if exact else LEFT_SHIFT + 1,
            f"{key}.shift": max(-int(term.shift) - 1, 0),
        }
    factor = quantize_multiplier(common / ((1 << LEFT_SHIFT) * step.result.scale))
    integers |= {
        "zero_point": step.result.zero_point,
        "factor": int(factor.significand),
        "shift": -int(factor.shift) - 1,
    }
    sizes = {"n": math.prod(shapes[0])}
    names = step.node.name, context.inputs(step), step.output
    yield Step("q_add", *names, sizes, overwrites=(0, 1), integers=integers)


def concat(step: IntegerStep, context: Context) -> Iterator[Step]:
    """Copy each input to its place."""
    axis = step.attrs.axis - 1
    shapes = [context.shapes[name] for name in step.node.inputs]
    parts = tuple(math.prod(shape[axis:]) for shape in shapes)
    sizes = {"blocks": math.prod(shapes[0][:axis]), "pitch": sum(parts)}
    yield Step("q_concat", step.node.name, context.inputs(step), step.output, sizes, parts=parts)


def pad(step: IntegerStep, context: Context) -> Iterator[Step]:
    """Surround the image with its zero point."""
    height, width, channels = context.shape(step)
    top, left, bottom, right = step.attrs.pads
    sizes = {"height": height, "row": width * channels, "top": top, "left": left * channels}
    sizes |= {"bottom": bottom, "right": right * channels}
    integers = {"value": step.result.zero_point}
    yield Step("q_pad", step.node.name, context.inputs(step), step.output, sizes, integers=integers)


def identity(_step: IntegerStep, _context: Context) -> Iterator[Step]:
    """Do nothing."""
    return iter(())

"""Functions of single elements, of vectors along the last axis, and batch normalization."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from exporters.lowering.context import Context, Rule
from exporters.program import Step, Tensor
from refcompress import encodings
from refcompress.graph import Node
from refcompress.ops.batch_normalization import factor_and_offset


def batch_normalization(node: Node, context: Context) -> Iterator[Step]:
    """Lower a BatchNormalization to a factor and an offset for each channel."""
    params = {role: context.graph.params[name] for role, name in node.params.items()}
    parts = zip(("factor", "offset"), factor_and_offset(node.attrs, params), strict=True)
    channels = context.shape(node)[-1]
    arrays = {}
    for role, part in parts:
        with np.errstate(over="ignore"):
            dense = encodings.encode(np.broadcast_to(part, (channels,)).astype(np.float32))
        arrays[role] = Tensor(f"{node.name}\0{role}", f"{node.name} {role}", dense)
    sizes = {"pixels": math.prod(context.shape(node)[:-1]), "channels": channels}
    yield Step("batch_norm", node.name, context.inputs(node), node.output, sizes=sizes, arrays=arrays, overwrites=(0,))


def elementwise(kernel: str, *floats: str) -> Rule:
    """Make the rule of a function of single elements; the attributes of these names go to the kernel."""

    def rule(node: Node, context: Context) -> Iterator[Step]:
        yield _step(kernel, node, context, {name: getattr(node.attrs, name) for name in floats})

    return rule


def _step(kernel: str, node: Node, context: Context, floats: Mapping[str, float]) -> Step:
    sizes = {"n": math.prod(context.shape(node))}
    return Step(kernel, node.name, context.inputs(node), node.output, sizes=sizes, floats=floats, overwrites=(0,))


def clip(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Clip."""
    yield _step("clip", node, context, {"least": node.attrs.min, "most": node.attrs.max})


def gelu(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Gelu."""
    yield _step("gelu_tanh" if node.attrs.approximate == "tanh" else "gelu", node, context, {})


def over_rows(kernel: str) -> Rule:
    """Make the rule of a function of vectors along the last axis."""

    def rule(node: Node, context: Context) -> Iterator[Step]:
        *lead, n = context.shape(node)
        sizes = {"rows": math.prod(lead), "n": n}
        yield Step(kernel, node.name, context.inputs(node), node.output, sizes=sizes, overwrites=(0,))

    return rule

"""Operators of several inputs, element by element."""

from __future__ import annotations

import math
from collections.abc import Iterator

from exporters.lowering.context import Context
from exporters.program import Step
from refcompress.errors import ModelError
from refcompress.graph import Node


def add(node: Node, context: Context) -> Iterator[Step]:
    """Sum from left to right, two at a time."""
    shapes = [context.shapes[name] for name in node.inputs]
    if any(shape != shapes[0] for shape in shapes):
        raise ModelError(
            f"node {node.name!r}: an Add of inputs of shapes {shapes}; the runtime adds equal shapes only, "
            "and broadcasts nothing"
        )
    first, *rest = context.inputs(node)
    sizes = {"n": math.prod(context.shape(node))}
    for i, other in enumerate(rest, start=1):
        output = node.output if i == len(rest) else f"{node.output}\0{i}"
        yield Step("add", node.name, (first, other), output, sizes=sizes, overwrites=(0, 1))
        first = output

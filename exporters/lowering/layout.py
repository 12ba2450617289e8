"""Elements put elsewhere: Pad and Concat."""

from __future__ import annotations

import math
from collections.abc import Iterator

from exporters.lowering.context import Context
from exporters.program import Step
from refcompress.graph import Node


def pad(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Pad."""
    height, width, channels = context.shape(node)
    top, left, bottom, right = node.attrs.pads
    sizes = {
        "height": height,
        "row": width * channels,
        "top": top,
        "left": left * channels,
        "bottom": bottom,
        "right": right * channels,
    }
    yield Step("pad", node.name, context.inputs(node), node.output, sizes=sizes)


def concat(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Concat: runs of each input, side by side."""
    axis = node.attrs.axis - 1
    shapes = [context.shapes[name] for name in node.inputs]
    parts = tuple(math.prod(shape[axis:]) for shape in shapes)
    sizes = {"blocks": math.prod(shapes[0][:axis]), "pitch": sum(parts)}
    yield Step("concat", node.name, context.inputs(node), node.output, sizes=sizes, parts=parts)

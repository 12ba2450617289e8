"""Pools."""

from __future__ import annotations

from collections.abc import Iterator

from exporters.lowering.context import Context, Rule
from exporters.lowering.products import pair
from exporters.program import Step
from refcompress.graph import Node, Shape


def _pool_step(
    kernel: str, node: Node, context: Context, window: tuple[int, int], strides: tuple[int, int], pads: Shape
) -> Step:
    shape, out = context.shape(node), context.out_shape(node)
    planes = out[:2] if len(out) == 3 else (1, 1)
    sizes = {
        **pair("in", shape[:2]),
        "channels": shape[2],
        **pair("out", planes),
        **pair("kernel", window),
        **pair("stride", strides),
        "pad_top": pads[0],
        "pad_left": pads[1],
        "count_padding": int(getattr(node.attrs, "count_include_pad", False)),
    }
    return Step(kernel, node.name, context.inputs(node), node.output, sizes=sizes)


def pool(kernel: str) -> Rule:
    """Make the rule of a pool with a window."""

    def rule(node: Node, context: Context) -> Iterator[Step]:
        attrs = node.attrs
        yield _pool_step(kernel, node, context, attrs.kernel_shape, attrs.strides, attrs.pads)

    return rule


def global_pool(kernel: str) -> Rule:
    """Make the rule of a pool over the whole image."""

    def rule(node: Node, context: Context) -> Iterator[Step]:
        height, width = context.shape(node)[:2]
        yield _pool_step(kernel, node, context, (height, width), (1, 1), (0, 0, 0, 0))

    return rule

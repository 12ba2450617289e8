"""Sums, means and extremes over axes, and normalizations: rows of elements that belong together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from exporters.lowering import orders
from exporters.lowering.context import Context, Rule
from exporters.lowering.merge import chained, factors
from exporters.program import Step
from refcompress.graph import Node, Shape


def _rows(kernel: str, node: Node, shape: Shape, axes: Iterable[int], **floats: float) -> Step:
    """Reduce some axes, counted from 0, of an input of this shape; inputs and output are empty."""
    reduced = sorted(axes)
    kept = [axis for axis in range(len(shape)) if axis not in reduced]
    strides = orders.contiguous(shape)
    found = {}
    for name, part in (("kept", kept), ("reduced", reduced)):
        sizes = tuple(shape[axis] for axis in part)
        (found[name],) = orders.axes(node.name, sizes, tuple(strides[axis] for axis in part))
    n = math.prod(shape[axis] for axis in reduced)
    return Step(kernel, node.name, (), "", sizes={"n": n}, floats=floats, axes=found, elements=math.prod(shape))


def reduction(kernel: str) -> Rule:
    """Make the rule of a reduction."""

    def rule(node: Node, context: Context) -> Iterator[Step]:
        axes = [axis - 1 for axis in node.attrs.axes]
        yield from chained(node, context, [_rows(kernel, node, context.shape(node), axes)])

    return rule


def _normalized(kernel: str, node: Node, context: Context, shape: Shape, axes: Iterable[int]) -> Iterator[Step]:
    step = _rows(kernel, node, shape, axes, epsilon=node.attrs.epsilon)
    steps = [replace(step, overwrites=(0,)), *factors(node, context)]
    yield from chained(node, context, steps)


def trailing(kernel: str) -> Rule:
    """Make the rule of a normalization of an axis and all behind it."""

    def rule(node: Node, context: Context) -> Iterator[Step]:
        shape = context.shape(node)
        yield from _normalized(kernel, node, context, shape, range(node.attrs.axis - 1, len(shape)))

    return rule


def group_normalization(node: Node, context: Context) -> Iterator[Step]:
    """Lower a GroupNormalization: places, groups, channels of a group."""
    *places, channels = context.shape(node)
    groups = node.attrs.num_groups
    shape = (math.prod(places), groups, channels // groups)
    yield from _normalized("center", node, context, shape, (0, 2))


def lp_normalization(node: Node, context: Context) -> Iterator[Step]:
    """Lower an LpNormalization."""
    yield from _normalized("unit_length", node, context, context.shape(node), (node.attrs.axis - 1,))

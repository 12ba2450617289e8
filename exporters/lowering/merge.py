"""Operators of several inputs, element by element, and of an input and constants."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from exporters.lowering import orders
from exporters.lowering.context import Context, Rule
from exporters.program import Step
from refcompress import encodings
from refcompress.graph import Node, Shape


def add(node: Node, context: Context) -> Iterator[Step]:
    """Sum from left to right, two at a time."""
    shapes = [context.shapes[name] for name in node.inputs]
    if any(shape != shapes[0] for shape in shapes):
        yield from merge("add")(node, context)
        return
    first, *rest = context.inputs(node)
    n = math.prod(context.shape(node))
    for i, other in enumerate(rest, start=1):
        output = node.output if i == len(rest) else f"{node.output}\0{i}"
        yield Step("add", node.name, (first, other), output, sizes={"n": n}, elements=n, overwrites=(0, 1))
        first = output


def merge(name: str) -> Rule:
    """Make the rule of an operator that combines its inputs from left to right, broadcast."""

    def rule(node: Node, context: Context) -> Iterator[Step]:
        first, *rest = context.inputs(node)
        shape, *shapes = [context.shapes[name] for name in node.inputs]
        for i, (other, its_shape) in enumerate(zip(rest, shapes, strict=True), start=1):
            output = node.output if i == len(rest) else f"{node.output}\0{i}"
            wide = np.broadcast_shapes(shape, its_shape)
            yield _combined(name, node, (first, shape), (other, its_shape), (output, wide))
            first, shape = output, wide

    return rule


def _combined(name: str, node: Node, a: tuple[str, Shape], b: tuple[str, Shape], y: tuple[str, Shape]) -> Step:
    output, shape = y
    strides = [orders.repeated(given, shape) for given in (a[1], b[1])]
    whole = [math.prod(given) == math.prod(shape) for given in (a[1], b[1])]
    left, right = orders.axes(node.name, shape, *strides)
    return Step(
        f"broadcast_{name}",
        node.name,
        (a[0], b[0]),
        output,
        axes={"a": left, "b": right},
        elements=math.prod(shape),
        overwrites=tuple(k for k in (0, 1) if whole[k]),
    )


def with_constant(kernel: str, node: Node, context: Context, role: str, operand: str = "b") -> Step:
    """Combine a node's input with a parameter that is broadcast to it; inputs and output are empty."""
    shape, constant = context.shape(node), context.graph.params[node.params[role]].shape
    strides = {"a": orders.contiguous(shape), "b": orders.contiguous(shape)}
    strides[operand] = orders.repeated(constant, shape)
    left, right = orders.axes(node.name, shape, strides["a"], strides["b"])
    return Step(
        f"broadcast_{kernel}",
        node.name,
        (),
        "",
        axes={"a": left, "b": right},
        arrays={operand: context.arrays(node, role)[role]},
        elements=math.prod(shape),
        overwrites=(0,),
    )


def chained(node: Node, context: Context, steps: list[Step]) -> Iterator[Step]:
    """Let steps follow each other from the node's input to its output."""
    (name,) = context.inputs(node)
    for i, step in enumerate(steps, start=1):
        output = node.output if i == len(steps) else f"{node.output}\0{i}"
        yield replace(step, inputs=(name,), output=output)
        name = output


def factors(node: Node, context: Context) -> list[Step]:
    """Return steps that multiply with a node's scale and add its bias, where there are any."""
    kernels = {"scale": "mul", "bias": "add"}
    return [with_constant(kernel, node, context, role) for role, kernel in kernels.items() if role in node.params]


def affine(node: Node, context: Context) -> Iterator[Step]:
    """Lower an Affine: a product and a sum, each rounded."""
    yield from chained(node, context, factors(node, context))


def prelu(node: Node, context: Context) -> Iterator[Step]:
    """Lower a PRelu."""
    yield from chained(node, context, [with_constant("prelu", node, context, "slope")])


def power(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Pow of two inputs, or of one and a constant; a square is a product."""
    if not node.params:
        yield from merge("pow")(node, context)
        return
    ((role, name),) = node.params.items()
    if role == "exponent" and (encodings.decode(context.graph.params[name]) == 2).all():
        x, shape = context.inputs(node)[0], context.shape(node)
        yield _combined("mul", node, (x, shape), (x, shape), (node.output, shape))
        return
    step = with_constant("pow", node, context, role, "a" if role == "base" else "b")
    yield from chained(node, context, [step])


def matmul(node: Node, context: Context) -> Iterator[Step]:
    """Lower a MatMul: pairs of matrices, either of them repeated."""
    left, right = (context.shapes[name] for name in node.inputs)
    out = context.out_shape(node)
    lead = out[:-2]
    strides = [
        tuple(stride * math.prod(shape[-2:]) for stride in orders.repeated(shape[:-2], lead)) for shape in (left, right)
    ]
    a, b = orders.axes(node.name, lead, *strides)
    sizes = {"rows": left[-2], "inner": left[-1], "columns": right[-1]}
    yield Step("multiply_matrices", node.name, context.inputs(node), node.output, sizes=sizes, axes={"a": a, "b": b})

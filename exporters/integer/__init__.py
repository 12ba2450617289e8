"""From an integer network to a program: the same steps as for float networks, with integer kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from exporters.integer import products, rules
from exporters.integer.context import Context, Rule
from exporters.integer.pooled import with_pools
from exporters.program import Program, Step
from refcompress import ops
from refcompress.errors import ModelError
from refcompress.integer import IntegerNetwork
from refcompress.integer.step import Step as IntegerStep

INT8 = (-128, 127)
MOVING = ("AveragePool", "Concat", "GlobalMaxPool", "MaxPool")  # outputs lie within the range of the inputs


def lower_integer(network: IntegerNetwork) -> Program:
    """Lower an integer network.

    Raises
    ------
    ModelError
        A step asks for what no kernel does; the message names the node.

    Examples
    --------
    >>> from refcompress import Graph, Node, TensorSpec
    >>> from refcompress.integer import Quantization
    >>> nodes = (Node("Flatten", "f", ("x",), "h", attrs=ops.NoAttrs()), Node("Relu", "r", ("h",), "y",
    ...          attrs=ops.NoAttrs()))
    >>> graph = Graph((TensorSpec("x", (2, 2)),), ("y",), nodes, {})
    >>> network = IntegerNetwork(graph, dict.fromkeys("xhy", Quantization(0.5, 3)))
    >>> [(step.kernel, step.inputs) for step in lower_integer(network).steps]
    [('q_table', ('x',))]

    """
    graph = network.graph
    shapes = ops.infer_shapes(graph)
    context = Context(network, shapes, {spec.name: spec.name for spec in graph.inputs})
    steps: list[Step] = []
    for step in network.steps:
        context.roots[step.output] = step.output
        made = _lowered(step, context)
        if not made:
            context.roots[step.output] = context.roots[step.node.inputs[0]]
        steps += made
    outputs = tuple(context.roots[name] for name in graph.outputs)
    steps = with_pools(steps, outputs)
    elements = {name: math.prod(shape) for name, shape in shapes.items()}
    elements |= {step.inputs[0]: step.sizes["n"] for step in steps if step.kernel == "q_clamp"}
    ends = [*(spec.name for spec in graph.inputs), *graph.outputs]
    return Program(
        tuple(spec.name for spec in graph.inputs),
        outputs,
        graph.outputs,
        elements,
        tuple(steps),
        shapes,
        {name: network.quantizations[name] for name in ends},
    )


def _lowered(step: IntegerStep, context: Context) -> list[Step]:
    node = step.node
    if node.op not in _RULES:
        raise ModelError(
            f"node {node.name!r}: the runtime has no integer kernel for {node.op}; it has {', '.join(_RULES)}"
        )
    try:
        return list(_RULES[node.op](step, context))
    except ModelError as error:
        raise ModelError(f"node {node.name!r} ({node.op}): {error}") from error


def _clamped(rule: Rule) -> Rule:
    """Let a step make int8; what is bounded more narrowly is clamped in place behind it."""

    def with_clamp(step: IntegerStep, context: Context) -> Iterator[Step]:
        made = list(rule(step, context))
        free = (step.result.low, step.result.high) if step.node.op in MOVING else INT8
        if (step.low, step.high) == free:
            yield from made
            return
        wide = f"{step.output}\0wide"
        yield from (replace(each, output=wide) for each in made)
        n = math.prod(context.shapes[step.output])
        bounds = {"low": step.low, "high": step.high}
        yield Step("q_clamp", step.node.name, (wide,), step.output, {"n": n}, overwrites=(0,), integers=bounds)

    return with_clamp


_RULES: Mapping[str, Rule] = {
    "Add": _clamped(rules.add),
    "AveragePool": _clamped(rules.pool("q_average_pool")),
    "Clip": rules.looked_up,
    "Concat": _clamped(rules.concat),
    "Conv": _clamped(products.conv),
    "Dropout": rules.identity,
    "Flatten": rules.identity,
    "Gemm": _clamped(products.gemm),
    "GlobalAveragePool": _clamped(rules.global_mean),
    "GlobalMaxPool": _clamped(rules.global_max),
    "MaxPool": _clamped(rules.pool("q_max_pool")),
    "Pad": rules.pad,
    "Relu": rules.looked_up,
    "Reshape": rules.identity,
    "Sigmoid": rules.looked_up,
    "Softmax": rules.softmax,
    "Tanh": rules.looked_up,
}

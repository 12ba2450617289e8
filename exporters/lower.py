"""From a graph to a program: identities vanish, operators become kernels of the runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from exporters.lowering import elementwise, layout, merge, pools, products
from exporters.lowering.context import Context, Rule, identity
from exporters.program import Program, Step
from refcompress import encodings, ops
from refcompress.encodings import Float32
from refcompress.encodings.values import Values, real_centroids
from refcompress.errors import ModelError
from refcompress.graph import Graph


def lower(graph: Graph) -> Program:
    """Lower a network.

    Raises
    ------
    ModelError
        An operator has no kernel, shapes do not fit, or a parameter is not finite; the message names the node.

    Examples
    --------
    >>> from refcompress import Graph, Node, TensorSpec
    >>> nodes = (Node("Flatten", "f", ("x",), "h", attrs=ops.NoAttrs()), Node("Relu", "r", ("h",), "y",
    ...          attrs=ops.NoAttrs()))
    >>> [(step.kernel, step.inputs) for step in lower(Graph((TensorSpec("x", (2, 2)),), ("y",), nodes, {})).steps]
    [('relu', ('x',))]

    """
    for node in graph.nodes:
        if node.op not in RULES:
            raise ModelError(f"node {node.name!r}: the runtime has no kernel for {node.op}; it has {', '.join(RULES)}")
    shapes = ops.infer_shapes(graph)
    context = Context(graph, shapes, {spec.name: spec.name for spec in graph.inputs})
    steps: list[Step] = []
    for node in graph.nodes:
        context.roots[node.output] = node.output
        made = list(RULES[node.op](node, context))
        if not made:
            context.roots[node.output] = context.roots[node.inputs[0]]
        steps += made
    elements = {name: math.prod(shape) for name, shape in shapes.items()}
    elements |= {step.output: elements.get(step.output, step.sizes.get("n", 0)) for step in steps}
    _check_finite(steps)
    return Program(
        tuple(spec.name for spec in graph.inputs),
        tuple(context.roots[name] for name in graph.outputs),
        graph.outputs,
        elements,
        tuple(steps),
        shapes,
    )


def _check_finite(steps: list[Step]) -> None:
    for step in steps:
        tensors = [*step.arrays.values(), *([step.weight] if step.weight else [])]
        for tensor in tensors:
            numbers = _numbers(tensor.encoding.values)
            if not np.isfinite(numbers).all():
                raise ModelError(
                    f"node {step.name!r}: {tensor.label!r} holds infinities or NaNs; an export would compute with "
                    "them what nobody trained, so repair the checkpoint"
                )


def _numbers(values: Values) -> NDArray[np.float32]:
    if isinstance(values, Float32):
        return values.array
    if isinstance(values, encodings.Codebook):
        return values.centroids
    return values.scales if isinstance(values, encodings.Linear) else real_centroids(values)


RULES: Mapping[str, Rule] = {
    "Add": merge.add,
    "AveragePool": pools.pool("average_pool"),
    "BatchNormalization": elementwise.batch_normalization,
    "Clip": elementwise.clip,
    "Concat": layout.concat,
    "Conv": products.conv,
    "Dropout": identity,
    "Flatten": identity,
    "Gemm": products.gemm,
    "GlobalAveragePool": pools.global_pool("average_pool"),
    "GlobalMaxPool": pools.global_pool("max_pool"),
    "MaxPool": pools.pool("max_pool"),
    "Pad": layout.pad,
    "Relu": elementwise.elementwise("relu"),
    "Reshape": identity,
    "Sigmoid": elementwise.elementwise("sigmoid"),
    "Softmax": elementwise.softmax,
    "Tanh": elementwise.elementwise("tanh"),
}

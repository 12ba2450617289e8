"""From a graph to a program: identities vanish, operators become kernels of the runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from exporters.lowering import elementwise, layout, merge, pools, products, recurrent, reductions
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
    elements |= {step.output: elements.get(step.output, step.elements) for step in steps}
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
        tensors = [*step.arrays.values(), *step.weights.values(), *([step.weight] if step.weight else [])]
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
    "Abs": elementwise.elementwise("abs"),
    "Add": merge.add,
    "Affine": merge.affine,
    "AveragePool": pools.pool("average_pool"),
    "BatchNormalization": elementwise.batch_normalization,
    "Celu": elementwise.elementwise("celu", "alpha"),
    "Clip": elementwise.clip,
    "Concat": layout.concat,
    "Conv": products.conv,
    "ConvTranspose": products.conv_transpose,
    "DepthToSpace": layout.arranged(layout.depth_to_space),
    "Div": merge.merge("div"),
    "Dropout": identity,
    "Elu": elementwise.elementwise("elu", "alpha"),
    "Erf": elementwise.elementwise("erf"),
    "Exp": elementwise.elementwise("exp"),
    "Expand": layout.arranged(layout.expanded),
    "Flatten": identity,
    "GRU": recurrent.gru,
    "Gather": layout.gather,
    "Gelu": elementwise.gelu,
    "Gemm": products.gemm,
    "GlobalAveragePool": pools.global_pool("average_pool"),
    "GlobalMaxPool": pools.global_pool("max_pool"),
    "GroupNormalization": reductions.group_normalization,
    "HardSigmoid": elementwise.elementwise("hard_sigmoid", "alpha", "beta"),
    "HardSwish": elementwise.elementwise("hard_swish"),
    "LSTM": recurrent.lstm,
    "LayerNormalization": reductions.trailing("center"),
    "LeakyRelu": elementwise.elementwise("leaky_relu", "alpha"),
    "Log": elementwise.elementwise("log"),
    "LogSoftmax": elementwise.over_rows("log_softmax"),
    "LpNormalization": reductions.lp_normalization,
    "MatMul": merge.matmul,
    "Max": merge.merge("max"),
    "MaxPool": pools.pool("max_pool"),
    "Min": merge.merge("min"),
    "Mish": elementwise.elementwise("mish"),
    "Mul": merge.merge("mul"),
    "NotEqual": elementwise.elementwise("not_equal", "value"),
    "PRelu": merge.prelu,
    "Pad": layout.pad,
    "Pow": merge.power,
    "RMSNormalization": reductions.trailing("root_mean_square"),
    "RNN": recurrent.rnn,
    "Reciprocal": elementwise.elementwise("reciprocal"),
    "ReduceMax": reductions.reduction("reduce_max"),
    "ReduceMean": reductions.reduction("reduce_mean"),
    "ReduceMin": reductions.reduction("reduce_min"),
    "ReduceSum": reductions.reduction("reduce_sum"),
    "Relu": elementwise.elementwise("relu"),
    "Reshape": identity,
    "Resize": layout.resize,
    "Selu": elementwise.elementwise("selu"),
    "Sigmoid": elementwise.elementwise("sigmoid"),
    "Slice": layout.arranged(layout.cut),
    "Softmax": elementwise.over_rows("softmax"),
    "Softplus": elementwise.elementwise("softplus"),
    "Softsign": elementwise.elementwise("softsign"),
    "SpaceToDepth": layout.arranged(layout.space_to_depth),
    "Sqrt": elementwise.elementwise("sqrt"),
    "Sub": merge.merge("sub"),
    "Swish": elementwise.elementwise("swish"),
    "Tanh": elementwise.elementwise("tanh"),
    "ThresholdedRelu": elementwise.elementwise("thresholded_relu", "alpha"),
    "Transpose": layout.arranged(layout.transposed),
}

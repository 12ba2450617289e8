"""The operators: the table OPS, shapes of a whole graph, attributes from JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from refcompress.errors import ModelError
from refcompress.graph import Graph, Node, Shape
from refcompress.ops import (
    absolute,
    add,
    affine,
    average_pool,
    batch_normalization,
    celu,
    clip,
    concat,
    conv,
    conv_transpose,
    depth_to_space,
    div,
    dropout,
    elu,
    erf,
    exp,
    expand,
    flatten,
    gather,
    gelu,
    gemm,
    global_average_pool,
    global_max_pool,
    group_normalization,
    gru,
    hard_sigmoid,
    hard_swish,
    layer_normalization,
    leaky_relu,
    log,
    log_softmax,
    lp_normalization,
    lstm,
    matmul,
    max_pool,
    maximum,
    minimum,
    mish,
    mul,
    not_equal,
    pad,
    prelu,
    reciprocal,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_sum,
    relu,
    reshape,
    resize,
    rms_normalization,
    rnn,
    selu,
    sigmoid,
    softmax,
    softplus,
    softsign,
    space_to_depth,
    sqrt,
    sub,
    swish,
    tanh,
    thresholded_relu,
    transpose,
)
from refcompress.ops import pow as pow_
from refcompress.ops import slice as slice_
from refcompress.ops.attributes import attrs_to_dict, build
from refcompress.ops.base import NoAttrs, Op

OPS: Mapping[str, Op] = MappingProxyType(
    {
        "Abs": absolute.OP,
        "Add": add.OP,
        "Affine": affine.OP,
        "AveragePool": average_pool.OP,
        "BatchNormalization": batch_normalization.OP,
        "Celu": celu.OP,
        "Clip": clip.OP,
        "Concat": concat.OP,
        "Conv": conv.OP,
        "ConvTranspose": conv_transpose.OP,
        "DepthToSpace": depth_to_space.OP,
        "Div": div.OP,
        "Dropout": dropout.OP,
        "Elu": elu.OP,
        "Erf": erf.OP,
        "Exp": exp.OP,
        "Expand": expand.OP,
        "Flatten": flatten.OP,
        "GRU": gru.OP,
        "Gather": gather.OP,
        "Gelu": gelu.OP,
        "Gemm": gemm.OP,
        "GlobalAveragePool": global_average_pool.OP,
        "GlobalMaxPool": global_max_pool.OP,
        "GroupNormalization": group_normalization.OP,
        "HardSigmoid": hard_sigmoid.OP,
        "HardSwish": hard_swish.OP,
        "LSTM": lstm.OP,
        "LayerNormalization": layer_normalization.OP,
        "LeakyRelu": leaky_relu.OP,
        "Log": log.OP,
        "LogSoftmax": log_softmax.OP,
        "LpNormalization": lp_normalization.OP,
        "MatMul": matmul.OP,
        "Max": maximum.OP,
        "MaxPool": max_pool.OP,
        "Min": minimum.OP,
        "Mish": mish.OP,
        "Mul": mul.OP,
        "NotEqual": not_equal.OP,
        "PRelu": prelu.OP,
        "Pad": pad.OP,
        "Pow": pow_.OP,
        "RMSNormalization": rms_normalization.OP,
        "RNN": rnn.OP,
        "Reciprocal": reciprocal.OP,
        "ReduceMax": reduce_max.OP,
        "ReduceMean": reduce_mean.OP,
        "ReduceMin": reduce_min.OP,
        "ReduceSum": reduce_sum.OP,
        "Relu": relu.OP,
        "Reshape": reshape.OP,
        "Resize": resize.OP,
        "Selu": selu.OP,
        "Sigmoid": sigmoid.OP,
        "Slice": slice_.OP,
        "Softmax": softmax.OP,
        "Softplus": softplus.OP,
        "Softsign": softsign.OP,
        "SpaceToDepth": space_to_depth.OP,
        "Sqrt": sqrt.OP,
        "Sub": sub.OP,
        "Swish": swish.OP,
        "Tanh": tanh.OP,
        "ThresholdedRelu": thresholded_relu.OP,
        "Transpose": transpose.OP,
    }
)

MAX_ELEMENTS = 2**31 - 1


def find_op(name: str) -> Op:
    """Return the row of OPS.

    Raises
    ------
    ModelError
        There is no such operator; the message lists those there are.

    Examples
    --------
    >>> find_op("Relu").n_inputs
    (1, 1)

    """
    if not isinstance(name, str) or name not in OPS:
        raise ModelError(f"no operator is named {name!r}; there are {', '.join(OPS)}")
    return OPS[name]


def make_attrs(op_name: str, mapping: Mapping[str, Any]) -> Any:
    """Build an operator's attributes from decoded JSON that nobody vouches for.

    Parameters
    ----------
    op_name
        Key of OPS.
    mapping
        Exactly the fields of the operator's attributes; lists of integers become tuples.

    Raises
    ------
    ModelError
        The operator, a field, a type or a value is not allowed.

    Examples
    --------
    >>> make_attrs("Clip", {"min": 0, "max": 6.0})
    Clip(min=0.0, max=6.0)

    """
    return build(find_op(op_name).attrs, mapping, op_name)


def infer_shapes(graph: Graph) -> dict[str, Shape]:
    """Shape of every activation of a network, inputs included, without the batch axis.

    Raises
    ------
    ModelError
        A node does not fit its inputs or its parameters; the message names the node.

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> node = Node("Relu", "act", ("x",), "y", attrs=NoAttrs())
    >>> infer_shapes(Graph((TensorSpec("x", (4,)),), ("y",), (node,), {}))
    {'x': (4,), 'y': (4,)}

    """
    shapes: dict[str, Shape] = {}
    for spec in graph.inputs:
        shapes[spec.name] = _check_shape(spec.shape, f"the input {spec.name!r}")
    for node in graph.nodes:
        try:
            shape = _infer_node(node, [shapes[name] for name in node.inputs], graph)
        except ModelError as error:
            raise ModelError(f"node {node.name!r} ({node.op}): {error}") from error
        shapes[node.output] = _check_shape(shape, f"the output of node {node.name!r} ({node.op})")
    return shapes


def _infer_node(node: Node, input_shapes: list[Shape], graph: Graph) -> Shape:
    op = find_op(node.op)
    least, most = op.n_inputs
    if len(input_shapes) < least or (most is not None and len(input_shapes) > most):
        allowed = f"{least} or more" if most is None else str(least) if least == most else f"{least} to {most}"
        raise ModelError(f"{len(input_shapes)} inputs; it takes {allowed}")
    if not isinstance(node.attrs, op.attrs):
        raise ModelError(
            f"attributes of type {type(node.attrs).__name__}; it takes {op.attrs.__name__}: use make_attrs"
        )
    for role in node.params:
        if role not in op.roles:
            raise ModelError(f"a parameter in the role {role!r}; its roles are {op.roles}")
    for role in op.roles:
        if role not in node.params and role not in op.optional_roles:
            raise ModelError(f"its {role} is missing")
    param_shapes = {role: graph.params[name].shape for role, name in node.params.items()}
    return op.infer_shape(node.attrs, input_shapes, param_shapes)


def _check_shape(shape: Shape, what: str) -> Shape:
    if any(size < 1 for size in shape):
        raise ModelError(f"{what} has the shape {shape}; every axis must be at least 1 long")
    if math.prod(shape) > MAX_ELEMENTS:
        raise ModelError(f"{what} has the shape {shape}; at most {MAX_ELEMENTS} elements are allowed")
    return shape


__all__ = ["OPS", "NoAttrs", "Op", "attrs_to_dict", "find_op", "infer_shapes", "make_attrs"]

"""One small network of one node for each operator there is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from refcompress.encodings import encode
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import OPS

Shapes = tuple[tuple[int, ...], ...]


class Single(NamedTuple):
    """Attributes, shapes of the inputs and of the parameters of one operator; its inputs' range."""

    attrs: dict[str, Any]
    inputs: Shapes
    params: dict[str, tuple[int, ...]]
    least: float = -2.0
    most: float = 2.0


IMAGE = ((6, 6, 4),)
VECTOR = ((3, 8),)
PAIR = ((3, 8), (3, 8))
MOMENTS = {"scale": (4,), "bias": (4,), "mean": (4,), "var": (4,)}
LSTM = {"weight": (8, 20), "recurrent_weight": (5, 20), "bias": (20,)}
GRU = {"weight": (8, 15), "recurrent_weight": (5, 15), "bias": (15,)}
RNN = {"weight": (8, 5), "recurrent_weight": (5, 5), "bias": (5,)}
REDUCED = {"axes": (1,), "keepdims": False}

SINGLES: dict[str, Single] = {
    "Abs": Single({}, VECTOR, {}),
    "Add": Single({}, PAIR, {}),
    "Affine": Single({}, VECTOR, {"scale": (8,), "bias": (8,)}),
    "AveragePool": Single({"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}, IMAGE, {}),
    "BatchNormalization": Single({}, IMAGE, MOMENTS),
    "Celu": Single({}, VECTOR, {}),
    "Clip": Single({"min": -1.0, "max": 1.0}, VECTOR, {}),
    "Concat": Single({"axis": 2}, PAIR, {}),
    "Conv": Single({"pads": (1, 1, 1, 1)}, IMAGE, {"weight": (3, 3, 4, 5), "bias": (5,)}),
    "ConvTranspose": Single({"strides": (2, 2)}, IMAGE, {"weight": (3, 3, 4, 5), "bias": (5,)}),
    "DepthToSpace": Single({"blocksize": 2, "mode": "DCR"}, IMAGE, {}),
    "Div": Single({}, PAIR, {}, 0.5, 2.0),
    "Dropout": Single({"ratio": 0.5}, VECTOR, {}),
    "Elu": Single({}, VECTOR, {}),
    "Erf": Single({}, VECTOR, {}),
    "Exp": Single({}, VECTOR, {}),
    "Expand": Single({"shape": (3, 8)}, ((1, 8),), {}),
    "Flatten": Single({}, IMAGE, {}),
    "GRU": Single({"linear_before_reset": True}, VECTOR, {**GRU, "recurrent_bias": (15,)}),
    "Gather": Single({}, ((6,),), {"weight": (9, 4)}, 0, 8),
    "Gelu": Single({}, VECTOR, {}),
    "Gemm": Single({}, VECTOR, {"weight": (8, 5), "bias": (5,)}),
    "GlobalAveragePool": Single({}, IMAGE, {}),
    "GlobalMaxPool": Single({}, IMAGE, {}),
    "GroupNormalization": Single({"num_groups": 2}, IMAGE, {"scale": (4,), "bias": (4,)}),
    "HardSigmoid": Single({}, VECTOR, {}),
    "HardSwish": Single({}, VECTOR, {}),
    "LSTM": Single({}, VECTOR, LSTM),
    "LayerNormalization": Single({"axis": 2}, VECTOR, {"scale": (8,), "bias": (8,)}),
    "LeakyRelu": Single({}, VECTOR, {}),
    "Log": Single({}, VECTOR, {}, 0.5, 2.0),
    "LogSoftmax": Single({}, VECTOR, {}),
    "LpNormalization": Single({"axis": 2}, VECTOR, {}),
    "MatMul": Single({}, ((3, 8), (8, 4)), {}),
    "Max": Single({}, PAIR, {}),
    "MaxPool": Single({"kernel_shape": (2, 2), "strides": (2, 2)}, IMAGE, {}),
    "Min": Single({}, PAIR, {}),
    "Mish": Single({}, VECTOR, {}),
    "Mul": Single({}, PAIR, {}),
    "NotEqual": Single({"value": 0.0}, VECTOR, {}),
    "PRelu": Single({}, VECTOR, {"slope": (8,)}),
    "Pad": Single({"pads": (1, 1, 0, 0)}, IMAGE, {}),
    "Pow": Single({}, PAIR, {}, 0.5, 2.0),
    "RMSNormalization": Single({"axis": 2}, VECTOR, {"scale": (8,)}),
    "RNN": Single({}, VECTOR, RNN),
    "Reciprocal": Single({}, VECTOR, {}, 0.5, 2.0),
    "ReduceMax": Single(REDUCED, VECTOR, {}),
    "ReduceMean": Single(REDUCED, VECTOR, {}),
    "ReduceMin": Single(REDUCED, VECTOR, {}),
    "ReduceSum": Single(REDUCED, VECTOR, {}),
    "Relu": Single({}, VECTOR, {}),
    "Reshape": Single({"shape": (24,)}, VECTOR, {}),
    "Resize": Single({"size": (12, 12), "mode": "linear"}, IMAGE, {}),
    "Selu": Single({}, VECTOR, {}),
    "Sigmoid": Single({}, VECTOR, {}),
    "Slice": Single({"axes": (1,), "starts": (1,), "ends": (3,), "steps": (1,)}, VECTOR, {}),
    "Softmax": Single({}, VECTOR, {}),
    "Softplus": Single({}, VECTOR, {}),
    "Softsign": Single({}, VECTOR, {}),
    "SpaceToDepth": Single({"blocksize": 2}, IMAGE, {}),
    "Sqrt": Single({}, VECTOR, {}, 0.5, 2.0),
    "Sub": Single({}, PAIR, {}),
    "Swish": Single({}, VECTOR, {}),
    "Tanh": Single({}, VECTOR, {}),
    "ThresholdedRelu": Single({}, VECTOR, {}),
    "Transpose": Single({"perm": (0, 2, 1)}, VECTOR, {}),
}


def single_node(op: str, rng: np.random.Generator, samples: int = 3) -> tuple[Graph, dict[str, np.ndarray]]:
    """Return a network of one node ``node`` that makes ``y``, with random parameters, and inputs for it."""
    row = SINGLES[op]
    names = [f"x{i}" for i in range(len(row.inputs))]
    params = {}
    for role, shape in row.params.items():
        array = rng.uniform(0.3, 2, shape) if role == "var" else rng.normal(0, 0.5, shape)
        params[role] = encode(array)
    specs = tuple(TensorSpec(name, shape) for name, shape in zip(names, row.inputs, strict=True))
    node = Node(op, "node", tuple(names), "y", {role: role for role in row.params}, OPS[op].attrs(**row.attrs))
    inputs = {}
    for spec in specs:
        array = rng.uniform(row.least, row.most, (samples, *spec.shape))
        inputs[spec.name] = (np.rint(array) if op == "Gather" else array).astype(np.float32)
    return Graph(specs, ("y",), (node,), params), inputs

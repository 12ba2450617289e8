"""Small networks with every operator and every way to nest encodings."""

from __future__ import annotations

import numpy as np
from checks.encodings import all_nestings, build
from numpy.typing import NDArray

from refcompress import ops
from refcompress.encodings import Encoding, encode
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.integer import IntegerNetwork, smallest
from refcompress.passes import LayerRule, prune, share_weights
from refcompress.post_training import quantize_network

INTEGER_WEIGHTS = ("conv1/weight", "conv2/weight", "fc1/weight")


def node(op: str, name: str, *inputs: str, params: dict[str, str] | None = None, **attrs: object) -> Node:
    """Make a node whose output has its name."""
    return Node(op, name, inputs, name, params or {}, ops.make_attrs(op, attrs))


def chain_network(seed: int) -> Graph:
    """Layers in a row, all as a container expects them, but for a convolution without bias."""
    rng = np.random.default_rng(seed)
    params = {
        "conv1/weight": rng.standard_normal((3, 3, 1, 4)),
        "conv1/bias": rng.standard_normal(4),
        "conv2/kernel": rng.standard_normal((1, 1, 4, 2)),
        "fc1/weight": rng.standard_normal((18, 5)),
        "fc1/bias": rng.standard_normal(5),
    }
    pool = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
    one = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    nodes = (
        node("Conv", "conv1", "image", params={"weight": "conv1/weight", "bias": "conv1/bias"}, **one),
        node("MaxPool", "pool1", "conv1", **pool),
        node("Conv", "conv2", "pool1", params={"weight": "conv2/kernel"}, **one),
        node("Flatten", "flatten", "conv2"),
        node("Gemm", "fc1", "flatten", params={"weight": "fc1/weight", "bias": "fc1/bias"}),
        node("Softmax", "softmax", "fc1"),
    )
    return Graph((TensorSpec("image", (8, 8, 1)),), ("softmax",), nodes, _encoded(params))


def branched_network(seed: int) -> Graph:
    """Every operator once, two inputs and outputs, a shared parameter, odd names, an unused parameter."""
    rng = np.random.default_rng(seed)
    params = {
        "shared": rng.standard_normal((3, 3, 2, 2)),
        "=bias": rng.standard_normal(2),
        "bn/gamma": rng.standard_normal(2),
        "/mean": rng.standard_normal(2),
        "bn/var": rng.random(2) + 1,
        "größe": rng.standard_normal((4, 3)),
        "unused/name": rng.standard_normal((2, 3)),
    }
    conv = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}
    batch = {"scale": "bn/gamma", "mean": "/mean", "var": "bn/var"}
    pool = {"kernel_shape": (2, 1), "strides": (1, 2)}
    nodes = (
        node("Conv", "a", "x", params={"weight": "shared", "bias": "=bias"}, **conv),
        node("Conv", "b", "y", params={"weight": "shared"}, **conv),
        Node("Add", "sum", ("a", "b", "x"), "sum of three", {}, ops.make_attrs("Add", {})),
        node("BatchNormalization", "bn", "sum of three", params=batch, epsilon=1e-5),
        node("Relu", "relu", "bn"),
        node("Clip", "clip", "bn", min=-1.5, max=1e30),
        node("Sigmoid", "sigmoid", "bn"),
        node("Tanh", "tanh", "sigmoid"),
        node("Concat", "all", "relu", "clip", "tanh", axis=3),
        node("Pad", "pad", "all", pads=(0, 1, 2, 3)),
        node("MaxPool", "max", "pad", **pool, pads=(0, 0, 1, 0)),
        node("AveragePool", "mean", "max", **pool, pads=(1, 0, 0, 0), count_include_pad=True),
        node("GlobalMaxPool", "peak", "mean", keepdims=True),
        node("GlobalAveragePool", "level", "mean", keepdims=False),
        node("Reshape", "twelve", "a", shape=(8, 4)),
        node("Dropout", "drop", "twelve", ratio=0.25),
        node("Gemm", "gemm", "drop", params={"weight": "größe"}),
        node("Flatten", "flat", "gemm"),
        node("Softmax", "soft", "flat"),
    )
    inputs = (TensorSpec("x", (4, 4, 2)), TensorSpec("y", (4, 4, 2)))
    return Graph(inputs, ("soft", "level", "peak"), nodes, _encoded(params))


def nested_network(seed: int) -> Graph:
    """No node, and a parameter for every way to nest encodings."""
    rng = np.random.default_rng(seed)
    params: dict[str, Encoding] = {}
    for nesting in all_nestings():
        array = rng.choice(np.array([0, 0, 0, 0.5, -0.0, -2, np.inf], np.float32), (2, 3, 4))
        params[str(nesting)] = build(nesting, array)
    return Graph((), (), (), params)


def _encoded(arrays: dict[str, NDArray[np.float64]]) -> dict[str, Encoding]:
    return {name: encode(array) for name, array in arrays.items()}


def integer_network(seed: int) -> IntegerNetwork:
    """Shared weights, integers of 4 bits and sparse ones, with clamps and a pool between them."""
    rng = np.random.default_rng(seed)
    shapes = {"conv1/weight": (3, 3, 2, 6), "conv2/weight": (1, 1, 6, 4), "fc1/weight": (64, 40)}
    params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    params |= {name.replace("weight", "bias"): rng.standard_normal(shape[-1]) for name, shape in shapes.items()}
    one = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    roles = {name: {role: f"{name}/{role}" for role in ("weight", "bias")} for name in ("conv1", "conv2", "fc1")}
    pool = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
    nodes = (
        node("Conv", "conv1", "image", params=roles["conv1"], **{**one, "pads": (1, 1, 1, 1)}),
        node("Relu", "relu1", "conv1"),
        node("MaxPool", "pool1", "relu1", **pool),
        node("Conv", "conv2", "pool1", params=roles["conv2"], **one),
        node("Clip", "relu6", "conv2", min=0.0, max=6.0),
        node("Flatten", "flatten", "relu6"),
        node("Gemm", "fc1", "flatten", params=roles["fc1"]),
        node("Softmax", "softmax", "fc1"),
    )
    graph = Graph((TensorSpec("image", (8, 8, 2)),), ("softmax",), nodes, _encoded(params))
    graph = prune.magnitude(graph, sparsity=0.9, layers=[LayerRule("conv*", {"skip": True})])
    graph = share_weights.kmeans(graph, bits=2, layers=[LayerRule("re:conv2|fc1", {"skip": True})])
    samples = rng.standard_normal((20, 8, 8, 2))
    return smallest(quantize_network(graph, samples, layers=[LayerRule("conv2", {"weight_bits": 4})]))

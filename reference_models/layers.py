"""Layers in a row: what the small networks are written with, and their initial weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from refcompress import encodings, ops
from refcompress.graph import Graph, Node, Shape, TensorSpec


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """An operator that reads what the layer before it made.

    Attributes
    ----------
    op
        Name of the operator.
    name
        Name of the node.
    attrs
        Its attributes by name; those left out have their defaults.
    params
        Role to array.

    """

    op: str
    name: str
    attrs: Mapping[str, object] = field(default_factory=dict)
    params: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def he_normal(rng: np.random.Generator, shape: Shape) -> NDArray[np.float32]:
    """Draw weights for a layer followed by Relu: variance 2 / fan-in (He et al., ICCV 2015, equation 10).

    Examples
    --------
    >>> round(float(he_normal(np.random.default_rng(0), (5, 5, 20, 50)).std()), 3)  # sqrt(2 / 500) = 0.063
    0.063

    """
    deviation = math.sqrt(2 / math.prod(shape[:-1]))
    return (deviation * rng.standard_normal(shape)).astype(np.float32)


def glorot_uniform(rng: np.random.Generator, shape: Shape) -> NDArray[np.float32]:
    """Draw weights for a layer not followed by Relu (Glorot & Bengio, AISTATS 2010, equation 16).

    Examples
    --------
    >>> bool(abs(glorot_uniform(np.random.default_rng(0), (100, 50))).max() <= 0.2)  # sqrt(6 / 150) = 0.2
    True

    """
    window = math.prod(shape[:-2])
    limit = math.sqrt(6 / (window * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def conv(name: str, weight: NDArray[np.float32], pad: int = 0) -> Layer:
    """Convolve with stride 1; ``weight`` is (kh, kw, cin, cout), the bias starts at zero."""
    return Layer("Conv", name, {"pads": (pad, pad, pad, pad)}, _with_bias(weight))


def gemm(name: str, weight: NDArray[np.float32]) -> Layer:
    """Multiply by ``weight`` (in, out) and add a bias, which starts at zero."""
    return Layer("Gemm", name, {}, _with_bias(weight))


def max_pool(name: str, size: int) -> Layer:
    """Take the maximum of windows of ``size`` by ``size`` that do not overlap."""
    return Layer("MaxPool", name, {"kernel_shape": (size, size), "strides": (size, size)})


def _with_bias(weight: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    return {"weight": weight, "bias": np.zeros(weight.shape[-1], np.float32)}


def chain(spec: TensorSpec, layers: Sequence[Layer]) -> Graph:
    """Connect layers to a network: each reads what the one before it made.

    Parameters
    ----------
    spec
        The network's input.
    layers
        Its layers in order; their names are the names of the activations too.

    Examples
    --------
    >>> scores = gemm("scores", np.zeros((3, 2), np.float32))
    >>> graph = chain(TensorSpec("x", (3,)), [scores, Layer("Softmax", "y")])
    >>> [node.op for node in graph.nodes], sorted(graph.params)
    (['Gemm', 'Softmax'], ['scores/bias', 'scores/weight'])

    """
    nodes, params, last = [], {}, spec.name
    for layer in layers:
        names = {role: f"{layer.name}/{role}" for role in layer.params}
        attrs = ops.find_op(layer.op).attrs(**layer.attrs)
        nodes.append(Node(layer.op, layer.name, (last,), layer.name, names, attrs))
        params.update({names[role]: encodings.encode(array) for role, array in layer.params.items()})
        last = layer.name
    return Graph((spec,), (last,), tuple(nodes), params)


def parameter_count(graph: Graph) -> int:
    """Count the numbers in all parameters of a network.

    Examples
    --------
    >>> parameter_count(chain(TensorSpec("x", (3,)), [gemm("y", np.zeros((3, 2), np.float32))]))
    8

    """
    return sum(math.prod(encoding.shape) for encoding in graph.params.values())

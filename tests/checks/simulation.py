"""Networks that are trained for integers, and what their training computes with, activation by activation."""

from __future__ import annotations

import numpy as np
from checks.networks import node
from numpy.typing import NDArray

from refcompress.encodings import encode
from refcompress.graph import Graph, TensorSpec
from refcompress.integer import IntegerNetwork, Quantization, dequantize, run_dequantized
from refcompress.integer.spans import Span
from refcompress.ops import find_op
from refcompress.run import run
from refcompress.train.simulated_activations import SimulatedActivations


def given_spans(quantizations: dict[str, Quantization]) -> tuple[Span, ...]:
    """Return spans of one activation each, of known quantization."""
    return tuple(Span((name,), (name,), given=each) for name, each in quantizations.items())


def largest_steps(graph: Graph, network: IntegerNetwork, integers: dict[str, NDArray[np.int8]]) -> dict[str, int]:
    """Return for each layer by how many integers what training computes differs at most from what the network makes.

    Each layer gets what the integer network gave it: a difference of one step in what a layer reads can be several in
    what it makes, which says nothing about this layer.
    """
    known = dict(network.quantizations)
    operators = SimulatedActivations(given_spans(known)).operators(graph, {}, {})
    alive = {name: dequantize(each, known[name]) for name, each in integers.items()}
    found: dict[str, int] = {}
    for each in graph.nodes:
        op = operators.get(each.name) or find_op(each.op)
        params = {role: graph.params[name] for role, name in each.params.items()}
        made = op.forward(each.attrs, [alive[name] for name in each.inputs], params)
        if each.output in known:
            found[each.output] = _distance(made, integers[each.output], known[each.output])
        else:
            alive[each.output] = made  # clamped by the next one
    return found


def share_apart(graph: Graph, network: IntegerNetwork, x: NDArray[np.float32]) -> float:
    """Return the share of outputs that are more than a step from what training computes of the same inputs."""
    name = graph.outputs[0]
    known = dict(network.quantizations)
    (real,) = run(graph, x, replaced=SimulatedActivations(given_spans(known)).operators(graph, {}, {}))
    return float(np.mean(np.abs(real - run_dequantized(network, x)[0]) > 1.5 * known[name].scale))


def _distance(real: NDArray[np.float32], integers: NDArray[np.int8], quantization: Quantization) -> int:
    steps = np.rint(real.astype(np.float64) / quantization.scale) + quantization.zero_point
    return int(np.abs(steps - integers).max())


def image_network(seed: int = 0) -> Graph:
    """Convolutions with batch normalization, a depthwise one, a sum, pools and a dense layer, for images (8, 8, 1)."""
    rng = np.random.default_rng(seed)
    arrays = {
        "a/weight": rng.normal(0, 0.5, (3, 3, 1, 8)),
        "b/weight": rng.normal(0, 0.5, (3, 3, 1, 8)),
        "b/bias": rng.normal(0, 0.1, 8),
        "fc/weight": rng.normal(0, 0.3, (32, 10)),
        "fc/bias": np.zeros(10),
    }
    norm = {role: f"norm/{role}" for role in ("scale", "bias", "mean", "var")}
    arrays |= {"norm/scale": rng.random(8) + 0.5, "norm/bias": rng.normal(0, 0.2, 8)}
    arrays |= {"norm/mean": rng.normal(0, 0.2, 8), "norm/var": rng.random(8) + 0.5}
    one = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}
    pool = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
    nodes = (
        node("Conv", "a", "image", params={"weight": "a/weight"}, group=1, **one),
        node("BatchNormalization", "norm", "a", params=norm, epsilon=1e-3),
        node("Relu", "relu", "norm"),
        node("MaxPool", "pool", "relu", **pool),
        node("Conv", "b", "pool", params={"weight": "b/weight", "bias": "b/bias"}, group=8, **one),
        node("Clip", "relu6", "b", min=0.0, max=6.0),
        node("Add", "add", "pool", "relu6"),
        node("AveragePool", "mean", "add", count_include_pad=False, **pool),
        node("Flatten", "flatten", "mean"),
        node("Gemm", "fc", "flatten", params={"weight": "fc/weight", "bias": "fc/bias"}),
        node("Softmax", "softmax", "fc"),
    )
    params = {name: encode(array) for name, array in arrays.items()}
    return Graph((TensorSpec("image", (8, 8, 1)),), ("softmax",), nodes, params)

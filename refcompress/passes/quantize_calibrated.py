"""Quantization that knows the layer's inputs: rounding errors are compensated, and bits are weighed against error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Bits, Dense, Encoding, Linear, decode
from refcompress.encodings.values import MAX_LINEAR_BITS
from refcompress.graph import Graph, Node
from refcompress.passes import calibration
from refcompress.passes.calibration import Moments
from refcompress.passes.rules import LayerRule, check_number, weights_of, with_options
from refcompress.passes.second_order import Layer, prepare

SENSITIVITY_SAMPLES = 200
LEAST_SENSITIVITY = 1e-15  # of a layer that hardly changes the outputs, so that the price of its bits is finite
ROUNDS = 3  # of choosing integers and measuring the bits that their frequencies would take
LARGEST_INTEGER = (1 << MAX_LINEAR_BITS - 1) - 1
UNSEEN_COUNT = 0.02  # what an integer that does not occur counts for, so that its price is finite

Array = NDArray[np.float64]


def calibrated(
    graph: Graph,
    *,
    inputs: Mapping[str, NDArray[np.float32]],
    rate: float,
    seed: int = 0,
    damping: float = 0.01,
    layers: Sequence[LayerRule] = (),
) -> Graph:
    """Quantize weights linearly where they cost the network's outputs the fewest nats for each bit saved.

    Layer after layer, from the inputs on, each weight is rounded to the multiple of the layer's step that minimises
    error + ``rate`` x bits, and what the rounding spoils is made good by the weights of the same output unit that are
    not rounded yet (optimal brain quantization: Frantar & Alistarh 2022; GPTQ: Frantar et al. 2023, section 3). Error
    is measured on the inputs that the compressed network feeds the layer, against what the original network made of
    its own (so earlier layers' errors are made good, too); bits are those of an entropy coder for the frequencies of
    the layer's integers (entropy-constrained scalar quantization: Chou, Lookabaugh & Gray 1989). The step of a layer
    follows from the rate and from how sensitive the network's outputs are to it, which is measured by noise.

    Biases take up the mean error that is left and are quantized likewise. No labels are needed, nothing is trained.

    Parameters
    ----------
    graph
        The network; fold batch normalization first.
    inputs
        Calibration samples by input name, batch first, float32. 100 to 1000 are usual.
    rate
        Output divergence (Kullback-Leibler in nats for a Softmax, else squared error over variance) worth one bit
        in every weight of the network. Usually 0.001 to 0.1; larger makes smaller networks.
    seed
        Of the noise that measures the sensitivities.
    damping
        Added to the diagonal of the second moments, relative to the mean variance of the inputs.
    layers
        Rules for single layers: ``rate`` and ``skip``. A layer that shares its parameters is left as it is.

    Returns
    -------
    Graph
        The same network; weights and biases are linear with one scale each, ready for Huffman coding.

    Raises
    ------
    OptionError
        A rate or the damping is out of range, or a rule matches no layer.
    DataError
        The inputs do not fit the network.

    Examples
    --------
    >>> from reference_models import digits_cnn
    >>> graph = digits_cnn.build(np.random.default_rng(0))
    >>> x = np.random.default_rng(1).random((64, 8, 8, 1), np.float32)
    >>> small = calibrated(graph, inputs={graph.inputs[0].name: x}, rate=0.01)
    >>> type(small.params[small.nodes[0].params["weight"]].values).__name__
    'Linear'

    """
    check_number("damping", damping, 1e-6, 1)
    uses = Counter(name for _, _, name in graph.weights())
    chosen = {}
    for weight, options in with_options(weights_of(graph), layers, {"rate": rate}):
        check_number("rate", options["rate"], 1e-15, where=weight.name)
        if all(uses[name] == 1 for name in weight.nodes[0].params.values()):
            chosen[weight.nodes[0].name] = options["rate"]
    nodes = [node for node in graph.nodes if node.name in chosen]
    weight_count = sum(math.prod(graph.params[node.params["weight"]].shape) for node in nodes)
    activations = calibration.input_activations(graph, inputs)
    few = {name: array[:SENSITIVITY_SAMPLES] for name, array in activations.items()}
    sensitivity = calibration.sensitivities(graph, nodes, few, np.random.default_rng(seed))
    params: dict[str, Encoding] = {}

    def visit(node: Node, x: NDArray[np.float32], original: NDArray[np.float32]) -> dict[str, Encoding]:
        if node.name not in chosen:
            return {}
        found = calibration.moments(node, x, original, graph.params[node.params["weight"]].shape)
        price = chosen[node.name] / weight_count / max(sensitivity[node.name], LEAST_SENSITIVITY)
        new = _quantize(calibration.params_of(graph, node), found, price, damping)
        params.update({node.params[role]: encoding for role, encoding in new.items()})
        return new

    calibration.walk(graph, activations, visit)
    return graph.with_params(params)


def _quantize(params: Mapping[str, Encoding], found: Moments, price: float, damping: float) -> dict[str, Encoding]:
    """Quantize one layer; ``price`` is the squared output error worth one bit."""
    weight = decode(params["weight"])
    bias = decode(params["bias"]) if "bias" in params else None
    layer = prepare(weight, bias, found, damping)
    columns = layer.order.shape[1]
    pivots = np.diagonal(layer.upper, axis1=1, axis2=2)[:, :columns]
    # at high rate a step d makes an error of d^2 / 12 per unit of conditional variance and 2 ln 2 of it per bit
    spread = float(np.exp(np.mean(np.log(pivots**-2.0))))
    step = _step(price / spread, weight)
    integers, biases = _round(layer, pivots, step, price)
    rows = np.empty_like(integers)
    np.put_along_axis(rows, np.broadcast_to(layer.order[:, None], integers.shape), integers, axis=2)
    new: dict[str, Encoding] = {"weight": _linear(rows.reshape(weight.shape[-1], columns), step, weight.shape)}
    if bias is not None:
        bias_step = _step(price, biases)  # its input is always 1
        new["bias"] = _linear(np.round(biases / bias_step).astype(np.int64).reshape(1, -1), bias_step, bias.shape)
    return new


def _step(price: float, values: NDArray[Any]) -> float:
    """Return the step that the price of a bit asks for, a float32, but no finer than integers can count."""
    largest = float(np.abs(values).max(initial=0))
    finest = max(2 * largest / LARGEST_INTEGER, float(np.finfo(np.float32).tiny))
    return float(np.float32(max(math.sqrt(6 * price / math.log(2)), finest)))


def _round(layer: Layer, pivots: Array, step: float, price: float) -> tuple[NDArray[np.int64], Array]:
    """Choose the integers column by column; return them and the biases that are left."""
    columns = layer.order.shape[1]
    integers = np.round(layer.weights[:, :, :columns] / step).astype(np.int64)
    limit = min(2 * int(np.abs(integers).max(initial=0)) + 2, LARGEST_INTEGER)
    integers = np.clip(integers, -limit, limit)
    for _ in range(ROUNDS):
        bits = _ideal_bits(integers, limit)
        left = layer.weights.copy()
        for j in range(columns):
            column = left[:, :, j]
            below = np.floor(column / step)
            options = np.clip(np.stack([below, below + 1, np.zeros_like(below)]), -limit, limit).astype(np.int64)
            cost = ((column - step * options) / pivots[:, j, None]) ** 2 + price * bits[options + limit]
            integers[:, :, j] = np.take_along_axis(options, cost.argmin(axis=0)[None], axis=0)[0]
            error = (column - step * integers[:, :, j]) / pivots[:, j, None]
            left[:, :, j + 1 :] -= error[:, :, None] * layer.upper[:, j, None, j + 1 :]
    return integers, left[:, :, columns]


def _ideal_bits(integers: NDArray[np.int64], limit: int) -> Array:
    counts = np.bincount(integers.reshape(-1) + limit, minlength=2 * limit + 1) + UNSEEN_COUNT
    return np.asarray(-np.log2(counts / counts.sum()))


def _linear(rows: NDArray[np.int64], step: float, shape: tuple[int, ...]) -> Dense:
    lowest = min(int(rows.min()), 0)
    width_bits = max(1, int(max(rows.max(), 0) - lowest).bit_length())
    symbols = np.ascontiguousarray(rows - lowest, np.uint16).reshape(-1)
    scale, zero_point = np.array([step], np.float32), np.array([-lowest], np.uint16)
    return Dense(shape, Linear(Bits(symbols, width_bits), width_bits, scale, zero_point))

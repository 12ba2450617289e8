"""What calibration inputs tell about a network: activations, second moments of a layer's inputs, sensitivities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, decode, encode
from refcompress.errors import DataError
from refcompress.graph import Graph, Node
from refcompress.ops import OPS
from refcompress.ops.conv import Conv
from refcompress.ops.windows import pad_plane, windows

Activations = dict[str, NDArray[np.float32]]

CHUNK_SAMPLES = 32  # whose windows are spread out in memory at a time
NOISE = 0.03  # size of the weight noise that probes a sensitivity, relative to the weights
NOISE_DRAWS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Second moments of the inputs of one layer, a constant 1 after the inputs.

    Attributes
    ----------
    own
        E[x x'], float64, (groups, columns + 1, columns + 1), x as the compressed network feeds it.
    shift
        E[(y - x) x'], the same shape, y as the original network feeds it.

    """

    own: NDArray[np.float64]
    shift: NDArray[np.float64]


def forward(node: Node, inputs: Sequence[NDArray[np.float32]], params: Mapping[str, Encoding]) -> NDArray[np.float32]:
    """Run one node in float32 with the parameters given by role."""
    return np.asarray(OPS[node.op].forward(node.attrs, inputs, params), np.float32)


def params_of(graph: Graph, node: Node) -> dict[str, Encoding]:
    """Return the parameters of a node by role."""
    return {role: graph.params[name] for role, name in node.params.items()}


def input_activations(graph: Graph, inputs: Mapping[str, NDArray[np.float32]]) -> Activations:
    """Check calibration inputs and return them as the first activations.

    Raises
    ------
    DataError
        An input is missing, has the wrong shape, or holds no samples.

    """
    activations: Activations = {}
    for spec in graph.inputs:
        array = inputs.get(spec.name)
        if array is None or array.shape[1:] != spec.shape or not len(array):
            got = "nothing" if array is None else f"an array of shape {array.shape}"
            raise DataError(
                f"calibration data for the input {spec.name!r}: got {got}; needed are one or more samples of "
                f"shape {spec.shape}"
            )
        activations[spec.name] = np.asarray(array, np.float32)
    return activations


def columns_by_group(node: Node, x: NDArray[np.float32], weight_shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Spread the inputs of a Gemm or Conv as its weight's columns see them, a constant 1 last.

    Returns
    -------
    ndarray
        (groups, samples and positions, columns + 1), float32.

    """
    if node.op == "Gemm":
        flat = x.reshape(1, -1, weight_shape[0])
    else:
        attrs: Conv = node.attrs
        kh, kw, cin, _ = weight_shape
        view = windows(pad_plane(x, attrs.pads), (kh, kw), attrs.strides, attrs.dilations)
        split = view.reshape(-1, kh * kw, attrs.group, cin)
        flat = split.transpose(2, 0, 1, 3).reshape(attrs.group, -1, kh * kw * cin)
    return np.concatenate([flat, np.ones((*flat.shape[:2], 1), np.float32)], axis=2)


def moments(
    node: Node, compressed: NDArray[np.float32], original: NDArray[np.float32], weight_shape: tuple[int, ...]
) -> Moments:
    """Second moments of a layer's inputs in the compressed network, and how they differ from the original's."""
    own = shift = np.zeros(())
    count = 0
    for start in range(0, len(compressed), CHUNK_SAMPLES):
        part = slice(start, start + CHUNK_SAMPLES)
        x = columns_by_group(node, compressed[part], weight_shape)
        y = columns_by_group(node, original[part], weight_shape)
        own = own + (x.transpose(0, 2, 1) @ x).astype(np.float64)
        shift = shift + ((y - x).transpose(0, 2, 1) @ x).astype(np.float64)
        count += x.shape[1]
    return Moments(own / count, shift / count)


def divergence(reference: NDArray[np.float32], output: NDArray[np.float32], *, distribution: bool) -> float:
    """How far an output is from its reference, a mean over the samples.

    Kullback-Leibler divergence in nats where the output is a distribution (a Softmax), else the squared error in
    units of the reference's variance.
    """
    a, b = reference.astype(np.float64), output.astype(np.float64)
    if distribution:
        tiny = np.finfo(np.float32).tiny
        return float(np.mean(np.sum(a * (np.log(a + tiny) - np.log(b + tiny)), axis=-1)))
    return float(np.mean((a - b) ** 2) / (np.var(a) + np.finfo(np.float32).tiny))


def sensitivities(
    graph: Graph, nodes: Sequence[Node], activations: Activations, rng: np.random.Generator
) -> dict[str, float]:
    """Measure how much the network's outputs diverge per squared error in each layer's output.

    Small random changes of one layer's weights are carried through the network; the divergence is divided by the
    squared error (summed over the units, a mean over samples and positions) that they make in that layer.

    Parameters
    ----------
    graph
        The network.
    nodes
        Gemm and Conv nodes to probe.
    activations
        The network's inputs.
    rng
        Where the changes come from.

    Returns
    -------
    dict
        Node name to divergence per squared error.

    """
    values = dict(activations)
    for node in graph.nodes:
        values[node.output] = forward(node, [values[name] for name in node.inputs], params_of(graph, node))
    found = {}
    for node in nodes:
        weight = decode(graph.params[node.params["weight"]])
        size = NOISE * float(np.sqrt(np.mean(weight.astype(np.float64) ** 2)))
        ratios = []
        for _ in range(NOISE_DRAWS):
            noise = (size * rng.standard_normal(weight.shape)).astype(np.float32)
            ratios.append(_response(graph, node, values, encode(weight + noise)))
        found[node.name] = float(np.mean(ratios))
    return found


def _response(graph: Graph, changed: Node, values: Activations, weight: Encoding) -> float:
    """Divergence of the outputs per squared error of the changed node."""
    start = graph.nodes.index(changed)
    fresh: Activations = {}
    for node in graph.nodes[start:]:
        if node is not changed and not any(name in fresh for name in node.inputs):
            continue
        params = params_of(graph, node) | ({"weight": weight} if node is changed else {})
        fresh[node.output] = forward(node, [fresh.get(n, values[n]) for n in node.inputs], params)
    error = (fresh[changed.output] - values[changed.output]).astype(np.float64) ** 2
    squared = float(error.mean() * error.shape[-1])
    total = sum(
        divergence(values[name], fresh[name], distribution=is_distribution(graph, name))
        for name in graph.outputs
        if name in fresh
    )
    return total / squared if squared else 0.0


def is_distribution(graph: Graph, name: str) -> bool:
    """Whether an activation is made by a Softmax."""
    return any(node.op == "Softmax" and node.output == name for node in graph.nodes)


def walk(
    graph: Graph,
    activations: Activations,
    visit: Callable[[Node, NDArray[np.float32], NDArray[np.float32]], Mapping[str, Encoding]],
) -> None:
    """Run the original and the changed network side by side, node by node.

    Parameters
    ----------
    graph
        The original network.
    activations
        Its inputs.
    visit
        Called at each node with its first input in the changed and in the original network; returns the changed
        parameters of the node by role (none for a node that stays).

    """
    last_use = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    original, changed = dict(activations), dict(activations)
    for i, node in enumerate(graph.nodes):
        new = visit(node, changed[node.inputs[0]], original[node.inputs[0]])
        params = params_of(graph, node)
        original[node.output] = forward(node, [original[name] for name in node.inputs], params)
        changed[node.output] = forward(node, [changed[name] for name in node.inputs], params | dict(new))
        for name in {*node.inputs, node.output}:
            if last_use.get(name, -1) <= i:
                original.pop(name, None)
                changed.pop(name, None)

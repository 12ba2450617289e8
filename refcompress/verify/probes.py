"""How far rounding errors carry through a network, found by random probes: the third error model.

Worst-case propagation multiplies |W| with |W| layer after layer, as if every error met weights of the worst signs:
after some layers the bound says nothing. Here the network itself carries the errors. To first order the error of
an activation is sum_k J_k d_k over all roundings k, with J_k the derivative of the activation by the rounded value.
Roundings are taken as independent of mean zero with |d_k| <= s_k (Higham and Mary 2019, Model 2.1), so that by
Hoeffding's inequality the sum stays below lambda sigma, sigma**2 = sum_k (J_k s_k)**2, except with probability
2 exp(-lambda**2 / 2). Sigma is estimated without derivatives: normal deviates times lambda s_k are added to every
node's output in a float64 run, and the squares of the deviations averaged over :data:`PROBES` runs (the small-sample
estimates of Kenney and Laub 1994, the Monte Carlo arithmetic of Parker 1997). As many squares of normal deviates have
a chi-square distribution, whose quantile turns the average into an upper bound.

Not all errors are independent: a library's exp may be a little low everywhere, a batch normalization's rounded
factor is the same wherever its channel is used. So each probe adds three deviates of full size: one for each element,
one for each channel (last axis), one for the whole array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from refcompress.encodings import Encoding
from refcompress.graph import Graph, Node
from refcompress.ops import find_op, weights
from refcompress.verify.precision import Float64, Precision, node_bound

LAMBDA = 6.0  # 2 exp(-lambda**2 / 2) = 3e-8
PROBES = 32
CHI_SQUARE_QUANTILE = 5.40  # of PROBES degrees of freedom, reached from below with probability 3e-8
SEED = 20190712


def probed_bounds(
    graph: Graph, reference: Mapping[str, Float64], errors: Mapping[str, Float64], precision: Precision
) -> dict[str, Float64]:
    """Bound the errors of every activation by probes.

    Parameters
    ----------
    graph
        The network.
    reference
        Every activation in float64, batch first.
    errors
        How far each input of the network may be from its reference.
    precision
        In which the network is computed.

    Returns
    -------
    dict
        Name of the activation to bound. The same on every call.

    """
    scales = {**errors, **{node.output: _scale(graph, node, reference, precision) for node in graph.nodes}}
    squares = {name: np.zeros_like(value) for name, value in reference.items()}
    rng = np.random.default_rng(SEED)
    with weights.kept():
        for _ in range(PROBES):
            _probe(graph, reference, scales, rng, squares)
    return {name: np.sqrt(total / CHI_SQUARE_QUANTILE) for name, total in squares.items()}


def _params(graph: Graph, node: Node) -> dict[str, Encoding]:
    return {role: graph.params[name] for role, name in node.params.items()}


def _scale(graph: Graph, node: Node, reference: Mapping[str, Float64], precision: Precision) -> Float64:
    """Bound a node's output for exact inputs, n roundings counting as sqrt(n): the size of its own errors."""
    values = [reference[name] for name in node.inputs]
    exact = [np.zeros_like(value) for value in values]
    output = reference[node.output]
    scale = node_bound(graph, node, values, exact, output, precision=precision, gamma=_deviation)
    return np.asarray(scale, np.float64)


def _deviation(n: int, unit_roundoff: float) -> float:
    return math.sqrt(n) * unit_roundoff


def _probe(
    graph: Graph,
    reference: Mapping[str, Float64],
    scales: Mapping[str, Float64],
    rng: np.random.Generator,
    squares: Mapping[str, Float64],
) -> None:
    """Run the network once with perturbed activations; add the squares of how far each one is from its reference."""
    moved: dict[str, Float64] = {}
    for spec in graph.inputs:
        moved[spec.name] = _perturbed(reference[spec.name], scales[spec.name], rng)
    for node in graph.nodes:
        inputs = [moved[name] for name in node.inputs]
        output = find_op(node.op).forward(node.attrs, inputs, _params(graph, node))
        moved[node.output] = _perturbed(np.asarray(output, np.float64), scales[node.output], rng)
    for name, value in moved.items():
        deviation = value - reference[name]
        deviation *= deviation
        squares[name][...] += deviation


def _perturbed(value: Float64, scale: Float64, rng: np.random.Generator) -> Float64:
    if not scale.any():  # nothing is rounded here
        return value
    shared = LAMBDA * (rng.standard_normal(scale.shape[1:][-1:]) + rng.standard_normal())
    noise = rng.standard_normal(scale.shape, np.float32) * np.float32(LAMBDA) + shared
    noise *= scale
    noise += value
    return noise

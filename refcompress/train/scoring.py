"""Scoring: how good a network is on samples, measured as its training does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork, Quantization, run_dequantized
from refcompress.ops.base import Op
from refcompress.run import Inputs, run
from refcompress.train.constraints import Array
from refcompress.train.plan import Plan
from refcompress.train.samples import Samples, Targets, all_targets, samples_of

_BATCH = 256


def score(network: Graph | IntegerNetwork, inputs: Inputs, targets: Targets, plan: Plan) -> float:
    """Return the score of a network: what :func:`refcompress.train.fit.fit` would give an epoch that ended with it.

    Parameters
    ----------
    network
        A network of one output; parameters in any encoding. An integer network computes with the roundings of
        ``"tflm"``, and its logits are those that its Softmax or Sigmoid reads.
    inputs, targets
        The samples.
    plan
        Says what the score is (its own, or else the loss), and whether that takes logits.

    Returns
    -------
    float
        The smaller the better; infinite for a network whose outputs are not finite.

    Raises
    ------
    DataError
        Arrays do not fit the network or each other.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> from refcompress.train.plan import error_rate
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"w": encode([[1.0, 0.0], [0.0, 1.0]])})
    >>> score(graph, np.array([[3.0, 1.0], [0.0, 2.0]]), np.array([0, 0]), Plan(epochs=1, score=error_rate))
    0.5

    """
    graph = network.graph if isinstance(network, IntegerNetwork) else network
    trained = logits_graph(graph) if plan.from_logits else graph
    samples = samples_of(graph, inputs, targets)
    if isinstance(network, IntegerNetwork):
        cut = replace(network, graph=trained, quantizations=_made(network, trained))
        return _judged(run_dequantized(cut, samples.inputs, batch_size=_BATCH)[0], samples, plan)
    return score_of(trained, samples, plan)


def _made(network: IntegerNetwork, graph: Graph) -> dict[str, Quantization]:
    """Return the quantizations of what a part of the network makes."""
    names = {*(spec.name for spec in graph.inputs), *(node.output for node in graph.nodes)}
    return {name: each for name, each in network.quantizations.items() if name in names}


def score_of(graph: Graph, samples: Samples, plan: Plan, replaced: Mapping[str, Op] | None = None) -> float:
    """Return the score of a network whose output is what the loss takes, some operators replaced."""
    return _judged(run(graph, samples.inputs, batch_size=_BATCH, replaced=replaced)[0], samples, plan)


def _judged(output: Array, samples: Samples, plan: Plan) -> float:
    targets = all_targets(plan, samples)
    with np.errstate(all="ignore"):  # a network that has gone astray scores inf, which is never the best
        value = float(plan.loss(output, *targets)[0] if plan.score is None else plan.score(output, *targets))
    return math.inf if math.isnan(value) else value


def logits_graph(graph: Graph) -> Graph:
    """Return the network without the Softmax or Sigmoid that makes its output; others stay as they are.

    Examples
    --------
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Softmax", "softmax", ("x",), "y", attrs=NoAttrs())
    >>> logits_graph(Graph((TensorSpec("x", (2,)),), ("y",), (node,), {})).outputs
    ('x',)

    """
    last = next((node for node in graph.nodes if node.output == graph.outputs[0]), None)
    if last is None or last.op not in {"Softmax", "Sigmoid"}:
        return graph
    if any(last.output in node.inputs for node in graph.nodes):
        return replace(graph, outputs=last.inputs)
    return replace(graph, outputs=last.inputs, nodes=tuple(node for node in graph.nodes if node is not last))

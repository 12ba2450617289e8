"""Operators in training mode: dropout that drops, batch normalization by the moments of the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from refcompress.errors import DataError, OptionError
from refcompress.graph import Graph, Node
from refcompress.ops import find_op, weights
from refcompress.ops.base import Array, Cotangents, Op, Params, batch_sum
from refcompress.ops.batch_normalization import BatchNormalization
from refcompress.ops.dropout import Dropout

Moments = dict[str, tuple[Array, Array]]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingMode:
    """Operators for one step of training.

    Attributes
    ----------
    operators
        Name of a node to the operator that replaces its own, for :func:`refcompress.gradients.gradients`.
    moments
        Name of a batch normalization's node to mean and variance of its last batch; filled when the network runs.

    """

    operators: Mapping[str, Op]
    moments: Moments


def training_mode(graph: Graph, rng: np.random.Generator, *, batch_moments: bool = True) -> TrainingMode:
    """Return the operators that behave differently in training, for one pass forward and one backward.

    Parameters
    ----------
    graph
        The network.
    rng
        Chooses the units that are dropped; nodes draw from it in the order of the graph.
    batch_moments
        Whether batch normalizations use the moments of the batch; otherwise those kept from training, as at
        inference, which suits fine-tuning on few samples.

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> node = Node("Dropout", "drop", ("x",), "y", attrs=Dropout(0.5))
    >>> graph = Graph((TensorSpec("x", (4,)),), ("y",), (node,), {})
    >>> drop = training_mode(graph, np.random.default_rng(0)).operators["drop"]
    >>> drop.forward(node.attrs, [np.ones((1, 4), np.float32)], {})
    array([[2., 2., 2., 0.]], dtype=float32)

    """
    operators: dict[str, Op] = {}
    moments: Moments = {}
    for node in graph.nodes:
        if node.op == "Dropout" and node.attrs.ratio:
            operators[node.name] = _dropout(rng)
        elif node.op == "BatchNormalization" and batch_moments:
            operators[node.name] = _batch_normalization(node, moments)
    return TrainingMode(operators, moments)


def running_moments(graph: Graph, running: Mapping[str, Array], moments: Moments, momentum: float) -> dict[str, Array]:
    """Move the moments kept for inference towards those of a batch.

    ``running = momentum running + (1 - momentum) batch``, with the biased variance (divided by the count) as Keras
    keeps it outside its fused kernel; Keras's momentum is 0.99. PyTorch's momentum is 1 less this one (0.1 for 0.9),
    and it keeps the unbiased variance.

    Parameters
    ----------
    graph
        The network.
    running
        Parameter name to array: at least those of mean and variance of the nodes in ``moments``.
    moments
        As :class:`TrainingMode` has them after a pass.
    momentum
        0 to 1.

    Examples
    --------
    >>> roles = {"mean": "m", "var": "v"}
    >>> from refcompress.graph import TensorSpec
    >>> from refcompress.encodings import encode
    >>> node = Node("BatchNormalization", "bn", ("x",), "y", roles, BatchNormalization())
    >>> graph = Graph((TensorSpec("x", (1,)),), ("y",), (node,), {"m": encode([0.0]), "v": encode([1.0])})
    >>> start = {"m": np.array([0.0]), "v": np.array([1.0])}
    >>> running_moments(graph, start, {"bn": (np.array([2.0]), np.array([3.0]))}, 0.5)
    {'m': array([1.]), 'v': array([2.])}

    """
    moved = dict(running)
    for node in graph.nodes:
        for role, batch in zip(("mean", "var"), moments.get(node.name, ()), strict=False):
            old = moved[node.params[role]]
            moved[node.params[role]] = np.asarray(momentum * old + (1 - momentum) * batch, old.dtype)
    return moved


def surviving_dropout(ratio: float, density: float) -> float:
    """Dropout ratio of a pruned layer: ``ratio sqrt(surviving / all)`` connections (Han et al. 2015, section 3.2).

    Parameters
    ----------
    ratio
        Of the dense layer, 0 <= ratio < 1.
    density
        Share of the connections that survive, 0 to 1.

    Raises
    ------
    OptionError
        A number is out of range.

    Examples
    --------
    >>> surviving_dropout(0.5, 0.25)
    0.25

    """
    if not (0 <= ratio < 1 and 0 <= density <= 1):
        raise OptionError(
            f"a ratio of {ratio} at a density of {density}; allowed are 0 <= ratio < 1, 0 <= density <= 1"
        )
    return ratio * math.sqrt(density)


def _dropout(rng: np.random.Generator) -> Op:
    factors: list[Array] = []

    def forward(attrs: Dropout, inputs: Sequence[Array], _params: Params) -> Array:
        x = inputs[0]
        # drawn in float32 whatever the dtype of the network, so that both drop the same units
        kept = rng.random(x.shape, np.float32) >= attrs.ratio
        factors[:] = [np.asarray(kept * x.dtype.type(1 / (1 - attrs.ratio)))]
        return x * factors[0]

    def vjp(_attrs: Dropout, _inputs: Sequence[Array], _params: Params, _output: Array, cotangent: Array) -> Cotangents:
        return (cotangent * factors[0],), {}

    return replace(find_op("Dropout"), forward=forward, vjp=vjp)


def _batch_normalization(node: Node, moments: Moments) -> Op:
    kept: list[Array] = []

    def forward(attrs: BatchNormalization, inputs: Sequence[Array], params: Params) -> Array:
        x = inputs[0]
        count = math.prod(x.shape[:-1])
        if count == 0:
            raise DataError(f"node {node.name!r}: a batch without samples has no moments")
        mean = batch_sum(x) / x.dtype.type(count)
        centred = x - mean
        var = batch_sum(np.square(centred)) / x.dtype.type(count)
        moments[node.name] = (mean, var)
        inverse = (1 / np.sqrt(var + x.dtype.type(attrs.epsilon))).astype(x.dtype)
        kept[:] = [centred * inverse, inverse]
        out = kept[0] * weights.array(params["scale"], x.dtype) if "scale" in params else kept[0].copy()
        if "bias" in params:
            out += weights.array(params["bias"], x.dtype)
        return np.asarray(out)

    def vjp(
        _attrs: BatchNormalization, _inputs: Sequence[Array], params: Params, _output: Array, cotangent: Array
    ) -> Cotangents:
        """Ioffe & Szegedy 2015, section 3."""
        normal, inverse = kept
        dtype = cotangent.dtype
        count = dtype.type(math.prod(cotangent.shape[:-1]))
        total, moment = batch_sum(cotangent), batch_sum(cotangent * normal)
        factor = inverse * weights.array(params["scale"], dtype) if "scale" in params else inverse
        x = factor * (cotangent - total / count - normal * (moment / count))
        gradients = {"scale": moment, "bias": total}
        return (np.asarray(x),), {role: value for role, value in gradients.items() if role in params}

    return replace(find_op("BatchNormalization"), forward=forward, vjp=vjp)

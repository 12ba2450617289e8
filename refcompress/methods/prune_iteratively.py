"""Iterative pruning: prune, retrain, and prune further."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from refcompress.encodings import encode
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.methods import rounds
from refcompress.methods.dropout import scaled_dropout
from refcompress.methods.rounds import Directory, Report
from refcompress.methods.trained_weights import kept_zeros, options_of, values_of
from refcompress.passes.rules import LayerRule, check_choice, check_number, weights_of
from refcompress.train.constraints import zeroed
from refcompress.train.dataset import Dataset
from refcompress.train.masks import Scope, magnitude_masks
from refcompress.train.plan import Fitted, Plan


def prune_iteratively(
    graph: Graph,
    data: Dataset,
    plan: Plan,
    *,
    sparsities: Sequence[float],
    scope: Scope = "layer",
    layers: Sequence[LayerRule] = (),
    directory: Directory = None,
    progress: Report = None,
) -> Fitted:
    """Prune the smallest weights, retrain the others, and repeat with more (Han, Pool, Tran & Dally 2015).

    Each round prunes to its sparsity, scales dropout with the connections that survive
    (:func:`refcompress.methods.dropout.scaled_dropout`), and trains for the plan's epochs, its schedule from the
    beginning. Zeros stay zero. The next round begins with the best epoch of the one before.

    Parameters
    ----------
    graph
        The network. Zeros of weights that are not pruned (skipped ones) stay zero too.
    data
        What to learn from, and what to choose epochs by.
    plan
        How each round trains; weights that its constraints hold, or that it freezes, are not pruned. Rounds after the
        first have seeds drawn from its seed.
    sparsities
        Share of zeros in each round, 0 to 1, not falling: ``round(sparsity * n)`` of n weights, of each layer or of all
        together. More only where more are zero before.
    scope
        ``"layer"``, ``"global"`` or ``"scaled"``: see :func:`refcompress.train.masks.magnitude_masks`.
    layers
        Rules for single layers: ``sparsities``, as many as there are rounds, and ``skip``; with a scope other than
        ``"layer"`` ``skip`` alone.
    directory
        Where checkpoints are kept, one a round; calling again with the same arguments goes on from there. It is made
        if it is missing.
    progress
        Called after each step; steps and epochs are counted over all rounds.

    Returns
    -------
    Fitted
        The network after the last round; its history is that of all rounds.

    Raises
    ------
    OptionError
        An option is out of range, a rule matches no layer, or a weight is shared or quantized already.
    DataError
        Arrays do not fit the network, or the directory is of another call.

    References
    ----------
    Han, Pool, Tran & Dally 2015, "Learning both weights and connections for efficient neural networks", section 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> from refcompress.encodings import decode, encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"w": encode([[2.0, 0.1], [0.2, 3.0]])})
    >>> x, labels = np.eye(2), np.arange(2)
    >>> fitted = prune_iteratively(graph, Dataset(x, labels, x, labels), Plan(epochs=2), sparsities=[0.25, 0.5])
    >>> decode(fitted.graph.params["w"]) == 0
    array([[False,  True],
           [ True, False]])
    >>> [epoch.number for epoch in fitted.history]
    [1, 2, 3, 4]

    """
    check_choice("scope", scope, get_args(Scope))
    levels = _levels(graph, plan, sparsities, scope, layers)
    options = {"sparsities": list(sparsities), "scope": scope, "layers": list(layers)}
    run = rounds.start("train.prune_iteratively", options, data, plan, directory, progress, count=len(sparsities))
    now, done = graph, list[Fitted]()
    for number, overall in enumerate(sparsities, 1):
        pruned = _pruned(now, {name: each[number - 1] for name, each in levels.items()}, overall, scope)
        pruned = scaled_dropout(pruned, graph)
        held = plan.constraints + kept_zeros(pruned, plan)
        done.append(run.fit(pruned, number, replace(plan, constraints=held)))
        now = done[-1].graph
    return rounds.joined(done, now, len(done) - 1)


def _levels(
    graph: Graph, plan: Plan, sparsities: Sequence[float], scope: Scope, layers: Sequence[LayerRule]
) -> dict[str, Sequence[float]]:
    """Sparsity of each weight that is pruned, round by round."""
    _check_levels(sparsities, len(sparsities), "")
    levels = {}
    for weight, options in options_of(graph, plan, layers, {"sparsities": sparsities} if scope == "layer" else {}):
        levels[weight.name] = options.get("sparsities", sparsities)
        _check_levels(levels[weight.name], len(sparsities), weight.name)
    return levels


def _check_levels(levels: Sequence[float], count: int, where: str) -> None:
    at = f" for {where!r}" if where else ""
    if not levels or len(levels) != count:
        raise OptionError(f"sparsities are {list(levels)}{at}; give one for each round, {max(count, 1)}")
    for level in levels:
        check_number("a sparsity", level, 0, 1, where)
    if any(after < before for before, after in itertools.pairwise(levels)):
        raise OptionError(f"sparsities are {list(levels)}{at}; they must not fall: pruned weights stay zero")


def _pruned(graph: Graph, levels: Mapping[str, float], overall: float, scope: Scope) -> Graph:
    arrays = values_of(weight for weight in weights_of(graph) if weight.name in levels)
    if scope == "layer":
        masks = {name: magnitude_masks({name: arrays[name]}, level)[name] for name, level in levels.items()}
    else:
        masks = magnitude_masks(arrays, overall, scope=scope)
    return graph.with_params({name: encode(zeroed(array, masks[name])) for name, array in arrays.items()})

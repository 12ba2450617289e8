"""Raised thresholds: group by group, prune with a rising threshold for as long as retraining makes up for it."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

from refcompress.errors import OptionError, did_you_mean
from refcompress.graph import Graph
from refcompress.methods import rounds
from refcompress.methods.dropout import scaled_dropout
from refcompress.methods.rounds import Directory, Report, score_after
from refcompress.methods.trained_weights import kept_zeros, refuse_shared, trained_weights
from refcompress.passes import prune
from refcompress.passes.rules import Weight, check_choice, check_flag, check_number, check_whole, weights_of
from refcompress.train.dataset import Dataset
from refcompress.train.plan import Fitted, Plan
from refcompress.train.scoring import score

Deviation = Literal["all", "surviving", "cached"]

OPERATORS = ("Gemm", "Conv")


def raise_threshold(
    graph: Graph,
    data: Dataset,
    plan: Plan,
    *,
    groups: Sequence[str] = OPERATORS,
    start: float = 0.1,
    step: float = 0.1,
    budget: float = 0.005,
    std: Deviation = "all",
    inclusive: bool = True,
    max_rounds: int = 20,
    directory: Directory = None,
    progress: Report = None,
) -> Fitted:
    """Raise the threshold of one group of layers after the other until validation no longer recovers.

    A weight of a group is pruned if its magnitude is at most q standard deviations of its layer. q starts at ``start``;
    after each raise the network is retrained for the plan's epochs with its zeros held and its dropout scaled with the
    connections that survive. If the validation score then is at most ``budget`` worse than that of the network given,
    q rises by ``step``; else the network goes back to the last one that was, and the next group has its turn.

    Parameters
    ----------
    graph
        The trained network: its validation score is what the budget is counted from. Its zeros stay zero.
    data
        What to learn from, and what to decide by.
    plan
        How each round trains, and what the score is; weights that its constraints hold, or that it freezes, are not
        pruned. Rounds after the first have seeds drawn from its seed.
    groups
        In their order: ``"Gemm"`` or ``"Conv"`` for all layers of that operator, or a glob of layer names. A layer is
        of the first group that it fits.
    start, step
        First q, and by how much it rises; in standard deviations.
    budget
        By how much the score may be worse: for error rates, 0.005 is half a point.
    std
        Standard deviation over ``"all"`` weights of the layer as they are now, zeros included; over the
        ``"surviving"`` ones; or ``"cached"``: over all of the network given, so that the yardstick stays.
    inclusive
        Whether a weight exactly at the threshold goes too.
    max_rounds
        Most raises of one group.
    directory
        Where checkpoints are kept, one a round; calling again with the same arguments goes on from there. It is made
        if it is missing.
    progress
        Called after each step; steps are those of the round, since nobody knows how many rounds there will be.

    Returns
    -------
    Fitted
        The last network within the budget. Its history is that of all rounds, also of those that were taken back; its
        best epoch is 0 if no raise was within the budget: then the network is the one given.

    Raises
    ------
    OptionError
        An option is out of range, a group matches no layer, or a weight is shared or quantized already.
    DataError
        Arrays do not fit the network, or the directory is of another call.

    References
    ----------
    Han, Pool, Tran & Dally 2015, "Learning both weights and connections for efficient neural networks", sections 3 and
    4: thresholds by standard deviations, convolutions and dense layers pruned in turn, dropout scaled. Sensitivity
    pruning keeps the deviations from before pruning.

    Examples
    --------
    >>> import numpy as np
    >>> from refcompress.encodings import decode, encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> from refcompress.train.plan import error_rate
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"w": encode([[2.0, 0.1], [0.2, 3.0]])})
    >>> x, labels = np.eye(2), np.arange(2)
    >>> plan = Plan(epochs=1, score=error_rate)
    >>> fitted = raise_threshold(graph, Dataset(x, labels, x, labels), plan, max_rounds=2)
    >>> decode(fitted.graph.params["w"]) == 0
    array([[False,  True],
           [ True, False]])

    """
    _check(start, step, budget, std, inclusive, max_rounds)
    layers = _grouped(graph, plan, groups)
    options = {"groups": list(groups), "start": start, "step": step, "budget": budget, "std": std}
    limits = {"inclusive": inclusive, "max_rounds": max_rounds}
    run = rounds.start("train.raise_threshold", {**options, **limits}, data, plan, directory, progress, count=None)
    deviations = prune.standard_deviations(graph) if std == "cached" else std
    allowed = score(graph, *data.validation, plan) + budget
    now, chosen, done = graph, None, list[Fitted]()
    for names in filter(None, layers):
        for turn in range(max_rounds):
            pruned = _pruned(now, names, start + turn * step, deviations, inclusive=inclusive)
            pruned = scaled_dropout(pruned, graph)
            held = plan.constraints + kept_zeros(pruned, plan)
            done.append(run.fit(pruned, len(done) + 1, replace(plan, constraints=held)))
            if not score_after(done[-1]) <= allowed:
                break
            now, chosen = done[-1].graph, len(done) - 1
    return rounds.joined(done, now, chosen)


def _check(start: float, step: float, budget: float, std: str, inclusive: bool, max_rounds: int) -> None:
    for what, value in (("start", start), ("step", step), ("budget", budget)):
        check_number(what, value, 0)
    check_choice("std", std, get_args(Deviation))
    check_flag("inclusive", inclusive)
    check_whole("max_rounds", max_rounds, 1, 1 << 30)


def _grouped(graph: Graph, plan: Plan, groups: Sequence[str]) -> list[tuple[str, ...]]:
    """Names of the weights of each group that may be pruned, none of them twice."""
    moving = trained_weights(graph, plan)
    refuse_shared(moving)
    every = weights_of(graph)
    for group in groups:
        if group not in OPERATORS and not any(_fits(group, weight) for weight in every):
            names = list(dict.fromkeys(name for weight in every for name in weight.names))
            raise OptionError(
                f"the group {group!r} matches no layer; give Gemm, Conv or a glob of {', '.join(names) or 'no name'}"
                f"{did_you_mean(group, [*OPERATORS, *names])}"
            )
    taken: set[str] = set()
    grouped = []
    for group in groups:
        own = tuple(weight.name for weight in moving if weight.name not in taken and _fits(group, weight))
        taken.update(own)
        grouped.append(own)
    return grouped


def _fits(group: str, weight: Weight) -> bool:
    if group in OPERATORS:
        return any(node.op == group for node in weight.nodes)
    return any(fnmatch.fnmatchcase(name, group) for name in weight.names)


def _pruned(
    graph: Graph,
    names: Sequence[str],
    q: float,
    std: Literal["all", "surviving"] | Mapping[str, float],
    *,
    inclusive: bool,
) -> Graph:
    every = prune.threshold(graph, q=q, std=std, inclusive=inclusive)
    return graph.with_params({name: every.params[name] for name in names})

"""Gradual pruning: the sparsity rises along a cubic curve while the network trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.methods import rounds
from refcompress.methods.rounds import Directory, Report, from_epoch_of, steps_per_epoch
from refcompress.methods.trained_weights import kept_zeros, options_of
from refcompress.passes.rules import LayerRule, check_choice, check_number, check_whole
from refcompress.train.constraints import Constraint
from refcompress.train.dataset import Dataset
from refcompress.train.masks import GradualMasks, RecomputedMasks, Scope
from refcompress.train.plan import Fitted, Plan
from refcompress.train.schedules import Schedule, agp

Masking = Literal["once", "returning", "recomputed"]


def prune_gradually(
    graph: Graph,
    data: Dataset,
    plan: Plan,
    *,
    sparsity: float,
    layers: Sequence[LayerRule] = (),
    scope: Scope = "layer",
    begin: float = 0.1,
    end: float = 0.7,
    every: int = 100,
    masks: Masking = "once",
    directory: Directory = None,
    progress: Report = None,
) -> Fitted:
    """Prune while training: automated gradual pruning (Zhu & Gupta 2017).

    From step t0 to step t0 + n dt the sparsity rises along ``s (1 - (1 - (t - t0) / (n dt))^3)``, with a pruning every
    dt steps; then the network recovers. No epoch that ends before the last pruning is chosen as the best.

    Parameters
    ----------
    graph
        The network. Zeros of weights that are not pruned (skipped ones) stay zero.
    data
        What to learn from, and what to choose the epoch by.
    plan
        How; weights that its constraints hold, or that it freezes, are not pruned.
    sparsity
        Share of zeros at the end, 0 to 1: ``round(sparsity * n)`` of n weights, of each layer or of all together. More
        only where more are zero before.
    layers
        Rules for single layers: ``sparsity`` and ``skip``; with a scope other than ``"layer"`` ``skip`` alone.
    scope
        ``"layer"``, ``"global"`` or ``"scaled"``: see :func:`refcompress.train.masks.magnitude_masks`.
    begin, end
        Shares of all steps: where pruning begins, and where it has ended.
    every
        Steps dt from one pruning to the next; where fewer lie between beginning and end, there is one pruning at the
        end.
    masks
        ``"once"``: a pruned weight stays zero, as one that is zero before; ``"returning"``: pruned weights go on
        learning unseen, and each pruning compares them with the others again (Lin et al. 2020); ``"recomputed"``:
        after every step the smallest weights are set to zero, and the next step may move them, as some tools do.
    directory
        Where the checkpoint is kept; calling again with the same arguments goes on from there. It is made if it is
        missing.
    progress
        Called after each step.

    Returns
    -------
    Fitted
        The pruned network, and what each epoch gave.

    Raises
    ------
    OptionError
        An option is out of range, a rule matches no layer, or a weight is shared or quantized already.
    DataError
        Arrays do not fit the network, or the directory is of another call.

    References
    ----------
    Zhu & Gupta 2017, "To prune, or not to prune"; Lin, Stich, Barba, Dmitriev & Jaggi 2020, "Dynamic model pruning
    with feedback".

    Examples
    --------
    >>> import numpy as np
    >>> from refcompress.encodings import decode, encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"w": encode([[2.0, 0.1], [0.2, 3.0]])})
    >>> x, labels = np.eye(2), np.arange(2)
    >>> fitted = prune_gradually(graph, Dataset(x, labels, x, labels), Plan(epochs=10), sparsity=0.5, every=1)
    >>> decode(fitted.graph.params["w"]) == 0
    array([[False,  True],
           [ True, False]])

    """
    check_choice("scope", scope, get_args(Scope))
    check_choice("masks", masks, get_args(Masking))
    levels = _levels(graph, plan, sparsity, scope, layers)
    per_epoch = steps_per_epoch(graph, data, plan)
    first, length, interval = _span(begin, end, every, per_epoch * plan.epochs)
    held: list[Constraint] = []
    for level, names in levels.items():
        held.append(_masks(names, agp(level, begin=first, steps=length, every=interval), scope, masks))
    pruned = [name for names in levels.values() for name in names]
    zeros = kept_zeros(graph, plan, pruned)
    options = {"sparsity": sparsity, "layers": list(layers), "scope": scope, "masks": masks}
    times = {"begin": begin, "end": end, "every": every}
    run = rounds.start("train.prune_gradually", {**options, **times}, data, plan, directory, progress)
    own = replace(plan, constraints=(*plan.constraints, *held, *zeros))
    return run.fit(graph, 1, from_epoch_of(own, first + length, per_epoch))


def _levels(
    graph: Graph, plan: Plan, sparsity: float, scope: Scope, layers: Sequence[LayerRule]
) -> dict[float, tuple[str, ...]]:
    """Names of the weights of each sparsity, which are pruned together."""
    check_number("sparsity", sparsity, 0, 1)
    levels: dict[float, tuple[str, ...]] = {}
    for weight, options in options_of(graph, plan, layers, {"sparsity": sparsity} if scope == "layer" else {}):
        level = options.get("sparsity", sparsity)
        check_number("sparsity", level, 0, 1, weight.name)
        levels[level] = (*levels.get(level, ()), weight.name)
    return levels


def _span(begin: float, end: float, every: int, steps: int) -> tuple[int, int, int]:
    """First step of pruning, steps to the last one, and the interval, which divides them."""
    check_number("begin", begin, 0, 1)
    check_number("end", end, 0, 1)
    check_whole("every", every, 1, 1 << 62)
    first, length = round(begin * steps), round(end * steps) - round(begin * steps)
    if length < 1:
        raise OptionError(f"pruning from {begin} to {end} of {steps} steps; there must be a step in between")
    interval = min(every, length)
    return first, length // interval * interval, interval


def _masks(names: tuple[str, ...], sparsity: Schedule, scope: Scope, masks: Masking) -> Constraint:
    if masks == "recomputed":
        return RecomputedMasks(names, sparsity, scope)
    return GradualMasks(names, sparsity, scope, returning=masks == "returning")

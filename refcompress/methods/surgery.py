"""Dynamic network surgery: prune and splice while the network trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from refcompress.graph import Graph
from refcompress.methods import rounds
from refcompress.methods.rounds import Directory, Report, from_epoch_of, steps_per_epoch
from refcompress.methods.trained_weights import kept_zeros, options_of, values_of
from refcompress.passes.rules import LayerRule, check_number
from refcompress.train.dataset import Dataset
from refcompress.train.plan import Fitted, Plan
from refcompress.train.splicing import Splicing, thresholds_from


def surgery(
    graph: Graph,
    data: Dataset,
    plan: Plan,
    *,
    rate: float,
    margin: float = 0.1,
    gamma: float = 0.0001,
    power: float = 1.0,
    end: float = 0.7,
    layers: Sequence[LayerRule] = (),
    directory: Directory = None,
    progress: Report = None,
) -> Fitted:
    """Prune weights that become small and let back those that grow: dynamic network surgery (Guo, Yao & Chen 2016).

    The network runs with masked weights while all weights go on learning. A weight is pruned below ``(1 - margin) t``
    and returns from ``(1 + margin) t`` on, where t is ``mean + rate * std`` of the magnitudes that are not zero when
    training begins. Masks are updated after step n with the probability ``(1 + gamma (n - 1))^-power``, until the share
    ``end`` of all steps; no epoch that ends before is chosen as the best. Nobody sets the sparsity: it follows from
    ``rate``.

    Parameters
    ----------
    graph
        The network. Its zeros start pruned and may return; those of skipped layers stay zero.
    data
        What to learn from, and what to choose the epoch by.
    plan
        How; weights that its constraints hold, or that it freezes, are not pruned. Its seed is also that of the
        random updates.
    rate
        How many standard deviations above the mean magnitude to prune; may be negative. (The authors' ``c_rate``; 4 in
        their example for the first dense layer of LeNet-5.)
    margin
        0 to 1.
    gamma, power
        How updates become rare, 0 or more; with either 0 each step updates.
    end
        Share of all steps, 0 to 1.
    layers
        Rules for single layers: ``rate``, ``margin`` and ``skip``.
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
    Guo, Yao & Chen, NeurIPS 2016, "Dynamic network surgery for efficient DNNs", section 3; the thresholds and the
    probability are those of the authors' program.

    Examples
    --------
    >>> import numpy as np
    >>> from refcompress.encodings import decode, encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"w": encode([[2.0, 0.1], [0.2, 3.0]])})
    >>> x, labels = np.eye(2), np.arange(2)
    >>> fitted = surgery(graph, Dataset(x, labels, x, labels), Plan(epochs=3), rate=0.0)
    >>> decode(fitted.graph.params["w"]) == 0
    array([[False,  True],
           [ True, False]])

    """
    check_number("end", end, 0, 1)
    thresholds = {}
    for weight, options in options_of(graph, plan, layers, {"rate": rate, "margin": margin}):
        thresholds.update(thresholds_from(values_of([weight]), options["rate"], margin=options["margin"]))
    per_epoch = steps_per_epoch(graph, data, plan)
    until = round(end * per_epoch * plan.epochs)
    splicing = Splicing(thresholds, gamma, power, until, plan.seed)
    zeros = kept_zeros(graph, plan, thresholds)
    options = {"rate": rate, "margin": margin, "gamma": gamma, "power": power, "end": end, "layers": list(layers)}
    run = rounds.start("train.surgery", options, data, plan, directory, progress)
    own = replace(plan, constraints=(*plan.constraints, splicing, *zeros))
    return run.fit(graph, 1, from_epoch_of(own, until, per_epoch))

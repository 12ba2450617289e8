"""Fine-tuning: train what a compressed network still can learn, its zeros and shared values kept."""

from __future__ import annotations

from dataclasses import replace

from refcompress.encodings import Codebook, Linear
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.methods import rounds
from refcompress.methods.rounds import Directory, Report
from refcompress.methods.trained_weights import kept_zeros, trained_weights
from refcompress.train.dataset import Dataset
from refcompress.train.plan import Fitted, Plan
from refcompress.train.tying import Gradient, TiedCentroids


def fine_tune(
    graph: Graph,
    data: Dataset,
    plan: Plan,
    *,
    gradient: Gradient = "sum",
    reassign_every: int = 0,
    biases: bool = False,
    directory: Directory = None,
    progress: Report = None,
) -> Fitted:
    """Train a network, pruned weights staying zero and shared weights shared.

    A weight (of Conv and Gemm) that is zero stays exactly +0.0. A weight with a codebook keeps as many values, which
    learn; zero stays zero. A dense network is just trained: pruning in one shot is a pruning pass followed by this.

    Parameters
    ----------
    graph
        The network.
    data
        What to learn from, and what to choose the epoch by.
    plan
        How; weights that its constraints hold, or that it freezes, are left to it.
    gradient
        What moves a shared value: the ``"sum"`` of its members' gradients, or their ``"mean"``; see
        :class:`refcompress.train.tying.TiedCentroids`.
    reassign_every
        Steps after which shared weights may change to a nearer value; 0 for never.
    biases
        Whether biases that are shared stay shared too. A bias with a codebook need not be meant so: equal numbers are
        also stored like that.
    directory
        Where the checkpoint is kept; calling again with the same arguments goes on from there. It is made if it is
        missing.
    progress
        Called after each step.

    Returns
    -------
    Fitted
        The network, and what each epoch gave.

    Raises
    ------
    OptionError
        A weight is quantized to integers, which training would undo, or an option is not allowed.
    DataError
        Arrays do not fit the network, or the directory is of another call.

    References
    ----------
    Han, Pool, Tran & Dally 2015, section 3.3; Han, Mao & Dally 2016, section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from refcompress.encodings import decode, encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"w": encode([[0.0, 1.0], [1.0, 0.0]])})
    >>> x, labels = np.eye(2), np.arange(2)
    >>> fitted = fine_tune(graph, Dataset(x, labels, x, labels), Plan(epochs=2))
    >>> decode(fitted.graph.params["w"]).diagonal()
    array([0., 0.], dtype=float32)

    """
    tied = _tied(graph, plan, ("weight", "bias") if biases else ("weight",), gradient, reassign_every)
    zeros = kept_zeros(graph, plan, tied.names)
    held = plan.constraints + zeros + ((tied,) if tied.names else ())
    options = {"gradient": gradient, "reassign_every": reassign_every, "biases": biases}
    run = rounds.start("train.fine_tune", options, data, plan, directory, progress)
    return run.fit(graph, 1, replace(plan, constraints=held))


def _tied(graph: Graph, plan: Plan, roles: tuple[str, ...], gradient: Gradient, reassign_every: int) -> TiedCentroids:
    names = []
    for weight in trained_weights(graph, plan, roles):
        values = weight.encoding.values
        if isinstance(values, Linear):
            raise OptionError(
                f"the weight {weight.name!r} is quantized to integers, which training would undo; "
                "fine-tune before quantizing, or freeze the weight"
            )
        if isinstance(values, Codebook):
            names.append(weight.name)
    return TiedCentroids(tuple(names), gradient, reassign_every)

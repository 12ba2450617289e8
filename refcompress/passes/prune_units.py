"""Pruning of whole units: the output channels of convolutions and matrices with the smallest weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, decode
from refcompress.encodings.rows import matrix_shape, to_rows
from refcompress.graph import Graph
from refcompress.passes.rewrite import like, row_values
from refcompress.passes.rules import LayerRule, Weight, check_choice, check_number, weights_of, with_options

Norm = Literal["l1", "l2"]


def units(graph: Graph, *, sparsity: float, norm: Norm = "l2", layers: Sequence[LayerRule] = ()) -> Graph:
    """Set all weights and the bias of the weakest output units of each layer to zero, a stated share of them.

    :func:`refcompress.passes.remove_dead_units.remove_dead_units` then cuts them out of the network.

    Parameters
    ----------
    graph
        A network; normalization is left alone, and so are layers whose output the network returns, at once or after
        operators without weights.
    sparsity
        Share of each layer's units to prune, 0 to 1. Of n units ``floor(sparsity * n + 0.5)`` are zero afterwards, more
        only where more were: those have the smallest norm and count first.
    norm
        Of a unit's weights: sum of magnitudes (``"l1"``) or root of the sum of squares (``"l2"``); the bias does not
        count. Among equal ones the first are pruned.
    layers
        Rules for single layers: ``sparsity``, ``norm`` and ``skip``.

    Returns
    -------
    Graph
        The same network; every zero of a pruned unit is +0.0. Weights that were shared or quantized stay so.

    Raises
    ------
    OptionError
        An option is out of range, or a rule matches no layer.
    ModelError
        A weight holds NaN or infinity.

    References
    ----------
    Li, Kadav, Durdanovic, Samet, Graf 2017, "Pruning filters for efficient ConvNets", section 3.1 (with l1).

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> nodes = (Node("Gemm", "a", ("x",), "h", {"weight": "w"}), Node("Gemm", "b", ("h",), "y", {"weight": "v"}))
    >>> arrays = {"w": [[3.0, -1.0], [1.0, 1.0]], "v": [[1.0], [1.0]]}
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), nodes, {name: encode(array) for name, array in arrays.items()})
    >>> decode(units(graph, sparsity=0.5).params["w"])
    array([[3., 0.],
           [1., 0.]], dtype=float32)

    """
    defaults = {"sparsity": sparsity, "norm": norm}
    returned = _that_make_outputs(graph)
    inner = [weight for weight in weights_of(graph) if not returned & {node.name for node in weight.nodes}]
    chosen = list(with_options(inner, layers, defaults))
    for where, each in [("", defaults), *((weight.name, options) for weight, options in chosen)]:
        check_number("sparsity", each["sparsity"], 0, 1, where)
        check_choice("norm", each["norm"], get_args(Norm), where)
    changed: dict[str, Encoding] = {}
    for weight, options in chosen:
        rows = row_values(weight).reshape(matrix_shape(weight.encoding.shape))
        kept = _strongest(rows, options["sparsity"], options["norm"])
        if kept.all():
            continue
        changed[weight.name] = like(weight.encoding, np.where(kept[:, None], rows, np.float32(0)).reshape(-1))
        changed.update(_biases(graph, weight, kept))
    return graph.with_params(changed)


def _strongest(rows: NDArray[np.float32], sparsity: float, norm: str) -> NDArray[np.bool_]:
    wide = rows.astype(np.float64)
    strength = np.abs(wide).sum(axis=1) if norm == "l1" else np.square(wide).sum(axis=1)
    kept = np.ones(len(rows), np.bool_)
    kept[np.argsort(strength, kind="stable")[: math.floor(sparsity * len(rows) + 0.5)]] = False
    return kept


def _biases(graph: Graph, weight: Weight, kept: NDArray[np.bool_]) -> dict[str, Encoding]:
    names = {node.params["bias"] for node in weight.nodes if "bias" in node.params}
    return {
        name: like(graph.params[name], np.where(kept, to_rows(decode(graph.params[name])).reshape(-1), np.float32(0)))
        for name in names
    }


def _that_make_outputs(graph: Graph) -> set[str]:
    """Nodes between the last weights and the outputs, those with these weights included."""
    makers = {node.output: node for node in graph.nodes}
    found: set[str] = set()
    pending = [makers[name] for name in graph.outputs if name in makers]
    while pending:
        node = pending.pop()
        if node.name not in found:
            found.add(node.name)
            if "weight" not in node.params:
                pending += [makers[name] for name in node.inputs if name in makers]
    return found

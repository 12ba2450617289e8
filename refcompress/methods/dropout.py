"""Dropout of a pruned network: less of it, since fewer connections need it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from refcompress.encodings import decode
from refcompress.graph import Graph, Node
from refcompress.train.modes import surviving_dropout

_WEIGHTED = ("Conv", "Gemm")


def scaled_dropout(graph: Graph, original: Graph) -> Graph:
    """Scale each dropout ratio with the root of the share of connections that survive (Han et al. 2015, section 3.2).

    The ratio becomes ``original ratio * sqrt(surviving / all)``. The connections are the weights of the Conv and Gemm
    nodes that read what the Dropout node makes, directly or through nodes without such weights (Flatten, pooling);
    a weight that two of them share counts once.

    Parameters
    ----------
    graph
        The pruned network.
    original
        The network before pruning: its nodes have the original ratios, and its weights that are not zero are all
        connections.

    Returns
    -------
    Graph
        The pruned network with new ratios; a Dropout node that no such layer reads keeps its ratio.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import TensorSpec
    >>> from refcompress.ops import make_attrs
    >>> drop = Node("Dropout", "drop", ("x",), "d", attrs=make_attrs("Dropout", {"ratio": 0.5}))
    >>> gemm = Node("Gemm", "fc", ("d",), "y", {"weight": "w"}, make_attrs("Gemm", {}))
    >>> dense = Graph((TensorSpec("x", (4,)),), ("y",), (drop, gemm), {"w": encode([[1.0], [2.0], [3.0], [4.0]])})
    >>> pruned = dense.with_params({"w": encode([[0.0], [0.0], [0.0], [4.0]])})
    >>> scaled_dropout(pruned, dense).nodes[0].attrs.ratio
    0.25

    """
    ratios = {node.name: node.attrs.ratio for node in original.nodes if node.op == "Dropout"}
    nodes = [
        _scaled(node, ratios[node.name], graph, original) if node.op == "Dropout" and node.name in ratios else node
        for node in graph.nodes
    ]
    return replace(graph, nodes=tuple(nodes))


def _scaled(node: Node, ratio: float, graph: Graph, original: Graph) -> Node:
    names = {reader.params["weight"] for reader in _readers(graph, node)}
    connections = sum(_nonzero(original, name) for name in names)
    if connections == 0:
        return node
    surviving = sum(_nonzero(graph, name) for name in names)
    # weights that were zero may have returned
    density = min(surviving / connections, 1.0)
    return replace(node, attrs=replace(node.attrs, ratio=surviving_dropout(ratio, density)))


def _readers(graph: Graph, node: Node) -> Iterator[Node]:
    """Yield the Conv and Gemm nodes that read a node, directly or through others."""
    reached = {node.output}
    for each in graph.nodes:  # in topological order
        if not reached.isdisjoint(each.inputs):
            if each.op in _WEIGHTED:
                yield each
            else:
                reached.add(each.output)


def _nonzero(graph: Graph, name: str) -> int:
    return int(np.count_nonzero(decode(graph.params[name])))

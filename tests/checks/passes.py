"""Small networks around given weights, for tests of passes."""

from __future__ import annotations

from collections.abc import Mapping

from numpy.typing import ArrayLike

from refcompress.encodings import Dense, Encoding, encode
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops.base import NoAttrs


def gemm_graph(**weights: ArrayLike | Encoding) -> Graph:
    """Make one Gemm for each matrix (in, out), named after it, all reading the same input.

    Parameters
    ----------
    **weights
        Name of the node to its weight; the parameter is called ``NAME/kernel``.

    """
    params: Mapping[str, Encoding] = {
        f"{name}/kernel": weight if hasattr(weight, "values") else encode(weight) for name, weight in weights.items()
    }
    nodes = [Node("Gemm", name, ("x",), f"{name}/out", {"weight": f"{name}/kernel"}, NoAttrs()) for name in weights]
    size = next(iter(params.values())).shape[0]
    return Graph((TensorSpec("x", (size,)),), tuple(node.output for node in nodes), tuple(nodes), params)


def row_graph(values: ArrayLike) -> Graph:
    """Make a Gemm ``fc`` of one output unit, whose row order is the order of the values."""
    column = encode(values)
    return gemm_graph(fc=Dense((column.shape[0], 1), column.values))

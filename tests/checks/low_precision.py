"""Networks computed in low precisions, step by step: NumPy's float16, and bfloat16 and TF32 by their bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import decode, encode
from refcompress.graph import Graph
from refcompress.ops import find_op

Array = NDArray[Any]
Round = Callable[[Array], Array]

WITH_PRODUCTS = {"Conv", "Gemm"}


def float16(x: Array) -> Array:
    """Round to float16, as NumPy does."""
    return np.asarray(x).astype(np.float16).astype(np.float32)


def bfloat16(x: Array) -> Array:
    """Round float32 to bfloat16: drop 16 bits, ties to even."""
    return _dropped(x, 16)


def tf32(x: Array) -> Array:
    """Round float32 to TF32: drop 13 bits, ties to even."""
    return _dropped(x, 13)


def _dropped(x: Array, count: int) -> Array:
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    half = (1 << (count - 1)) - 1
    return (((bits + half + ((bits >> count) & 1)) >> count) << count).astype(np.uint32).view(np.float32)


def run_stored(graph: Graph, inputs: Mapping[str, Array], rounded: Round) -> dict[str, Array]:
    """Run with weights and activations rounded, sums in float32."""
    made = {name: rounded(array) for name, array in inputs.items()}
    for node in graph.nodes:
        params = {role: encode(rounded(decode(graph.params[name]))) for role, name in node.params.items()}
        made[node.output] = rounded(find_op(node.op).forward(node.attrs, [made[name] for name in node.inputs], params))
    return made


def run_products(graph: Graph, inputs: Mapping[str, Array], rounded: Round) -> dict[str, Array]:
    """Run with the factors of products rounded, all else in float32."""
    made = {name: np.asarray(array, np.float32) for name, array in inputs.items()}
    for node in graph.nodes:
        values = [made[name] for name in node.inputs]
        params = {role: graph.params[name] for role, name in node.params.items()}
        if node.op in WITH_PRODUCTS:
            values = [rounded(value) for value in values]
            params["weight"] = encode(rounded(decode(params["weight"])))
        made[node.output] = find_op(node.op).forward(node.attrs, values, params)
    return made


def dense_in_sums(x: Array, weight: Array, bias: Array, rounded: Round) -> Array:
    """Multiply by a matrix (in, out) and add a bias, every product and every sum rounded."""
    total = np.zeros((len(x), weight.shape[1]), np.float32)
    for column, row in zip(rounded(x).T, rounded(weight), strict=True):
        total = rounded(total + rounded(column[:, None] * row))
    return rounded(total + rounded(bias))

"""Dropout of pruned networks: the paper's formula, and which layers count."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from checks.digit_networks import trained
from hypothesis import given
from hypothesis import strategies as st

from refcompress.encodings import encode
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.methods import scaled_dropout
from refcompress.ops import NoAttrs
from refcompress.ops.conv import Conv
from refcompress.ops.dropout import Dropout
from refcompress.passes import prune


def dropout(name: str, source: str, ratio: float) -> Node:
    return Node("Dropout", name, (source,), name, attrs=Dropout(ratio))


def layer(op: str, name: str, source: str, weight: str) -> Node:
    return Node(op, name, (source,), name, {"weight": weight}, NoAttrs() if op == "Gemm" else Conv())


def plain(op: str, name: str, *sources: str) -> Node:
    return Node(op, name, sources, name, attrs=NoAttrs())


def ratios(graph: Graph) -> dict[str, float]:
    return {node.name: node.attrs.ratio for node in graph.nodes if node.op == "Dropout"}


def branched(conv: float = 1.0, a: float = 1.0, b: float = 1.0) -> Graph:
    """Four dropouts before: a convolution; two Gemm nodes behind Relu and Flatten; one shared weight twice; nothing."""
    nodes = (
        dropout("first", "x", 0.5),
        layer("Conv", "conv", "first", "conv/w"),
        dropout("second", "conv", 0.4),
        plain("Relu", "relu", "second"),
        plain("Flatten", "flat", "relu"),
        layer("Gemm", "a", "flat", "a/w"),
        layer("Gemm", "b", "flat", "b/w"),
        plain("Add", "sum", "a", "b"),
        dropout("third", "sum", 0.3),
        layer("Gemm", "c", "third", "c/w"),
        layer("Gemm", "d", "third", "c/w"),
        plain("Add", "end", "c", "d"),
        dropout("fourth", "end", 0.2),
    )
    rng = np.random.default_rng(0)
    sizes = {"conv/w": (1, 1, 1, 4), "a/w": (16, 5), "b/w": (16, 5), "c/w": (5, 5)}
    params = {}
    for (name, size), density in zip(sizes.items(), (conv, a, b, 1.0), strict=True):
        array = rng.normal(size=size).reshape(-1)
        array[round(density * array.size) :] = 0
        params[name] = encode(array.reshape(size))
    return Graph((TensorSpec("x", (2, 2, 1)),), ("fourth",), nodes, params)


@given(st.integers(0, 4), st.integers(0, 80), st.integers(0, 80))
def test_ratios_are_scaled_by_the_formula(conv: int, a: int, b: int) -> None:
    pruned = branched(conv / 4, a / 80, b / 80)
    scaled = ratios(scaled_dropout(pruned, branched()))
    wanted = {
        "first": 0.5 * math.sqrt(conv / 4),
        "second": 0.4 * math.sqrt((a + b) / 160),
        "third": 0.3,
        "fourth": 0.2,
    }
    assert scaled == pytest.approx(wanted)


def test_scaling_again_starts_from_the_original_ratio() -> None:
    dense = trained()
    once = scaled_dropout(prune.magnitude(dense, sparsity=0.75), dense)
    twice = scaled_dropout(prune.magnitude(once, sparsity=0.9), dense)
    assert ratios(once)["dropout"] == pytest.approx(0.2 * math.sqrt(0.25))
    assert ratios(twice)["dropout"] == pytest.approx(0.2 * math.sqrt(0.1))


def test_connections_are_those_that_the_original_has() -> None:
    half = branched(a=0.5, b=0.5)
    assert ratios(scaled_dropout(branched(a=0.25, b=0.25), half))["second"] == pytest.approx(0.4 * math.sqrt(0.5))
    assert ratios(scaled_dropout(branched(), half)) == ratios(branched())  # weights that returned do not raise it
    empty = branched(0, 0, 0)
    assert ratios(scaled_dropout(empty, empty)) == ratios(empty)


def test_a_dropout_that_the_original_lacks_is_left_alone() -> None:
    graph = branched(conv=0.5)
    other = replace(graph, nodes=tuple(replace(node, name=f"old {node.name}") for node in graph.nodes))
    assert ratios(scaled_dropout(graph, other)) == ratios(graph)

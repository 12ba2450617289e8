"""The usual suspects: each one convicts itself, none is taken for a cause that proves nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from checks.single_nodes import SINGLES, single_node

from refcompress.encodings import decode, encode
from refcompress.errors import RefcompressError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import OPS, find_op, infer_shapes, make_attrs
from refcompress.ops.average_pool import AveragePool
from refcompress.ops.conv import Conv
from refcompress.ops.flatten import OP as FLATTEN
from refcompress.run import run, run_all
from refcompress.verify import compare_layers
from refcompress.verify.causes import CAUSES, explain, variants, with_variant

HOW = {"samples": [0], "model": "probabilistic", "precision": "float32"}
MOST_SUSPECTS = 15  # of one operator that are tried
VISIBLE = 1e-3  # of the values: what changes less may lie within the bound


def suspects(graph: Graph, inputs: dict[str, np.ndarray]) -> list[tuple[str, Graph]]:
    """Every variant of a network of one node that runs, with its text."""
    (node,) = graph.nodes
    values = {name: np.asarray(value, np.float64) for name, value in run_all(graph, inputs).items()}
    found = []
    for variant in variants(graph, node, values, values[node.output]):
        changed = with_variant(graph, node, variant)
        try:
            if changed is not None:
                infer_shapes(changed)
                found.append((variant.text, changed))
        except RefcompressError:
            continue
    return found


@pytest.mark.parametrize("op", SINGLES)
def test_every_suspect_that_shows_is_found_by_what_it_would_have_done(op: str) -> None:
    graph, inputs = single_node(op, np.random.default_rng(7), samples=4)
    (right,) = run(graph, inputs)
    everybody = suspects(graph, inputs)
    for text, changed in everybody[:: 1 + len(everybody) // MOST_SUSPECTS]:
        (theirs,) = run(changed, inputs)
        if theirs.shape == right.shape and np.abs(theirs - right).max() <= VISIBLE * np.abs(right).max():
            continue
        if not np.isfinite(theirs).all() or not np.abs(theirs).max() > 1e-6:
            continue
        given = {name: array.astype(np.float64) for name, array in inputs.items()}
        assert explain(graph, graph, given, theirs.astype(np.float64), **HOW), text  # type: ignore[arg-type]


def test_texts_complete_the_sentence() -> None:
    texts = {text for op in SINGLES for text, _ in suspects(*single_node(op, np.random.default_rng(7)))}
    assert len(texts) > 150
    assert not [text for text in texts if text != text.strip() or text.endswith(".") or text[:1].isspace()]


def test_every_cause_names_operators_that_exist() -> None:
    for cause in CAUSES:
        assert cause.ops is None or cause.ops <= OPS.keys(), cause.name
        assert cause.name


def test_noise_is_explained_by_nothing() -> None:
    rng = np.random.default_rng(0)
    for op in ("Conv", "Gemm", "BatchNormalization", "Relu", "LSTM", "MaxPool"):
        graph, inputs = single_node(op, rng)
        theirs = rng.normal(size=run(graph, inputs)[0].shape)
        given = {name: array.astype(np.float64) for name, array in inputs.items()}
        assert explain(graph, graph, given, theirs, **HOW) == ""  # type: ignore[arg-type]


def test_a_suspect_that_explains_one_sample_must_explain_all() -> None:
    graph, inputs = single_node("Relu", np.random.default_rng(1))
    x = inputs["x0"]
    theirs = np.maximum(x, 0)
    theirs[0] = x[0]
    verdict = compare_layers(graph, {"x0": x, "y": theirs})
    assert verdict.first_bad == "node"
    assert verdict.tensors[0].cause == ""


def test_inside_a_chain_the_node_is_named() -> None:
    rng = np.random.default_rng(2)
    params = {"w": encode(rng.normal(size=(3, 3, 2, 4)))}
    nodes = (
        Node("Conv", "conv", ("x",), "c", {"weight": "w"}, Conv((2, 2), (0, 0, 1, 1))),
        Node("Relu", "relu", ("c",), "y", {}, make_attrs("Relu", {})),
    )
    graph = Graph((TensorSpec("x", (8, 8, 2)),), ("y",), nodes, params)
    other = dataclasses.replace(nodes[0], attrs=Conv((2, 2), (1, 1, 0, 0)))
    x = rng.normal(size=(3, 8, 8, 2)).astype(np.float32)
    (theirs,) = run(dataclasses.replace(graph, nodes=(other, nodes[1])), x)
    verdict = compare_layers(graph, {"x": x, "y": theirs})
    assert verdict.first_bad == "relu"
    assert verdict.tensors[0].cause == "with SAME padding on the other side in 'conv' it agrees"


def test_a_flattening_channels_first_is_seen_in_the_dense_layer_too() -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(24, 5)).astype(np.float32)
    nodes = (
        Node("Flatten", "flat", ("x",), "f", {}, FLATTEN.attrs()),
        Node("Gemm", "dense", ("f",), "y", {"weight": "w"}, make_attrs("Gemm", {})),
    )
    graph = Graph((TensorSpec("x", (2, 3, 4)),), ("y",), nodes, {"w": encode(weight)})
    x = rng.normal(size=(3, 2, 3, 4)).astype(np.float32)
    theirs = np.moveaxis(x, -1, 1).reshape(3, -1) @ weight
    verdict = compare_layers(graph, {"x": x, "f": x.reshape(3, -1), "y": theirs})
    assert verdict.tensors[1].cause == "with the input flattened channels first it agrees"


def test_weights_of_another_layer_are_recognised() -> None:
    rng = np.random.default_rng(4)
    params = {name: encode(rng.normal(size=(6, 6))) for name in ("a", "b")}
    nodes = tuple(
        Node("Gemm", f"dense_{name}", (read,), name, {"weight": name}, make_attrs("Gemm", {}))
        for name, read in (("a", "x"), ("b", "a"))
    )
    graph = Graph((TensorSpec("x", (6,)),), ("b",), nodes, params)
    x = rng.normal(size=(3, 6)).astype(np.float32)
    theirs = run_all(graph.with_params({"b": params["a"]}), x)
    verdict = compare_layers(graph, theirs)
    assert verdict.tensors[1].cause == "with the weight of 'dense_a' it agrees"


def test_an_epsilon_that_nobody_uses_is_solved_for() -> None:
    graph, inputs = single_node("BatchNormalization", np.random.default_rng(5))
    arrays = {role: decode(graph.params[role]).astype(np.float64) for role in ("scale", "bias", "mean", "var")}
    factor = arrays["scale"] / np.sqrt(arrays["var"] + 0.0123)
    theirs = ((inputs["x0"] - arrays["mean"]) * factor + arrays["bias"]).astype(np.float32)
    verdict = compare_layers(graph, {"x0": inputs["x0"], "y": theirs})
    assert verdict.tensors[0].cause == "with epsilon 0.0123 it agrees"


def test_a_mean_that_counts_the_padding() -> None:
    attrs = AveragePool((3, 3), (1, 1), (1, 1, 1, 1))
    node = Node("AveragePool", "pool", ("x",), "y", {}, attrs)
    graph = Graph((TensorSpec("x", (5, 5, 2)),), ("y",), (node,), {})
    x = np.random.default_rng(6).normal(size=(2, 5, 5, 2)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    theirs = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2)).mean((-2, -1))
    verdict = compare_layers(graph, {"x": x, "y": theirs})
    assert verdict.tensors[0].cause == "with padding counted it agrees"
    assert find_op("AveragePool").forward(attrs, [x], {}).shape == theirs.shape

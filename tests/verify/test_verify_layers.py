"""Layer by layer: the first wrong one is named at any depth, between whatever activations are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from checks.small_networks import classifier, two_ended
from numpy.typing import NDArray
from test_verify_bounds import mlp, residual_network

from refcompress.encodings import encode
from refcompress.errors import DataError, OptionError
from refcompress.graph import Graph
from refcompress.ops.conv import Conv
from refcompress.run import run_all, run_exact_all
from refcompress.verify import compare_layers

Activations = dict[str, NDArray[np.float32]]


def images(graph: Graph, samples: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(samples, *graph.inputs[0].shape)).astype(np.float32)


def network() -> tuple[Graph, Activations]:
    graph = residual_network(np.random.default_rng(0))
    return graph, run_all(graph, images(graph))  # type: ignore[return-value]


def test_float32_runs_are_within_layer_by_layer() -> None:
    graph, theirs = network()
    for activations in (theirs, run_exact_all(graph, images(graph))):
        verdict = compare_layers(graph, activations)
        assert verdict.within
        assert verdict.first_bad is None
        assert [tensor.name for tensor in verdict.tensors] == [node.name for node in graph.nodes]
        assert verdict.unseen == ()


def test_bounds_stay_tight_at_any_depth() -> None:
    graph = mlp(np.random.default_rng(2), [64] * 30, "Relu", "Relu")
    verdict = compare_layers(graph, run_all(graph, images(graph)))
    assert verdict.within
    assert all(tensor.max_bound < 1e-5 * max(1.0, tensor.max_value) for tensor in verdict.tensors)


@pytest.mark.parametrize("name", ["first", "norm", "second", "shortcut", "mean", "dense"])
def test_the_wrong_layer_is_named_and_those_after_it_are_not(name: str) -> None:
    graph, theirs = network()
    output = next(node.output for node in graph.nodes if node.name == name)
    changed = replace(graph, inputs=graph.inputs)
    spoilt = {**theirs, output: theirs[output] + np.float32(0.01)}
    for node in changed.nodes:  # the framework goes on from what it has
        if node.output != output and any(name in spoilt for name in node.inputs):
            spoilt[node.output] = _one(graph, node.name, spoilt)
    verdict = compare_layers(graph, spoilt, causes=False)
    assert verdict.first_bad == name
    assert [tensor.name for tensor in verdict.bad] == [name]


def _one(graph: Graph, name: str, activations: Activations) -> NDArray[np.float32]:
    from refcompress.ops import find_op

    node = next(node for node in graph.nodes if node.name == name)
    params = {role: graph.params[key] for role, key in node.params.items()}
    made = find_op(node.op).forward(node.attrs, [activations[key] for key in node.inputs], params)
    return np.asarray(made, np.float32)


def test_what_lies_between_known_activations_is_run_as_one() -> None:
    graph, theirs = network()
    known = {name: theirs[name] for name in ("x", "r1", "p", "y")}
    verdict = compare_layers(graph, known)
    assert verdict.within
    assert [tensor.nodes for tensor in verdict.tensors] == [
        ("first", "norm", "relu"),
        ("second", "shortcut", "pool"),
        ("mean", "dense", "softmax"),
    ]
    assert verdict.tensors[0].ops == ("Conv", "BatchNormalization", "Relu")
    known["p"] = known["p"] + np.float32(0.01)
    assert compare_layers(graph, known, causes=False).first_bad == "pool"


def test_nodes_on_which_nothing_known_depends_are_listed() -> None:
    graph, theirs = network()
    verdict = compare_layers(graph, {name: theirs[name] for name in ("x", "n1")})
    assert verdict.within
    assert verdict.unseen == ("relu", "second", "shortcut", "pool", "mean", "dense", "softmax")


def test_networks_with_several_inputs_and_outputs() -> None:
    graph = two_ended()
    a, b = (np.random.default_rng(i).normal(size=(3, 3)).astype(np.float32) for i in (1, 2))
    verdict = compare_layers(graph, {"a": a, "b": b, "first": np.maximum(a, 0), "second": a - b})
    assert verdict.first_bad == "add"
    assert verdict.tensors[1].cause == "with the difference it agrees"


def test_an_array_of_another_shape_is_a_wrong_layer_and_its_reader_is_not_compared() -> None:
    graph, theirs = network()
    wide = replace(graph.nodes[0], attrs=Conv(pads=(0, 0, 0, 0)))
    valid = replace(graph, nodes=(wide,), outputs=("c1",))
    spoilt = {**theirs, **run_all(valid, theirs["x"])}
    verdict = compare_layers(graph, spoilt)
    assert verdict.first_bad == "first"
    assert verdict.tensors[0].cause == "with no padding it agrees"
    assert verdict.tensors[0].worst == ()
    assert verdict.tensors[1].cause == "its shape is (8, 8, 8) where ours is (6, 6, 8)"
    dense = {**theirs, "g": theirs["g"][:, :5]}
    assert [tensor.state for tensor in compare_layers(graph, dense, causes=False).tensors[6:8]] == [
        "wrong",
        "not comparable",
    ]


def test_values_that_are_not_finite_are_a_wrong_layer_and_feed_no_verdict() -> None:
    graph, theirs = network()
    theirs["c1"] = theirs["c1"].copy()
    theirs["c1"][0, 0, 0, 0] = np.nan
    verdict = compare_layers(graph, theirs, causes=False)
    assert [tensor.state for tensor in verdict.tensors[:3]] == ["wrong", "not comparable", "within"]
    assert verdict.first_bad == "first"


def test_wrong_layers_come_before_those_of_lower_precision() -> None:
    graph = classifier()
    theirs = dict(run_all(graph, images(graph)))
    theirs["h"] = theirs["h"].astype(np.float16).astype(np.float32)
    theirs["a"] = np.maximum(theirs["h"], 0)
    theirs["z"] = _one(graph, "fc2", theirs) + np.float32(0.5)
    theirs["y"] = _one(graph, "softmax", theirs)
    verdict = compare_layers(graph, theirs)
    assert [tensor.name for tensor in verdict.bad] == ["fc2", "fc1"]
    assert verdict.first_bad == "fc2"
    assert verdict.bad[1].state == "lower precision"


def test_activations_that_do_not_fit_are_refused() -> None:
    graph, theirs = network()
    wrong: list[tuple[dict[str, object], str]] = [
        ({"x": None}, "the input 'x' is missing"),
        ({"nowhere": theirs["c1"]}, "'nowhere' is no activation"),
        ({"c1": theirs["c1"][:1]}, "holds 1 samples"),
        ({"c1": np.array(1.0)}, "at least one sample"),
        ({"c1": theirs["c1"].astype(np.complex64)}, "real numbers"),
        ({"x": np.full_like(theirs["x"], np.inf)}, "not finite"),
    ]
    for changes, message in wrong:
        arrays = {name: array for name, array in {**theirs, **changes}.items() if array is not None}
        with pytest.raises(DataError, match=message):
            compare_layers(graph, arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"has the shape \(4, 4, 3\), not \(8, 8, 3\)"):
        compare_layers(graph, {"x": theirs["x"][:, :4, :4]})
    with pytest.raises(OptionError, match="no precision"):
        compare_layers(graph, theirs, precision="float8")


def test_progress_names_each_layer() -> None:
    graph, theirs = network()
    seen: list[tuple[str, float]] = []
    compare_layers(graph, theirs, progress=lambda what, share: seen.append((what, share)))
    assert [what for what, _ in seen] == [*(node.name for node in graph.nodes), "done"]
    assert [share for _, share in seen] == sorted(share for _, share in seen)


def test_weights_that_two_layers_share_are_judged_in_each() -> None:
    graph = classifier(inputs=32, classes=32)
    shared = graph.with_params({"fc2/kernel": encode(np.eye(32))})
    theirs = run_all(shared, images(shared))
    assert compare_layers(shared, theirs).within
    assert compare_layers(graph, theirs, causes=False).first_bad == "fc2"

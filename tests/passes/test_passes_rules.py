"""Rules: which layers they match, and how they complain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from checks.passes import gemm_graph

from refcompress.encodings import encode
from refcompress.errors import OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops.base import NoAttrs
from refcompress.passes import PASSES
from refcompress.passes.rewrite import fresh
from refcompress.passes.rules import LayerRule, check_flag, check_number, check_whole, weights_of, with_options

WEIGHTS = weights_of(gemm_graph(conv1=[[1.0]], conv2=[[2.0]], fc=[[3.0]]))


def options(*rules: LayerRule) -> dict[str, Any]:
    return {weight.name: each["bits"] for weight, each in with_options(WEIGHTS, rules, {"bits": 4})}


def test_without_rules_every_layer_has_the_defaults() -> None:
    assert options() == {"conv1/kernel": 4, "conv2/kernel": 4, "fc/kernel": 4}


def test_the_first_rule_that_matches_wins() -> None:
    found = options(LayerRule("conv2", {"bits": 2}), LayerRule("conv*", {"bits": 8}))
    assert found == {"conv1/kernel": 8, "conv2/kernel": 2, "fc/kernel": 4}


@pytest.mark.parametrize("match", ["fc", "fc/kernel", "f?", "[f]c", "re:fc", "re:f.", "re:.*/kernel"])
def test_names_of_nodes_and_of_parameters_count(match: str) -> None:
    assert options(LayerRule(match, {"bits": 7}))["fc/kernel"] == 7


@pytest.mark.parametrize("match", ["c", "re:f", "re:c", "FC", "kernel"])
def test_the_whole_name_must_match(match: str) -> None:
    with pytest.raises(OptionError, match="matches no layer; the names are conv1, conv1/kernel, conv2"):
        options(LayerRule(match, {"bits": 7}))


def test_a_rule_can_leave_a_layer_out() -> None:
    assert options(LayerRule("conv*", {"skip": True})) == {"fc/kernel": 4}
    assert len(options(LayerRule("conv*", {"skip": False}))) == 3


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(OptionError, match=r"did you mean 'conv1'\?"):
        options(LayerRule("conv_1", {"bits": 7}))
    with pytest.raises(OptionError, match=r"sets 'bit'.*its options are bits, skip \(did you mean 'bits'\?\)"):
        options(LayerRule("fc", {"bit": 7}))


def test_a_rule_for_a_network_without_weights_says_so() -> None:
    with pytest.raises(OptionError, match="no layer has weights"):
        list(with_options([], [LayerRule("*", {})], {}))


def test_a_broken_regular_expression_is_refused() -> None:
    with pytest.raises(OptionError, match=r"'re:\(' is not a regular expression"):
        LayerRule("re:(", {})


def test_a_list_of_many_names_is_cut() -> None:
    many = weights_of(gemm_graph(**{f"layer{i}": [[1.0]] for i in range(50)}))
    with pytest.raises(OptionError, match=r"layer9/kernel, \.\.\."):
        list(with_options(many, [LayerRule("x", {})], {}))


def test_a_shared_parameter_comes_once_with_the_names_of_all_its_nodes() -> None:
    nodes = tuple(Node("Gemm", name, ("x",), name, {"weight": "w", "bias": "b"}, NoAttrs()) for name in ("a", "b"))
    graph = Graph((TensorSpec("x", (1,)),), ("b",), nodes, {"w": encode([[1.0]]), "b": encode([1.0])})
    assert [weight.names for weight in weights_of(graph)] == [("a", "b", "w")]
    assert [weight.name for weight in weights_of(graph, roles=("weight", "bias"))] == ["w", "b"]
    assert weights_of(graph, ops=("Conv",)) == ()


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 0, 9])
def test_a_whole_number_is_checked(value: object) -> None:
    with pytest.raises(OptionError, match=r"bits is .* for 'fc'; give a whole number from 1 to 8"):
        check_whole("bits", value, 1, 8, "fc")


@pytest.mark.parametrize("value", [True, "1", None, -0.1, 1.1, float("nan"), float("inf")])
def test_a_number_is_checked(value: object) -> None:
    with pytest.raises(OptionError, match=r"q is .*; give a number from 0 to 1"):
        check_number("q", value, 0, 1)


def test_an_infinite_number_is_refused_without_an_upper_limit() -> None:
    with pytest.raises(OptionError, match="give a number of at least 0"):
        check_number("q", float("inf"), 0)


def test_a_flag_is_checked() -> None:
    with pytest.raises(OptionError, match="skip is 1; it is true or false"):
        check_flag("skip", 1)


def test_a_fresh_name_is_not_taken() -> None:
    assert fresh("a", {}) == "a"
    assert fresh("a", {"a", "a_1"}) == "a_2"


DEFAULTS: Mapping[str, dict[str, Any]] = {
    "factorize.svd": {"rank": 1},
    "fold_batch_norm": {},
    "prune.magnitude": {"sparsity": 0.5},
    "prune.threshold": {"q": 0.5},
    "quantize.linear": {"bits": 4},
    "share_weights.kmeans": {"bits": 2},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_pass_leaves_its_input_and_skipped_layers_alone(name: str) -> None:
    rng = np.random.default_rng(0)
    graph = gemm_graph(a=rng.normal(size=(8, 8)), b=rng.normal(size=(8, 8)))
    params, arrays = dict(graph.params), {key: each.values.array.copy() for key, each in graph.params.items()}
    rules = {} if name == "fold_batch_norm" else {"layers": [LayerRule("b", {"skip": True})]}
    after = PASSES[name](graph, **DEFAULTS[name], **rules)
    assert dict(graph.params) == params
    for key, array in arrays.items():
        np.testing.assert_array_equal(graph.params[key].values.array, array)
    assert after.params["b/kernel"] is graph.params["b/kernel"]
    changed = name != "fold_batch_norm"
    assert (after.params.get("a/kernel") is not graph.params["a/kernel"]) is changed

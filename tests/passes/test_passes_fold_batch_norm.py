"""Folding: the same function in float64, and what must not be folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from checks.weights import sparse_encoding
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import Encoding, decode, encode
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops.base import NoAttrs
from refcompress.ops.batch_normalization import BatchNormalization
from refcompress.ops.conv import Conv
from refcompress.passes import fold_batch_norm, quantize, share_weights
from refcompress.run import run

RNG = np.random.default_rng(0)


def norm(name: str, source: str, output: str, *, roles: Sequence[str] = ("scale", "bias")) -> Node:
    params = {role: f"{name}/{role}" for role in (*roles, "mean", "var")}
    return Node("BatchNormalization", name, (source,), output, params, BatchNormalization(epsilon=0.01))


def norm_params(name: str, size: int) -> dict[str, Encoding]:
    draws = {role: RNG.normal(size=size) for role in ("scale", "bias", "mean")}
    return {f"{name}/{role}": encode(array) for role, array in {**draws, "var": RNG.random(size) + 0.1}.items()}


def gemm(name: str, source: str, output: str, weight: str, **params: str) -> Node:
    return Node("Gemm", name, (source,), output, {"weight": weight, **params}, NoAttrs())


def assert_same_function(before: Graph, after: Graph) -> None:
    """Compare in float64; the folded numbers were rounded to float32."""
    inputs = [RNG.normal(size=(3, *spec.shape)) for spec in before.inputs]
    for wanted, found in zip(run(before, inputs, dtype=np.float64), run(after, inputs, dtype=np.float64), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5 * max(1.0, float(np.abs(wanted).max())))


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


@given(st.sampled_from([1, 2, 6]), st.integers(1, 2), st.booleans(), st.sets(st.sampled_from(["scale", "bias"])))
def test_a_convolution_swallows_its_normalization(group: int, multiplier: int, has_bias: bool, roles: set[str]) -> None:
    cout = 6 * multiplier
    params = {"w": encode(RNG.normal(size=(3, 2, 6 // group, cout))), "b": encode(RNG.normal(size=cout))}
    conv_params = {"weight": "w", "bias": "b"} if has_bias else {"weight": "w"}
    attrs = Conv((1, 2), (1, 1, 0, 1), group=group)
    nodes = (Node("Conv", "conv", ("x",), "h", conv_params, attrs), norm("bn", "h", "y", roles=sorted(roles)))
    before = Graph((TensorSpec("x", (5, 6, 6)),), ("y",), nodes, {**params, **norm_params("bn", cout)})
    after = fold_batch_norm(before)
    assert [(node.name, node.output, node.attrs) for node in after.nodes] == [("conv", "y", attrs)]
    bias = after.nodes[0].params["bias"]
    assert bias == ("b" if has_bias else "conv/bias")
    assert {"w", bias} <= set(after.params)
    assert not any(name in after.params for name in nodes[1].params.values())
    assert_same_function(before, after)


def scalar_fold(weight: NDArray[np.float32], values: dict[str, float], epsilon: float) -> list[float]:
    factor = values["scale"] / (values["var"] + epsilon) ** 0.5
    return [float(np.float32(float(each) * factor)) for each in weight]


def test_folded_weights_are_rounded_once() -> None:
    before = chain()
    after = fold_batch_norm(before)
    weight, folded = (decode(graph.params["w"]) for graph in (before, after))
    for unit in range(4):
        values = {role: float(decode(before.params[f"bn/{role}"])[unit]) for role in ("scale", "bias", "mean", "var")}
        assert folded[:, unit].tolist() == scalar_fold(weight[:, unit], values, 0.01)
        factor = values["scale"] / (values["var"] + 0.01) ** 0.5
        bias = (float(decode(before.params["b"])[unit]) - values["mean"]) * factor + values["bias"]
        assert float(decode(after.params["b"])[unit]) == float(np.float32(bias))


def chain(*, outputs: tuple[str, ...] = ("y",), more: Sequence[Node] = ()) -> Graph:
    params = {"w": encode(RNG.normal(size=(5, 4))), "b": encode(RNG.normal(size=4)), **norm_params("bn", 4)}
    nodes = (gemm("fc", "x", "h", "w", bias="b"), norm("bn", "h", "y"), *more)
    return Graph((TensorSpec("x", (5,)),), outputs, nodes, params)


def test_names_of_outputs_are_kept() -> None:
    before = chain(more=[Node("Relu", "relu", ("y",), "z", {}, NoAttrs())], outputs=("y", "z"))
    after = fold_batch_norm(before)
    assert after.outputs == ("y", "z")
    assert ops(after) == ["Gemm", "Relu"]
    assert set(after.params) == {"w", "b"}
    assert_same_function(before, after)


def test_two_normalizations_in_a_row_fold_both() -> None:
    once = chain()
    nodes, params = (*once.nodes, norm("bn2", "y", "z")), {**once.params, **norm_params("bn2", 4)}
    before = Graph(once.inputs, ("z",), nodes, params)
    after = fold_batch_norm(before)
    assert ops(after) == ["Gemm"]
    assert_same_function(before, after)


def test_an_activation_used_elsewhere_is_not_folded() -> None:
    returned = chain(outputs=("y", "h"))
    assert fold_batch_norm(returned) is returned
    read = chain(more=[Node("Relu", "relu", ("h",), "z", {}, NoAttrs())], outputs=("y", "z"))
    assert fold_batch_norm(read) is read


def test_a_weight_of_two_nodes_is_not_folded() -> None:
    shared = chain(more=[gemm("other", "x", "z", "w")], outputs=("y", "z"))
    assert fold_batch_norm(shared) is shared


def test_a_bias_of_two_nodes_is_copied() -> None:
    once = chain()
    other = gemm("other", "x", "z", "w2", bias="b")
    before = replace(
        once, outputs=("y", "z"), nodes=(*once.nodes, other), params={**once.params, "w2": encode(np.ones((5, 4)))}
    )
    after = fold_batch_norm(before)
    assert after.nodes[0].params["bias"] == "fc/bias"
    assert after.params["b"] is before.params["b"]
    assert_same_function(before, after)


def test_two_layers_may_share_one_normalization() -> None:
    rng_params = {"w": encode(RNG.normal(size=(5, 4))), "w2": encode(RNG.normal(size=(4, 4))), **norm_params("bn", 4)}
    again = replace(norm("bn", "h2", "y"), name="bn2")
    nodes = (gemm("a", "x", "h", "w"), norm("bn", "h", "m"), gemm("b", "m", "h2", "w2"), again)
    before = Graph((TensorSpec("x", (5,)),), ("y",), nodes, rng_params)
    after = fold_batch_norm(before)
    assert ops(after) == ["Gemm", "Gemm"]
    assert_same_function(before, after)


def test_a_normalization_of_something_else_stays() -> None:
    nodes = (Node("Relu", "relu", ("x",), "h", {}, NoAttrs()), norm("bn", "h", "y"))
    graph = Graph((TensorSpec("x", (4,)),), ("y",), nodes, norm_params("bn", 4))
    assert fold_batch_norm(graph) is graph


@pytest.mark.parametrize("variance", [-1.0, np.nan])
def test_numbers_that_are_not_finite_are_not_folded(variance: float) -> None:
    graph = chain().with_params({"bn/var": encode(np.full(4, variance))})
    assert fold_batch_norm(graph) is graph


def test_numbers_that_overflow_are_not_folded() -> None:
    graph = chain().with_params({"bn/scale": encode(np.full(4, 3e38)), "bn/var": encode(np.zeros(4))})
    assert fold_batch_norm(graph) is graph


def test_shared_and_quantized_weights_are_not_folded() -> None:
    for graph in (share_weights.kmeans(chain(), bits=2), quantize.linear(chain(), bits=8)):
        assert fold_batch_norm(graph) is graph


def test_pruned_weights_stay_zero() -> None:
    array = decode(chain().params["w"])
    array[::2] = 0
    for encoding in (encode(array), sparse_encoding(array)):
        before = chain().with_params({"w": encoding})
        after = fold_batch_norm(before)
        assert np.all(decode(after.params["w"])[::2].view(np.uint32) == 0)
        assert_same_function(before, after)

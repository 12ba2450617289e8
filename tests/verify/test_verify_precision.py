"""Lower precisions: their formats, bounds that hold for runs in them, and verdicts that name them."""

from __future__ import annotations

import numpy as np
import pytest
from checks.low_precision import bfloat16, dense_in_sums, float16, run_products, run_stored, tf32
from checks.small_networks import classifier
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_verify_bounds import mlp, residual_network

from refcompress.encodings import decode, encode
from refcompress.errors import OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import NoAttrs, make_attrs
from refcompress.run import run_all
from refcompress.verify import compare, compare_layers, error_bounds
from refcompress.verify.precision import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    PRECISIONS,
    TF32,
    certain_gamma,
    find_precision,
    probabilistic_gamma,
)

MODELS = ("deterministic", "probabilistic", "probed")
STORED = {"float16": float16, "bfloat16": bfloat16}
PRODUCTS = {"tf32": tf32, "bfloat16_products": bfloat16}


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_formats_round_as_the_hardware_does(values: list[float]) -> None:
    x = np.array(values, np.float32)
    finite = x[np.isfinite(x) & (np.abs(x) < 3.38e38)]
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(FLOAT16.rounded(x), x.astype(np.float16).astype(np.float64))
    np.testing.assert_array_equal(FLOAT32.rounded(x), x.astype(np.float64))
    np.testing.assert_array_equal(BFLOAT16.rounded(finite), bfloat16(finite).astype(np.float64))
    np.testing.assert_array_equal(TF32.rounded(finite), tf32(finite).astype(np.float64))


@given(st.floats(width=64, allow_nan=False, allow_infinity=False))
def test_float32_is_rounded_from_float64_as_numpy_does(value: float) -> None:
    with np.errstate(over="ignore"):
        assert FLOAT32.rounded(np.array([value]))[0] == np.float64(np.float32(value))


def test_table_runs_from_the_highest_precision_to_the_lowest() -> None:
    assert next(iter(PRECISIONS)) == "float32"
    worst = [
        max(row.storage.unit_roundoff, row.sums.unit_roundoff, row.products.unit_roundoff)
        for row in PRECISIONS.values()
        if not row.name.endswith("_sums")
    ]
    assert worst == sorted(worst)
    with pytest.raises(OptionError, match="bfloat16_sums"):
        find_precision("int4")


def test_gammas_of_low_precisions_say_nothing_of_long_sums() -> None:
    assert certain_gamma(300, BFLOAT16.unit_roundoff) == np.inf
    assert 0.5 < probabilistic_gamma(300, BFLOAT16.unit_roundoff) < 0.51  # exp(6 sqrt(300) / 256 + 300 / 256**2) - 1
    assert probabilistic_gamma(10**9, BFLOAT16.unit_roundoff) == np.inf


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("precision", [*STORED, *PRODUCTS])
def test_runs_in_a_precision_stay_within_its_bounds(precision: str, model: str) -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        dense, x = mlp(rng, [40, 30, 20, 5], "Tanh", "Softmax"), rng.normal(size=(3, 40)).astype(np.float32)
        images = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
        for graph, inputs in ((dense, x), (residual_network(rng), images)):
            given = {"x": inputs}
            stored = precision in STORED
            theirs = (
                run_stored(graph, given, STORED[precision])
                if stored
                else run_products(graph, given, PRODUCTS[precision])
            )
            reference, bounds = error_bounds(graph, inputs, model=model, precision=precision)  # type: ignore[arg-type]
            for name, value in theirs.items():
                assert (np.abs(value - reference[name]) <= bounds[name]).all(), (name, model)


@pytest.mark.parametrize(("precision", "rounded"), [("float16_sums", float16), ("bfloat16_sums", bfloat16)])
def test_sums_in_a_low_precision_stay_within_its_bounds(precision: str, rounded: object) -> None:
    rng = np.random.default_rng(3)
    graph, x = dense_layer(rng, 60), rng.normal(size=(4, 60)).astype(np.float32)
    weight, bias = decode(graph.params["w"]), decode(graph.params["b"])
    theirs = dense_in_sums(x, weight, bias, rounded)  # type: ignore[arg-type]
    for model in MODELS:
        reference, bounds = error_bounds(graph, x, model=model, precision=precision)  # type: ignore[arg-type]
        assert (np.abs(theirs - reference["y"]) <= bounds["y"]).all()


def test_a_normalization_in_many_stored_steps_stays_within() -> None:
    rng = np.random.default_rng(4)
    graph = residual_network(rng)
    node = graph.nodes[1]
    scale, bias, mean, var = (
        float16(decode(graph.params[node.params[role]])) for role in ("scale", "bias", "mean", "var")
    )
    x = float16(rng.normal(size=(2, 8, 8, 8)))
    spread = float16(var + float16(np.float32(node.attrs.epsilon)))
    inverse = float16(1 / float16(np.sqrt(spread)))
    theirs = float16(float16(float16(float16(x - mean) * inverse) * scale) + bias)
    params = {name: graph.params[name] for name in node.params.values()}
    part = Graph((TensorSpec("c1", (8, 8, 8)),), ("n1",), (node,), params)
    reference, bounds = error_bounds(part, x, precision="float16")
    assert (np.abs(theirs - reference["n1"]) <= bounds["n1"]).all()


def test_an_overflow_of_float16_is_promised_nothing() -> None:
    node = Node("Add", "sum", ("x", "x"), "y", attrs=NoAttrs())
    graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {})
    _, bounds = error_bounds(graph, np.array([[40000.0, 1.0]]), precision="float16")
    assert np.isinf(bounds["y"][0, 0])
    assert bounds["y"][0, 1] < 0.01


@pytest.mark.parametrize("precision", [*STORED, *PRODUCTS])
def test_outputs_in_a_precision_are_named_after_it(precision: str) -> None:
    rng = np.random.default_rng(5)
    graph, x = mlp(rng, [40, 30, 20, 5], "Relu", "Relu"), rng.normal(size=(3, 40)).astype(np.float32)
    theirs = _theirs(graph, {"x": x}, precision)
    arrays = {"x": x, "y": theirs[graph.outputs[0]]}
    verdict = compare(graph, arrays)
    assert (verdict.within, verdict.first_bad) == (False, graph.outputs[0])
    assert verdict.tensors[0].state == "lower precision"
    # the highest that explains it: products rounded to bfloat16 may be as good as TF32 may be bad
    assert verdict.tensors[0].precision in (PRODUCTS if precision in PRODUCTS else {precision})
    accepted = compare(graph, arrays, precision=precision)
    assert accepted.within
    assert accepted.tensors[0].precision == precision


@pytest.mark.parametrize("precision", [*STORED, *PRODUCTS])
def test_layers_in_a_precision_are_named_after_it(precision: str) -> None:
    rng = np.random.default_rng(6)
    graph, x = residual_network(rng), rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    verdict = compare_layers(graph, _theirs(graph, {"x": x}, precision))
    named = {tensor.precision for tensor in verdict.tensors if tensor.state == "lower precision"}
    assert named == {precision}
    assert not [tensor for tensor in verdict.tensors if tensor.state == "wrong"]
    assert compare_layers(graph, _theirs(graph, {"x": x}, precision), precision=precision).within


def test_sums_in_float16_are_told_from_weights_and_activations_in_it() -> None:
    rng = np.random.default_rng(7)
    graph = dense_layer(rng, 2000)
    x = np.abs(rng.normal(size=(4, 2000))).astype(np.float32)
    weight, bias = np.abs(decode(graph.params["w"])), decode(graph.params["b"])
    graph = graph.with_params({"w": encode(weight)})
    theirs = dense_in_sums(x, weight, bias, float16)
    verdict = compare_layers(graph, {"x": x, "y": theirs})
    assert (verdict.tensors[0].state, verdict.tensors[0].precision) == ("lower precision", "float16_sums")


def test_a_wrong_output_is_not_excused_by_a_low_precision() -> None:
    graph = classifier()
    x = np.random.default_rng(8).normal(size=(4, 12)).astype(np.float32)
    theirs = run_all(graph, x)
    arrays = {"x": x, "y": np.roll(theirs["y"], 1, -1)}
    assert compare(graph, arrays).tensors[0].state == "wrong"
    wrong = {**theirs, "h": theirs["h"] * np.float32(1.2)}
    verdict = compare_layers(graph, wrong)
    assert verdict.first_bad == "fc1"
    assert verdict.tensors[0].state == "wrong"


def dense_layer(rng: np.random.Generator, inputs: int) -> Graph:
    """One dense layer with bias."""
    params = {"w": encode(rng.normal(0, inputs**-0.5, (inputs, 7))), "b": encode(rng.normal(size=7))}
    node = Node("Gemm", "dense", ("x",), "y", {"weight": "w", "bias": "b"}, make_attrs("Gemm", {}))
    return Graph((TensorSpec("x", (inputs,)),), ("y",), (node,), params)


def _theirs(graph: Graph, inputs: dict[str, NDArray[np.float32]], precision: str) -> dict[str, NDArray[np.float32]]:
    if precision in STORED:
        return run_stored(graph, inputs, STORED[precision])
    return run_products(graph, inputs, PRODUCTS[precision])

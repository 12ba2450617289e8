"""Error bounds of whole networks: certain, probable, and carried by the network itself."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from refcompress.encodings import encode
from refcompress.errors import DataError, OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import NoAttrs
from refcompress.ops.base import UNIT_ROUNDOFF
from refcompress.ops.batch_normalization import BatchNormalization
from refcompress.ops.clip import Clip
from refcompress.ops.conv import Conv
from refcompress.ops.global_average_pool import GlobalAveragePool
from refcompress.ops.max_pool import MaxPool
from refcompress.run import run_all, run_exact_all
from refcompress.verify import probes
from refcompress.verify.bounds import error_bounds
from refcompress.verify.precision import PRECISIONS, certain_gamma, probabilistic_gamma

MODELS = ("deterministic", "probabilistic", "probed")
U = UNIT_ROUNDOFF


def mlp(rng: np.random.Generator, sizes: list[int], activation: str, last: str) -> Graph:
    """Dense layers with an activation after each."""
    nodes, params, at = [], {}, "x"
    for i, (a, b) in enumerate(pairwise(sizes)):
        params[f"w{i}"] = encode(rng.normal(0, 1.5 / math.sqrt(a), (a, b)))
        params[f"b{i}"] = encode(rng.normal(0, 0.1, b))
        nodes.append(Node("Gemm", f"dense{i}", (at,), f"h{i}", {"weight": f"w{i}", "bias": f"b{i}"}, NoAttrs()))
        op = last if i == len(sizes) - 2 else activation
        nodes.append(Node(op, f"act{i}", (f"h{i}",), f"a{i}", {}, Clip(0, 6) if op == "Clip" else NoAttrs()))
        at = f"a{i}"
    return Graph((TensorSpec("x", (sizes[0],)),), (at,), tuple(nodes), params)


def residual_network(rng: np.random.Generator) -> Graph:
    """Convolution, batch normalization, a shortcut, pools and softmax."""
    params = {
        "w": encode(rng.normal(0, 0.3, (3, 3, 3, 8))),
        "v": encode(rng.normal(0, 0.2, (3, 3, 8, 8))),
        "scale": encode(rng.normal(1, 0.3, 8)),
        "bias": encode(rng.normal(0, 0.3, 8)),
        "mean": encode(rng.normal(0, 0.3, 8)),
        "var": encode(rng.uniform(0.1, 2, 8)),
        "dense": encode(rng.normal(0, 1, (8, 5))),
    }
    moments = {role: role for role in ("scale", "bias", "mean", "var")}
    same = Conv(pads=(1, 1, 1, 1))
    nodes = (
        Node("Conv", "first", ("x",), "c1", {"weight": "w"}, same),
        Node("BatchNormalization", "norm", ("c1",), "n1", moments, BatchNormalization()),
        Node("Relu", "relu", ("n1",), "r1", {}, NoAttrs()),
        Node("Conv", "second", ("r1",), "c2", {"weight": "v"}, same),
        Node("Add", "shortcut", ("c2", "r1"), "s", {}, NoAttrs()),
        Node("MaxPool", "pool", ("s",), "p", {}, MaxPool((2, 2), (2, 2))),
        Node("GlobalAveragePool", "mean", ("p",), "g", {}, GlobalAveragePool()),
        Node("Gemm", "dense", ("g",), "d", {"weight": "dense"}, NoAttrs()),
        Node("Softmax", "softmax", ("d",), "y", {}, NoAttrs()),
    )
    return Graph((TensorSpec("x", (8, 8, 3)),), ("y",), nodes, params)


def check_float32_runs(graph: Graph, x: NDArray[np.float32]) -> None:
    """Every activation of both float32 runs lies within every model's bounds."""
    for model in MODELS:
        reference, bounds = error_bounds(graph, x, model=model)  # type: ignore[arg-type]
        for activations in (run_all(graph, x), run_exact_all(graph, x)):
            for name, value in activations.items():
                assert (np.abs(value - reference[name]) <= bounds[name]).all(), (model, name)


@settings(max_examples=15)
@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=5),
    st.sampled_from(["Relu", "Tanh", "Sigmoid", "Clip"]),
    st.sampled_from(["Softmax", "Sigmoid", "Relu"]),
    st.integers(0, 2**32 - 1),
)
def test_float32_runs_of_dense_networks_stay_within(sizes: list[int], activation: str, last: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    check_float32_runs(mlp(rng, sizes, activation, last), rng.normal(size=(3, sizes[0])).astype(np.float32))


@pytest.mark.parametrize("seed", range(3))
def test_float32_runs_of_a_residual_network_stay_within(seed: int) -> None:
    rng = np.random.default_rng(seed)
    check_float32_runs(residual_network(rng), rng.normal(size=(2, 8, 8, 3)).astype(np.float32))


def test_bound_of_a_dot_product_is_highams() -> None:
    n = 1000
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(n, 1)).astype(np.float32), rng.normal(size=(1, n)).astype(np.float32)
    node = Node("Gemm", "dense", ("x",), "y", {"weight": "w"}, NoAttrs())
    graph = Graph((TensorSpec("x", (n,)),), ("y",), (node,), {"w": encode(w)})
    _, bounds = error_bounds(graph, x)
    terms = sum(abs(Fraction(float(a)) * Fraction(float(b))) for a, b in zip(w[:, 0], x[0], strict=True))
    highams = n * U / (1 - n * U) * float(terms)
    assert highams <= bounds["y"].item() <= highams * (1 + 3 / n)


def test_gammas_are_those_of_the_papers() -> None:
    for n in (1, 2, 50, 1000, 100_000):
        exact = Fraction(n, 2**24) / (1 - Fraction(n, 2**24))
        assert certain_gamma(n) == pytest.approx(float(exact), rel=1e-12)
        theirs = math.exp(6 * math.sqrt(n) * U + n * U * U / (1 - U)) - 1
        assert probabilistic_gamma(n) == pytest.approx(min(theirs, float(exact)), rel=1e-6)
    assert certain_gamma(2**24 + 1) == math.inf
    assert probabilistic_gamma(2**24 + 1) < 0.01


def test_chi_square_quantile_fits_the_probes() -> None:
    confidence = 2 * math.exp(-(probes.LAMBDA**2) / 2)
    exact = stats.chi2.ppf(confidence, probes.PROBES)
    assert 0.99 * exact <= probes.CHI_SQUARE_QUANTILE <= exact


def test_inputs_that_float32_holds_are_exact_and_others_carry_their_rounding() -> None:
    graph = mlp(np.random.default_rng(0), [2, 3], "Relu", "Relu")
    _, bounds = error_bounds(graph, np.array([[0.5, 0.1]]))
    assert bounds["x"].tolist() == [[0.0, abs(0.1 - float(np.float32(0.1)))]]


def test_probed_bounds_agree_with_the_derivatives_of_a_linear_network() -> None:
    # y = (x A) B: roundings of x A reach y through B, those of x A B stay where they are
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(20, 30)).astype(np.float32), rng.normal(size=(30, 10)).astype(np.float32)
    nodes = (
        Node("Gemm", "first", ("x",), "h", {"weight": "a"}, NoAttrs()),
        Node("Gemm", "second", ("h",), "y", {"weight": "b"}, NoAttrs()),
    )
    graph = Graph((TensorSpec("x", (20,)),), ("y",), nodes, {"a": encode(a), "b": encode(b)})
    x = rng.normal(size=(1, 20)).astype(np.float32)
    reference = {name: np.asarray(v, np.float64) for name, v in run_all(graph, x, dtype=np.float64).items()}
    got = probes.probed_bounds(graph, reference, {"x": np.zeros((1, 20))}, PRECISIONS["float32"])["y"][0]
    first = np.sqrt(21) * U * (np.abs(x[0]) @ np.abs(a).astype(np.float64))
    second = np.sqrt(31) * U * (np.abs(reference["h"][0]) @ np.abs(b).astype(np.float64))
    # an element's own and its channel's deviate (one sample: the same thing), and the array's
    variance = 2 * (first**2 @ b.astype(np.float64) ** 2) + 2 * second**2
    variance += (first @ b) ** 2 + second**2
    # squares of PROBES normal deviates: their mean lies between 0.3 and 2.2 of the variance
    expected = probes.LAMBDA * np.sqrt(probes.PROBES / probes.CHI_SQUARE_QUANTILE * variance)
    assert (got > 0.5 * expected).all()
    assert (got < 1.5 * expected).all()
    assert np.median(got / expected) == pytest.approx(1, abs=0.15)


def test_probed_bounds_do_not_explode_with_depth() -> None:
    rng = np.random.default_rng(7)
    graph = mlp(rng, [64] * 13, "Relu", "Relu")
    x = rng.normal(size=(2, 64)).astype(np.float32)
    reference, probed = error_bounds(graph, x, model="probed")
    _, certain = error_bounds(graph, x)
    out = graph.outputs[0]
    assert certain[out].max() > reference[out].max()
    assert probed[out].max() < 1e-3 * reference[out].max()


def test_probed_bounds_are_the_same_on_every_call() -> None:
    rng = np.random.default_rng(8)
    graph = residual_network(rng)
    x = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    first, second = (error_bounds(graph, x, model="probed")[1] for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_models_order_as_they_claim() -> None:
    rng = np.random.default_rng(9)
    graph = residual_network(rng)
    x = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    certain, probable, probed = (error_bounds(graph, x, model=model)[1] for model in MODELS)  # type: ignore[arg-type]
    for name in certain:
        assert (probable[name] <= certain[name]).all()
        assert (probed[name] <= probable[name]).all()


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_promised_where_float32_overflows(model: Any) -> None:
    nodes = (
        Node("Add", "double", ("x", "x"), "d", {}, NoAttrs()),
        Node("Gemm", "dense", ("d",), "y", {"weight": "w"}, NoAttrs()),
    )
    graph = Graph((TensorSpec("x", (2,)),), ("y",), nodes, {"w": encode(np.array([[0.0, 1.0], [1.0, 1.0]]))})
    reference, bounds = error_bounds(graph, np.array([[3e38, 1.0]], np.float32), model=model)
    assert reference["d"][0].tolist() == [2 * float(np.float32(3e38)), 2.0]
    assert np.isinf(bounds["d"][0, 0])
    assert np.isinf(bounds["y"]).all()


def test_unknown_models_and_wrong_inputs_are_refused() -> None:
    graph = mlp(np.random.default_rng(0), [2, 3], "Relu", "Relu")
    with pytest.raises(OptionError, match="deterministic, probabilistic, probed"):
        error_bounds(graph, np.zeros((1, 2)), model="hopeful")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="float32, tf32, float16"):
        error_bounds(graph, np.zeros((1, 2)), precision="float8")
    with pytest.raises(DataError):
        error_bounds(graph, np.zeros((1, 3)))


def test_no_samples_have_no_bounds() -> None:
    graph = mlp(np.random.default_rng(0), [2, 3], "Relu", "Softmax")
    for model in MODELS:
        reference, bounds = error_bounds(graph, np.zeros((0, 2)), model=model)  # type: ignore[arg-type]
        assert reference["a0"].shape == bounds["a0"].shape == (0, 3)

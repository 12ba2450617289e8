"""Factorization against Eckart and Young, and the network it makes against the one before."""

from __future__ import annotations

import numpy as np
import pytest
from checks.passes import gemm_graph
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import decode, encode
from refcompress.errors import OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import infer_shapes
from refcompress.ops.base import NoAttrs
from refcompress.ops.conv import Conv
from refcompress.passes import LayerRule, factorize, share_weights
from refcompress.run import run


def decaying(rng: np.random.Generator, m: int, n: int, base: float = 0.8) -> NDArray[np.float32]:
    """Make a matrix whose singular values fall geometrically."""
    k = min(m, n)
    left = np.linalg.qr(rng.normal(size=(m, k)))[0]
    right = np.linalg.qr(rng.normal(size=(n, k)))[0]
    return ((left * base ** np.arange(k)) @ right.T).astype(np.float32)


def factors(graph: Graph, name: str = "fc") -> list[NDArray[np.float64]]:
    return [decode(graph.params[f"{name}/kernel/factor{i}"]).astype(np.float64) for i in (0, 1)]


@given(st.integers(4, 20), st.integers(4, 20), st.integers(1, 4), st.integers(0, 3))
def test_the_product_is_the_best_of_its_rank(m: int, n: int, rank: int, seed: int) -> None:
    matrix = decaying(np.random.default_rng(seed), m, n)
    after = factorize.svd(gemm_graph(fc=matrix), rank=rank)
    if rank * (m + n) >= m * n:
        assert after.params["fc/kernel"] is not None
        return
    left, right = factors(after)
    assert left.shape == (m, rank)
    assert right.shape == (rank, n)
    singular = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    best = np.sqrt(np.square(singular[rank:]).sum())
    # factors are rounded to float32
    assert np.linalg.norm(left @ right - matrix) <= best * (1 + 1e-9) + 1e-6 * singular[0]
    sizes = [np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=1)]
    for size in sizes:  # the root of each singular value on both sides
        np.testing.assert_allclose(size, np.sqrt(singular[:rank]), rtol=1e-5)
    assert np.all(left[np.abs(left).argmax(axis=0), np.arange(rank)] > 0)


def test_a_tail_too_small_for_the_gram_matrix_is_cut_exactly() -> None:
    matrix = decaying(np.random.default_rng(0), 30, 20, base=0.05)
    left, right = factors(factorize.svd(gemm_graph(fc=matrix), rank=5))
    singular = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    assert np.linalg.norm(left @ right - matrix) <= np.linalg.norm(singular[5:]) + 2e-7 * singular[0]


@pytest.mark.parametrize("energy", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("shape", [(40, 30), (30, 40)])
def test_energy_is_the_share_of_squared_singular_values(energy: float, shape: tuple[int, int]) -> None:
    matrix = decaying(np.random.default_rng(0), *shape)
    left, _ = factors(factorize.svd(gemm_graph(fc=matrix), energy=energy))
    squares = np.square(np.linalg.svd(matrix.astype(np.float64), compute_uv=False))
    shares = np.cumsum(squares) / squares.sum()
    assert left.shape[1] == max(1, int(np.argmax(shares >= energy)) + 1)


def test_all_energy_of_a_matrix_of_low_rank_is_its_rank() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.integers(-4, 5, size=(30, 3)) @ rng.integers(-4, 5, size=(3, 20))
    left, right = factors(factorize.svd(gemm_graph(fc=matrix), energy=1.0))
    assert left.shape[1] == 3
    np.testing.assert_allclose(left @ right, matrix, atol=1e-5 * np.abs(matrix).max())


@pytest.mark.parametrize(("fraction", "rank"), [(0.01, 1), (0.25, 5), (0.125, 3), (0.3, 6)])
def test_a_fraction_is_of_the_full_rank(fraction: float, rank: int) -> None:
    matrix = np.random.default_rng(0).normal(size=(40, 20))
    left, _ = factors(factorize.svd(gemm_graph(fc=matrix), fraction=fraction))
    assert left.shape[1] == rank


@pytest.mark.parametrize("options", [{"rank": 7}, {"fraction": 1.0}, {"energy": 1.0}, {"rank": 1000}])
def test_a_layer_that_would_not_shrink_stays(options: dict[str, float]) -> None:
    graph = gemm_graph(fc=np.random.default_rng(0).normal(size=(20, 10)))  # 7 * 30 >= 200
    assert factorize.svd(graph, **options) is graph


def test_a_matrix_of_zeros_has_rank_one() -> None:
    left, right = factors(factorize.svd(gemm_graph(fc=np.zeros((8, 8))), energy=0.5))
    assert left.shape[1] == 1
    assert not np.any(left @ right)


def conv_graph(rng: np.random.Generator, attrs: Conv, *, cin: int = 6, cout: int = 8) -> Graph:
    params = {
        "kernel": encode(rng.normal(size=(3, 3, cin // attrs.group, cout))),
        "offsets": encode(rng.normal(size=cout)),
    }
    nodes = (
        Node("Conv", "conv", ("image",), "features", {"weight": "kernel", "bias": "offsets"}, attrs),
        Node("Relu", "relu", ("features",), "result", {}, NoAttrs()),
    )
    return Graph((TensorSpec("image", (9, 8, cin)),), ("result", "features"), nodes, params)


@pytest.mark.parametrize("attrs", [Conv(), Conv((2, 1), (1, 0, 2, 1)), Conv(dilations=(2, 2), pads=(1, 1, 1, 1))])
def test_a_convolution_becomes_two(attrs: Conv) -> None:
    rng = np.random.default_rng(0)
    before = conv_graph(rng, attrs)
    after = factorize.svd(before, rank=4)
    assert [node.name for node in after.nodes] == ["conv/factor0", "conv/factor1", "relu"]
    first, second = (after.nodes[i] for i in (0, 1))
    assert first.attrs == attrs
    assert second.attrs == Conv()
    assert "bias" not in first.params
    assert second.output == "features"
    assert set(after.params) == {"kernel/factor0", "kernel/factor1", "offsets"}
    left, right = (decode(after.params[f"kernel/factor{i}"]) for i in (0, 1))
    assert left.shape == (3, 3, 6, 4)
    assert right.shape == (1, 1, 4, 8)
    assert infer_shapes(after)["features"] == infer_shapes(before)["features"]

    # the same network with one dense kernel, the product of the two
    product = np.tensordot(left.astype(np.float64), right[0, 0].astype(np.float64), axes=1)
    image = rng.normal(size=(2, 9, 8, 6))
    expected = run(before.with_params({"kernel": encode(product)}), image, dtype=np.float64)
    for found, wanted in zip(run(after, image, dtype=np.float64), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    singular = np.linalg.svd(decode(before.params["kernel"]).reshape(54, 8).astype(np.float64), compute_uv=False)
    distance = np.linalg.norm(product - decode(before.params["kernel"]))
    assert distance == pytest.approx(np.linalg.norm(singular[4:]), rel=1e-6)


@pytest.mark.parametrize("group", [2, 6])
def test_a_convolution_of_groups_stays(group: int) -> None:
    graph = conv_graph(np.random.default_rng(0), Conv(group=group), cout=12)
    assert factorize.svd(graph, rank=1) is graph


def test_a_shared_weight_is_factorized_once() -> None:
    matrix = np.random.default_rng(0).normal(size=(12, 12))
    nodes = (
        Node("Gemm", "a", ("x",), "h", {"weight": "w"}, NoAttrs()),
        Node("Gemm", "b", ("h",), "y", {"weight": "w"}, NoAttrs()),
    )
    after = factorize.svd(Graph((TensorSpec("x", (12,)),), ("y",), nodes, {"w": encode(matrix)}), rank=2)
    assert set(after.params) == {"w/factor0", "w/factor1"}
    assert [node.name for node in after.nodes] == ["a/factor0", "a/factor1", "b/factor0", "b/factor1"]


def test_names_that_are_taken_are_not_used_again() -> None:
    once = factorize.svd(gemm_graph(fc=np.random.default_rng(0).normal(size=(40, 40))), rank=12)
    twice = factorize.svd(once, rank=2)
    assert len({node.name for node in twice.nodes}) == 4
    nodes = (Node("Relu", "fc/factor0", ("x",), "fc/factor1", {}, NoAttrs()), *once.nodes[:0])
    graph = gemm_graph(fc=np.ones((8, 8)))
    clash = Graph(graph.inputs, graph.outputs, (*nodes, *graph.nodes), graph.params)
    assert [node.name for node in factorize.svd(clash, rank=1).nodes] == ["fc/factor0", "fc/factor0_1", "fc/factor1"]


def test_shared_weights_are_factorized_by_their_values() -> None:
    graph = share_weights.kmeans(gemm_graph(fc=np.random.default_rng(0).normal(size=(20, 20))), bits=3)
    left, right = factors(factorize.svd(graph, rank=3))
    matrix = decode(graph.params["fc/kernel"]).astype(np.float64)
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert np.linalg.norm(left @ right - matrix) == pytest.approx(np.linalg.norm(singular[3:]), rel=1e-6)


def test_a_rule_replaces_the_kind_of_cut() -> None:
    rng = np.random.default_rng(0)
    graph = gemm_graph(**{name: rng.normal(size=(20, 20)) for name in ("a", "b", "c")})
    rules = [LayerRule("a", {"rank": 4}), LayerRule("c", {"skip": True})]
    after = factorize.svd(graph, fraction=0.1, layers=rules)
    assert [factors(after, name)[0].shape[1] for name in "ab"] == [4, 2]
    assert after.params["c/kernel"] is graph.params["c/kernel"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing given; give exactly one of rank, fraction, energy"),
        ({"rank": 1, "energy": 0.5}, "rank and energy given; give exactly one"),
        ({"rank": 0}, "rank is 0; give a whole number from 1"),
        ({"fraction": 1.5}, "fraction is 1.5; give a number from 0 to 1"),
        ({"energy": -1}, "energy is -1; give a number from 0 to 1"),
        ({"rank": 1, "layers": [LayerRule("fc", {"rank": 1, "energy": 0.5})]}, "rank and energy given for 'fc/kernel'"),
        ({"rank": 1, "layers": [LayerRule("conv", {"rank": 1})]}, "the rule 'conv' matches no layer"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        factorize.svd(gemm_graph(fc=np.ones((4, 4))), **options)

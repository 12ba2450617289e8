"""Pruning: exact counts under ties against a stable sort, thresholds against the formula."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from checks.passes import gemm_graph, row_graph
from checks.weights import sparse_encoding
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import Bits, Codebook, Dense, Linear, decode
from refcompress.encodings.rows import to_rows
from refcompress.errors import ModelError, OptionError
from refcompress.graph import Graph
from refcompress.passes import LayerRule, prune, quantize, share_weights

WEIGHTS = st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 1e-45]) | st.floats(-3, 3, width=32), min_size=1)
SPARSITY = st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.25, 0.29, 0.5, 1.0])


def row(graph: Graph, name: str = "fc") -> NDArray[np.float32]:
    return to_rows(decode(graph.params[f"{name}/kernel"])).reshape(-1)


def by_stable_sort(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    pruned = values.copy()
    pruned[np.argsort(np.abs(values), kind="stable")[:count]] = 0
    return pruned


@given(WEIGHTS, SPARSITY)
def test_the_count_is_exact_and_ties_go_by_position(values: list[float], sparsity: float) -> None:
    before = np.array(values, np.float32)
    after = row(prune.magnitude(row_graph(before), sparsity=sparsity))
    count = math.floor(sparsity * before.size + 0.5)
    np.testing.assert_array_equal(after, by_stable_sort(before, count))
    assert np.count_nonzero(after == 0) == max(count, np.count_nonzero(before == 0))
    if count:
        assert not np.signbit(after[after == 0]).any()


@given(WEIGHTS, SPARSITY, st.sampled_from(["exact", "keep", "prune"]))
def test_pruning_twice_changes_nothing(values: list[float], sparsity: float, ties: prune.Ties) -> None:
    once = prune.magnitude(row_graph(values), sparsity=sparsity, ties=ties)
    twice = prune.magnitude(once, sparsity=sparsity, ties=ties)
    assert row(once).tobytes() == row(twice).tobytes()


@pytest.mark.parametrize(
    ("ties", "expected"), [("exact", [0, 0, -1, 2]), ("keep", [0, 1, -1, 2]), ("prune", [0, 0, 0, 2])]
)
def test_ties_are_an_option(ties: prune.Ties, expected: list[float]) -> None:
    assert row(prune.magnitude(row_graph([0.5, 1, -1, 2]), sparsity=0.5, ties=ties)).tolist() == expected


def test_ties_go_by_row_order_in_a_matrix() -> None:
    graph = prune.magnitude(gemm_graph(fc=np.ones((3, 2))), sparsity=0.5)
    assert decode(graph.params["fc/kernel"]).tolist() == [[0, 1], [0, 1], [0, 1]]


@given(st.lists(WEIGHTS, min_size=1, max_size=4), SPARSITY, st.sampled_from(["exact", "keep", "prune"]))
def test_the_global_scope_prunes_as_if_all_weights_were_one(
    layers: list[list[float]], sparsity: float, ties: prune.Ties
) -> None:
    size = max(map(len, layers))
    arrays = [np.resize(np.array(values, np.float32), size) for values in layers]
    graph = gemm_graph(**{f"layer{i}": array.reshape(-1, 1) for i, array in enumerate(arrays)})
    after = prune.magnitude(graph, sparsity=sparsity, scope="global", ties=ties)
    whole = prune.magnitude(row_graph(np.concatenate(arrays)), sparsity=sparsity, ties=ties)
    np.testing.assert_array_equal(np.concatenate([row(after, f"layer{i}") for i in range(len(arrays))]), row(whole))


def test_layers_have_their_own_sparsity_and_can_be_left_out() -> None:
    graph = gemm_graph(**{name: np.arange(1.0, 11).reshape(-1, 1) for name in ("a", "b", "c")})
    rules = [LayerRule("a", {"sparsity": 0.3}), LayerRule("b", {"sparsity": 0})]
    after = prune.magnitude(graph, sparsity=0.8, layers=rules)
    assert [np.count_nonzero(row(after, name) == 0) for name in "abc"] == [3, 0, 8]
    assert after.params["b/kernel"] is graph.params["b/kernel"]
    after = prune.magnitude(graph, sparsity=0.5, scope="global", layers=[LayerRule("a", {"skip": True})])
    assert [np.count_nonzero(row(after, name) == 0) for name in "abc"] == [0, 5, 5]


def test_the_global_scope_has_one_sparsity() -> None:
    with pytest.raises(OptionError, match="sets 'sparsity', which this pass does not have"):
        prune.magnitude(row_graph([1.0]), sparsity=0.5, scope="global", layers=[LayerRule("fc", {"sparsity": 0})])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 1.5}, "sparsity is 1.5; give a number from 0 to 1"),
        ({"sparsity": 0.5, "scope": "globl"}, "did you mean 'global'"),
        ({"sparsity": 0.5, "ties": "some"}, "choose one of exact, keep, prune"),
        ({"sparsity": 0.5, "layers": [LayerRule("fc", {"sparsity": 2})]}, "sparsity is 2 for 'fc/kernel'"),
    ],
)
def test_options_of_magnitude_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        prune.magnitude(row_graph([1.0]), **options)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    for call in (lambda graph: prune.magnitude(graph, sparsity=0.5), lambda graph: prune.threshold(graph, q=1)):
        with pytest.raises(ModelError, match="'fc/kernel' holds NaN or infinity"):
            call(row_graph([1.0, value]))


def exact_variance(values: list[float]) -> Fraction:
    exact = list(map(Fraction, values))
    mean = sum(exact, Fraction(0)) / len(exact)
    return sum(((value - mean) ** 2 for value in exact), Fraction(0)) / len(exact)


@given(
    st.lists(st.integers(-20, 20).map(float), min_size=1),
    st.sampled_from([0.0, 0.25, 1.0, 2.0]),
    st.booleans(),
    st.booleans(),
)
def test_the_threshold_is_q_standard_deviations(
    values: list[float], q: float, inclusive: bool, surviving: bool
) -> None:
    before = np.array(values, np.float32)
    std = "surviving" if surviving else "all"
    after = row(prune.threshold(row_graph(before), q=q, std=std, inclusive=inclusive))
    entries = [value for value in values if value or not surviving]
    limit = Fraction(q) ** 2 * exact_variance(entries) if entries else Fraction(0)
    for value, found in zip(values, after.tolist(), strict=True):
        square = Fraction(value) ** 2
        if abs(square - limit) > limit / 2**40:  # nearer, the root's rounding decides
            assert found == (0 if square < limit else value)
        elif math.isqrt(limit.numerator) ** 2 == limit.numerator and limit.denominator == 1:
            assert found == (0 if inclusive else value)


@given(st.lists(st.floats(0, 2, width=32), min_size=1), st.floats(0, 2))
def test_a_limit_between_two_floats_is_compared_exactly(values: list[float], limit: float) -> None:
    for inclusive in (False, True):
        after = row(prune.threshold(row_graph(values), q=1, std={"fc/kernel": limit}, inclusive=inclusive))
        expected = [0 if value < limit or (inclusive and value == limit) else value for value in values]
        assert after.tolist() == expected


def test_a_cached_deviation_is_that_before_pruning() -> None:
    graph = row_graph([-3.0, -1.0, 1.0, 3.0])
    cache = prune.standard_deviations(graph)
    assert cache == {"fc/kernel": pytest.approx(math.sqrt(5), rel=1e-15)}
    pruned = prune.threshold(graph, q=1, std=cache)
    assert row(prune.threshold(pruned, q=1.3, std=cache)).tolist() == [-3, 0, 0, 3]
    assert row(prune.threshold(pruned, q=1.3, std="surviving")).tolist() == [0, 0, 0, 0]
    assert prune.standard_deviations(pruned, surviving=True) == {"fc/kernel": 3.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q": -1}, "q is -1; give a number of at least 0"),
        ({"q": 1, "std": "al"}, "std is 'al'; choose one of all, surviving"),
        ({"q": 1, "std": {}}, "lack 'fc/kernel'"),
        ({"q": 1, "std": {"fc/kernel": -1.0}}, "the standard deviation is -1.0 for 'fc/kernel'"),
        ({"q": 1, "inclusive": 1}, "inclusive is 1; it is true or false"),
        ({"q": 1, "layers": [LayerRule("fc", {"sparsity": 1})]}, "its options are q, inclusive, skip"),
    ],
)
def test_options_of_threshold_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        prune.threshold(row_graph([1.0]), **options)


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_quantized_weights_stay_quantized(granularity: quantize.Granularity, scheme: quantize.Scheme) -> None:
    array = np.random.default_rng(0).normal(size=(20, 6)) * np.arange(1, 7)
    before = quantize.linear(gemm_graph(fc=array), bits=5, scheme=scheme, granularity=granularity)
    after = prune.magnitude(before, sparsity=0.6)
    encoding = after.params["fc/kernel"]
    assert isinstance(encoding.values, Linear)
    np.testing.assert_array_equal(row(after), by_stable_sort(row(before), 72))


def test_shared_weights_stay_shared() -> None:
    array = np.random.default_rng(0).normal(size=(20, 6))
    before = share_weights.kmeans(gemm_graph(fc=array), bits=3)
    after = prune.magnitude(before, sparsity=0.6)
    encoding = after.params["fc/kernel"]
    assert isinstance(encoding.values, Codebook)
    assert 0.0 in encoding.values.centroids
    assert set(encoding.values.labels.symbols.tolist()) == set(range(len(encoding.values.centroids)))
    np.testing.assert_array_equal(row(after), by_stable_sort(row(before), 72))


def test_sparse_rows_are_pruned_like_dense_ones() -> None:
    array = by_stable_sort(np.random.default_rng(0).normal(size=60).astype(np.float32), 30).reshape(10, 6)
    dense, sparse = gemm_graph(fc=array), gemm_graph(fc=sparse_encoding(array))
    expected = row(prune.magnitude(dense, sparsity=0.8))
    np.testing.assert_array_equal(row(prune.magnitude(sparse, sparsity=0.8)), expected)


def test_a_quantized_weight_of_scale_zero_survives() -> None:
    values = Linear(Bits(np.array([1, 2], np.uint16), 2), 2, np.zeros(1, np.float32), np.ones(1, np.uint16))
    after = prune.magnitude(gemm_graph(fc=Dense((2, 1), values)), sparsity=0.5)
    assert row(after).tolist() == [0, 0]


def test_a_weight_without_entries_is_left_alone() -> None:
    graph = gemm_graph(fc=np.zeros((0, 3)))
    for after in (prune.magnitude(graph, sparsity=1), prune.threshold(graph, q=1)):
        assert after.params["fc/kernel"].shape == (0, 3)

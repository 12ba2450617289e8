"""Weight sharing as a pass: zeros, counts, seeds, rules."""

from __future__ import annotations

import numpy as np
import pytest
from checks.passes import gemm_graph, row_graph
from checks.small_networks import classifier
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import Codebook, decode
from refcompress.encodings.rows import to_rows
from refcompress.errors import ModelError, OptionError
from refcompress.graph import Graph
from refcompress.passes import LayerRule, prune, share_weights
from refcompress.passes.share_weights import kmeans

VALUES = st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, -1.0]) | st.floats(-3, 3, width=32), min_size=1, max_size=60)
INITS = st.sampled_from(["linear", "density", "random", "k-means++", "optimal"])


def row(graph: Graph, name: str = "fc") -> NDArray[np.float32]:
    return to_rows(decode(graph.params[f"{name}/kernel"])).reshape(-1)


def codebook(graph: Graph, name: str = "fc") -> Codebook:
    values = graph.params[f"{name}/kernel"].values
    assert isinstance(values, Codebook)
    return values


@given(VALUES, st.integers(1, 5), INITS, st.sampled_from(["outside", "inside", "clustered"]))
def test_there_are_never_more_values_than_codes(
    values: list[float], bits: int, init: share_weights.Init, zero: share_weights.Zero
) -> None:
    before = np.array(values, np.float32)
    after = kmeans(row_graph(before), bits=bits, init=init, zero=zero)
    book = codebook(after)
    has_zeros = bool((before == 0).any())
    assert len(book.centroids) <= (1 << bits) + (zero == "outside" and has_zeros)
    assert np.all(np.diff(book.centroids) > 0)
    if zero != "clustered":
        assert np.all(row(after)[before == 0].view(np.uint32) == 0)
        wanted = (1 << bits) - (zero == "inside" and has_zeros)
        distinct = len(set(before[before != 0].tolist()))
        nonzero = np.count_nonzero(book.centroids)
        # a cluster of both signs may have the mean zero, and then joins the zeros
        assert min(wanted, distinct) - 1 <= nonzero <= min(wanted, distinct)


@given(VALUES, INITS)
def test_few_distinct_values_are_kept_exactly(values: list[float], init: share_weights.Init) -> None:
    before = np.array(values, np.float32)
    np.testing.assert_array_equal(row(kmeans(row_graph(before), bits=6, init=init)), before)


@given(VALUES, st.integers(1, 3))
def test_sharing_twice_changes_nothing(values: list[float], bits: int) -> None:
    once = kmeans(row_graph(values), bits=bits)
    assert row(kmeans(once, bits=bits)).tobytes() == row(once).tobytes()


def test_zero_is_outside_inside_or_clustered() -> None:
    graph = row_graph([0, 0, 0, 1, 8, 10, 12])
    assert row(kmeans(graph, bits=1, zero="outside")).tolist() == [0, 0, 0, 1, 10, 10, 10]
    assert row(kmeans(graph, bits=1, zero="inside")).tolist() == [0, 0, 0, 7.75, 7.75, 7.75, 7.75]
    assert row(kmeans(graph, bits=1, zero="clustered")).tolist() == [0.25, 0.25, 0.25, 0.25, 10, 10, 10]
    assert codebook(kmeans(row_graph([1, 2, 3, 4]), bits=2, zero="inside")).centroids.tolist() == [1, 2, 3, 4]


def test_the_seed_and_the_name_alone_decide_random_starts() -> None:
    array = np.random.default_rng(0).normal(size=(40, 40))
    both, alone = gemm_graph(a=array, b=array), gemm_graph(b=array)
    for init in ("random", "k-means++"):
        shared = [kmeans(graph, bits=4, init=init, seed=5, max_iterations=3) for graph in (both, alone)]
        assert row(shared[0], "b").tobytes() == row(shared[1], "b").tobytes()
        assert row(shared[0], "a").tobytes() != row(shared[0], "b").tobytes()
        other = kmeans(both, bits=4, init=init, seed=6, max_iterations=3)
        assert row(other, "b").tobytes() != row(shared[0], "b").tobytes()


def test_the_numbers_of_a_seed_are_fixed() -> None:
    # pinned: a change here changes what every recipe with a seed gives
    graph = row_graph(np.arange(1, 101))
    centroids = codebook(kmeans(graph, bits=2, init="random", seed=7, max_iterations=0)).centroids
    assert centroids.tolist() == [9.5, 21, 38.5, 77]


def test_pruned_weights_stay_zero() -> None:
    array = np.random.default_rng(0).normal(size=(50, 20))
    pruned = prune.magnitude(gemm_graph(fc=array), sparsity=0.9)
    for zero in ("outside", "inside"):
        after = kmeans(pruned, bits=4, zero=zero)
        np.testing.assert_array_equal(row(after) == 0, row(pruned) == 0)
        assert len(codebook(after).centroids) == 16 + (zero == "outside")


def test_rules_change_bits_by_layer() -> None:
    array = np.random.default_rng(0).normal(size=(30, 30))
    graph = gemm_graph(conv1=array, fc1=array)
    after = kmeans(graph, bits=5, layers=[LayerRule("conv*", {"bits": 8, "init": "linear"})])
    assert [len(codebook(after, name).centroids) for name in ("conv1", "fc1")] == [256, 32]


def test_biases_are_shared_where_that_is_asked_for_with_the_bits_of_their_layer() -> None:
    first, second = classifier(), classifier(seed=1)
    assert kmeans(first, bits=2).params["fc1/bias"] is first.params["fc1/bias"]
    both = kmeans(first, bits=2, biases=True)
    bias = decode(first.params["fc1/bias"])
    assert len(both.params["fc1/bias"].values.centroids) == 4
    # the oracle is the pass on the same numbers as a weight
    alone = codebook(kmeans(row_graph(bias), bits=2)).centroids
    assert both.params["fc1/bias"].values.centroids.tobytes() == alone.tobytes()
    assert both.params["fc1/kernel"].values.centroids.size == 4
    by_layer = kmeans(second, bits=2, layers=[LayerRule("fc1", {"biases": True, "bits": 3})])
    sizes = {name: len(by_layer.params[name].values.centroids) for name in ("fc1/kernel", "fc1/bias", "fc2/kernel")}
    assert sizes == {"fc1/kernel": 8, "fc1/bias": 8, "fc2/kernel": 4}
    own = kmeans(second, bits=2, biases=True, layers=[LayerRule("*/bias", {"bits": 4}), LayerRule("fc1", {"bits": 1})])
    assert [len(own.params[name].values.centroids) for name in ("fc1/kernel", "fc1/bias")] == [2, 16]
    with pytest.raises(OptionError, match=r"'\*/bias' matches no layer"):
        kmeans(second, bits=2, layers=[LayerRule("*/bias", {"bits": 4})])
    spared = kmeans(second, bits=2, biases=True, layers=[LayerRule("fc1", {"biases": False})])
    assert spared.params["fc1/bias"] is second.params["fc1/bias"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "bits is 0; give a whole number from 1 to 12"),
        ({"bits": 13}, "from 1 to 12"),
        ({"bits": 2, "init": "optimum"}, "did you mean 'optimal'"),
        ({"bits": 2, "zero": "no"}, "choose one of outside, inside, clustered"),
        ({"bits": 2, "seed": -1}, "seed is -1"),
        ({"bits": 2, "max_iterations": -1}, "max_iterations is -1"),
        ({"bits": 2, "biases": 1}, "biases is 1; it is true or false"),
        ({"bits": 2, "layers": [LayerRule("fc", {"biases": "yes"})]}, "biases is 'yes' for 'fc/kernel'"),
        (
            {"bits": 2, "layers": [LayerRule("fc", {"seed": 1})]},
            "its options are bits, init, zero, max_iterations, biases",
        ),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        kmeans(row_graph([1.0]), **options)


def test_a_codebook_that_would_be_too_large_is_refused() -> None:
    values = np.concatenate([[0.0], np.random.default_rng(0).normal(size=5000)])
    with pytest.raises(OptionError, match=r"make 4097 centroids of 'fc/kernel'.*take zero='inside' or fewer bits"):
        kmeans(row_graph(values), bits=12, init="density")
    assert len(codebook(kmeans(row_graph(values), bits=12, init="density", zero="inside")).centroids) == 4096


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ModelError, match="NaN or infinity"):
        kmeans(row_graph([1.0, np.nan]), bits=2)


def test_a_weight_without_entries_has_a_codebook() -> None:
    assert codebook(kmeans(gemm_graph(fc=np.zeros((0, 3))), bits=2)).centroids.tolist() == [0.0]

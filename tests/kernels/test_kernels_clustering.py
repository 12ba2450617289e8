"""One-dimensional k-means against partitions tried one by one, Lloyd's loop, exact fractions and scikit-learn."""

from __future__ import annotations

import itertools
import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.kernels import clustering, kmeans
from refcompress.kernels.kmeans import Start

INITS = ("linear", "density", "random", "k-means++", "optimal")
NARROW = st.integers(-50, 50).map(float)
WIDE = st.floats(-(2.0**120), 2.0**120, width=32)
compiled = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="a quarter of a million values need compiled loops"
)


def start(init: str = "optimal", clusters: int = 8, max_iterations: int = 300) -> Start:
    return Start(init, np.random.default_rng(3).random(clusters), max_iterations)  # type: ignore[arg-type]


def cluster(
    values: NDArray[np.float32], clusters: int, init: str = "optimal", *, zeros_apart: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    return kmeans.kmeans(values, clusters, start(init, clusters), zeros_apart=zeros_apart)


def inertia(values: NDArray[np.float32], labels: NDArray[np.uint16]) -> float:
    """Squared distances to the means of the groups that the labels make."""
    total = 0.0
    for label in np.unique(labels):
        group = values[labels == label].astype(np.float64)
        total += float(np.square(group - group.mean()).sum())
    return total


def exact_inertia(groups: list[list[Fraction]]) -> Fraction:
    total = Fraction(0)
    for group in groups:
        mean = sum(group, Fraction(0)) / len(group)
        total += sum(((value - mean) ** 2 for value in group), Fraction(0))
    return total


def least_inertia(values: list[float], clusters: int) -> Fraction:
    """Try every way to cut the sorted values into so many runs."""
    ordered = sorted(map(Fraction, values))
    return min(
        exact_inertia([ordered[i:j] for i, j in itertools.pairwise((0, *cuts, len(ordered)))])
        for cuts in itertools.combinations(range(1, len(ordered)), min(clusters, len(ordered)) - 1)
    )


def grouped(values: list[float], labels: NDArray[np.uint16]) -> list[list[Fraction]]:
    groups: dict[int, list[Fraction]] = {}
    for value, label in zip(values, labels.tolist(), strict=True):
        groups.setdefault(label, []).append(Fraction(value))
    return list(groups.values())


@given(st.lists(NARROW, min_size=1, max_size=9), st.integers(1, 5))
def test_the_optimal_start_has_the_least_inertia_of_all_partitions(values: list[float], clusters: int) -> None:
    _, labels = cluster(np.array(values, np.float32), clusters)
    found, least = exact_inertia(grouped(values, labels)), least_inertia(values, clusters)
    assert found - least <= Fraction(1, 10**9)


@given(st.lists(NARROW, min_size=1, max_size=8), st.integers(1, 4), st.integers(0, 20), st.integers(-15, 20))
def test_narrow_clusters_beside_a_far_outlier_are_not_drowned(
    values: list[float], clusters: int, narrowness: int, outlier: int
) -> None:
    numbers = [*(value / 2**narrowness for value in values), 2.0**outlier]
    _, labels = cluster(np.array(numbers, np.float32), clusters)
    found, least = exact_inertia(grouped(numbers, labels)), least_inertia(numbers, clusters)
    assert found <= least * (1 + Fraction(1, 10**9))


@given(st.lists(NARROW, min_size=1, max_size=40), st.integers(1, 8), st.sampled_from(INITS), st.booleans())
def test_no_start_beats_the_optimal_one(values: list[float], clusters: int, init: str, zeros_apart: bool) -> None:
    array = np.array(values, np.float32)
    _, best = cluster(array, clusters, zeros_apart=zeros_apart)
    _, other = cluster(array, clusters, init, zeros_apart=zeros_apart)
    assert inertia(array, best) <= inertia(array, other) * (1 + 1e-12) + 1e-9


@given(st.lists(WIDE, max_size=40), st.integers(1, 8), st.sampled_from(INITS))
def test_centroids_increase_and_are_the_means_of_their_values(values: list[float], clusters: int, init: str) -> None:
    array = np.array(values, np.float32)
    centroids, labels = cluster(array, clusters, init)
    assert np.all(np.diff(centroids) > 0)
    assert labels.dtype == np.uint16
    assert centroids.dtype == np.float32
    assert len(centroids) == min(clusters, max(len(set(array.tolist())), 1))
    for label, centroid in enumerate(centroids.tolist() if values else []):
        group = [Fraction(value) for value in array[labels == label].tolist()]
        mean, largest = sum(group) / len(group), max(map(abs, group))
        # rounded to float32 once, after additions in float64
        assert abs(Fraction(centroid) - mean) <= abs(mean) / 2**23 + largest / 2**48 + Fraction(1, 2**149)


@given(st.lists(NARROW, min_size=1, max_size=40), st.integers(1, 8), st.sampled_from(INITS))
def test_zeros_apart_stay_exactly_zero_and_leave_the_rest_alone(values: list[float], clusters: int, init: str) -> None:
    array = np.array([*values, 0.0, -0.0], np.float32)
    centroids, labels = cluster(array, clusters, init, zeros_apart=True)
    assert np.all(centroids[labels][array == 0].view(np.uint32) == 0)
    alone, _ = cluster(array[array != 0], clusters, init, zeros_apart=True)
    if (array != 0).any():
        assert set(centroids.tolist()) == set(alone.tolist()) | {0.0}


@given(st.lists(NARROW, min_size=1, max_size=30), st.integers(1, 6))
def test_fewer_distinct_values_than_clusters_are_kept_exactly(values: list[float], more: int) -> None:
    array = np.array(values, np.float32)
    centroids, labels = cluster(array, len(set(values)) + more - 1, "linear")
    assert np.array_equal(centroids[labels], array)


def naive_lloyd(values: list[float], centroids: list[float]) -> list[float]:
    while True:
        groups: list[list[float]] = [[] for _ in centroids]
        for value in values:
            distances = [abs(value - centroid) for centroid in centroids]
            groups[distances.index(min(distances))].append(value)
        if not all(groups):
            return []
        moved = [sum(group) / len(group) for group in groups]
        if moved == centroids:
            return centroids
        centroids = moved


@given(st.lists(NARROW, min_size=6, max_size=40), st.integers(2, 5))
def test_the_linear_start_follows_lloyds_iteration(values: list[float], clusters: int) -> None:
    low, high = min(values), max(values)
    expected = naive_lloyd(values, [low + (high - low) * j / (clusters - 1) for j in range(clusters)])
    if len(set(values)) > clusters and expected:  # the loop above gives up on empty clusters
        centroids, _ = cluster(np.array(values, np.float32), clusters, "linear")
        # halfway, float64 sums may fall on either side; then both are local optima of the same inertia or better
        if not np.allclose(centroids, expected, rtol=1e-6):
            middles = {(a + b) / 2 for a, b in itertools.pairwise(expected)}
            assert middles & set(values) or len({round(m, 9) for m in middles}) == clusters - 1


def test_an_empty_cluster_cuts_the_worst_one() -> None:
    values = np.array([0, 1, 2, 3, 1000], np.float32)  # linear starts at 250, 500 and 750 catch nothing
    _, labels = cluster(values, 5, "linear")
    assert len(set(labels.tolist())) == 5
    _, labels = cluster(np.repeat(values, 3), 4, "linear")
    assert len(set(labels.tolist())) == 4


def test_k_means_plus_plus_draws_by_squared_distance() -> None:
    points, counts = np.array([0.0, 1.0, 10.0]), np.array([1, 1, 1])
    rng = np.random.default_rng(0)
    draws = [tuple(clustering.plus_plus(points, counts, np.array([0.0, u]))) for u in rng.random(4000)]
    # after 0 the weights of 1 and 10 are 1 and 100
    share = draws.count((0.0, 1.0)) / len(draws)
    assert abs(share - 1 / 101) < 5 * (1 / 101 / 4000) ** 0.5
    assert (0.0, 0.0) not in draws


@given(st.lists(WIDE, min_size=1, max_size=12, unique=True))
def test_prefix_sums_are_accurate_to_the_last_difference(values: list[float]) -> None:
    points = np.sort(np.array(values, np.float64))
    sums = clustering.prefix_sums(points, np.ones(points.size, np.int64))
    for i, j in itertools.combinations(range(points.size + 1), 2):
        exact = sum((Fraction(value) for value in points[i:j].tolist()), Fraction(0))
        found = Fraction(float(sums[j, 1] - sums[i, 1])) + Fraction(float(sums[j, 2] - sums[i, 2]))
        size = sum((abs(Fraction(value)) for value in points.tolist()), Fraction(0))
        assert abs(found - exact) <= abs(exact) / 2**50 + size / 2**95


@compiled
@pytest.mark.parametrize("zeros_apart", [False, True])
def test_a_histogram_holds_exact_sums(zeros_apart: bool) -> None:
    values = np.random.default_rng(0).laplace(size=5000).astype(np.float32)
    values[:7] = [0.0, -0.0, 1e-45, -1e-45, 3e38, -3e38, 1e-38]
    counts, lows = clustering.histogram(values.view(np.uint32), zeros_apart)
    used = np.flatnonzero(counts)
    assert counts.sum() == values.size - (2 if zeros_apart else 0)
    totals = kmeans.bin_totals(used, counts[used], lows[used])
    exact = sum(map(Fraction, values.tolist()))
    assert sum(map(Fraction, totals.tolist())) == exact


@compiled
@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("sparsity", [0.0, 0.7])
def test_the_histogram_is_as_good_as_sorting(init: str, sparsity: float) -> None:
    rng = np.random.default_rng(1)
    values = rng.laplace(size=300_000).astype(np.float32)
    values[rng.random(values.size) < sparsity] = -0.0
    options = start(init, 32)
    found = kmeans.by_histogram(values, 32, options, zeros_apart=sparsity > 0)
    assert found is not None
    centroids, labels = found
    _, sorted_labels = kmeans.by_sorting(values, 32, start("optimal", 32), zeros_apart=sparsity > 0)
    if init == "optimal":
        assert inertia(values, labels) <= 1.0005 * inertia(values, sorted_labels)
    assert np.all(np.diff(centroids) > 0)
    means = np.bincount(labels, values.astype(np.float64)) / np.bincount(labels)
    np.testing.assert_allclose(centroids, means, rtol=2**-23)
    if sparsity:
        assert np.all(centroids[labels][values == 0].view(np.uint32) == 0)


@compiled
def test_values_too_close_for_the_histogram_are_sorted() -> None:
    rng = np.random.default_rng(1)
    values = (1 + 1e-4 * rng.random(300_000)).astype(np.float32)
    assert kmeans.by_histogram(values, 8, start(), zeros_apart=False) is None
    centroids, labels = cluster(values, 8)
    assert len(centroids) == 8
    assert inertia(values, labels) <= 1.01 * values.size * (1e-4 / 8) ** 2 / 12


@compiled
@pytest.mark.parametrize("zeros_apart", [False, True])
def test_labels_by_look_up_equal_those_by_search(zeros_apart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    values = np.where(rng.random(4000) < 0.5, 0, rng.normal(size=4000)).astype(np.float32)
    by_search = cluster(values, 16, zeros_apart=zeros_apart)
    monkeypatch.setattr(kmeans, "HISTOGRAM_FROM", 1)
    by_look_up = kmeans.by_sorting(values, 16, start("optimal", 16), zeros_apart=zeros_apart)
    for expected, found in zip(by_search, by_look_up, strict=True):
        np.testing.assert_array_equal(found, expected)


@compiled
@pytest.mark.parametrize("clusters", [16, 256])
def test_a_grid_of_groups_comes_close_to_the_optimum(clusters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).laplace(size=20_000).astype(np.float32)
    _, exact = kmeans.by_sorting(values, clusters, start("optimal", clusters), zeros_apart=False)
    monkeypatch.setattr(kmeans, "EXACT_CELLS", 0)
    _, near = kmeans.by_sorting(values, clusters, start("optimal", clusters), zeros_apart=False)
    assert inertia(values, exact) <= inertia(values, near) <= 1.002 * inertia(values, exact)


@compiled
@pytest.mark.parametrize("clusters", [4, 16, 64])
def test_inertia_is_never_above_that_of_scikit_learn(clusters: int) -> None:
    cluster_module = pytest.importorskip("sklearn.cluster")
    values = np.random.default_rng(5).laplace(size=3000).astype(np.float32)
    peer = cluster_module.KMeans(clusters, n_init=3, random_state=0, tol=0).fit(values.reshape(-1, 1))
    _, labels = cluster(values, clusters)
    assert inertia(values, labels) <= inertia(values, peer.labels_) * (1 + 1e-12)


def test_read_only_values_are_accepted_and_left_alone() -> None:
    values = np.array([3, 1, 2, 0], np.float32)
    values.flags.writeable = False
    centroids, labels = cluster(values, 8, zeros_apart=True)
    assert centroids.tolist() == [0, 1, 2, 3]
    assert labels.tolist() == [3, 1, 2, 0]


@pytest.mark.parametrize("values", [[], [0.0], [-0.0, 0.0], [-1.0, 1.0]])
def test_degenerate_values_have_a_codebook(values: list[float]) -> None:
    array = np.array(values, np.float32)
    centroids, labels = cluster(array, 1, zeros_apart=True)
    assert centroids.tolist() == [0.0]
    assert not np.signbit(centroids).any()
    assert labels.tolist() == [0] * len(values)

"""One-dimensional k-means of an array: from float32 values to centroids and labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from refcompress.kernels import clustering
from refcompress.kernels.clustering import BIN_COUNT, KEY_SHIFT, LOW_MASK

Init = Literal["linear", "density", "random", "k-means++", "optimal"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HISTOGRAM_FROM = 1 << 18  # values; fewer are sorted
BINS_PER_CLUSTER = 16  # occupied bins that a histogram must have, or the values are sorted after all
EXACT_CELLS = 1 << 21  # distinct values times clusters up to which the optimal start is exact
MIN_GROUPS, GROUPS_PER_CLUSTER = 2048, 16  # a larger problem's grid for the optimal start ...
MAX_GROUP_CELLS = 1 << 22  # ... unless groups times clusters exceed this


@dataclass(frozen=True, slots=True)
class Start:
    """How centroids start, and how long they move.

    Attributes
    ----------
    init
        See :func:`refcompress.passes.share_weights.kmeans`.
    uniforms
        Uniform random numbers in [0, 1), at least one for each cluster; the random starts use them.
    max_iterations
        Most iterations of Lloyd's algorithm.

    """

    init: Init
    uniforms: Floats
    max_iterations: int


def kmeans(
    values: NDArray[np.float32], clusters: int, start: Start, *, zeros_apart: bool
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Cluster finite values.

    Parameters
    ----------
    values
        float32, one dimension.
    clusters
        Most clusters, 1 to 4096.
    start
        How to start.
    zeros_apart
        Whether zeros are left out; they then get the centroid 0.0, beside the others.

    Returns
    -------
    centroids
        float32, increasing; as many as distinct values where those are fewer.
    labels
        uint16, one for each value.

    Examples
    --------
    >>> start = Start("optimal", np.zeros(2), 300)
    >>> centroids, labels = kmeans(np.array([0, 1, 3, 9], np.float32), 2, start, zeros_apart=True)
    >>> centroids.tolist(), labels.tolist()
    ([0.0, 2.0, 9.0], [0, 1, 1, 2])

    """
    values = np.ascontiguousarray(values)
    found = None
    if values.size >= HISTOGRAM_FROM:
        found = by_histogram(values, clusters, start, zeros_apart)
    return found if found is not None else by_sorting(values, clusters, start, zeros_apart)


def by_sorting(
    values: NDArray[np.float32], clusters: int, start: Start, zeros_apart: bool
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Cluster distinct values; arguments as those of :func:`kmeans`."""
    zeros = values == 0
    has_zeros = zeros_apart and bool(zeros.any())
    ordered = np.sort(values[~zeros] if has_zeros else values)
    firsts = np.flatnonzero(np.concatenate([np.ones(min(ordered.size, 1), np.bool_), ordered[1:] != ordered[:-1]]))
    points = ordered[firsts].astype(np.float64)
    counts = np.diff(firsts, append=ordered.size)
    sums = clustering.prefix_sums(points, counts)
    ends = _partition(points, counts, sums, clusters, start, EXACT_CELLS)
    # summed afresh, not as differences of prefix sums: right beside an outlier of any size
    totals, sizes = (np.add.reduceat(each, ends[:-1]) if points.size else each for each in (counts * points, counts))
    centroids = totals / sizes
    thresholds = points[ends[1:-1] - 1].astype(np.float32)
    zero_label = int(np.searchsorted(centroids, 0.0)) if has_zeros else -1
    bins = _split_bins(thresholds) if values.size >= HISTOGRAM_FROM else None
    if bins is not None:
        labels, _, _ = _look_up(values.view(np.uint32), bins, zero_label)
    else:
        labels = np.searchsorted(thresholds, values).astype(np.uint16)
        if has_zeros:
            labels += labels >= zero_label
            labels[zeros] = zero_label
    return _merge_equal(np.insert(centroids, zero_label, 0.0) if has_zeros else centroids, labels)


def _merge_equal(centroids: Floats, labels: NDArray[np.uint16]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Round centroids; those that are equal then (one that met 0.0) become one."""
    rounded = centroids.astype(np.float32) + np.float32(0)  # -0.0 + 0.0 is +0.0
    if rounded.size == 0:  # no values at all
        rounded = np.zeros(1, np.float32)
    distinct = np.unique(rounded)
    if distinct.size == rounded.size:
        return rounded, labels
    return distinct, np.searchsorted(distinct, rounded).astype(np.uint16)[labels]


def _partition(points: Floats, counts: Ints, sums: Floats, clusters: int, start: Start, exact_cells: int) -> Ints:
    """Return the ends of the clusters of points."""
    if points.size <= clusters:
        return np.arange(points.size + 1)
    if start.init != "optimal":
        centroids = np.sort(_STARTS[start.init](points, counts, start.uniforms[:clusters]))
    elif points.size * clusters <= exact_cells:
        centroids = clustering.means(sums, clustering.optimal(sums, clusters))
    else:
        groups = _group_ends(points, counts, clusters)
        centroids = clustering.means(sums, groups[clustering.optimal(sums[groups], clusters)])
    return clustering.lloyd(points, sums, centroids, start.max_iterations)


def _group_ends(points: Floats, counts: Ints, clusters: int) -> Ints:
    """Cut points into many more groups than clusters, narrow ones where an optimal quantizer has narrow cells.

    The ideal weight of a piece is mass^(1/3) * width^(2/3) (Panter & Dite 1951); mass^(1/4) * width^(3/4) is near and
    needs square roots only, which every machine rounds alike.
    """
    width = np.gradient(points)
    share = np.cumsum(np.sqrt(np.sqrt(counts * (width * width * width))))
    groups = max(MIN_GROUPS, GROUPS_PER_CLUSTER * clusters)
    groups = max(min(groups, MAX_GROUP_CELLS // clusters), 2 * clusters)
    cuts = np.searchsorted(share, np.arange(1, groups) * (share[-1] / groups), side="right")
    ends = np.unique(np.concatenate([[0], cuts, [points.size]]))
    return ends if ends.size > clusters else np.arange(points.size + 1)


def _linear(points: Floats, _counts: Ints, uniforms: Floats) -> Floats:
    steps = np.arange(uniforms.size) / max(uniforms.size - 1, 1)
    evenly: Floats = points[0] + (points[-1] - points[0]) * steps
    return evenly


def _density(points: Floats, counts: Ints, uniforms: Floats) -> Floats:
    shares = (np.arange(uniforms.size) + 0.5) / uniforms.size
    return _quantiles(points, counts, shares)


def _random(points: Floats, counts: Ints, uniforms: Floats) -> Floats:
    return _quantiles(points, counts, uniforms)


def _quantiles(points: Floats, counts: Ints, shares: Floats) -> Floats:
    upto = np.cumsum(counts)
    chosen: Floats = points[np.searchsorted(upto, np.floor(shares * upto[-1]), side="right")]
    return chosen


_STARTS: dict[str, Callable[[Floats, Ints, Floats], Floats]] = {
    "linear": _linear,
    "density": _density,
    "random": _random,
    "k-means++": clustering.plus_plus,
}


def by_histogram(
    values: NDArray[np.float32], clusters: int, start: Start, zeros_apart: bool
) -> tuple[NDArray[np.float32], NDArray[np.uint16]] | None:
    """Cluster whole bins of a fine histogram, then label each value by an exact comparison with the thresholds.

    None where the histogram is too coarse for these values.
    """
    bits = values.view(np.uint32)
    counts, lows = clustering.histogram(bits, zeros_apart)
    used = np.flatnonzero(counts)
    if used.size < BINS_PER_CLUSTER * clusters:
        return None
    totals = bin_totals(used, counts[used], lows[used])
    points = totals / counts[used]
    sums = clustering.prefix_sums(points, counts[used])
    centroids = clustering.means(sums, _partition(points, counts[used], sums, clusters, start, 0))
    bins = _split_bins(_at_most(0.5 * centroids[:-1] + 0.5 * centroids[1:]))
    if bins is None:
        return None
    has_zeros = zeros_apart and int(counts.sum()) < values.size
    zero_label = int(np.searchsorted(centroids, 0.0)) if has_zeros else -1
    labels, moved_counts, moved_lows = _look_up(bits, bins, zero_label)
    cluster = bins.below[used]
    move = np.diff(moved_counts, prepend=0, append=0)
    total_move = np.diff(bin_totals(bins.keys, moved_counts, moved_lows), prepend=0.0, append=0.0)
    exact = (np.bincount(cluster, totals) - total_move) / (np.bincount(cluster, counts[used]) - move)
    if has_zeros:  # the exact mean of a cluster around zero may lie a hair on the other side of it
        exact[:zero_label] = np.minimum(exact[:zero_label], 0.0)
        exact[zero_label:] = np.maximum(exact[zero_label:], 0.0)
        exact = np.insert(exact, zero_label, 0.0)
    return _merge_equal(exact, labels)


def bin_totals(keys: Ints, counts: Ints, lows: Ints) -> Floats:
    """Sum of the floats of bins: floats of a bin are equally spaced, so their low bits suffice."""
    first = (keys << KEY_SHIFT).astype(np.uint32)
    ends = np.stack([first, first + np.uint32(1)])
    positive = ends >> np.uint32(31) == 1
    floats = np.where(positive, ends & np.uint32(0x7FFFFFFF), ~ends).view(np.float32).astype(np.float64)
    totals: Floats = counts * floats[0] + lows * (floats[1] - floats[0])
    return totals


def _at_most(numbers: Floats) -> NDArray[np.float32]:
    """Round down to float32."""
    rounded = numbers.astype(np.float32)
    return np.where(rounded > numbers, np.nextafter(rounded, np.float32(-np.inf)), rounded)


@dataclass(frozen=True, slots=True, eq=False)
class _Bins:
    """Where thresholds run through the bins of the histogram.

    Attributes
    ----------
    keys
        The bin of each threshold, increasing.
    below
        Label of each bin; of a threshold's bin, that of the values up to it.
    split
        Largest low bits, in each bin, that still belong to ``below``.

    """

    keys: Ints
    below: Ints
    split: NDArray[np.uint16]


def _split_bins(thresholds: NDArray[np.float32]) -> _Bins | None:
    """Prepare for labels by look-up; None where two thresholds lie in one bin."""
    bits = (thresholds + np.float32(0)).view(np.uint32)  # -0.0 + 0.0 is +0.0
    ordered = np.where(bits >> np.uint32(31) == 1, ~bits, bits | np.uint32(0x80000000))
    keys = (ordered >> np.uint32(KEY_SHIFT)).astype(np.int64)
    if np.any(keys[1:] == keys[:-1]):
        return None
    below = np.repeat(np.arange(keys.size + 1), np.diff(keys + 1, prepend=0, append=BIN_COUNT))
    split = np.full(BIN_COUNT, LOW_MASK, np.uint16)
    split[keys] = (ordered & np.uint32(LOW_MASK)).astype(np.uint16)
    return _Bins(keys, below, split)


def _look_up(bits: NDArray[np.uint32], bins: _Bins, zero_label: int) -> tuple[NDArray[np.uint16], Ints, Ints]:
    """Label values, zeros apart unless ``zero_label`` is -1.

    Returns
    -------
    labels, moved_counts, moved_lows
        The labels, and for each threshold what lies above it in its bin (see :func:`clustering.assign`).

    """
    below = bins.below + (bins.below >= zero_label) if zero_label >= 0 else bins.below
    labels = np.empty(bits.size, np.uint16)
    moved = clustering.assign(bits, below.astype(np.uint16), bins.split, zero_label, labels)
    moved_counts, moved_lows = (each[below[bins.keys]] for each in moved)
    return labels, moved_counts, moved_lows

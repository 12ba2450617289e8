"""One-dimensional k-means loops: histogram, optimal start, Lloyd's iteration, labels.

Points are distinct values in increasing order, each with the number of weights it stands for; a cluster is a run of
them, ``ends[j]:ends[j + 1]``. Nothing here depends on threads or on the order of a parallel reduction.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

KEY_SHIFT = 13  # a histogram bin is a float32 without its lowest 13 bits: sign, exponent, 10 bits of mantissa
LOW_MASK = (1 << KEY_SHIFT) - 1
BIN_COUNT = 1 << (32 - KEY_SHIFT)
_COUNT_SHIFT = 38  # a bin's count stands above the sum of its low bits: 2^25 values of 13 bits do not reach it
_BATCH = 1 << 25

# columns of a table of prefix sums; sums of values and squares are unevaluated pairs of doubles
WEIGHT, SUM, SUM_REST, SQUARE, SQUARE_REST = range(5)


@njit(cache=True, inline="always")
def _ordered(bits: np.uint32) -> np.uint32:
    """Map the bits of a float to an integer that grows with it; both zeros get that of +0.0."""
    if bits == np.uint32(0x80000000):
        return bits
    sign = bits >> np.uint32(31)
    return bits ^ (sign * np.uint32(0x7FFFFFFF) | np.uint32(0x80000000))


@njit(cache=True)
def histogram(bits: NDArray[np.uint32], zeros_apart: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the floats of each bin and add up their lowest bits, so that sums over bins are exact.

    Parameters
    ----------
    bits
        The floats as uint32.
    zeros_apart
        Whether zeros are left out.

    Returns
    -------
    counts, lows
        For each bin, in increasing order of its floats: how many, and the sum of ``ordered & LOW_MASK``.

    """
    counts = np.zeros(BIN_COUNT, np.int64)
    lows = np.zeros(BIN_COUNT, np.int64)
    zeros = 0
    for start in range(0, bits.size, _BATCH):
        packed = np.zeros(BIN_COUNT, np.uint64)  # one store a value instead of two
        for i in range(start, min(start + _BATCH, bits.size)):
            ordered = _ordered(bits[i])
            if ordered == np.uint32(0x80000000):
                zeros += 1
                continue
            low = np.uint64(ordered & np.uint32(LOW_MASK))
            packed[ordered >> np.uint32(KEY_SHIFT)] += low + np.uint64(1 << _COUNT_SHIFT)
        for key in range(BIN_COUNT):
            counts[key] += np.int64(packed[key] >> np.uint64(_COUNT_SHIFT))
            lows[key] += np.int64(packed[key] & np.uint64((1 << _COUNT_SHIFT) - 1))
    if not zeros_apart:
        counts[BIN_COUNT // 2] += zeros
    return counts, lows


@njit(cache=True)
def assign(
    bits: NDArray[np.uint32],
    below: NDArray[np.uint16],
    split: NDArray[np.uint16],
    zero_label: int,
    labels: NDArray[np.uint16],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Label floats by one look-up each.

    Parameters
    ----------
    bits
        The floats as uint32.
    below
        Label of each bin; where a threshold runs through the bin, that of the values up to it.
    split
        Largest low bits that still belong to ``below``; ``LOW_MASK`` where no threshold runs through the bin.
    zero_label
        Label that zeros alone have, or -1 where they are values like any other.
    labels
        Filled with the labels.

    Returns
    -------
    moved_counts, moved_lows
        By the label below: how many values of its last bin lie above the threshold, and the sum of their low bits.

    """
    moved_counts = np.zeros(1 << 16, np.int64)
    moved_lows = np.zeros(1 << 16, np.int64)
    apart = zero_label >= 0
    for i in range(bits.size):
        ordered = _ordered(bits[i])
        key = ordered >> np.uint32(KEY_SHIFT)
        low = np.uint16(ordered & np.uint32(LOW_MASK))
        label = np.int64(below[key])
        is_zero = apart and ordered == np.uint32(0x80000000)
        if low > split[key] and not is_zero:
            moved_counts[label] += 1
            moved_lows[label] += np.int64(low)
            label += 1
            if label == zero_label:
                label += 1
        labels[i] = np.uint16(zero_label) if is_zero else np.uint16(label)
    return moved_counts, moved_lows


@njit(cache=True, inline="always")
def _add(high: float, rest: float, term: float) -> tuple[float, float]:
    """Add a term to an unevaluated pair (Knuth's two-sum; the rests are added up)."""
    total = high + term
    shifted = total - high
    return total, rest + ((high - (total - shifted)) + (term - shifted))


@njit(cache=True)
def prefix_sums(points: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Add up weights, values and squares over the first i points, accurate to twice double precision.

    A difference of two plain sums would drown a narrow cluster beside a far outlier.
    """
    sums = np.zeros((points.size + 1, 5), np.float64)
    weight = value = value_rest = square = square_rest = 0.0
    for i in range(points.size):
        count = np.float64(counts[i])
        weight += count
        value, value_rest = _add(value, value_rest, count * points[i])
        square, square_rest = _add(square, square_rest, count * (points[i] * points[i]))
        sums[i + 1, WEIGHT] = weight
        sums[i + 1, SUM] = value
        sums[i + 1, SUM_REST] = value_rest
        sums[i + 1, SQUARE] = square
        sums[i + 1, SQUARE_REST] = square_rest
    return sums


@njit(cache=True, inline="always")
def _total(sums: NDArray[np.float64], start: int, stop: int) -> float:
    total: float = (sums[stop, SUM] - sums[start, SUM]) + (sums[stop, SUM_REST] - sums[start, SUM_REST])
    return total


@njit(cache=True, inline="always")
def _scatter(sums: NDArray[np.float64], start: int, stop: int) -> float:
    """Sum of squared distances of the points of a run to their mean."""
    total = _total(sums, start, stop)
    squares = (sums[stop, SQUARE] - sums[start, SQUARE]) + (sums[stop, SQUARE_REST] - sums[start, SQUARE_REST])
    scatter: float = squares - total * total / (sums[stop, WEIGHT] - sums[start, WEIGHT])
    return max(scatter, 0.0)


@njit(cache=True)
def means(sums: NDArray[np.float64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of each cluster."""
    centroids = np.empty(ends.size - 1, np.float64)
    for j in range(centroids.size):
        weight = sums[ends[j + 1], WEIGHT] - sums[ends[j], WEIGHT]
        centroids[j] = _total(sums, ends[j], ends[j + 1]) / weight
    return centroids


@njit(cache=True)
def optimal(sums: NDArray[np.float64], clusters: int) -> NDArray[np.int64]:
    """Return the ends of the clusters with the least inertia, by dynamic programming.

    ``cost[j]`` is the least inertia of the first j points in so many clusters, ``start[c, j]`` where the last of them
    begins. The starts grow with j and with the number of clusters (the cost of a run satisfies the quadrangle
    inequality; Yao 1980, Wu 1991), so filling j by halving strides bounds each search on both sides.
    """
    n = sums.shape[0] - 1
    start = np.zeros((clusters, n + 1), np.int32)
    cost = np.empty(n + 1, np.float64)
    cost[0] = 0.0
    for j in range(1, n + 1):
        cost[j] = _scatter(sums, 0, j)
    top = 1
    while top * 2 <= n:
        top *= 2
    for c in range(1, clusters):
        previous, cost = cost, np.full(n + 1, np.inf)
        stride = top
        while stride:
            for j in range(stride, n + 1, 2 * stride):
                if j > c:
                    low = max(c, start[c - 1, j], start[c, j - stride])
                    high = j - 1 if j + stride > n else min(j - 1, start[c, j + stride])
                    best, where = np.inf, low
                    for i in range(low, high + 1):
                        candidate = previous[i] + _scatter(sums, i, j)
                        if candidate < best:
                            best, where = candidate, i
                    cost[j], start[c, j] = best, where
            stride //= 2
    ends = np.empty(clusters + 1, np.int64)
    ends[clusters] = n
    for c in range(clusters - 1, -1, -1):
        ends[c] = start[c, ends[c + 1]]
    return ends


@njit(cache=True)
def _first_above(points: NDArray[np.float64], start: int, stop: int, value: float) -> int:
    """Find the first point of a run that is larger; the end of the run if there is none."""
    while start < stop:
        middle = (start + stop) // 2
        if points[middle] > value:
            stop = middle
        else:
            start = middle + 1
    return start


@njit(cache=True)
def _nearest(points: NDArray[np.float64], centroids: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the ends of the clusters of points nearest to each centroid; halfway, a point goes to the lower one."""
    ends = np.zeros(centroids.size + 1, np.int64)
    for j in range(centroids.size - 1):
        middle = 0.5 * centroids[j] + 0.5 * centroids[j + 1]
        ends[j + 1] = _first_above(points, ends[j], points.size, middle)
    ends[centroids.size] = points.size
    return ends


@njit(cache=True)
def _without_empty(
    points: NDArray[np.float64], sums: NDArray[np.float64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Replace empty clusters: each time, the cluster of the largest inertia is cut at its mean."""
    clusters = ends.size - 1
    full = np.empty_like(ends)
    full[0] = 0
    count = 0
    for j in range(clusters):
        if ends[j + 1] > full[count]:
            count += 1
            full[count] = ends[j + 1]
    if count == clusters:
        return full
    scatter = np.empty(clusters, np.float64)
    for j in range(count):
        scatter[j] = _scatter(sums, full[j], full[j + 1]) if full[j + 1] - full[j] > 1 else -1.0
    while count < clusters:
        worst = int(np.argmax(scatter[:count]))
        first, last = full[worst], full[worst + 1]
        mean = _total(sums, first, last) / (sums[last, WEIGHT] - sums[first, WEIGHT])
        cut = min(max(_first_above(points, first, last, mean), first + 1), last - 1)
        for j in range(count, worst, -1):
            full[j + 1] = full[j]
            scatter[j] = scatter[j - 1]
        full[worst + 1] = cut
        count += 1
        for j in (worst, worst + 1):
            scatter[j] = _scatter(sums, full[j], full[j + 1]) if full[j + 1] - full[j] > 1 else -1.0
    return full


@njit(cache=True)
def lloyd(
    points: NDArray[np.float64], sums: NDArray[np.float64], centroids: NDArray[np.float64], max_iterations: int
) -> NDArray[np.int64]:
    """Return the ends of the clusters after Lloyd's iteration from increasing centroids; no cluster is empty.

    There must be at least as many points as centroids.
    """
    ends = _without_empty(points, sums, _nearest(points, centroids))
    for _ in range(max_iterations):
        moved = _without_empty(points, sums, _nearest(points, means(sums, ends)))
        if not np.any(moved != ends):
            break
        ends = moved
    return ends


@njit(cache=True)
def plus_plus(
    points: NDArray[np.float64], counts: NDArray[np.int64], uniforms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Centroids drawn in proportion to the squared distance to those drawn before (Arthur & Vassilvitskii 2007).

    Parameters
    ----------
    points, counts
        Distinct values and how many weights have them.
    uniforms
        One uniform random number in [0, 1) for each centroid.

    Returns
    -------
    ndarray of float64
        The centroids, in the order drawn.

    """
    mass = counts.astype(np.float64)
    distance = np.full(points.size, np.inf)
    centroids = np.empty(uniforms.size, np.float64)
    for c in range(uniforms.size):
        total = 0.0
        for i in range(points.size):
            total += mass[i]
        target = uniforms[c] * total
        chosen = points.size - 1
        running = 0.0
        for i in range(points.size):
            running += mass[i]
            if running > target:
                chosen = i
                break
        centroids[c] = points[chosen]
        for i in range(points.size):
            away = points[i] - points[chosen]
            if away * away < distance[i]:
                distance[i] = away * away
                mass[i] = counts[i] * distance[i]
    return centroids

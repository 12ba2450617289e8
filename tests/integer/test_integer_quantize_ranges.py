"""Ranges, scales and zero points of activations, against formulas and searches written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refcompress.errors import DataError, OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.integer import Quantization, dequantize, quantize
from refcompress.ops import NoAttrs
from refcompress.post_training.histograms import BINS, Histogram, moments, observe
from refcompress.post_training.ranges import least_error, quantization_for, range_of, squared_error

IDENTITY = Graph((TensorSpec("x", (50,)),), ("x",), (Node("Relu", "r", ("x",), "y", {}, NoAttrs()),), {})
ends = st.floats(0, 1e6).filter(lambda end: end == 0 or end > 1e-6)


def histogram_of(values: np.ndarray) -> Histogram:
    return observe(IDENTITY, ["x"], values.reshape(-1, 50), batch_size=7, counts=True)["x"]


def naive_zero_point(low: float, high: float) -> int:
    """Compute the zero point as TFLite's sources do, one line after the other."""
    scale = (high - low) / 255.0
    from_min, from_max = -128.0 - low / scale, 127.0 - high / scale
    from_min_error, from_max_error = 128.0 + abs(low / scale), 127.0 + abs(high / scale)
    point = from_min if from_min_error < from_max_error else from_max
    if point < -128:
        return -128
    if point > 127:
        return 127
    return int(math.copysign(math.floor(abs(point) + 0.5), point))


@given(ends, ends)
def test_zero_points_are_those_of_the_formula(low: float, high: float) -> None:
    if low == high == 0:
        return
    found = quantization_for(-low, high)
    assert found.scale == np.float32((high + low) / 255)
    assert found.zero_point == naive_zero_point(-low, high)


@given(ends, ends)
def test_zero_is_a_level_and_the_ends_are_within_a_step(low: float, high: float) -> None:
    found = quantization_for(-low, high)
    assert dequantize(quantize([0.0], found), found)[0] == 0
    reached = dequantize([found.low, found.high], found)
    if low + high:
        assert abs(reached[0] + low) <= found.scale * 1.001
        assert abs(reached[1] - high) <= found.scale * 1.001


def test_ranges_without_width_and_tiny_ones_have_a_scale() -> None:
    assert quantization_for(0.0, 0.0) == Quantization(1.0, 0)
    assert quantization_for(0.0, 1e-44).scale == np.finfo(np.float32).tiny
    assert quantization_for(0.0, 1e-9, least_scale=0.5) == Quantization(0.5, -128)
    assert quantization_for(0.0, 3.0, bits=2) == Quantization(1.0, -2, 2)


@given(arrays(np.float32, 200, elements=st.floats(-100, 50, width=32)))
def test_a_histogram_counts_every_value_once(values: np.ndarray) -> None:
    found = histogram_of(values)
    assert found.low == min(values.min(), 0)
    assert found.high == max(values.max(), 0)
    assert found.zeros == np.count_nonzero(values == 0)
    assert found.total == values.size


def test_percentiles_are_quantiles_to_the_width_of_a_bin() -> None:
    values = np.random.default_rng(0).standard_normal(10_000).astype(np.float32) + 1
    found = histogram_of(values)
    width = (found.high - found.low) / BINS
    for percentile in (99.0, 90.0, 50.0):
        out = (1 - percentile / 100) / 2
        expected = np.quantile(values, [out, 1 - out])
        low, high = range_of(found, "percentile", percentile)
        # between two neighbouring values, and within a bin, a quantile is a matter of definition
        assert low == pytest.approx(min(expected[0], 0), abs=2 * width)
        assert high == pytest.approx(max(expected[1], 0), abs=2 * width)


def test_zeros_count_among_the_hundred() -> None:
    values = np.zeros(10_000, np.float32)
    values[:100] = np.arange(1, 101)
    low, high = range_of(histogram_of(values), "percentile", 99)  # 50 of 10,000 values are above 50
    assert low == 0
    assert high == pytest.approx(50.5, abs=0.6)


def test_the_middle_of_all_is_min_and_max() -> None:
    found = histogram_of(np.random.default_rng(0).standard_normal(1000))
    assert range_of(found, "percentile", 100) == range_of(found, "minmax", 100) == (found.low, found.high)


def naive_error(values: np.ndarray, quantization: Quantization) -> float:
    """Quantize every value by itself and add up the squares."""
    total = 0.0
    for value in values:
        best = min((quantization.scale * (n - quantization.zero_point) - value) ** 2 for n in range(-128, 128))
        total += best
    return total


def test_the_error_of_a_histogram_is_that_of_values_even_within_bins() -> None:
    rng = np.random.default_rng(1)
    histogram = Histogram(-1.0, 2.0, rng.integers(0, 5, 40).astype(float))
    within = (np.arange(50) + 0.5) / 50
    edges = np.linspace(-1, 2, 41)
    values = (edges[:-1, None] + within * np.diff(edges)[:, None]).reshape(-1)
    counts = np.repeat(histogram.counts / 50, 50)
    for low, high in [(-1.0, 2.0), (-0.4, 1.5), (0.0, 0.7)]:
        quantization = quantization_for(low, high)
        each = np.array([naive_error(np.array([value]), quantization) for value in values])
        expected = float((each * counts).sum())
        assert squared_error(moments(histogram), quantization) == pytest.approx(expected, rel=2e-2)


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["normal", "heavy", "relu", "mixed"]))
def test_no_range_tried_by_brute_force_has_a_smaller_error(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(4000)
    values = {
        "normal": values,
        "heavy": values**3,
        "relu": np.maximum(values, 0) ** 2,
        "mixed": np.where(rng.random(4000) < 0.99, values, 20 * rng.random(4000)),
    }[kind].astype(np.float32)
    histogram = histogram_of(values)
    found = quantization_for(*least_error(histogram))

    def error(quantization: Quantization) -> float:
        back = dequantize(quantize(values, quantization), quantization)
        return float(((back.astype(float) - values) ** 2).sum())

    shares = np.linspace(0.05, 1, 39)
    brute = min(
        error(quantization_for(histogram.low * a, histogram.high * b))
        for a in (shares if histogram.low < 0 else [1.0])
        for b in shares
    )
    # 4,000 values are not even within the bins: single ones decide
    assert error(found) <= brute * 1.05
    assert error(found) <= error(quantization_for(histogram.low, histogram.high)) * 1.001


def test_what_is_not_finite_is_refused() -> None:
    values = np.zeros((2, 50), np.float32)
    values[1, 3] = np.inf
    with pytest.raises(DataError, match="the activation 'x' is infinite"):
        observe(IDENTITY, ["x"], values, batch_size=1, counts=False)
    with pytest.raises(DataError, match="no calibration samples"):
        observe(IDENTITY, ["x"], values[:0], batch_size=1, counts=False)
    with pytest.raises(OptionError, match="batch size of 0"):
        observe(IDENTITY, ["x"], values[:1], batch_size=0, counts=False)

"""Linear quantization against rounding number by number."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from checks.passes import gemm_graph, row_graph
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import Linear, decode, encode
from refcompress.encodings.rows import to_rows
from refcompress.errors import ModelError, OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops.base import NoAttrs
from refcompress.passes import LayerRule, prune
from refcompress.passes.quantize import Scheme, linear

VALUES = st.lists(st.just(0.0) | st.floats(-8, 8, width=32), min_size=1, max_size=40)
BITS = st.integers(1, 16)
SCHEMES = st.sampled_from(["symmetric", "affine"])


def matrix(graph: Graph, name: str = "fc") -> NDArray[np.float32]:
    return to_rows(decode(graph.params[f"{name}/kernel"]))


def values_of(graph: Graph, name: str = "fc/kernel") -> Linear:
    values = graph.params[name].values
    assert isinstance(values, Linear)
    return values


def row(graph: Graph) -> NDArray[np.float32]:
    return matrix(graph).reshape(-1)


def half_even(number: Fraction) -> int:
    return round(number)  # of a Fraction: halves to even


@given(VALUES, BITS, SCHEMES)
def test_each_integer_is_the_nearest_step(values: list[float], bits: int, scheme: Scheme) -> None:
    found = values_of(linear(row_graph(values), bits=bits, scheme=scheme))
    scale, zero_point = Fraction(float(found.scales[0])), int(found.zero_points[0])
    least = 1 if scheme == "symmetric" and bits > 1 else 0
    for value, integer in zip(values, found.integers.symbols.tolist(), strict=True):
        quotient = Fraction(value) / scale
        expected = min(max(half_even(quotient) + zero_point, least), (1 << bits) - 1)
        if abs(quotient - half_even(quotient)) < Fraction(1, 2) - Fraction(1, 2**30):  # else its rounding decides
            assert integer == expected


@given(VALUES, BITS, SCHEMES)
def test_the_error_is_at_most_half_a_step_and_zeros_are_exact(values: list[float], bits: int, scheme: Scheme) -> None:
    before = np.array(values, np.float32)
    graph = linear(row_graph(before), bits=bits, scheme=scheme)
    after, scale = row(graph), float(values_of(graph).scales[0])
    assert np.all(after[before == 0].view(np.uint32) & np.uint32(0x7FFFFFFF) == 0)
    if bits > 1:
        # the scale and the product are rounded to float32: 2^-23 of the range
        slack = 2**-23 * np.abs(before).max() + 2.0**-149
        assert np.all(np.abs(after.astype(np.float64) - before) <= scale / 2 + slack)
    assert len(set(np.abs(after).tolist() if bits == 1 else after.tolist())) <= 1 << bits


@given(VALUES, st.integers(2, 16))
def test_symmetric_levels_mirror(values: list[float], bits: int) -> None:
    up = row(linear(row_graph(values), bits=bits))
    down = row(linear(row_graph([-value for value in values]), bits=bits))
    np.testing.assert_array_equal(up, -down)


def test_one_bit_has_one_level_beside_zero() -> None:
    assert row(linear(row_graph([-3, -1, 2]), bits=1)).tolist() == [-3, 0, 0]
    assert row(linear(row_graph([-1, 0, 1, 3]), bits=1)).tolist() == [0, 0, 0, 3]
    assert row(linear(row_graph([0, 1, 2, 3]), bits=1, scheme="affine")).tolist() == [0, 0, 3, 3]
    assert row(linear(row_graph([-3, -1]), bits=1, scheme="affine")).tolist() == [-3, 0]


def test_eight_bits_symmetric_are_those_of_tflite() -> None:
    found = values_of(linear(row_graph([-1.27, 0.635, 1.0]), bits=8))
    assert found.zero_points.tolist() == [128]
    assert found.integers.symbols.tolist() == [1, 128 + 64, 228]  # 63.5 goes to the even 64


def test_affine_levels_span_the_weights_and_hold_zero() -> None:
    found = values_of(linear(row_graph([1.0, 2.0, 3.0]), bits=2, scheme="affine"))
    assert found.zero_points.tolist() == [0]
    assert found.integers.symbols.tolist() == [1, 2, 3]
    assert values_of(linear(row_graph([-4.0, -1.0]), bits=2, scheme="affine")).zero_points.tolist() == [3]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 8), SCHEMES, st.sampled_from(["minmax", "mse"]))
def test_a_channel_is_quantized_as_if_it_were_alone(
    rows: int, columns: int, bits: int, scheme: Scheme, span: str
) -> None:
    array = np.random.default_rng(rows * 7 + columns).normal(size=(columns, rows)).astype(np.float32)
    options = {"bits": bits, "scheme": scheme, "range": span}
    together = matrix(linear(gemm_graph(fc=array), granularity="channel", **options))
    for i in range(rows):
        np.testing.assert_array_equal(together[i], row(linear(row_graph(array[:, i]), **options)))


@given(VALUES, st.integers(1, 8), SCHEMES)
def test_the_least_error_is_never_above_that_of_the_full_range(values: list[float], bits: int, scheme: Scheme) -> None:
    before = np.array(values, np.float32)

    def error(span: str) -> float:
        after = row(linear(row_graph(before), bits=bits, scheme=scheme, range=span))
        return float(np.square(after.astype(np.float64) - before).sum())

    assert error("mse") <= error("minmax") + 1e-6 * np.square(before).sum()  # values are rounded to float32 afterwards


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_the_search_finds_nearly_the_best_share(bits: int, scheme: Scheme) -> None:
    before = np.random.default_rng(0).laplace(size=2000).astype(np.float32)
    after = row(linear(row_graph(before), bits=bits, scheme=scheme, range="mse"))
    low, high = min(before.min(), 0), max(before.max(), 0)
    best = np.inf
    for share in np.arange(1, 1001) / 1000:
        if scheme == "affine":
            step = (high - low) * share / (2**bits - 1)
            zero = np.rint(-low * share / step)
            levels = step * (np.arange(2**bits) - zero)
        else:
            half = 2 ** (bits - 1) - 1
            levels = max(high, -low) * share / half * np.arange(-half, half + 1)
        nearest = levels[np.abs(before[:, None] - levels).argmin(axis=1)]
        best = min(best, float(np.square(nearest - before).sum()))
    assert np.square(after - before).sum() <= 1.03 * best


@given(VALUES, st.integers(1, 8), SCHEMES, st.sampled_from(["minmax", "mse"]))
def test_pruned_weights_stay_zero(values: list[float], bits: int, scheme: Scheme, span: str) -> None:
    pruned = prune.magnitude(row_graph(values), sparsity=0.6)
    after = linear(pruned, bits=bits, scheme=scheme, range=span)
    assert np.all(row(after)[row(pruned) == 0].view(np.uint32) == 0)


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e-45, -1e-45], [3e38, -3e38], [1e-40, 0.0]])
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_extreme_weights_stay_finite(values: list[float], scheme: Scheme, bits: int) -> None:
    after = row(linear(row_graph(values), bits=bits, scheme=scheme))
    assert np.isfinite(after).all()


def test_biases_are_quantized_on_request() -> None:
    nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w", "bias": "b"}, NoAttrs()),)
    params = {"w": encode([[1.0, 2.0]]), "b": encode([0.5, 2.0])}
    graph = Graph((TensorSpec("x", (1,)),), ("y",), nodes, params)
    assert linear(graph, bits=2).params["b"] is params["b"]
    after = linear(graph, bits=2, biases=True, granularity="channel")
    assert decode(after.params["b"]).tolist() == [0, 2]
    assert len(values_of(after, "w").scales) == 2
    assert len(values_of(after, "b").scales) == 1


def test_rules_change_options_by_layer() -> None:
    array = np.random.default_rng(0).normal(size=(4, 3))
    rules = [LayerRule("a", {"bits": 8, "granularity": "channel", "scheme": "affine", "range": "mse"})]
    after = linear(gemm_graph(a=array, b=array), bits=4, layers=rules)
    assert (values_of(after, "a/kernel").bits, len(values_of(after, "a/kernel").scales)) == (8, 3)
    assert (values_of(after, "b/kernel").bits, len(values_of(after, "b/kernel").scales)) == (4, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "bits is 0; give a whole number from 1 to 16"),
        ({"bits": 17}, "from 1 to 16"),
        ({"bits": 8, "scheme": "asymmetric"}, "did you mean 'symmetric'"),
        ({"bits": 8, "granularity": "row"}, "choose one of tensor, channel"),
        ({"bits": 8, "range": "max"}, "did you mean 'minmax'"),
        ({"bits": 8, "biases": "yes"}, "it is true or false"),
        ({"bits": 8, "layers": [LayerRule("fc", {"bits": 20})]}, "bits is 20 for 'fc/kernel'"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        linear(row_graph([1.0]), **options)


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ModelError, match="NaN or infinity"):
        linear(row_graph([1.0, np.inf]), bits=2)


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_a_weight_without_entries_can_be_quantized(granularity: str) -> None:
    assert linear(gemm_graph(fc=np.zeros((0, 3))), bits=4, granularity=granularity).params["fc/kernel"].shape == (0, 3)

"""Every integer operator against scalar loops over Python's integers and fractions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from checks import tflite_arithmetic as oracle
from checks.integer_networks import linear_weight, single
from hypothesis import given, settings
from hypothesis import strategies as st

from refcompress.encodings.smallest import smallest
from refcompress.errors import ModelError
from refcompress.integer import RUNTIMES, Quantization, run_integer
from refcompress.integer.operators import INTEGER_OPS
from refcompress.integer.step import integer_rows

RUNTIME_NAMES = list(RUNTIMES)
SEEDS = st.integers(0, 2**32 - 1)


def _quantization(rng: np.random.Generator) -> Quantization:
    return Quantization(float(np.exp(rng.uniform(-6, -1))), int(rng.integers(-128, 128)))


def _image(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-128, 128, shape).astype(np.int8)


def _rounding(runtime: str) -> str:
    return RUNTIMES[runtime].rounding


def _clamped(value: int, result: Quantization, low: int = -128, high: int = 127) -> int:
    return oracle.saturate(value + result.zero_point, low, high)


@given(SEEDS, st.sampled_from(RUNTIME_NAMES))
@settings(max_examples=25)
def test_conv_is_the_loop(seed: int, runtime: str) -> None:
    rng = np.random.default_rng(seed)
    group, kh, kw = int(rng.integers(1, 4)), *(int(n) for n in rng.integers(1, 4, 2))
    cin, cout = int(rng.integers(1, 3)), group * int(rng.integers(1, 3))
    strides, dilations = ((int(a), int(b)) for a, b in rng.integers(1, 3, (2, 2)))
    top, left, bottom, right = (int(n) for n in rng.integers(0, 2, 4))
    x, weight = _image(rng, 1, 6, 5, cin * group), rng.integers(-127, 128, (kh, kw, cin, cout))
    bias, source, result = rng.integers(-(2**12), 2**12, cout).astype(np.int32), _quantization(rng), _quantization(rng)
    scales = np.exp(rng.uniform(-7, -3, cout)).astype(np.float32)
    attrs = {"strides": strides, "pads": (top, left, bottom, right), "dilations": dilations, "group": group}
    network = single(
        "Conv", attrs, [(x.shape[1:], source)], result, weight=linear_weight(weight, list(scales)), bias=bias
    )
    geometry = (strides, (top, left, bottom, right), dilations, group)
    sums = oracle.convolve(x[0].tolist(), weight.tolist(), bias.tolist(), source.zero_point, geometry)
    factors = [source.scale * float(scale) / result.scale for scale in scales]
    expected = [
        [
            [_clamped(oracle.multiply(v, f, _rounding(runtime)), result) for v, f in zip(pixel, factors, strict=True)]
            for pixel in line
        ]
        for line in sums
    ]
    assert run_integer(network, x, runtime=runtime)[0][0].tolist() == expected


@given(SEEDS, st.sampled_from(RUNTIME_NAMES), st.booleans())
@settings(max_examples=40)
def test_gemm_is_the_loop(seed: int, runtime: str, per_channel: bool) -> None:
    rng = np.random.default_rng(seed)
    columns, units = (int(n) for n in rng.integers(1, 30, 2))
    x, weight = _image(rng, 1, columns), rng.integers(-127, 127, (columns, units))
    bias, source, result = rng.integers(-(2**12), 2**12, units).astype(np.int32), _quantization(rng), _quantization(rng)
    zero_point = 0 if per_channel else int(rng.integers(-3, 4))
    scales = [float(np.float32(s)) for s in np.exp(rng.uniform(-7, -3, units if per_channel else 1))]
    stored = linear_weight(weight, scales, zero_point)
    network = single("Gemm", {}, [((columns,), source)], result, weight=stored, bias=bias)
    expected = []
    for unit in range(units):
        terms = (
            (int(w) - zero_point) * (int(v) - source.zero_point) for w, v in zip(weight[:, unit], x[0], strict=True)
        )
        total, scale = oracle.wrap(int(bias[unit]) + sum(terms)), scales[unit if per_channel else 0]
        if RUNTIMES[runtime].gemm == "float64":
            product = total * (source.scale * scale / result.scale)  # rounded to float64, as the runtime's is
            expected.append(_clamped(oracle.half_away(Fraction(product)), result))
            continue
        two = source.scale * scale if per_channel else float(np.float32(source.scale) * np.float32(scale))
        expected.append(_clamped(oracle.multiply(total, two / result.scale, _rounding(runtime)), result))
    assert run_integer(network, x, runtime=runtime)[0][0].tolist() == expected


@pytest.mark.parametrize("runtime", RUNTIME_NAMES)
def test_accumulators_wrap_at_32_bits(runtime: str) -> None:
    unit, bias = Quantization(1.0, 0), np.array([2**31 - 1], np.int32)
    weight = linear_weight(np.array([[1]]), [2.0**-24])
    network = single("Gemm", {}, [((1,), unit)], unit, weight=weight, bias=bias)
    assert run_integer(network, np.array([[1]]), runtime=runtime)[0].tolist() == [[-128]]
    assert run_integer(network, np.array([[0]]), runtime=runtime)[0].tolist() == [[127]]


@pytest.mark.parametrize("runtime", RUNTIME_NAMES)
def test_add_is_the_loop_for_all_pairs(runtime: str) -> None:
    a, b, result = Quantization(0.037, -128), Quantization(0.0541, 10), Quantization(0.0467, -20)
    pairs = np.array(list(itertools.product(range(-128, 128, 3), range(-128, 128, 5))), np.int8)
    function = ("Clip", {"min": 0.0, "max": 6.0})
    network = single("Add", {}, [((len(pairs),), a), ((len(pairs),), b)], result, function=function)
    found = run_integer(network, [pairs[None, :, 0], pairs[None, :, 1]], runtime=runtime)[0][0]
    common = 2 * max(a.scale, b.scale)
    high = min(127, result.zero_point + oracle.half_away(oracle.float_quotient(6.0, result.scale)))
    expected = []
    for p, q in pairs.tolist():
        total = sum(
            oracle.multiply((v - z.zero_point) * 2**20, z.scale / common, _rounding(runtime))
            for v, z in ((p, a), (q, b))
        )
        value = oracle.multiply(total, common / (2**20 * result.scale), _rounding(runtime))
        expected.append(_clamped(value, result, max(-128, result.zero_point), high))
    assert found.tolist() == expected


@given(SEEDS)
@settings(max_examples=25)
def test_pools_are_the_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (kh, kw), (sy, sx) = ((int(a), int(b)) for a, b in rng.integers(1, 4, (2, 2)))
    pads = tuple(int(n) for n in rng.integers(0, [kh, kw, kh, kw]))
    x, same = _image(rng, 1, 6, 7, 2), _quantization(rng)
    attrs = {"kernel_shape": (kh, kw), "strides": (sy, sx), "pads": pads}
    mean = single("AveragePool", {**attrs, "count_include_pad": False}, [(x.shape[1:], same)], same)
    most = single("MaxPool", attrs, [(x.shape[1:], same)], same)
    means, largest = (run_integer(network, x)[0][0] for network in (mean, most))
    for oy, ox, c in np.ndindex(*means.shape):
        ys = [y for y in range(oy * sy - pads[0], oy * sy - pads[0] + kh) if 0 <= y < 6]
        xs = [i for i in range(ox * sx - pads[1], ox * sx - pads[1] + kw) if 0 <= i < 7]
        seen = [int(x[0, y, i, c]) for y in ys for i in xs]
        assert means[oy, ox, c] == oracle.rounded_mean(seen)
        assert largest[oy, ox, c] == max(seen)


@given(SEEDS, st.sampled_from(RUNTIME_NAMES), st.booleans())
@settings(max_examples=25)
def test_global_average_is_the_loop(seed: int, runtime: str, keepdims: bool) -> None:
    rng = np.random.default_rng(seed)
    x = _image(rng, 1, *(int(n) for n in rng.integers(1, 9, 2)), 3)
    source, result = _quantization(rng), _quantization(rng)
    network = single("GlobalAveragePool", {"keepdims": keepdims}, [(x.shape[1:], source)], result)
    significand, shift = oracle.quantized_multiplier(source.scale / result.scale)
    count = x.shape[1] * x.shape[2]
    places = min(int(math.log2(count)), 32, 31 + shift)
    expected = []
    for channel in range(3):
        total = sum(int(v) - source.zero_point for v in x[0, :, :, channel].ravel())
        value = oracle.multiply_by(total, significand * 2**places // count, shift - places, _rounding(runtime))
        expected.append(_clamped(value, result))
    found = run_integer(network, x, runtime=runtime)[0][0]
    assert found.shape == ((1, 1, 3) if keepdims else (3,))
    assert found.ravel().tolist() == expected


@given(SEEDS, st.sampled_from(RUNTIME_NAMES))
@settings(max_examples=25)
def test_requantization_and_relu_are_the_loops(seed: int, runtime: str) -> None:
    rng = np.random.default_rng(seed)
    source, result = _quantization(rng), _quantization(rng)
    x = np.arange(-128, 128).reshape(1, 256)
    relu = single("Relu", {}, [((256,), source)], result)
    clip = single("Clip", {"min": -1e6, "max": 1e6}, [((256,), source)], result)
    quotient = source.scale / result.scale
    for_relu = quotient
    if RUNTIMES[runtime].relu_scale == "float32":
        for_relu = float(np.float32(source.scale) / np.float32(result.scale))
    for network, factor, low in ((clip, quotient, -128), (relu, for_relu, result.zero_point)):
        expected = [
            _clamped(oracle.multiply(int(v) - source.zero_point, factor, _rounding(runtime)), result, low) for v in x[0]
        ]
        assert run_integer(network, x, runtime=runtime)[0][0].tolist() == expected


@pytest.mark.parametrize("runtime", RUNTIME_NAMES)
@pytest.mark.parametrize("scale", [1e-7, 0.001, 0.05, 0.6, 3.0, 200.0])
def test_softmax_is_the_real_one_within_half_a_step(runtime: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    x = _image(rng, 40, 17)
    network = single("Softmax", {}, [((17,), Quantization(scale, 5))], Quantization(1 / 256, -128))
    powers = np.exp(scale * (x.astype(np.float64) - x.max(-1, keepdims=True)))
    real = 256 * powers / powers.sum(-1, keepdims=True) - 128
    found = run_integer(network, x, runtime=runtime)[0]
    assert np.abs(found - np.minimum(real, 127)).max() <= 0.51


@pytest.mark.parametrize("runtime", RUNTIME_NAMES)
@pytest.mark.parametrize("scale", [1e-4, 0.02, 0.1, 0.4, 1.0])
def test_sigmoid_and_tanh_are_the_real_ones_within_half_a_step(runtime: str, scale: float) -> None:
    x, source = np.arange(-128, 128).reshape(1, 256), Quantization(scale, 7)
    real = np.float64(source.scale) * (x - 7)
    sigmoid = single("Sigmoid", {}, [((256,), source)], Quantization(1 / 256, -128))
    tanh = single("Tanh", {}, [((256,), source)], Quantization(1 / 128, 0))
    with np.errstate(over="ignore"):
        wanted = np.minimum(256 / (1 + np.exp(-real)) - 128, 127)
    assert np.abs(run_integer(sigmoid, x, runtime=runtime)[0] - wanted).max() <= 0.5001
    assert np.abs(run_integer(tanh, x, runtime=runtime)[0] - np.minimum(128 * np.tanh(real), 127)).max() <= 0.5001


def test_integers_are_moved_unchanged() -> None:
    q, x = Quantization(0.1, 3), np.arange(12, dtype=np.int8).reshape(1, 2, 3, 2)
    reshaped = single("Reshape", {"shape": (4, 3)}, [((2, 3, 2), q)], q)
    assert run_integer(reshaped, x)[0].tolist() == x.reshape(1, 4, 3).tolist()
    for op, attrs in (("Flatten", {}), ("Dropout", {"ratio": 0.5})):
        assert run_integer(single(op, attrs, [((2, 3, 2), q)], q), x)[0].ravel().tolist() == x.ravel().tolist()
    padded = run_integer(single("Pad", {"pads": (1, 0, 0, 2)}, [((2, 3, 2), q)], q), x)[0]
    assert padded.tolist() == np.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)), constant_values=3).tolist()
    both = single("Concat", {"axis": 3}, [((2, 3, 2), q), ((2, 3, 2), q)], q)
    assert run_integer(both, [x, -x])[0].tolist() == np.concatenate([x, -x], 3).tolist()
    largest = single("GlobalMaxPool", {"keepdims": False}, [((2, 3, 2), q)], q)
    assert run_integer(largest, x)[0].tolist() == [[10, 11]]


@pytest.mark.parametrize("op", ["Reshape", "MaxPool"])
def test_what_only_moves_integers_takes_one_quantization(op: str) -> None:
    attrs = {"Reshape": {"shape": (4,)}, "MaxPool": {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0,) * 4}}[op]
    with pytest.raises(ModelError, match=r"node 'node' .*must be the same"):
        single(op, attrs, [((2, 2, 1), Quantization(0.1, 3))], Quantization(0.1, 4))


@pytest.mark.parametrize(
    ("op", "attrs", "result", "message"),
    [
        ("Softmax", {}, Quantization(1 / 128, -128), r"it must have Quantization\(scale=0.00390625, zero_point=-128"),
        ("Sigmoid", {}, Quantization(1 / 256, 0), "zero_point=-128"),
        ("Tanh", {}, Quantization(1 / 256, 0), "scale=0.0078125"),
    ],
)
def test_functions_have_the_output_that_their_arithmetic_builds_in(
    op: str, attrs: dict[str, object], result: Quantization, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        single(op, attrs, [((4,), Quantization(0.1, 0))], result)


def test_sparse_integers_are_those_of_the_dense_ones() -> None:
    rng = np.random.default_rng(3)
    integers = np.where(rng.random((40, 9)) < 0.1, rng.integers(-127, 128, (40, 9)), 0)
    dense = linear_weight(integers, [0.5 + unit for unit in range(9)])
    coded = smallest(dense)
    assert type(coded).__name__ == "Csr"
    assert integer_rows(coded).tolist() == integer_rows(dense).tolist() == integers.T.tolist()


def test_operators_stand_in_alphabetical_order() -> None:
    assert list(INTEGER_OPS) == sorted(INTEGER_OPS)

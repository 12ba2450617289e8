"""Bounds of int8 networks: no known runtime ever leaves them, and they are no wider than said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from checks.integer_builder import IntegerBuilder, grow
from checks.integer_networks import linear_weight, single
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.errors import OptionError
from refcompress.integer import RUNTIMES, IntegerNetwork, Quantization, dequantized, run_integer, run_integer_all
from refcompress.run import run_all
from refcompress.verify import integer_bounds
from refcompress.verify.integers.bounds import bounded

SEEDS = st.integers(0, 2**32 - 1)
UNIT = Quantization(1.0, 0)


def random_network(seed: int) -> tuple[IntegerNetwork, list[NDArray[np.int8]]]:
    """Return a network of several random operators, and inputs."""
    rng = np.random.default_rng(seed)
    b = IntegerBuilder(seed, x=tuple(int(n) for n in rng.integers(2, 7, 3)))
    made = [grow(b, rng) for _ in range(int(rng.integers(2, 9)))]
    return b.network(made[-1]), b.samples(2)


@given(SEEDS)
@settings(max_examples=60)
def test_no_runtime_leaves_the_bounds_of_a_network(seed: int) -> None:
    network, inputs = random_network(seed)
    reference, bounds = integer_bounds(network, inputs)
    for runtime in RUNTIMES:
        for name, integers in run_integer_all(network, inputs, runtime=runtime).items():
            excess = np.abs(integers - reference[name]) - bounds[name]
            assert excess.max(initial=-1) <= 1e-9, (runtime, name)


@given(SEEDS)
@settings(max_examples=60)
def test_no_runtime_leaves_the_bounds_of_a_layer(seed: int) -> None:
    network, inputs = random_network(seed)
    for runtime in RUNTIMES:
        made = run_integer_all(network, inputs, runtime=runtime)
        for step in network.steps:
            read = [made[name].astype(np.float64) for name in step.node.inputs]
            value, bound = bounded(step, read, [np.zeros_like(x) for x in read])
            assert (np.abs(made[step.output] - value) <= bound + 1e-9).all(), (runtime, step.node.op)
            if step.node.op not in {"Relu", "Sigmoid", "Tanh"}:  # factors may be coarse, saturation early
                known = bound[np.isfinite(bound)]
                assert known.max(initial=0) <= 0.8 or bound.max() > 100, step.node.op  # or else sums may wrap


@given(SEEDS)
@settings(max_examples=40)
def test_errors_of_inputs_are_carried_on(seed: int) -> None:
    """Whatever integers the inputs of a layer are moved to, within their errors: the bound holds."""
    network, inputs = random_network(seed)
    made, rng = run_integer_all(network, inputs), np.random.default_rng(seed)
    for step in network.steps:
        names = list(dict.fromkeys(step.node.inputs))
        moves = {name: rng.integers(0, 4, made[name].shape) for name in names}
        errors = [moves[name].astype(np.float64) for name in step.node.inputs]
        value, bound = bounded(step, [made[name].astype(np.float64) for name in step.node.inputs], errors)
        moved = dict(made)
        for name in names:
            signs = rng.choice([-1, 0, 1], made[name].shape)
            known = network.quantizations[name]
            moved[name] = np.clip(made[name] + signs * moves[name], known.low, known.high).astype(np.int8)
        again, _ = bounded(step, [moved[name].astype(np.float64) for name in step.node.inputs], [0 * e for e in errors])
        assert (np.abs(again - value) <= bound + 1e-9).all(), step.node.op


@given(SEEDS)
@settings(max_examples=40)
def test_the_reference_is_the_network_in_real_numbers(seed: int) -> None:
    """The same as the dequantized graph gives, but for its weights and biases, which are rounded to float32."""
    network, inputs = random_network(seed)
    reference, _ = integer_bounds(network, inputs)
    spec = network.graph.inputs[0]
    known = network.quantizations[spec.name]
    real = run_all(dequantized(network), known.scale * (inputs[0].astype(np.float64) - known.zero_point), dtype=float)
    for step in network.steps:
        steps = real[step.output] / step.result.scale + step.result.zero_point
        assert np.abs(steps - reference[step.output]).max() <= 2e-2, step.node.op


def test_bounds_of_a_product_are_half_a_step_and_the_first_rounding() -> None:
    weight = linear_weight(np.array([[3], [-5]]), [0.01])
    network = single("Gemm", {}, [((2,), UNIT)], Quantization(1.0, 4), weight=weight)
    reference, bounds = integer_bounds(network, np.array([[7, 9]], np.int8))
    assert reference["y"][0, 0] == pytest.approx(4 + 0.01 * (3 * 7 - 5 * 9))
    assert 0.51 < bounds["y"][0, 0] < 0.5101


def test_sums_that_may_wrap_are_promised_nothing() -> None:
    bias = np.array([2**31 - 1, 5], np.int32)
    weight = linear_weight(np.array([[1, 1]]), [2.0**-24])
    network = single("Gemm", {}, [((1,), UNIT)], UNIT, weight=weight, bias=bias)
    _, bounds = integer_bounds(network, np.array([[1]], np.int8))
    assert bounds["y"][0].tolist() == [255.0, pytest.approx(0.5, abs=1e-3)]
    assert run_integer(network, np.array([[1]], np.int8))[0][0, 0] == -128


def test_saturated_units_have_no_error_and_pass_none_on() -> None:
    weight = linear_weight(np.array([[100, 1]]), [1.0])
    network = single("Gemm", {}, [((1,), UNIT)], UNIT, weight=weight, function=("Relu", {}))
    reference, bounds = integer_bounds(network, np.array([[-3]], np.int8))
    assert reference["y"].tolist() == [[0.0, 0.0]]
    assert bounds["y"].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh"])
@pytest.mark.parametrize("zero_point", [-128, 0, 31, 127])
def test_functions_are_within_for_every_integer(op: str, zero_point: int) -> None:
    result = Quantization(1 / 256, -128) if op == "Sigmoid" else Quantization(1 / 128, 0)
    x = np.arange(-128, 128, dtype=np.int8)[None]
    for scale in np.exp(np.linspace(math.log(1e-5), math.log(20.0), 60)):
        network = single(op, {}, [((256,), Quantization(scale, zero_point))], result)
        reference, bounds = integer_bounds(network, x)
        for runtime in RUNTIMES:
            assert (np.abs(run_integer(network, x, runtime=runtime)[0] - reference["y"]) <= bounds["y"]).all(), scale


@pytest.mark.parametrize("count", [1, 2, 10, 300, 3000])
def test_softmax_is_within_for_few_and_many(count: int) -> None:
    rng = np.random.default_rng(count)
    for scale in np.exp(np.linspace(math.log(1e-6), math.log(60.0), 40)):
        network = single("Softmax", {}, [((count,), Quantization(scale, 3))], Quantization(1 / 256, -128))
        x = rng.integers(-128, 128, (3, count)).astype(np.int8)
        x[1] = rng.integers(-128, -120, count)
        reference, bounds = integer_bounds(network, x)
        for runtime in RUNTIMES:
            assert (np.abs(run_integer(network, x, runtime=runtime)[0] - reference["y"]) <= bounds["y"]).all(), scale


@pytest.mark.parametrize("plane", [(1, 1), (2, 3), (7, 9), (40, 50)])
def test_means_are_within_for_factors_of_every_size(plane: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    for factor in np.exp(np.linspace(-20, 3, 60)):
        source, result = Quantization(0.5, -7), Quantization(0.5 / factor, 11)
        network = single("GlobalAveragePool", {"keepdims": False}, [((*plane, 3), source)], result)
        x = rng.integers(-128, 128, (2, *plane, 3)).astype(np.int8)
        reference, bounds = integer_bounds(network, x)
        assert bounds["y"].max() < 0.76
        for runtime in RUNTIMES:
            found = run_integer(network, x, runtime=runtime)[0]
            assert (np.abs(found - reference["y"]) <= bounds["y"]).all(), (factor, runtime)


def test_probed_bounds_are_smaller_in_deep_networks_and_hold() -> None:
    b = IntegerBuilder(3, x=(40,))
    name = "x"
    for _ in range(6):
        name = b("Gemm", name, weight=(40, 40), bias=False)
    network, inputs = b.network(name), b.samples(4)
    reference, certain = integer_bounds(network, inputs)
    _, probed = integer_bounds(network, inputs, model="probed")
    assert all((probed[key] <= certain[key]).all() for key in certain)
    assert probed[name].mean() < 0.7 * certain[name].mean()
    for runtime in RUNTIMES:
        for key, integers in run_integer_all(network, inputs, runtime=runtime).items():
            assert (np.abs(integers - reference[key]) <= np.maximum(probed[key], 0.5)).all(), key
    with pytest.raises(OptionError, match="deterministic and probed"):
        integer_bounds(network, inputs, model="probabilistic")

"""Simulated activations: rounded as the integers are, gradients by hand-written formulas, ranges that follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks.simulation import given_spans
from hypothesis import given
from hypothesis import strategies as st

from refcompress.encodings import decode, encode
from refcompress.errors import OptionError
from refcompress.gradients import gradients
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.integer import Quantization, dequantize, quantize
from refcompress.integer.spans import Span, quantization_for
from refcompress.ops import NoAttrs
from refcompress.train import Plan, Sgd, fit, losses
from refcompress.train.simulated_activations import SimulatedActivations, fake_quantize, within

SCALES = st.floats(2.0**-20, 2.0**10, width=32)


@given(SCALES, st.integers(-128, 127), st.lists(st.floats(-1e6, 1e6, width=32), max_size=20))
def test_a_simulated_activation_is_the_integer_in_real_numbers(scale: float, zero_point: int, values: Any) -> None:
    quantization, x = Quantization(scale, zero_point), np.array(values, np.float32)
    assert np.array_equal(fake_quantize(x, quantization), dequantize(quantize(x, quantization), quantization))
    steps = np.array([float(np.sign(v)) * np.floor(abs(float(v / np.float32(scale))) + 0.5) for v in x]) + zero_point
    assert np.array_equal(within(x, quantization), (steps >= -128) & (steps <= 127))


def test_values_and_gradients_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    x = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    quantization = Quantization(0.01, -20)
    theirs = torch.tensor(x, requires_grad=True)
    made = torch.fake_quantize_per_tensor_affine(theirs, quantization.scale, -20, -128, 127)
    made.backward(torch.ones(x.shape))
    assert np.abs(fake_quantize(x, quantization) - made.detach().numpy()).max() < 1e-6
    assert np.array_equal(within(x, quantization), theirs.grad.numpy() == 1)


def _two_layers() -> tuple[Graph, dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    arrays = {"a/weight": rng.normal(size=(6, 5)), "a/bias": rng.normal(size=5), "b/weight": rng.normal(size=(5, 3))}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    nodes = (
        Node("Gemm", "a", ("x",), "h", {"weight": "a/weight", "bias": "a/bias"}, NoAttrs()),
        Node("Relu", "relu", ("h",), "r", {}, NoAttrs()),
        Node("Gemm", "b", ("r",), "y", {"weight": "b/weight"}, NoAttrs()),
    )
    graph = Graph((TensorSpec("x", (6,)),), ("y",), nodes, {name: encode(array) for name, array in arrays.items()})
    return graph, arrays


def test_gradients_of_a_network_are_those_of_the_chain_rule_written_by_hand() -> None:
    graph, w = _two_layers()
    rng = np.random.default_rng(2)
    x, weights = rng.normal(size=(9, 6)).astype(np.float32), rng.normal(size=(9, 3)).astype(np.float32)
    known = {"x": Quantization(0.01, 3), "r": Quantization(0.01, -128), "y": Quantization(0.03, 10)}
    operators = SimulatedActivations(given_spans(known)).operators(graph, {}, {})
    (output,), _, found = gradients(graph, x, [weights], replaced=operators, wrt_inputs=False)

    def rounded(values: np.ndarray, name: str) -> np.ndarray:
        return dequantize(quantize(values, known[name]), known[name])

    def inside(values: np.ndarray, name: str) -> np.ndarray:
        return np.abs(rounded(values, name) - values) <= 0.5001 * known[name].scale

    taken = rounded(x, "x")
    h = taken @ w["a/weight"] + w["a/bias"]
    r = np.maximum(h, 0)
    y = rounded(r, "r") @ w["b/weight"]
    by_y = weights * inside(y, "y")
    by_h = (by_y @ w["b/weight"].T) * inside(r, "r") * (h > 0)
    assert not inside(r, "r").all()
    assert not inside(y, "y").all()
    assert np.array_equal(output, rounded(y, "y"))
    np.testing.assert_allclose(found["b/weight"], rounded(r, "r").T @ by_y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["a/weight"], taken.T @ by_h, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["a/bias"], by_h.sum(0), rtol=1e-5, atol=1e-6)


def test_ranges_follow_what_each_batch_shows_and_those_of_inputs_stay() -> None:
    graph, w = _two_layers()
    x = np.random.default_rng(3).normal(size=(8, 6)).astype(np.float32)
    spans = (Span(("x",), ("x",), -1.0, 1.0), Span(("r",), ("r",), 0.0, 9.0), Span(("y",), ("y",), -5.0, 5.0))
    plan = Plan(
        epochs=1,
        batch_size=4,
        optimizer=Sgd(),
        rate=0.0,
        loss=losses.mean_squared_error,
        activations=SimulatedActivations(spans, 0.75),
    )
    fitted = fit(graph, x, np.zeros((8, 3), np.float32), plan)
    ends = {"x": [-1.0, 1.0], "r": [0.0, 9.0], "y": [-5.0, 5.0]}
    order = np.random.default_rng([plan.seed, 1, 0]).permutation(8)
    for start in (0, 4):
        now = {name: quantization_for(*each) for name, each in ends.items()}
        batch = x[order[start : start + 4]]
        taken = dequantize(quantize(batch, now["x"]), now["x"])
        r = np.maximum(taken @ w["a/weight"] + w["a/bias"], 0)
        y = dequantize(quantize(r, now["r"]), now["r"]) @ w["b/weight"]
        for name, made in (("r", r), ("y", y)):
            seen = [min(made.min(), 0), max(made.max(), 0)]
            ends[name] = [0.75 * old + 0.25 * new for old, new in zip(ends[name], seen, strict=True)]
    for name, each in ends.items():
        expected = quantization_for(*each)
        assert fitted.quantizations[name].scale == pytest.approx(expected.scale, rel=1e-5)
        assert fitted.quantizations[name].zero_point == expected.zero_point
    assert np.array_equal(decode(fitted.graph.params["a/weight"]), w["a/weight"])


def test_a_memory_of_one_holds_the_ranges() -> None:
    graph, _ = _two_layers()
    simulated = SimulatedActivations((Span(("r",), ("r",), 0.0, 9.0),))
    ranges = simulated.start()
    assert simulated.follow(graph, ranges, {"r": (0.0, 99.0)}) is ranges
    with pytest.raises(OptionError, match=r"a memory of the ranges of 1\.5"):
        SimulatedActivations((), 1.5)

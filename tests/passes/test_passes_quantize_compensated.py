"""Rounding to a width: the integers of optimal brain quantization, at the best of the scales."""

from __future__ import annotations

import numpy as np
import pytest

from refcompress import Graph, Node, TensorSpec, quantize_network, run
from refcompress.encodings import Linear, decode, encode
from refcompress.encodings.integers import rows_of, scales_of
from refcompress.errors import DataError, OptionError
from refcompress.ops import NoAttrs
from refcompress.passes import LayerRule, calibration, quantize, quantize_compensated, second_order
from refcompress.passes.quantize_compensated import compensated


def _net(rng: np.random.Generator, *, bias: bool = True) -> Graph:
    nodes, params, x = [], {}, "x"
    for name, shape in (("a", (12, 16)), ("b", (16, 5))):
        roles = {"weight": f"{name}w"}
        params[f"{name}w"] = encode(rng.standard_normal(shape) / 3)
        if bias:
            roles["bias"] = f"{name}b"
            params[f"{name}b"] = encode(rng.standard_normal(shape[1]))
        nodes += [Node("Gemm", name, (x,), name, roles, NoAttrs()), Node("Relu", f"{name}r", (name,), f"{name}r")]
        x = f"{name}r"
    nodes[-1] = Node("Softmax", "s", ("b",), "s", attrs=NoAttrs())
    nodes[1] = Node("Relu", "ar", ("a",), "ar", attrs=NoAttrs())
    return Graph((TensorSpec("x", (12,)),), ("s",), tuple(nodes), params)


def _samples(rng: np.random.Generator, count: int) -> np.ndarray:
    mixing = rng.standard_normal((4, 12))
    return (rng.standard_normal((count, 4)) @ mixing + 0.1 * rng.standard_normal((count, 12))).astype(np.float32)


def _round_row(weights: np.ndarray, moments: np.ndarray, scale: float, low: int, high: int) -> list[int]:
    """Round one weight after the other; refit all later ones by least squares, with the inverse taken anew."""
    weights, found = weights.copy(), []
    for j in range(len(weights) - 1):
        found.append(int(np.clip(np.round(weights[j] / scale), low, high)))
        inverse = np.linalg.inv(moments[j:, j:])
        error = (weights[j] - scale * found[-1]) / inverse[0, 0]
        weights[j + 1 :] -= error * inverse[0, 1:]
    return found


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_integers_are_those_of_optimal_brain_quantization(bits: int) -> None:
    rng = np.random.default_rng(bits)
    x = np.concatenate([_samples(rng, 200), np.ones((200, 1), np.float32)], axis=1).astype(np.float64)
    found = calibration.Moments((x.T @ x / 200)[None], np.zeros((1, 13, 13)))
    weight, bias = rng.standard_normal((12, 6)).astype(np.float32), rng.standard_normal(6).astype(np.float32)
    layer = second_order.prepare(weight, bias, found, 0.01)
    rounded = quantize_compensated._rounded(layer, bits)
    order = layer.order[0]
    places = np.append(order, 12)
    variance = np.diag(found.own[0])[:12] - found.own[0, 12, :12] ** 2
    squares = np.diag(found.own[0])[:12]
    extra = 0.01 * (variance.mean() + 1e-6 * squares.mean() + np.finfo(np.float32).tiny)
    moments = (found.own[0] + np.diag([extra] * 12 + [1e-9]))[np.ix_(places, places)]
    half = 1 << bits - 1
    for unit in range(6):
        row = np.append(weight[order, unit].astype(np.float64), bias[unit])
        expected = _round_row(row, moments, rounded.scales[0, unit], -min(half, 127), half - 1)
        assert rounded.integers[0, unit][order].tolist() == expected


def test_it_changes_the_outputs_less_than_plain_rounding() -> None:
    rng = np.random.default_rng(0)
    graph = _net(rng)
    train, test = np.split(_samples(rng, 600), 2)
    plain = quantize.linear(graph, bits=3, granularity="channel", range="mse")
    reference, ours, rounded = (
        run(g, test)[0] for g in (graph, compensated(graph, inputs={"x": train}, bits=3), plain)
    )
    assert np.square(ours - reference).mean() < 0.5 * np.square(rounded - reference).mean()


def test_integer_networks_keep_the_integers() -> None:
    rng = np.random.default_rng(1)
    graph, x = _net(rng), _samples(rng, 100)
    small = compensated(graph, inputs={"x": x}, bits=4, layers=[LayerRule("b", {"bits": 3})])
    network = quantize_network(small, x)
    for name, bits in (("aw", 4), ("bw", 3)):
        values = small.params[name].values
        assert isinstance(values, Linear)
        assert values.bits == bits
        np.testing.assert_array_equal(rows_of(network.graph.params[name]), rows_of(small.params[name]))
        np.testing.assert_array_equal(scales_of(network.graph.params[name]), scales_of(small.params[name]))


def test_layers_without_bias_and_skipped_ones() -> None:
    rng = np.random.default_rng(2)
    graph = _net(rng, bias=False)
    small = compensated(graph, inputs={"x": _samples(rng, 50)}, bits=2, layers=[LayerRule("b", {"skip": True})])
    assert set(small.params) == set(graph.params)
    assert small.params["bw"] is graph.params["bw"]


def test_zero_weights_and_a_constant_input_do_no_harm() -> None:
    rng = np.random.default_rng(3)
    graph, x = _net(rng), _samples(rng, 50)
    weight = decode(graph.params["aw"]).copy()
    weight[:, 3], x[:, 5] = 0, 1
    small = compensated(graph.with_params({"aw": encode(weight)}), inputs={"x": x}, bits=2)
    assert not decode(small.params["aw"])[:, 3].any()
    assert all(np.isfinite(decode(encoding)).all() for encoding in small.params.values())


@pytest.mark.parametrize("options", [{"bits": 1}, {"bits": 9}, {"damping": 0.0}, {"layers": [LayerRule("z", {})]}])
def test_bad_options_are_named(options: dict) -> None:
    graph = _net(np.random.default_rng(4))
    with pytest.raises(OptionError):
        compensated(graph, **{"inputs": {"x": np.ones((4, 12), np.float32)}, "bits": 3, **options})


def test_inputs_that_never_change_are_told() -> None:
    """Second moments whose inverse is not positive leave nothing to solve for."""
    own = np.zeros((1, 3, 3))
    own[0, -1, -1] = -1.0
    with pytest.raises(DataError, match="hardly change over the calibration samples"):
        second_order.prepare(np.ones((2, 1), np.float32), None, calibration.Moments(own, np.zeros((1, 3, 3))), 0.0)

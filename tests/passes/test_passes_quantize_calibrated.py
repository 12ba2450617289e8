"""Calibrated quantization against optimal brain quantization written from its formula, and its promises."""

from __future__ import annotations

import numpy as np
import pytest

from refcompress.encodings import Linear, decode, encode
from refcompress.errors import DataError, OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops.base import NoAttrs
from refcompress.ops.conv import Conv
from refcompress.passes import calibration, quantize_calibrated, second_order
from refcompress.passes.quantize_calibrated import calibrated
from refcompress.passes.rules import LayerRule
from refcompress.run import run


def dense_net(rng: np.random.Generator, inputs: int = 12, hidden: int = 16, outputs: int = 4) -> Graph:
    nodes = (
        Node("Gemm", "fc1", ("x",), "fc1", {"weight": "w1", "bias": "b1"}, NoAttrs()),
        Node("Relu", "relu", ("fc1",), "relu", {}, NoAttrs()),
        Node("Gemm", "fc2", ("relu",), "fc2", {"weight": "w2", "bias": "b2"}, NoAttrs()),
        Node("Softmax", "softmax", ("fc2",), "softmax", {}, NoAttrs()),
    )
    params = {
        "w1": encode(rng.standard_normal((inputs, hidden)) / np.sqrt(inputs)),
        "b1": encode(rng.standard_normal(hidden) * 0.1),
        "w2": encode(rng.standard_normal((hidden, outputs))),
        "b2": encode(rng.standard_normal(outputs) * 0.1),
    }
    return Graph((TensorSpec("x", (inputs,)),), ("softmax",), nodes, params)


def correlated(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    mixing = rng.standard_normal((size, 3))
    return (rng.standard_normal((count, 3)) @ mixing.T + 0.3 * rng.standard_normal((count, size))).astype(np.float32)


def brain_quantize_row(row: np.ndarray, moments: np.ndarray, order: list[int], step: float) -> np.ndarray:
    """Frantar & Alistarh 2022, equations 2 and 3: quantize one weight, correct the others, drop it from the inverse."""
    left = row.astype(np.float64).copy()
    inverse = np.linalg.inv(moments)
    integers = np.zeros(len(row))
    for q in order:
        integers[q] = np.round(left[q] / step)
        error = (left[q] - step * integers[q]) / inverse[q, q]
        left -= error * inverse[:, q]
        inverse -= np.outer(inverse[:, q], inverse[q]) / inverse[q, q]
        inverse[q, :] = inverse[:, q] = 0
        inverse[q, q] = 1
    return integers


def test_without_a_price_for_bits_it_is_optimal_brain_quantization() -> None:
    rng = np.random.default_rng(3)
    x = correlated(rng, 300, 7)
    augmented = np.concatenate([x, np.ones((300, 1))], axis=1).astype(np.float64)
    own = augmented.T @ augmented / 300
    weight = rng.standard_normal((7, 5)).astype(np.float32)
    bias = rng.standard_normal(5).astype(np.float32)
    found = calibration.Moments(own[None], np.zeros((1, 8, 8)))
    layer = second_order.prepare(weight, bias, found, 0.01)
    pivots = np.diagonal(layer.upper, axis1=1, axis2=2)[:, :7]
    integers, _ = quantize_calibrated._round(layer, pivots, 0.25, 0.0)
    variances = np.diag(own)[:7] - own[7, :7] ** 2
    damped = own + np.diag([0.01 * variances.mean()] * 7 + [1e-9])
    order = layer.order[0].tolist()
    for unit in range(5):
        expected = brain_quantize_row(np.append(weight[:, unit], bias[unit]), damped, order, 0.25)
        assert integers[0, unit].tolist() == expected[order].tolist()


def test_it_diverges_less_than_plain_rounding_at_the_same_steps() -> None:
    rng = np.random.default_rng(0)
    graph = dense_net(rng)
    train, test = np.split(correlated(rng, 800, 12), 2)
    small = calibrated(graph, inputs={"x": train}, rate=0.02)
    rounded = {}
    for name in ("w1", "w2"):
        step = small.params[name].values.scales[0]
        rounded[name] = encode(np.round(decode(graph.params[name]) / step) * step)
    reference, ours, plain = (run(each, test)[0] for each in (graph, small, graph.with_params(rounded)))
    divergence = [calibration.divergence(reference, each, distribution=True) for each in (ours, plain)]
    assert divergence[0] < 0.5 * divergence[1]


def test_a_larger_rate_makes_fewer_levels() -> None:
    rng = np.random.default_rng(1)
    graph = dense_net(rng)
    x = correlated(rng, 200, 12)
    levels = [
        np.unique(decode(calibrated(graph, inputs={"x": x}, rate=rate).params["w1"])).size for rate in (2e-4, 2e-2, 2)
    ]
    assert levels[0] > levels[1] > levels[2]


def test_convolutions_see_the_columns_their_weights_see() -> None:
    rng = np.random.default_rng(2)
    for group in (1, 2, 4):
        node = Node("Conv", "c", ("x",), "c", {"weight": "w"}, Conv((2, 1), (1, 0, 0, 1), (1, 1), group))
        x = rng.standard_normal((3, 6, 5, 4)).astype(np.float32)
        weight = rng.standard_normal((3, 2, 4 // group, 8)).astype(np.float32)
        columns = calibration.columns_by_group(node, x, weight.shape)
        assert np.all(columns[:, :, -1] == 1)
        rows = weight.reshape(-1, 8).T.reshape(group, 8 // group, -1)
        product = np.einsum("gnc,grc->ngr", columns[:, :, :-1], rows).reshape(-1, 8)
        expected = calibration.forward(node, [x], {"weight": encode(weight)}).reshape(-1, 8)
        np.testing.assert_allclose(product, expected, rtol=0, atol=2e-5)


def test_a_layer_without_bias_gets_none_and_skipped_layers_stay() -> None:
    rng = np.random.default_rng(4)
    graph = dense_net(rng)
    nodes = (Node("Gemm", "fc1", ("x",), "fc1", {"weight": "w1"}, NoAttrs()), *graph.nodes[1:])
    bare = Graph(graph.inputs, graph.outputs, nodes, {k: v for k, v in graph.params.items() if k != "b1"})
    small = calibrated(
        bare, inputs={"x": correlated(rng, 100, 12)}, rate=2e-3, layers=[LayerRule("fc2", {"skip": True})]
    )
    assert isinstance(small.params["w1"].values, Linear)
    assert small.params["w2"] is bare.params["w2"]
    assert set(small.params) == set(bare.params)


def test_the_same_seed_gives_the_same_integers() -> None:
    graph = dense_net(np.random.default_rng(5))
    x = correlated(np.random.default_rng(6), 100, 12)
    first, second = (calibrated(graph, inputs={"x": x}, rate=2e-3, seed=7) for _ in range(2))
    for name in graph.params:
        assert np.array_equal(decode(first.params[name]), decode(second.params[name]))


def test_a_constant_input_and_a_zero_weight_do_no_harm() -> None:
    graph = dense_net(np.random.default_rng(8))
    graph = graph.with_params({"w1": encode(np.zeros((12, 16)))})
    small = calibrated(graph, inputs={"x": np.ones((10, 12), np.float32)}, rate=2e-3)
    assert np.all(np.isfinite(decode(small.params["w2"])))
    assert not decode(small.params["w1"]).any()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"rate": 0.0}, OptionError),  # no price for bits: no step follows
        ({"rate": float("nan")}, OptionError),  # not a number
        ({"damping": 0.0}, OptionError),  # the second moments could not be inverted
        ({"layers": [LayerRule("nothing", {"rate": 2e-3})]}, OptionError),  # matches no layer
        ({"inputs": {}}, DataError),  # no samples
        ({"inputs": {"x": np.zeros((0, 12), np.float32)}}, DataError),  # no samples either
        ({"inputs": {"x": np.zeros((4, 11), np.float32)}}, DataError),  # another shape
    ],
)
def test_bad_options_are_named(options: dict, error: type[Exception]) -> None:
    graph = dense_net(np.random.default_rng(9))
    with pytest.raises(error):
        calibrated(graph, **{"inputs": {"x": np.ones((4, 12), np.float32)}, "rate": 2e-3, **options})

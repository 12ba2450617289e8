"""quantize_network: which activations share scales, what becomes of weights and biases, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcompress.encodings import Codebook, IntegerCodebook, Linear, decode, encode, integers
from refcompress.errors import DataError, ModelError, OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.integer import (
    IntegerNetwork,
    Quantization,
    dequantize,
    dequantized,
    quantize,
    run_integer,
    run_integer_all,
    smallest,
)
from refcompress.integer.operators import INTEGER_OPS
from refcompress.integer.step import check_same_quantization
from refcompress.ops import find_op
from refcompress.passes import LayerRule, prune, share_weights
from refcompress.passes import quantize as quantize_pass
from refcompress.post_training import quantize_network
from refcompress.post_training.shared_scales import GIVEN, MOVING
from refcompress.run import run


def _node(op: str, output: str, *inputs: str, params: dict[str, str] | None = None, **attrs: Any) -> Node:
    return Node(op, output, inputs, output, params or {}, find_op(op).attrs(**attrs))


def _layer(op: str, output: str, source: str, **attrs: Any) -> Node:
    return _node(op, output, source, params={"weight": f"{output}/w", "bias": f"{output}/b"}, **attrs)


def _weights(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    params = {}
    for name, shape in shapes.items():
        params[f"{name}/w"] = encode(rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1])))
        params[f"{name}/b"] = encode(rng.standard_normal(shape[-1]) / 4)
    return params


def _image_network() -> Graph:
    """Return convolutions, pools, a sum, a concatenation and all three functions of given scale."""
    nodes = (
        _layer("Conv", "c1", "x", pads=(1, 1, 1, 1)),
        _node("Relu", "r1", "c1"),
        _node("MaxPool", "p1", "r1", kernel_shape=(2, 2), strides=(2, 2)),
        _layer("Conv", "c2", "p1", pads=(1, 1, 1, 1), group=4),
        _node("Clip", "r2", "c2", min=0.0, max=6.0),
        _node("Add", "sum", "r2", "p1", "p1"),
        _node("Sigmoid", "gate", "sum"),
        _node("Concat", "both", "sum", "gate", axis=3),
        _node("Pad", "padded", "both", pads=(0, 0, 1, 1)),
        _node("AveragePool", "mean", "padded", kernel_shape=(3, 3), strides=(2, 2)),
        _node("Flatten", "flat", "mean"),
        _layer("Gemm", "fc", "flat"),
        _node("Tanh", "t", "fc"),
        _layer("Gemm", "out", "t"),
        _node("Softmax", "y", "out"),
    )
    shapes = {"c1": (3, 3, 3, 4), "c2": (3, 3, 1, 4), "fc": (32, 6), "out": (6, 3)}
    return Graph((TensorSpec("x", (8, 8, 3)),), ("y",), nodes, _weights(shapes))


def _images(samples: int = 100) -> np.ndarray:
    return np.random.default_rng(1).random((samples, 8, 8, 3)).astype(np.float32)


def _error(network: IntegerNetwork, graph: Graph, x: np.ndarray) -> float:
    integers_in = quantize(x, network.quantizations["x"])
    name = graph.outputs[0]
    y = dequantize(run_integer(network, integers_in)[0], network.quantizations[name])
    real = run(graph, x)[0]
    return float(np.sqrt(np.mean((y - real) ** 2) / np.mean(real**2)))


@pytest.mark.parametrize("ranges", ["minmax", "percentile", "mse"])
def test_integers_come_close_to_the_network(ranges: Any) -> None:
    graph, x = _image_network(), _images()
    network = quantize_network(graph, x, ranges=ranges)
    assert _error(network, graph, x) < 0.02
    assert network.graph.outputs == graph.outputs


def test_activations_that_are_only_moved_share_one_quantization() -> None:
    known = quantize_network(_image_network(), _images()).quantizations
    assert known["r1"] == known["p1"]
    assert known["sum"] == known["gate/rescaled"] == known["both"] == known["padded"] == known["mean"] == known["flat"]
    assert known["r1"] != known["sum"]
    assert "c1" not in known
    assert "c2" not in known
    assert known["gate"] == known["y"] == Quantization(1 / 256, -128)
    assert known["t"] == Quantization(1 / 128, 0)


def test_minmax_spans_what_was_seen_and_zero() -> None:
    graph, x = _image_network(), _images()
    network = quantize_network(graph, x)
    source = network.quantizations["x"]
    assert source.scale == np.float32(x.max() / 255)
    assert source.zero_point == -128
    seen = run(Graph(graph.inputs, ("fc",), graph.nodes, graph.params), x)[0]
    assert network.quantizations["fc"].scale == pytest.approx((max(seen.max(), 0) - min(seen.min(), 0)) / 255, rel=1e-5)


def test_the_batch_size_changes_next_to_nothing() -> None:
    graph, x = _image_network(), _images(30)
    whole, parts = (quantize_network(graph, x, batch_size=size).quantizations for size in (30, 7))
    for name, found in whole.items():
        assert found.scale == pytest.approx(parts[name].scale, rel=1e-5)


def test_the_table_of_moving_operators_is_that_of_the_integer_forms() -> None:
    named = {name for name, op in INTEGER_OPS.items() if op.check is check_same_quantization}
    assert named | {"AveragePool"} == MOVING
    assert {"Sigmoid", "Softmax", "Tanh"} == set(GIVEN)


def test_functions_of_one_scale_are_concatenated_without_rescaling() -> None:
    nodes = (_node("Sigmoid", "a", "x"), _node("Softmax", "b", "x"), _node("Concat", "y", "a", "b", axis=1))
    graph = Graph((TensorSpec("x", (4,)),), ("y",), nodes, {})
    network = quantize_network(graph, np.random.default_rng(0).standard_normal((20, 4)))
    assert [node.op for node in network.graph.nodes] == ["Sigmoid", "Softmax", "Concat"]
    assert network.quantizations["y"] == GIVEN["Sigmoid"]


def test_biases_are_what_the_formula_says() -> None:
    graph = _image_network()
    network = quantize_network(graph, _images())
    for node in network.graph.nodes:
        if "bias" not in node.params:
            continue
        source, name = network.quantizations[node.inputs[0]], node.params["bias"]
        scales = integers.scales_of(network.graph.params[node.params["weight"]])
        real = decode(graph.params[name])
        for unit, value in enumerate(real):
            step = float(source.scale) * float(scales[unit])
            exact = float(value) / step
            assert abs(int(network.biases[name][unit]) - exact) <= 0.5
            assert decode(network.graph.params[name])[unit] == np.float32(int(network.biases[name][unit]) * step)


def test_weights_are_what_the_formula_says() -> None:
    graph = _image_network()
    by_unit = quantize_network(graph, _images())
    by_tensor = quantize_network(graph, _images(), conv_scales="tensor", gemm_scales="tensor")
    for name in ("c1/w", "c2/w", "fc/w", "out/w"):
        real = decode(graph.params[name]).astype(np.float64)
        largest = np.abs(real).max(axis=tuple(range(real.ndim - 1)))
        for network, expected in ((by_unit, largest / 127), (by_tensor, np.array([largest.max() / 127]))):
            encoding = network.graph.params[name]
            assert integers.scales_of(encoding).tolist() == expected.astype(np.float32).tolist()
            back = decode(encoding)
            assert np.abs(back - real).max() <= expected.max() * 0.5001
            assert np.abs(integers.rows_of(encoding)).max() == 127


def test_batch_normalization_is_folded_first() -> None:
    params = _weights({"c": (3, 3, 3, 4)})
    rng = np.random.default_rng(3)
    params |= {role: encode(rng.uniform(0.5, 2, 4)) for role in ("scale", "mean", "var")}
    roles = {role: role for role in ("scale", "mean", "var")}
    nodes = (_layer("Conv", "c", "x"), _node("BatchNormalization", "n", "c", params=roles), _node("Relu", "y", "n"))
    graph = Graph((TensorSpec("x", (8, 8, 3)),), ("y",), nodes, params)
    network = quantize_network(graph, _images())
    assert [step.node.op for step in network.steps] == ["Conv"]
    assert _error(network, graph, _images()) < 0.02


@pytest.mark.parametrize("shape", [(6,), (5, 6), (4, 3, 6)])
@pytest.mark.parametrize("op", ["BatchNormalization", "Affine"])
def test_what_cannot_be_folded_becomes_a_depthwise_convolution(op: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    names = ("scale", "bias", "mean", "var") if op == "BatchNormalization" else ("scale", "bias")
    params = {name: encode(rng.uniform(0.5, 2, 6)) for name in names}
    node = _node(op, "y", "x", params={name: name for name in names})
    graph = Graph((TensorSpec("x", shape),), ("y",), (node,), params)
    x = rng.standard_normal((50, *shape)).astype(np.float32)
    network = quantize_network(graph, x)
    assert {step.node.op for step in network.steps} <= {"Conv", "Reshape"}
    assert _error(network, graph, x) < 0.02


def test_sums_of_many_and_means_that_count_padding_have_an_integer_form() -> None:
    nodes = (
        _node("AveragePool", "m", "x", kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), count_include_pad=True),
        _node("Add", "y", "x", "m", "x", "m"),
    )
    graph = Graph((TensorSpec("x", (8, 8, 3)),), ("y",), nodes, {})
    assert _error(quantize_network(graph, _images()), graph, _images()) < 0.02


@settings(max_examples=10)
@given(st.floats(0, 1), st.sampled_from([2, 4, 8]), st.sampled_from(["minmax", "mse"]), st.booleans())
def test_pruned_weights_stay_zero(sparsity: float, bits: int, weight_ranges: Any, share: bool) -> None:
    graph = prune.magnitude(_image_network(), sparsity=sparsity)
    if share:
        graph = share_weights.kmeans(graph, bits=3)
    network = quantize_network(graph, _images(10), weight_bits=bits, weight_ranges=weight_ranges)
    for name in ("c1/w", "c2/w", "fc/w", "out/w"):
        assert not decode(network.graph.params[name])[decode(graph.params[name]) == 0].any()


def test_shared_weights_stay_shared_and_the_scale_is_the_best_there_is() -> None:
    graph = share_weights.kmeans(_image_network(), bits=3)
    network = quantize_network(graph, _images(), weight_bits=4)
    for name in ("c1/w", "c2/w", "fc/w", "out/w"):
        encoding, real = network.graph.params[name], decode(graph.params[name]).astype(np.float64)
        assert isinstance(encoding.values, IntegerCodebook)
        assert len(encoding.values.centroids) <= 8
        scale = encoding.values.scale
        back = np.round(decode(encoding).astype(np.float64) / scale) * scale  # not rounded to float32
        for value in np.unique(real):
            assert len(np.unique(back[real == value])) == 1
        largest = np.abs(real).max()
        for k in range(1, 128):
            scale = float(np.float32(largest / k))
            other = np.clip(np.round(real / scale), -127, 127) * scale
            assert ((back - real) ** 2).sum() <= ((other - real) ** 2).sum() * (1 + 1e-6) + 1e-12
    loose = quantize_network(graph, _images(), keep_shared=False)
    assert isinstance(loose.graph.params["c1/w"].values, Linear)


def test_a_codebook_of_multiples_keeps_its_multiples() -> None:
    multiples = np.random.default_rng(0).choice(np.array([-7, -2, 0, 1, 5]), (32, 6))
    params = {**_image_network().params, "fc/w": encode(multiples * 0.031)}
    graph = share_weights.kmeans(Graph(_image_network().inputs, ("y",), _image_network().nodes, params), bits=4)
    assert isinstance(graph.params["fc/w"].values, Codebook)
    found = quantize_network(graph, _images()).graph.params["fc/w"]
    assert np.array_equal(integers.rows_of(found), multiples.T)


def test_integers_of_before_are_kept() -> None:
    graph = quantize_pass.linear(_image_network(), bits=5, granularity="channel")
    network = quantize_network(graph, _images())
    for name in ("c1/w", "c2/w", "fc/w", "out/w"):
        assert np.array_equal(decode(network.graph.params[name]), decode(graph.params[name]))


def test_a_bias_that_would_not_fit_widens_the_scale_of_its_unit() -> None:
    weight, bias = np.array([[1e-9, 0.5, 0.0, 0.0]]), np.array([40.0, 0.1, 3.0, 0.0])
    graph = Graph(
        (TensorSpec("x", (1,)),), ("y",), (_layer("Gemm", "y", "x"),), {"y/w": encode(weight), "y/b": encode(bias)}
    )
    x = np.linspace(-1, 1, 100, dtype=np.float32).reshape(100, 1)
    network = quantize_network(graph, x)
    found = network.biases["y/b"]
    assert found[0] == pytest.approx(2**30, rel=1e-6)
    assert found[2] == 2**15
    assert found[3] == 0
    assert np.abs(decode(network.graph.params["y/b"]) - bias).max() < 0.01
    assert _error(network, graph, x) < 0.02


def test_a_bias_of_two_layers_becomes_two() -> None:
    shared = {"w": encode(np.eye(3) * 5), "b": encode([0.5, -1.0, 2.0])}
    roles = {"weight": "w", "bias": "b"}
    nodes = (_node("Gemm", "h", "x", params=roles), _node("Gemm", "y", "h", params=roles))
    graph = Graph((TensorSpec("x", (3,)),), ("y",), nodes, shared)
    x = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    network = quantize_network(graph, x)
    assert len(network.biases) == 2
    assert _error(network, graph, x) < 0.02


def test_rules_give_layers_their_own_widths() -> None:
    rules = [LayerRule("c*", {"weight_bits": 8}), LayerRule("fc", {"weight_bits": 2, "scales": "tensor"})]
    params = quantize_network(_image_network(), _images(), weight_bits=4, layers=rules).graph.params
    found = {name: (params[name].values.bits, len(params[name].values.scales)) for name in ("c1/w", "fc/w", "out/w")}
    assert found == {"c1/w": (8, 4), "fc/w": (2, 1), "out/w": (4, 3)}
    assert set(np.unique(integers.rows_of(params["fc/w"]))) <= {-1, 0, 1}


def test_the_smallest_form_computes_the_same() -> None:
    network = quantize_network(share_weights.kmeans(prune.magnitude(_image_network(), sparsity=0.7), bits=2), _images())
    x = quantize(_images(), network.quantizations["x"])
    for limit_bits in (None, 10):
        small = smallest(network, limit_bits=limit_bits)
        assert np.array_equal(run_integer(small, x)[0], run_integer(network, x)[0])


def test_activations_stay_within_the_dequantized_network_and_its_roundings() -> None:
    graph, x = _image_network(), _images()
    network = quantize_network(graph, x)
    real = run(dequantized(network), x)[0]
    found = run_integer_all(network, quantize(x, network.quantizations["x"]))["y"]
    assert np.abs(dequantize(found, network.quantizations["y"]) - real).max() < 0.05


def test_sums_beyond_32_bits_are_refused() -> None:
    count = 70_000
    node = _node("Gemm", "y", "x", params={"weight": "w"})
    graph = Graph((TensorSpec("x", (count,)),), ("y",), (node,), {"w": encode(np.ones((count, 1)))})
    with pytest.raises(ModelError, match=r"node 'y' \(Gemm\): sums of up to 2266950000, beyond 32 bits"):
        quantize_network(graph, np.ones((2, count), np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranges": "minimax"}, "choose one of minmax, percentile, mse"),
        ({"percentile": 101}, "from 50 to 100"),
        ({"weight_bits": 9}, "weight_bits is 9 for 'c1/w'; give a whole number from 2 to 8"),
        ({"weight_bits": 1}, "from 2 to 8"),
        ({"weight_ranges": "percentile"}, "choose one of minmax, mse"),
        ({"gemm_scales": "row"}, "choose one of channel, tensor"),
        ({"bias_bits": 7}, "bias_bits is 7; give a whole number from 8 to 32"),
        ({"keep_shared": 1}, "true or false"),
        ({"layers": [LayerRule("d", {})]}, "matches no layer"),
        ({"layers": [LayerRule("fc", {"skip": True})]}, "skips 'fc/w'; in an integer network every layer"),
        ({"layers": [LayerRule("fc", {"bits": 4})]}, "weight_bits"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        quantize_network(_image_network(), _images(4), **options)


def test_narrow_biases_are_multiples_of_one_number_and_near_the_wide_ones() -> None:
    network = _image_network()
    wide, narrow = (quantize_network(network, _images(4), bias_bits=bits) for bits in (32, 8))
    coarser = 0
    for name, biases in wide.biases.items():
        largest = int(np.abs(biases).max())
        step = max(1, -(-largest // 127))
        coarser += step > 1
        assert not (narrow.biases[name] % step).any()
        assert np.abs(narrow.biases[name] // step).max() <= 127
        assert 2 * np.abs(narrow.biases[name] - biases).max() <= step
    assert coarser


def test_wrong_samples_are_refused() -> None:
    with pytest.raises(DataError, match="no calibration samples"):
        quantize_network(_image_network(), _images(0))
    with pytest.raises(DataError, match="must be"):
        quantize_network(_image_network(), np.zeros((4, 8, 8, 1)))
    with pytest.raises(DataError, match="infinite or not a number"):
        quantize_network(_image_network(), np.full((4, 8, 8, 3), np.nan))


def test_an_operator_without_integer_form_is_refused_before_anything_is_run() -> None:
    graph = Graph((TensorSpec("x", (3,)),), ("y",), (_node("Erf", "y", "x"),), {})
    with pytest.raises(ModelError, match=r"node 'y' \(Erf\): no integer form; .*Conv"):
        quantize_network(graph, np.zeros((0, 3)))

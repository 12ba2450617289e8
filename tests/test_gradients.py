"""Gradients of whole networks: residual, concatenating, shared; against central differences and PyTorch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from checks.gradients import check_graph_grad
from checks.networks import branched_network, node
from checks.weights import sparse_encoding
from numpy.typing import NDArray

import refcompress
from refcompress import Graph, TensorSpec, gradients, run
from refcompress.encodings import decode, encode
from refcompress.errors import DataError, ModelError, OptionError
from refcompress.ops import OPS
from reference_models import backprop, digits_cnn, lenet_5

CONV = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}


def residual_network(seed: int) -> Graph:
    """Share a kernel around a residual sum, concatenate, share a sparse weight, return an activation inside."""
    rng = np.random.default_rng(seed)
    params = {
        "kernel": encode(rng.standard_normal((3, 3, 2, 2)) / 3),
        "bias": encode(rng.standard_normal(2)),
        "square": sparse_encoding(
            (rng.standard_normal((4, 4)) * (rng.random((4, 4)) < 0.5)).astype(np.float32),
        ),
        "moments": encode(rng.uniform(0.5, 1.5, 4)),
        "unused": encode(np.ones((2, 2))),
    }
    shared = {"weight": "kernel", "bias": "bias"}
    nodes = (
        node("Conv", "first", "x", params=shared, **CONV),
        node("Tanh", "bend", "first"),
        node("Conv", "second", "bend", params=shared, **CONV),
        node("Add", "sum", "second", "x", "x"),
        node("Concat", "both", "sum", "bend", axis=3),
        node("Gemm", "mix", "both", params={"weight": "square"}),
        node("Sigmoid", "level", "mix"),
        # one parameter in several roles of one node
        node(
            "BatchNormalization", "bn", "level", params=dict.fromkeys(("scale", "mean", "var"), "moments"), epsilon=0.1
        ),
        node("Gemm", "again", "bn", params={"weight": "square"}),
        node("GlobalAveragePool", "mean", "again", keepdims=False),
        node("Softmax", "soft", "mean"),
        node("Tanh", "nobody reads", "x"),
    )
    return Graph((TensorSpec("x", (4, 3, 2)), TensorSpec("y", (2,))), ("soft", "sum", "y", "soft"), nodes, params)


def inputs_of(graph: Graph, batch: int, seed: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {spec.name: rng.standard_normal((batch, *spec.shape)) for spec in graph.inputs}


@pytest.mark.parametrize("batch", [1, 3])
def test_residual_concatenating_and_shared(batch: int) -> None:
    graph = residual_network(batch)
    check_graph_grad(graph, inputs_of(graph, batch, 7), seed=batch)


def test_every_operator_in_one_network() -> None:
    graph = branched_network(5)
    check_graph_grad(graph, inputs_of(graph, 3, 11), seed=1)


def test_equal_to_the_plain_backward_pass_of_the_digits_network() -> None:
    graph = digits_cnn.build(np.random.default_rng(0))
    x = np.random.default_rng(1).random((7, 8, 8, 1)).astype(np.float32)
    labels = np.arange(7)
    params = backprop.params_of(graph)
    probabilities, kept = backprop.forward(params, x)
    wanted = backprop.backward(params, kept, probabilities, labels)

    def of_cross_entropy(outputs: Any) -> Any:
        return [-np.eye(10)[labels] / outputs[0] / len(labels)]

    _, _, got = gradients(graph, x, of_cross_entropy)
    assert len(got) == len(wanted)
    for layer, role, name in graph.weights():
        np.testing.assert_allclose(got[name], wanted[f"{layer.name}/{role}"], rtol=0, atol=1e-6)


def test_a_shared_parameter_gets_the_sum_of_what_copies_of_it_get() -> None:
    graph = residual_network(2)
    copies = replace(
        graph,
        nodes=tuple(replace(n, params={r: f"{n.name}/{r}" for r in n.params}) for n in graph.nodes),
        params={f"{n.name}/{role}": graph.params[name] for n, role, name in graph.weights()},
    )
    x = inputs_of(graph, 2, 3)
    seeds = [np.ones_like(y) * (i + 1) for i, y in enumerate(run(graph, x, dtype=np.float64))]
    _, by_input, shared = gradients(graph, x, seeds, dtype=np.float64)
    _, also_by_input, alone = gradients(copies, x, seeds, dtype=np.float64)
    for name, gradient in shared.items():
        parts = [alone[f"{n.name}/{role}"] for n, role, used in graph.weights() if used == name]
        np.testing.assert_allclose(gradient, sum(parts), rtol=0, atol=1e-12)
    assert all(np.array_equal(by_input[name], also_by_input[name]) for name in by_input)


def test_outputs_are_those_of_run_and_cotangents_may_be_made_from_them() -> None:
    graph = branched_network(6)
    x = inputs_of(graph, 4, 5)
    outputs, by_input, by_parameter = gradients(graph, x, lambda ys: [2 * y for y in ys], dtype=np.float64)
    for got, wanted in zip(outputs, run(graph, x, dtype=np.float64), strict=True):
        assert np.array_equal(got, wanted)
    _, again, also = gradients(graph, x, [2 * y for y in outputs], dtype=np.float64)
    assert all(np.array_equal(by_input[name], again[name]) for name in by_input)
    assert all(np.array_equal(by_parameter[name], also[name]) for name in by_parameter)


def test_only_parameters_that_are_used_have_gradients() -> None:
    graph = residual_network(0)
    x = inputs_of(graph, 2, 0)
    _, by_input, by_parameter = gradients(graph, x, lambda ys: [np.zeros_like(ys[0]), *ys[1:]])
    assert set(by_parameter) == {"kernel", "bias", "square", "moments"}
    assert by_parameter["kernel"].any()
    last = replace(graph, outputs=("y",))
    _, by_input, by_parameter = gradients(last, x, lambda ys: ys)
    assert not any(gradient.any() for gradient in by_parameter.values())
    assert not by_input["x"].any()
    assert np.array_equal(by_input["y"], x["y"].astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_inputs_the_parameters_get_the_same(dtype: Any) -> None:
    graph = lenet_5.build(np.random.default_rng(2))
    x = np.random.default_rng(3).random((5, 28, 28, 1))
    _, by_input, wanted = gradients(graph, x, lambda ys: ys, dtype=dtype)
    assert by_input["image"].dtype == dtype
    _, none, got = gradients(graph, x, lambda ys: ys, dtype=dtype, wrt_inputs=False)
    assert none == {}
    assert all(np.array_equal(got[name], wanted[name]) for name in wanted)
    assert all(got[name].dtype == dtype and got[name].flags.writeable for name in got)


def test_arrays_in_place_of_parameters_are_as_good_as_encoded_ones() -> None:
    graph = residual_network(4)
    # two names of one encoding object must not get each other's arrays
    graph = graph.with_params({"square": graph.params["square"], "also": graph.params["square"]})
    nodes = tuple(replace(n, params={"weight": "also"}) if n.name == "again" else n for n in graph.nodes)
    graph = replace(graph, nodes=nodes)
    rng = np.random.default_rng(5)
    arrays = {n: rng.uniform(0.5, 1, graph.params[n].shape).astype(np.float32) for n in ("square", "also", "moments")}
    x = inputs_of(graph, 2, 6)
    got = gradients(graph, x, lambda ys: ys, dtype=np.float64, params=arrays)
    wanted = gradients(graph.with_params({n: encode(a) for n, a in arrays.items()}), x, lambda ys: ys, dtype=np.float64)
    for a, b in ((dict(enumerate(got[0])), dict(enumerate(wanted[0]))), (got[1], wanted[1]), (got[2], wanted[2])):
        assert all(np.allclose(a[key], b[key], rtol=0, atol=1e-12) for key in b)


def test_a_gradient_does_not_share_memory_with_the_cotangent() -> None:
    graph = Graph((TensorSpec("x", (2,)),), ("y",), (node("Dropout", "y", "x", ratio=0.5),), {})
    cotangent = np.ones((3, 2))
    _, by_input, _ = gradients(graph, np.zeros((3, 2)), [cotangent], dtype=np.float64)
    assert not np.shares_memory(by_input["x"], cotangent)


def test_an_operator_may_be_replaced() -> None:
    graph = Graph((TensorSpec("x", (2,)),), ("y",), (node("Dropout", "y", "x", ratio=0.5),), {})
    mask = np.array([0.0, 2.0], np.float32)
    dropping = replace(
        OPS["Dropout"],
        forward=lambda _attrs, inputs, _params: inputs[0] * mask,
        vjp=lambda _attrs, _inputs, _params, _output, cotangent: ((cotangent * mask,), {}),
    )
    outputs, by_input, _ = gradients(graph, [[3.0, 4.0]], [[[1.0, 1.0]]], replaced={"y": dropping})
    assert outputs[0].tolist() == [[0, 8]]
    assert by_input["x"].tolist() == [[0, 2]]
    with pytest.raises(ModelError, match=r"'drop'.*does not have"):
        gradients(graph, [[3.0, 4.0]], [[[1.0, 1.0]]], replaced={"drop": dropping})


def test_no_samples_give_zero_gradients() -> None:
    graph = branched_network(1)
    x = {spec.name: np.zeros((0, *spec.shape)) for spec in graph.inputs}
    outputs, by_input, by_parameter = gradients(graph, x, lambda ys: ys)
    assert all(len(y) == 0 for y in (*outputs, *by_input.values()))
    assert all(g.shape == graph.params[n].shape and not g.any() for n, g in by_parameter.items())


@pytest.mark.parametrize(
    ("cotangents", "options", "error", "message"),
    [
        ([], {}, DataError, "0 cotangents for 1 outputs"),
        ([np.ones((1, 2))], {}, DataError, r"cotangent of the output 'y' .*shape \(1, 2\); it must .*\(2, 2\)"),
        ([np.full((2, 2), "a")], {}, DataError, "real numbers"),
        ([np.ones((2, 2))], {"dtype": np.float16}, OptionError, "float32 or float64"),
        ([np.ones((2, 2))], {"params": {"v": np.ones((2, 2))}}, DataError, "'v', which the network does not have"),
        ([np.ones((2, 2))], {"params": {"w": np.ones(2)}}, DataError, r"the parameter 'w' .*\(2, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(cotangents: Any, options: dict[str, Any], error: Any, message: str) -> None:
    nodes = (node("Gemm", "y", "x", params={"weight": "w"}),)
    graph = Graph((TensorSpec("x", (2,)),), ("y",), nodes, {"w": encode(np.eye(2))})
    with pytest.raises(error, match=message):
        gradients(graph, np.ones((2, 2)), cotangents, **options)


def test_it_is_offered_by_the_package() -> None:
    assert refcompress.gradients is gradients


def test_equal_to_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    graph = lenet_5.build(np.random.default_rng(8))
    x = np.random.default_rng(9).standard_normal((6, 28, 28, 1))
    seed = np.random.default_rng(10).standard_normal((6, 10))
    outputs, by_input, by_parameter = gradients(graph, x, [seed], dtype=np.float64)
    own = {n: torch.tensor(decode(e).astype(np.float64), requires_grad=True) for n, e in graph.params.items()}
    image = torch.tensor(x, requires_grad=True)
    nn, y = torch.nn.functional, image.permute(0, 3, 1, 2)
    for name in ("conv1", "conv2"):
        y = nn.max_pool2d(nn.conv2d(y, own[f"{name}/weight"].permute(3, 2, 0, 1), own[f"{name}/bias"]), 2)
    y = torch.relu(y.permute(0, 2, 3, 1).reshape(6, -1) @ own["ip1/weight"] + own["ip1/bias"])
    y = torch.softmax(y @ own["ip2/weight"] + own["ip2/bias"], 1)
    y.backward(torch.tensor(seed))
    np.testing.assert_allclose(outputs[0], y.detach().numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(by_input["image"], image.grad.numpy(), rtol=1e-9, atol=1e-13)
    for name, array in own.items():
        np.testing.assert_allclose(by_parameter[name], array.grad.numpy(), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("seed", range(6))
def test_layers_equal_to_pytorch(seed: int) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(seed)
    group, stride, dilation = [(1, 1, 1), (2, 2, 1), (4, 1, 2), (1, 2, 2), (4, 2, 1), (2, 1, 2)][seed]
    conv = {"strides": (stride, stride), "pads": (1, 1, 1, 1), "dilations": (dilation, dilation), "group": group}
    pool = {"kernel_shape": (3, 2), "strides": (2, 1), "pads": (1, 0, 1, 0)}
    params = {
        "w": rng.standard_normal((3, 2, 4 // group, 8)),
        "b": rng.standard_normal(8),
        **{f"bn/{role}": rng.uniform(0.5, 2, 8) for role in ("scale", "bias", "mean", "var")},
    }
    nodes = (
        node("Conv", "conv", "x", params={"weight": "w", "bias": "b"}, **conv),
        node(
            "BatchNormalization",
            "bn",
            "conv",
            params={r: f"bn/{r}" for r in OPS["BatchNormalization"].roles},
            epsilon=1e-3,
        ),
        node("Clip", "clip", "bn", min=-1.0, max=1.5),
        node("MaxPool", "max", "clip", **pool),
        node("AveragePool", "mean", "max", **pool, count_include_pad=bool(seed % 2)),
        node("Sigmoid", "y", "mean"),
    )
    graph = Graph((TensorSpec("x", (13, 12, 4)),), ("y",), nodes, {n: encode(a) for n, a in params.items()})
    x = rng.standard_normal((2, 13, 12, 4))
    outputs, by_input, by_parameter = gradients(graph, x, lambda ys: [np.cos(ys[0])], dtype=np.float64)
    own = {n: torch.tensor(decode(e).astype(np.float64), requires_grad=True) for n, e in graph.params.items()}
    image, nn = torch.tensor(x, requires_grad=True), torch.nn.functional
    y = nn.conv2d(image.permute(0, 3, 1, 2), own["w"].permute(3, 2, 0, 1), own["b"], stride, 1, dilation, group)
    column = {role: own[f"bn/{role}"][:, None, None] for role in ("scale", "bias", "mean", "var")}
    y = (y - column["mean"]) / torch.sqrt(column["var"] + 1e-3) * column["scale"] + column["bias"]
    y = nn.max_pool2d(torch.clamp(y, -1.0, 1.5), (3, 2), (2, 1), (1, 0))
    y = torch.sigmoid(nn.avg_pool2d(y, (3, 2), (2, 1), (1, 0), count_include_pad=bool(seed % 2))).permute(0, 2, 3, 1)
    y.backward(torch.cos(y.detach()))
    np.testing.assert_allclose(outputs[0], y.detach().numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(by_input["x"], image.grad.numpy(), rtol=1e-9, atol=1e-12)
    for name, array in own.items():
        np.testing.assert_allclose(by_parameter[name], array.grad.numpy(), rtol=1e-9, atol=1e-11)

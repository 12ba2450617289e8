"""Training mode: gradients of dropout and batch normalization by central differences, moments against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from refcompress.encodings import encode
from refcompress.errors import OptionError
from refcompress.gradients import gradients
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import make_attrs
from refcompress.train.modes import running_moments, surviving_dropout, training_mode

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 5))
PARAMS = {
    "s": RNG.normal(size=5),
    "b": RNG.normal(size=5),
    "m": np.zeros(5),
    "v": np.ones(5),
}


def network(*, affine: bool = True) -> Graph:
    roles = {"scale": "s", "bias": "b", "mean": "m", "var": "v"} if affine else {"mean": "m", "var": "v"}
    nodes = (
        Node("BatchNormalization", "bn", ("x",), "n", roles, make_attrs("BatchNormalization", {"epsilon": 0.1})),
        Node("Dropout", "drop", ("n",), "y", attrs=make_attrs("Dropout", {"ratio": 0.4})),
    )
    return Graph((TensorSpec("x", (3, 5)),), ("y",), nodes, {name: encode(PARAMS[name]) for name in roles.values()})


def through(
    graph: Graph, x: NDArray[Any], params: dict[str, NDArray[Any]], cotangent: NDArray[Any]
) -> tuple[NDArray[Any], dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    mode = training_mode(graph, np.random.default_rng(1))
    given = {name: array for name, array in params.items() if name in graph.params}
    outputs, by_input, by_parameter = gradients(
        graph, x, [cotangent], dtype=np.float64, params=given, replaced=mode.operators
    )
    return outputs[0], by_input, by_parameter


@pytest.mark.parametrize("affine", [True, False])
def test_gradients_in_training_mode_are_slopes(affine: bool) -> None:
    graph, cotangent = network(affine=affine), RNG.normal(size=X.shape)
    _, by_input, by_parameter = through(graph, X, PARAMS, cotangent)
    places: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {"x": (X, by_input["x"])}
    if affine:
        places |= {name: (PARAMS[name], by_parameter[name]) for name in ("s", "b")}
    for name, (array, gradient) in places.items():
        for place in np.ndindex(array.shape):
            values = []
            for step in (1e-5, -1e-5):
                moved = array.copy()
                moved[place] += step
                x, params = (moved, PARAMS) if name == "x" else (X, {**PARAMS, name: moved})
                values.append((through(graph, x, params, cotangent)[0] * cotangent).sum())
            # truncation of 1e-10 times a third derivative, rounding of 1e-14 over the step
            assert abs((values[0] - values[1]) / 2e-5 - gradient[place]) < 1e-7
    assert not by_parameter["m"].any()


def test_dropout_keeps_the_expectation_and_draws_anew() -> None:
    node = Node("Dropout", "drop", ("x",), "y", attrs=make_attrs("Dropout", {"ratio": 0.3}))
    graph = Graph((TensorSpec("x", (1000,)),), ("y",), (node,), {})
    ones = np.ones((200, 1000), np.float32)
    drop = training_mode(graph, np.random.default_rng(2)).operators["drop"]
    first, second = (drop.forward(node.attrs, [ones], {}) for _ in range(2))
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs(first.mean() - 1) < 5 * np.sqrt(0.3 / 0.7 / ones.size)
    assert not np.array_equal(first, second)
    (back,), _ = drop.vjp(node.attrs, [ones], {}, second, ones)
    assert np.array_equal(back, second)


def test_moments_of_the_batch_reach_those_kept_for_inference() -> None:
    graph = network()
    mode = training_mode(graph, np.random.default_rng(1))
    gradients(graph, X, [np.zeros(X.shape)], dtype=np.float64, replaced=mode.operators)
    running = running_moments(graph, {"m": np.full(5, 2.0), "v": np.full(5, 3.0)}, mode.moments, 0.9)
    assert np.allclose(running["m"], 0.9 * 2 + 0.1 * X.mean((0, 1)), rtol=1e-13)
    assert np.allclose(running["v"], 0.9 * 3 + 0.1 * X.var((0, 1)), rtol=1e-13)
    assert training_mode(graph, np.random.default_rng(1), batch_moments=False).operators.keys() == {"drop"}


def test_batch_normalization_trains_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    graph, cotangent = network(), RNG.normal(size=X.shape)
    mode = training_mode(graph, np.random.default_rng(1))
    only = {"bn": mode.operators["bn"]}
    outputs, by_input, by_parameter = gradients(graph, X, [cotangent], dtype=np.float64, params=PARAMS, replaced=only)
    x = torch.tensor(X.reshape(12, 5), requires_grad=True)
    layer = torch.nn.BatchNorm1d(5, eps=float(np.float64(0.1)), momentum=0.1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(PARAMS["s"]))
        layer.bias.copy_(torch.tensor(PARAMS["b"]))
    y = layer(x)
    y.backward(torch.tensor(cotangent.reshape(12, 5)))
    assert np.allclose(outputs[0].reshape(12, 5), y.detach().numpy(), rtol=1e-12, atol=1e-13)
    assert np.allclose(by_input["x"].reshape(12, 5), x.grad.numpy(), rtol=1e-11, atol=1e-13)
    assert np.allclose(by_parameter["s"], layer.weight.grad.numpy(), rtol=1e-12)
    running = running_moments(graph, {"m": PARAMS["m"], "v": PARAMS["v"]}, mode.moments, 0.9)
    assert np.allclose(running["m"], layer.running_mean.numpy(), rtol=1e-12)
    # PyTorch keeps the unbiased variance: 12 samples a channel
    unbiased = (running["v"] - 0.9) * 12 / 11 + 0.9
    assert np.allclose(unbiased, layer.running_var.numpy(), rtol=1e-12)


def test_dropout_of_a_pruned_layer_shrinks_with_the_root_of_its_density() -> None:
    assert surviving_dropout(0.5, 0.16) == pytest.approx(0.2)
    with pytest.raises(OptionError, match="density of 2"):
        surviving_dropout(0.5, 2)

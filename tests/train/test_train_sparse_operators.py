"""Operators for few surviving weights against the dense ones, which go another way: patches and BLAS."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcompress import gradients
from refcompress.encodings import decode, encode
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import NoAttrs, find_op
from refcompress.ops.conv import Conv
from refcompress.ops.max_pool import MaxPool
from refcompress.train import Masks, TiedCentroids, constraints
from refcompress.train.sparse_operators import sparse_operators


def network(rng: np.random.Generator, conv: Conv, pool: MaxPool, *, bias: bool, density: float) -> Graph:
    kernel = rng.normal(size=(3, 2, 2, 5)) * (rng.random((3, 2, 2, 5)) < density)
    arrays = {"w": kernel, "v": rng.normal(size=(2, 2, 5, 3)) * (rng.random((2, 2, 5, 3)) < density)}
    roles = {"weight": "w"}
    if bias:
        arrays["b"], roles["bias"] = rng.normal(size=5), "b"
    nodes = (
        Node("Conv", "conv1", ("x",), "a", roles, conv),
        Node("Relu", "relu", ("a",), "r", attrs=NoAttrs()),
        Node("MaxPool", "pool", ("r",), "p", attrs=pool),
        Node("Conv", "conv2", ("p",), "c", {"weight": "v"}, Conv()),
        Node("Flatten", "flatten", ("c",), "y", attrs=NoAttrs()),
    )
    return Graph((TensorSpec("x", (11, 12, 2)),), ("y",), nodes, {k: encode(v) for k, v in arrays.items()})


pairs = st.tuples(st.integers(1, 2), st.integers(1, 2))
pads = st.tuples(*[st.integers(0, 2)] * 4)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    conv=st.builds(Conv, strides=pairs, pads=pads, dilations=pairs),
    pool=st.builds(MaxPool, kernel_shape=st.just((2, 2)), strides=pairs, pads=st.tuples(*[st.integers(0, 1)] * 4)),
    bias=st.booleans(),
    density=st.sampled_from([0.0, 0.1, 0.2]),
    samples=st.integers(1, 9),
)
def test_they_compute_what_dense_operators_do_where_weights_survive(
    seed: int, conv: Conv, pool: MaxPool, bias: bool, density: float, samples: int
) -> None:
    rng = np.random.default_rng(seed)
    graph = network(rng, conv, pool, bias=bias, density=density)
    params = {name: decode(each) for name, each in graph.params.items()}
    support = {name: params[name] != 0 for name in ("w", "v")}
    operators = sparse_operators(graph, support)
    x = rng.integers(-3, 4, size=(samples, 11, 12, 2)).astype(np.float64)  # whole numbers: windows with ties
    (dense,), _, _ = gradients(graph, x, lambda out: [np.zeros_like(out[0])], dtype=np.float64)
    cotangent = [rng.normal(size=dense.shape)]
    outputs, by_input, by_parameter = gradients(graph, x, cotangent, dtype=np.float64, replaced=operators)
    wanted, wanted_by_input, wanted_by_parameter = gradients(graph, x, cotangent, dtype=np.float64)
    close = {"rtol": 1e-10, "atol": 1e-10}
    assert np.allclose(outputs[0], wanted[0], **close)
    assert np.allclose(by_input["x"], wanted_by_input["x"], **close)
    for name, gradient in by_parameter.items():
        mask = support.get(name, np.ones(gradient.shape, np.bool_))
        few = name not in support or _chosen(operators, name)
        assert np.allclose(gradient, wanted_by_parameter[name] * mask if few else wanted_by_parameter[name], **close)


def _chosen(operators: dict[str, object], name: str) -> bool:
    return {"w": "conv1", "v": "conv2"}[name] in operators


def test_only_convolutions_of_few_weights_are_replaced_and_what_follows_them() -> None:
    rng = np.random.default_rng(0)
    graph = network(rng, Conv(), MaxPool((2, 2), (2, 2)), bias=True, density=1.0)
    few = np.zeros((3, 2, 2, 5), np.bool_)
    few[0, 0, 0, 0] = True
    assert set(sparse_operators(graph, {"w": few})) == {"conv1", "pool", "flatten"}
    half = np.arange(60).reshape(2, 2, 5, 3) % 2 == 0
    assert set(sparse_operators(graph, {"w": few, "v": half})) == {"conv1", "conv2", "pool", "flatten"}
    assert set(sparse_operators(graph, {"w": few, "v": np.ones_like(half)})) == {"conv1", "pool", "flatten"}
    assert sparse_operators(graph, {"v": half}) == {}
    assert sparse_operators(graph, {"w": np.ones_like(few)}) == {}
    assert sparse_operators(graph, {}) == {}


def test_a_flattening_of_vectors_stays_what_it_is() -> None:
    nodes = (
        Node("Conv", "conv", ("x",), "c", {"weight": "w"}, Conv()),
        Node("Flatten", "once", ("c",), "f", attrs=NoAttrs()),
        Node("Flatten", "twice", ("f",), "y", attrs=NoAttrs()),
    )
    weight = np.zeros((2, 2, 1, 3))
    weight[0, 1, 0, 2] = 2.0
    graph = Graph((TensorSpec("x", (4, 4, 1)),), ("y",), nodes, {"w": encode(weight)})
    operators = sparse_operators(graph, {"w": weight != 0})
    x, cotangent = np.arange(32.0).reshape(2, 4, 4, 1), [np.arange(54.0).reshape(2, 27)]
    ours = gradients(graph, x, cotangent, replaced=operators)
    theirs = gradients(graph, x, cotangent)
    assert np.array_equal(ours[0][0], theirs[0][0])
    assert np.array_equal(ours[1]["x"], theirs[1]["x"])
    assert operators["twice"].name == find_op("Flatten").name


def test_nan_passes_a_pool_as_in_the_dense_one() -> None:
    pool = MaxPool((2, 2), (2, 2))
    graph = network(np.random.default_rng(0), Conv(), pool, bias=True, density=0.0)
    x = np.random.default_rng(1).normal(size=(2, 4, 4, 1)).astype(np.float32)
    x[0, 1, 1, 0] = np.nan
    ours = sparse_operators(graph, {"w": np.zeros((3, 2, 2, 5), np.bool_)})["pool"].forward(pool, [x], {})
    assert np.array_equal(ours, find_op("MaxPool").forward(pool, [x], {}), equal_nan=True)


@pytest.mark.parametrize("zero_learns", [False, True])
def test_constraints_say_where_gradients_are_of_no_use(zero_learns: bool) -> None:
    masks = Masks({"m": np.array([True, False])})
    tied = TiedCentroids(("t",), zero_learns=zero_learns)
    params = {"m": np.array([1.0, 2.0]), "t": np.array([0.0, 3.0, 3.0])}
    _, states = constraints.start([masks, tied], params)
    found = constraints.support([masks, tied], states)
    assert found.pop("m").tolist() == [True, False]
    assert {name: mask.tolist() for name, mask in found.items()} == ({} if zero_learns else {"t": [False, True, True]})

"""Running networks: batches, activations kept and freed, inputs that do not fit, and what is imported."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest
from checks.ops import assert_same_bits
from checks.weights import sparse_encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress import ops
from refcompress.encodings import Encoding, encode
from refcompress.errors import DataError, ModelError, OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops.base import NoAttrs, deterministic_gamma
from refcompress.ops.batch_normalization import BatchNormalization
from refcompress.ops.conv import Conv
from refcompress.run import run, run_all, run_exact, run_exact_all


def network(*, sparse: bool = False, seed: int = 0) -> Graph:
    """Two branches over an image, joined, classified; a second input is added before the softmax."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> Encoding:
        array = rng.standard_normal(shape).astype(np.float32)
        return sparse_encoding(array * (rng.random(shape) < 0.4)) if sparse else encode(array)

    none = NoAttrs()
    nodes = (
        Node("Conv", "conv", ("image",), "a", {"weight": "w1", "bias": "b1"}, Conv((2, 2), (0, 0, 1, 1))),
        Node("BatchNormalization", "bn", ("a",), "b", {"mean": "m", "var": "v"}, BatchNormalization()),
        Node("Relu", "relu", ("b",), "c", {}, none),
        Node("Conv", "side", ("c",), "d", {"weight": "w2"}, Conv(pads=(1, 1, 1, 1), group=2)),
        Node("Add", "add", ("c", "d"), "e", {}, none),
        Node("Flatten", "flat", ("e",), "f", {}, none),
        Node("Gemm", "dense", ("f",), "g", {"weight": "w3"}, none),
        Node("Add", "shift", ("g", "prior"), "h", {}, none),
        Node("Softmax", "softmax", ("h",), "y", {}, none),
    )
    params = {
        "w1": weight(3, 3, 3, 4),
        "b1": encode(rng.standard_normal(4)),
        "m": encode(rng.standard_normal(4)),
        "v": encode(rng.random(4)),
        "w2": weight(3, 3, 2, 4),
        "w3": weight(64, 5),
    }
    return Graph((TensorSpec("image", (8, 8, 3)), TensorSpec("prior", (5,))), ("y", "g"), nodes, params)


def images(samples: int, seed: int = 1) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {"image": rng.standard_normal((samples, 8, 8, 3)), "prior": rng.standard_normal((samples, 5))}


@given(st.integers(0, 7), st.integers(1, 8), st.booleans())
@settings(max_examples=20)
def test_batches_change_nothing_but_roundings(samples: int, batch_size: int, sparse: bool) -> None:
    graph, inputs = network(sparse=sparse), images(samples)
    whole = run(graph, inputs, dtype=np.float64)
    parts = run(graph, inputs, dtype=np.float64, batch_size=batch_size)
    for one, other, size in zip(whole, parts, (5, 5), strict=True):
        assert one.shape == other.shape == (samples, size)
        assert one.dtype == other.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    for one, other in zip(run_exact(graph, inputs), run_exact(graph, inputs, batch_size=batch_size), strict=True):
        assert_same_bits(one, other)


@pytest.mark.parametrize("sparse", [False, True])
def test_activations_equal_the_operators_called_by_hand(sparse: bool) -> None:
    graph, inputs = network(sparse=sparse), images(5)
    activations = run_all(graph, inputs, dtype=np.float64)
    assert list(activations) == ["image", "prior", *(node.output for node in graph.nodes)]
    assert {name: value.shape[1:] for name, value in activations.items()} == ops.infer_shapes(graph)
    for node in graph.nodes:
        params = {role: graph.params[name] for role, name in node.params.items()}
        again = ops.OPS[node.op].forward(node.attrs, [activations[name] for name in node.inputs], params)
        np.testing.assert_allclose(activations[node.output], again, rtol=0, atol=1e-12)


def test_outputs_come_in_the_order_of_the_network() -> None:
    graph, inputs = network(), images(3)
    for outputs, activations in (
        (run(graph, inputs), run_all(graph, inputs)),
        (run_exact(graph, inputs), run_exact_all(graph, inputs)),
    ):
        for name, value in zip(graph.outputs, outputs, strict=True):
            assert_same_bits(value, activations[name])


@pytest.mark.parametrize("sparse", [False, True])
def test_float32_activations_are_within_their_bounds(sparse: bool) -> None:
    graph = network(sparse=sparse)
    inputs = {name: array.astype(np.float32) for name, array in images(5).items()}
    reference = run_all(graph, inputs, dtype=np.float64)
    bounds = {name: np.zeros(array.shape) for name, array in inputs.items()}
    twin, plain = run_exact_all(graph, inputs), run_all(graph, inputs)
    for node in graph.nodes:
        params = {role: graph.params[name] for role, name in node.params.items()}
        arrays = [[where[name] for name in node.inputs] for where in (reference, bounds)]
        bound = ops.OPS[node.op].error_bound(node.attrs, *arrays, params, reference[node.output], deterministic_gamma)
        bounds[node.output] = bound
        for activations in (twin, plain):
            assert activations[node.output].dtype == np.float32
            assert (np.abs(activations[node.output] - reference[node.output]) <= bound).all(), node.name
    assert bounds["y"].max() < 1e-3


def test_inputs_may_come_as_mapping_or_in_order() -> None:
    graph, inputs = network(), images(2)
    named = run(graph, inputs)
    assert_same_bits(run(graph, [inputs["image"], inputs["prior"]])[0], named[0])
    assert_same_bits(run(graph, (inputs["image"], inputs["prior"]))[0], named[0])


def relu(shape: tuple[int, ...] = (2,)) -> Graph:
    node = Node("Relu", "act", ("x",), "y", {}, NoAttrs())
    return Graph((TensorSpec("x", shape),), ("y",), (node,), {})


@pytest.mark.parametrize(
    "inputs",
    [
        np.array([[1, -2], [3, 4]]),
        [[1, -2], [3, 4]],
        [np.array([1.0, -2.0]), np.array([3.0, 4.0])],
        [np.array([[1, -2], [3, 4]], np.int8)],
        {"x": ((1, -2), (3, 4))},
    ],
)
def test_the_only_input_may_be_an_array_its_samples_or_wrapped(inputs: Any) -> None:
    (output,) = run(relu(), inputs)
    assert_same_bits(output, np.array([[1, 0], [3, 4]], np.float32))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros(2), r"has the shape \(2,\); it must be \(samples, 2\)"),
        (np.zeros((3, 3)), r"must be \(samples, 2\)"),
        (np.zeros((3, 2), complex), "real numbers"),
        (np.array([["a", "b"]]), "real numbers"),
        ([[1.0, 2.0], [3.0]], "rows differ in length"),
        ({"z": np.zeros((3, 2))}, r"inputs named \['z'\]; the network's are \['x'\]"),
        ({}, "the network's are"),
        (None, "real numbers"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(relu(), inputs)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (images(3)["image"], "1 input arrays; the network takes 2"),
        ([images(3)["image"]] * 3, "3 input arrays; the network takes 2"),
        ({**images(3), "prior": np.zeros((2, 5))}, "differ in their number of samples"),
    ],
)
def test_several_inputs_that_do_not_fit_are_refused(inputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(network(), inputs)


@pytest.mark.parametrize("options", [{"dtype": np.float16}, {"dtype": int}, {"dtype": "nonsense"}, {"batch_size": 0}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        run(relu(), np.zeros((1, 2)), **options)


def test_a_network_that_does_not_fit_is_refused_before_it_runs() -> None:
    graph = network()
    with pytest.raises(ModelError, match="node 'dense'"):
        run(graph.with_params({"w3": encode(np.zeros((3, 5)))}), images(0))


def test_an_input_may_be_an_output() -> None:
    graph = Graph((TensorSpec("x", (2,)),), ("x", "x"), (), {})
    first, second = run(graph, np.ones((3, 2)))
    assert_same_bits(first, np.ones((3, 2), np.float32))
    assert_same_bits(second, first)


def test_inputs_are_left_alone_and_results_are_copies() -> None:
    x = np.array([[1.0, 2.0]], np.float32)
    x.flags.writeable = False
    activations = run_all(relu(), x)
    assert not np.shares_memory(activations["x"], x)


def test_an_activation_is_freed_after_its_last_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[NDArray[Any]]] = []
    peak = 0

    def forward(_attrs: Any, inputs: Any, _params: Any) -> NDArray[Any]:
        nonlocal peak
        out = inputs[0] + 1
        alive.append(weakref.ref(out))
        peak = max(peak, sum(ref() is not None for ref in alive))
        return out

    row = ops.OPS["Relu"]
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
    # the package offers a function of the same name
    module = sys.modules["refcompress.run"]
    monkeypatch.setattr(module, "find_op", lambda _name: type(row)(**{**fields, "forward": forward}))
    names = [f"t{i}" for i in range(10)]
    nodes = tuple(Node("Relu", f"n{i}", (names[i],), names[i + 1], {}, NoAttrs()) for i in range(9))
    (output,) = run(Graph((TensorSpec("t0", (1,)),), ("t9",), nodes, {}), np.zeros((1, 1)))
    assert output.item() == 9
    assert peak <= 3


def test_each_weight_is_decoded_once_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from refcompress.ops import weights

    calls = []
    original = weights.decode_values

    def counted(values: Any, rows: Any) -> Any:
        calls.append(id(values))
        return original(values, rows)

    monkeypatch.setattr(weights, "decode_values", counted)
    run(network(), images(9), batch_size=2)
    assert len(calls) == len(set(calls)) == 3


def test_dense_networks_run_without_numba() -> None:
    code = (
        "import sys, numpy as np\n"
        "from refcompress import encodings, ops\n"
        "from refcompress.graph import Graph, Node, TensorSpec\n"
        "from refcompress.run import run\n"
        "node = Node('Gemm', 'g', ('x',), 'y', {'weight': 'w'}, ops.NoAttrs())\n"
        "graph = Graph((TensorSpec('x', (2,)),), ('y',), (node,), {'w': encodings.encode(np.eye(2))})\n"
        "run(graph, np.ones((1, 2)))\n"
        "assert not {'numba', 'scipy', 'h5py'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_replaced_operators_run_in_place_of_those_of_their_nodes() -> None:
    graph, inputs = network(), images(3)
    twice = ops.find_op("Relu")
    replaced = {"relu": dataclasses.replace(twice, forward=lambda *a: 2 * twice.forward(*a))}
    before, after = run(graph, inputs), run(graph, inputs, replaced=replaced)
    relu = run_all(graph, inputs)["c"]
    cut = Graph((TensorSpec("c", relu.shape[1:]), *graph.inputs[1:]), graph.outputs, graph.nodes[3:], graph.params)
    expected = run(cut, {"c": 2 * relu, "prior": inputs["prior"]})
    assert [each.tobytes() for each in after] == [each.tobytes() for each in expected]
    assert not np.array_equal(before[1], after[1])

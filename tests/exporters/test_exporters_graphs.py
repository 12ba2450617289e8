"""Whole networks: residual, concatenated, with several inputs and outputs, and random ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.forms import samples
from checks.native import check_image
from hypothesis import given
from hypothesis import strategies as st

import exporters.blob
import exporters.c
from refcompress import Graph, Node, TensorSpec, encodings, ops
from refcompress.errors import ModelError


class Builder:
    """Adds nodes one after the other and names what they make."""

    def __init__(self, seed: int, **inputs: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs = tuple(TensorSpec(name, shape) for name, shape in inputs.items())
        self.nodes: list[Node] = []
        self.params: dict[str, encodings.Encoding] = {}

    def __call__(self, op: str, *inputs: str, weight: tuple[int, ...] = (), bias: bool = True, **attrs: object) -> str:
        """Add a node with random parameters; return the name of what it makes."""
        name = f"n{len(self.nodes)}"
        roles = {}
        if weight:
            self.params[f"{name} w"] = encodings.encode(self.rng.normal(size=weight) * 0.3)
            roles["weight"] = f"{name} w"
            if bias:
                self.params[f"{name} b"] = encodings.encode(self.rng.normal(size=weight[-1]))
                roles["bias"] = f"{name} b"
        if op == "BatchNormalization":
            channels = attrs.pop("channels")
            for role in ("scale", "bias", "mean", "var"):
                self.params[f"{name} {role}"] = encodings.encode(self.rng.uniform(0.1, 1, channels))
                roles[role] = f"{name} {role}"
            attrs = {"epsilon": 1e-3}
        if op == "Conv":
            attrs = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1], "group": 1, **attrs}
        self.nodes.append(Node(op, name, inputs, name, roles, ops.make_attrs(op, attrs)))
        return name

    def graph(self, *outputs: str) -> Graph:
        """Return the network with these outputs."""
        return Graph(self.inputs, outputs, tuple(self.nodes), self.params)


def residual() -> Graph:
    b = Builder(1, x=(8, 8, 4))
    first = b("Relu", b("Conv", "x", weight=(3, 3, 4, 4)))
    left = b("Conv", first, weight=(3, 3, 4, 4))
    left = b("BatchNormalization", left, channels=4)
    joined = b("Relu", b("Add", first, left))
    right = b("Conv", joined, weight=(1, 1, 4, 6), strides=[2, 2], pads=[0, 0, 0, 0])
    other = b("Conv", joined, weight=(3, 3, 4, 6), strides=[2, 2], pads=[0, 0, 1, 1])
    joined = b("Clip", b("Add", right, other), min=0.0, max=6.0)
    pooled = b("GlobalAveragePool", joined, keepdims=False)
    return b.graph(b("Softmax", b("Gemm", pooled, weight=(6, 3))))


def squeeze() -> Graph:
    b = Builder(2, x=(9, 7, 3))
    padded = b("Pad", "x", pads=[1, 0, 2, 3])
    small = b("Relu", b("Conv", padded, weight=(1, 1, 3, 2), pads=[0, 0, 0, 0]))
    one = b("Conv", small, weight=(1, 1, 2, 4), pads=[0, 0, 0, 0])
    three = b("Tanh", b("Conv", small, weight=(3, 3, 2, 5)))
    joined = b("Concat", one, three, small, axis=3)
    rows = b("Concat", joined, joined, axis=1)
    pooled = b("MaxPool", rows, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 0, 1])
    mean = b("AveragePool", pooled, kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 1, 1], count_include_pad=True)
    mean = b("AveragePool", mean, kernel_shape=[2, 3], strides=[1, 1], pads=[0, 1, 1, 1], count_include_pad=False)
    return b.graph(b("GlobalMaxPool", mean, keepdims=True), b("Sigmoid", b("Flatten", mean)))


def shared_outputs() -> Graph:
    b = Builder(3, x=(6,), z=(6,))
    hidden = b("Relu", b("Gemm", "x", weight=(6, 6)))
    total = b("Add", hidden, "z", "x", hidden)
    kept = b("Reshape", total, shape=[2, 3])
    again = b("Tanh", kept)
    return b.graph(again, kept, total, hidden, "z", "x")


def only_identities() -> Graph:
    b = Builder(4, x=(2, 3, 1))
    return b.graph(b("Dropout", b("Flatten", "x"), ratio=0.5))


def sequence() -> Graph:
    b = Builder(5, x=(5, 4))
    hidden = b("Relu", b("Gemm", "x", weight=(4, 7)))
    return b.graph(b("Softmax", b("Gemm", hidden, weight=(7, 3), bias=False)))


def double_use() -> Graph:
    """One parameter in two layers, one activation added to itself, elementwise steps on a network input."""
    b = Builder(6, x=(4,))
    first = b("Gemm", "x", weight=(4, 4))
    node = b.nodes[-1]
    b.nodes.append(Node("Gemm", "again", (b("Relu", "x"),), "again", node.params, ops.NoAttrs()))
    twice = b("Add", first, first)
    return b.graph(b("Add", twice, "again"), b("Sigmoid", "x"))


GRAPHS: tuple[Callable[[], Graph], ...] = (residual, squeeze, shared_outputs, only_identities, sequence, double_use)


@pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)
def test_c_equals_the_reference(make: Callable[[], Graph]) -> None:
    graph = make()
    check_export(graph, samples(np.random.default_rng(0), graph, 3), on=(targets.GCC, targets.SANITIZED))


@pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)
def test_image_equals_the_reference(make: Callable[[], Graph]) -> None:
    graph = make()
    check_image(graph, samples(np.random.default_rng(0), graph, 3))


@pytest.mark.parametrize("exporter", ["c", "blob"])
@pytest.mark.parametrize("make", [residual, squeeze], ids=lambda make: make.__name__)
def test_cortex_m4_equals_the_reference(make: Callable[[], Graph], exporter: str) -> None:
    graph = make()
    inputs = samples(np.random.default_rng(1), graph, 1)
    check_export(graph, inputs, on=(targets.M4,), exporter=exporter)


def _grow(b: Builder, draw: st.DrawFn) -> str:
    """Add one random operator to what there is."""
    shapes = ops.infer_shapes(Graph(b.inputs, (), tuple(b.nodes), b.params))
    name = draw(st.sampled_from(list(shapes)[-4:]))
    shape = shapes[name]
    plane = len(shape) == 3
    kinds = ["Relu", "Clip", "Tanh", "Softmax", "BatchNormalization", "Add", "Concat", "Gemm", "Flatten"]
    kinds += ["Conv", "Depthwise", "MaxPool", "AveragePool", "GlobalAveragePool", "Pad"] if plane else []
    kind = draw(st.sampled_from(kinds))
    same = [other for other, theirs in shapes.items() if theirs == shape]
    if kind == "Add":
        return b("Add", name, *draw(st.lists(st.sampled_from(same), min_size=1, max_size=2)))
    if kind == "Concat":
        return b("Concat", name, draw(st.sampled_from(same)), axis=draw(st.integers(1, len(shape))))
    if kind == "Gemm":
        return b("Gemm", name, weight=(shape[-1], draw(st.integers(1, 6))), bias=draw(st.booleans()))
    if kind == "BatchNormalization":
        return b(kind, name, channels=shape[-1])
    if kind == "Clip":
        return b("Clip", name, min=-0.5, max=0.75)
    if kind in ("Conv", "Depthwise"):
        return _convolve(b, draw, name, shape, depthwise=kind == "Depthwise")
    if kind in ("MaxPool", "AveragePool"):
        return _pool(b, draw, name, shape, kind)
    if kind == "GlobalAveragePool":
        return b(kind, name, keepdims=draw(st.booleans()))
    if kind == "Pad":
        return b("Pad", name, pads=draw(st.lists(st.integers(0, 2), min_size=4, max_size=4)))
    return b(kind, name)


def _convolve(b: Builder, draw: st.DrawFn, name: str, shape: tuple[int, ...], *, depthwise: bool) -> str:
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilations = [draw(st.integers(1, 2)), draw(st.integers(1, 2))]
    pads = draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    for i in (0, 1):  # at least one window
        pads[i + 2] += max(0, (kernel[i] - 1) * dilations[i] + 1 - shape[i] - pads[i] - pads[i + 2])
    strides = [draw(st.integers(1, 3)), draw(st.integers(1, 3))]
    group = shape[2] if depthwise else 1
    weight = (*kernel, shape[2] // group, group * draw(st.integers(1, 2)) if depthwise else draw(st.integers(1, 6)))
    bias = draw(st.booleans())
    return b("Conv", name, weight=weight, bias=bias, strides=strides, pads=pads, dilations=dilations, group=group)


def _pool(b: Builder, draw: st.DrawFn, name: str, shape: tuple[int, ...], kind: str) -> str:
    kernel = [draw(st.integers(1, shape[0])), draw(st.integers(1, shape[1]))]
    pads = [draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4)]
    strides = [draw(st.integers(1, 3)), draw(st.integers(1, 3))]
    more = {"count_include_pad": draw(st.booleans())} if kind == "AveragePool" else {}
    return b(kind, name, kernel_shape=kernel, strides=strides, pads=pads, **more)


@given(st.data())
def test_random_networks_equal_the_reference(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4)))
    b = Builder(data.draw(st.integers(0, 99)), x=shape)
    for _ in range(data.draw(st.integers(1, 8))):
        _grow(b, data.draw)
    names = [node.output for node in b.nodes]
    outputs = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
    smaller = {name: encodings.smallest(value) for name, value in b.params.items()}
    graph = Graph(b.inputs, tuple(outputs), tuple(b.nodes), smaller)
    check_image(graph, samples(b.rng, graph, 1))


def test_an_operator_without_a_kernel_is_named() -> None:
    graph = Graph((TensorSpec("x", (3,)),), ("y",), (Node("Unheard", "odd", ("x",), "y"),), {})
    with pytest.raises(ModelError, match=r"'odd'.*no kernel for Unheard; it has Abs"):
        exporters.c.export(graph, prefix="net")


def test_what_flash_images_have_no_kernel_for_is_named() -> None:
    b = Builder(0, x=(2, 3))
    with pytest.raises(ModelError, match=r"node 'n1': Softplus is exported as C only"):
        exporters.blob.export(b.graph(b("Softplus", b("Relu", "x"))), prefix="net")
    b = Builder(0, x=(2, 3), z=(3,))
    with pytest.raises(ModelError, match=r"node 'n0': Add is exported as C only"):  # one that broadcasts
        exporters.blob.export(b.graph(b("Add", "x", "z")), prefix="net")


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_weights_that_are_not_finite_are_refused_by_name(value: float) -> None:
    b = Builder(0, x=(2,))
    name = b("Gemm", "x", weight=(2, 2))
    b.params["n0 w"] = encodings.encode([[1.0, value], [0.0, 1.0]])
    with pytest.raises(ModelError, match=r"node 'n0': 'n0 weight' holds infinities or NaNs"):
        exporters.c.export(b.graph(name), prefix="net")


def test_extreme_weights_survive_the_way_through_c() -> None:
    b = Builder(0, x=(1,))
    values = np.array([[1e-45, -1e-45, 3.4028235e38, -3.4028235e38, 1.17549435e-38, 0.1, -0.0, 1 / 3, 16777216.0]])
    b.params["w"] = encodings.encode(values)
    b.params["b"] = encodings.encode(np.full(9, -0.0))
    b.nodes.append(Node("Gemm", "g", ("x",), "g", {"weight": "w", "bias": "b"}, ops.NoAttrs()))
    x = np.array([[1.0], [-1.0], [0.5], [3.0], [1e-45]], np.float32)
    check_export(b.graph("g"), x, on=(targets.GCC, targets.CLANG, targets.M4))


def test_the_same_network_gives_the_same_bytes() -> None:
    assert exporters.c.export(residual(), prefix="net") == exporters.c.export(residual(), prefix="net")
    assert exporters.blob.export(residual(), prefix="net") == exporters.blob.export(residual(), prefix="net")


def test_names_of_any_kind_compile() -> None:
    b = Builder(0, x=(3,))
    name = b("Gemm", "x", weight=(3, 3))
    odd = [
        "run",
        "int",
        "3x3 */ conv",
        "größe/層",
        "größe/層 ",
        "a??/\\",
        "NET_H",
        "input",
        "class",
        "\u202eevil",
        "x" * 300,
    ]
    for text in odd:
        weight = f"{text}.w"
        b.params[weight] = b.params["n0 w"]
        b.nodes.append(Node("Gemm", text, (name,), text, {"weight": weight}, ops.NoAttrs()))
        name = text
    check_export(b.graph(name), np.ones((1, 3)), on=(targets.GCC, targets.CLANG))

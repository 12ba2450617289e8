"""Networks whose first layers run row by row: bit for bit the reference, in less memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.forms import integer_forms, make_weight
from checks.integer_builder import IntegerBuilder
from checks.networks import node
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import exporters.c
from exporters import memory_plan, strips
from exporters.integer import lower_integer
from exporters.lower import lower
from exporters.program import Program, Step
from exporters.strips import with_strips
from refcompress import Graph, TensorSpec, encodings
from refcompress.formats import tflite
from refcompress.integer import IntegerNetwork

Made = tuple[IntegerNetwork | Graph, list[NDArray[np.generic]]]
RELU = ("Relu", {})
SAME = [1, 1, 1, 1]
EVERY = [targets.GCC, targets.CLANG, targets.SANITIZED, targets.M0, targets.M3, targets.M4, targets.RV32, targets.S390X]


def _layers(network: IntegerNetwork | Graph) -> list[str]:
    """Kernels that run row by row."""
    program = with_strips(lower_integer(network) if isinstance(network, IntegerNetwork) else lower(network))
    return [each.kernel for step in program.steps for layer in step.layers for each in (layer.step, *layer.after)]


def _arena_bytes(program: Program) -> int:
    return memory_plan.plan(program).arena_bytes


def separable() -> Made:
    """Depthwise and pointwise layers, strides, odd widths, clamps, and pools."""
    b = IntegerBuilder(31, x=(41, 11, 3))
    name = b("Conv", "x", weight=(3, 3, 3, 6), strides=[1, 1], pads=[0, 1, 1, 1], function=RELU)
    name = b("Conv", name, weight=(3, 3, 1, 6), pads=SAME, group=6)
    name = b("Conv", name, weight=(1, 1, 6, 9), function=RELU)
    name = b("Conv", name, weight=(2, 3, 1, 9), pads=[1, 2, 1, 2], group=9, dilations=[2, 2])
    name = b("MaxPool", name, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1])
    name = b("AveragePool", name, kernel_shape=[2, 2], strides=[1, 1], pads=[1, 0, 1, 0], count_include_pad=False)
    name = b("Sigmoid", b("Conv", name, weight=(3, 3, 9, 5), strides=[3, 2], pads=[1, 1, 1, 1]))
    network = b.network(b("Gemm", b("Flatten", name), weight=(175, 4)))
    return network, b.samples()


def residual() -> Made:
    """Add what comes from far to what was just made, and the input."""
    b = IntegerBuilder(32, x=(12, 12, 8))
    first = b("Conv", "x", weight=(3, 3, 8, 8), pads=SAME, function=RELU)
    left = b("Conv", b("Conv", first, weight=(3, 3, 8, 8), pads=SAME), weight=(5, 5, 8, 8), pads=[2, 2, 2, 2])
    joined = b("Add", b("Add", left, first, function=RELU), "x")
    down = b("Conv", joined, weight=(3, 3, 8, 6), strides=[2, 2], pads=[0, 0, 1, 1], function=RELU)
    name = b("Add", down, b("Conv", joined, weight=(1, 1, 8, 6), strides=[2, 2]))
    mean = b("AveragePool", name, kernel_shape=[6, 6], strides=[6, 6], pads=[0] * 4, count_include_pad=False)
    network = b.network(mean)
    return network, b.samples()


def inner() -> Made:
    """Layers behind others, whose input lies in the arena and was another shape before."""
    b = IntegerBuilder(36, x=(40,))
    sparse = next(form for form in integer_forms() if form.sparse)
    name = b("Reshape", b("Gemm", "x", weight=(40, 300)), shape=[15, 10, 2])
    name = b("Conv", name, weight=make_weight(b.rng, (3, 3, 2, 4), sparse), pads=SAME)
    for channels in (4, 16, 16):
        name = b("Conv", name, weight=(3, 3, channels, 16), pads=SAME, function=RELU)
    name = b("MaxPool", b("Conv", name, weight=(1, 1, 16, 9)), kernel_shape=[3, 3], strides=[3, 3], pads=[0, 0, 0, 0])
    return b.network(b("Gemm", b("Flatten", name), weight=(135, 3))), b.samples()


def fires() -> Made:
    """Branches that are put beside each other."""
    b = IntegerBuilder(37, x=(20, 12, 6))
    name = b("Conv", "x", weight=(3, 3, 6, 16), pads=SAME, function=RELU)
    for _ in range(2):
        thin = b("Conv", name, weight=(1, 1, 16, 4), function=RELU)
        left = b("Conv", thin, weight=(1, 1, 4, 6), result=b.quantizations[name])
        right = b("Conv", thin, weight=(3, 3, 4, 10), pads=SAME, result=b.quantizations[name])
        name = b("Concat", left, right, axis=3)
    name = b("MaxPool", name, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 0, 0])
    return b.network(b("GlobalAveragePool", name, keepdims=False)), b.samples()


def _float(shape: tuple[int, ...], nodes: list, weights: dict[str, tuple[int, ...]], seed: int) -> Made:
    rng = np.random.default_rng(seed)
    params = {name: encodings.encode(rng.normal(size=size).astype(np.float32)) for name, size in weights.items()}
    graph = Graph((TensorSpec("x", shape),), (nodes[-1].output,), tuple(nodes), params)
    return graph, [rng.normal(size=(3, *shape)).astype(np.float32)]


def floats() -> Made:
    """Plain float32 convolutions, pools and elementwise steps."""
    conv = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}
    pool = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 0, 0)}
    nodes = [
        node("Conv", "a", "x", params={"weight": "wa", "bias": "ba"}, **conv),
        node("Relu", "b", "a"),
        node("MaxPool", "c", "b", **{**pool, "strides": (1, 1)}),
        node("Conv", "d", "c", params={"weight": "wd"}, **{**conv, "pads": (0, 0, 0, 0)}),
        node("Clip", "e", "d", min=-2.0, max=1.5),
        node("Add", "f", "e", "c", "e"),
        node("Concat", "z", "f", "c", axis=3),
        node("Conv", "g", "z", params={"weight": "wg"}, **{**conv, "dilations": (2, 1), "pads": (2, 1, 2, 1)}),
        node("AveragePool", "h", "g", **pool, count_include_pad=True),
        node("Tanh", "i", "h"),
    ]
    weights = {"wa": (3, 3, 4, 8), "ba": (8,), "wd": (1, 1, 8, 8), "wg": (3, 3, 16, 4)}
    return _float((18, 14, 4), nodes, weights, 33)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever saves a byte runs row by row."""
    monkeypatch.setattr(strips, "MIN_SAVED_BYTES", 1)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.name)
@pytest.mark.parametrize("make", [separable, residual, inner, fires, floats], ids=lambda make: make.__name__)
def test_rows_equal_the_reference_on_every_target(make: Callable[[], Made], target: targets.Target) -> None:
    network, samples = make()
    assert len(_layers(network)) >= 4
    check_export(network, samples, on=(target,))


@pytest.mark.usefixtures("eager")
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=12)
def test_random_chains_equal_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    b = IntegerBuilder(seed, x=(*(int(n) for n in rng.integers(10, 17, 2)), int(rng.integers(1, 5))))
    name = b("Conv", "x", weight=(3, 3, b.inputs[0].shape[2], 8), pads=[1, 1, 1, 1])
    for _ in range(int(rng.integers(1, 6))):
        kernel, pads = rng.integers(1, 4, 2).tolist(), rng.integers(0, 2, 4).tolist()
        strides = rng.choice([1, 1, 2], 2).tolist()
        kind = rng.integers(5)
        if kind == 0:
            name = b("Conv", name, weight=(*kernel, 1, 8), group=8, pads=pads, strides=strides, function=RELU)
        elif kind == 1:
            name = b("Conv", name, weight=(*kernel, 8, 8), pads=pads, strides=strides)
        elif kind == 2:
            name = b("Conv", name, weight=(1, 1, 8, 8))
        elif kind == 3:
            name = b("MaxPool", name, kernel_shape=[2, 2], strides=strides, pads=pads)
        else:
            name = b("Add", name, b("Conv", name, weight=(3, 3, 8, 8), pads=[1, 1, 1, 1]))
    network = b.network(b("GlobalMaxPool", name, keepdims=False))
    check_export(network, b.samples(2), on=(targets.GCC,))


def _program(*steps: Step, height: int = 32) -> Program:
    names = ["x", *(step.output for step in steps)]
    shapes = dict.fromkeys(names, (height, 16, 4))
    elements = dict.fromkeys(names, height * 16 * 4)
    return Program(("x",), (names[-1],), (names[-1],), elements, steps, shapes)


def _pool(source: str, output: str) -> Step:
    sizes = {"in_h": 32, "in_w": 16, "channels": 4, "out_h": 32, "out_w": 16, "kernel_h": 3, "kernel_w": 3}
    sizes |= {"stride_h": 1, "stride_w": 1, "pad_top": 1, "pad_left": 1, "count_padding": 0}
    return Step("max_pool", output, (source,), output, sizes)


def test_planes_between_keep_the_rows_still_needed() -> None:
    program = _program(_pool("x", "a"), _pool("a", "b"), _pool("b", "y"))
    row, states = 16 * 4 * 4, 3 * 8
    assert _arena_bytes(program) == 2 * 32 * row
    assert _arena_bytes(with_strips(program)) == 2 * 3 * row + states


def test_elementwise_steps_change_the_rows_where_they_are() -> None:
    relu, sigmoid = Step("relu", "b", ("a",), "b", {"n": 2048}), Step("sigmoid", "c", ("b",), "c", {"n": 2048})
    (step,) = with_strips(_program(_pool("x", "a"), relu, sigmoid, _pool("c", "y"))).steps
    assert [(layer.step.kernel, [each.kernel for each in layer.after]) for layer in step.layers] == [
        ("max_pool", ["relu", "sigmoid"]),
        ("max_pool", []),
    ]
    both = _program(_pool("x", "a"), relu, Step("add", "c", ("a", "b"), "c", {"n": 2048}), _pool("c", "y"))
    assert [len(layer.after) for layer in with_strips(both).steps[0].layers] == [0, 0, 0, 0]


def test_what_is_read_elsewhere_is_stored() -> None:
    steps = (_pool("x", "a"), _pool("a", "b"), Step("add", "y", ("b", "a"), "y", {"n": 2048}))
    assert len(with_strips(_program(*steps)).steps) == 1
    both = _program(*steps[:2], Step("concat", "y", ("b", "a"), "y", {"blocks": 1, "pitch": 4096}, parts=(2048, 2048)))
    assert with_strips(both).steps == both.steps  # rows of one below those of the other


def test_little_is_not_worth_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (_pool("x", "a"), _pool("a", "y"))
    large = _program(*steps)
    assert len(with_strips(large).steps) == 1
    saved = _arena_bytes(large) - _arena_bytes(with_strips(large))
    assert saved >= strips.MIN_SAVED_BYTES
    least = strips.MIN_SAVED_BYTES
    monkeypatch.setattr(strips, "MIN_SAVED_BYTES", saved)
    assert len(with_strips(large).steps) == 1
    monkeypatch.setattr(strips, "MIN_SAVED_BYTES", saved + 1)
    assert with_strips(large) is large
    assert least == 1024


def test_weights_that_are_decoded_are_decoded_once() -> None:
    b = IntegerBuilder(34, x=(24, 24, 8))
    sparse = next(form for form in integer_forms() if form.sparse)
    name = b("Conv", "x", weight=make_weight(b.rng, (3, 3, 8, 8), sparse), pads=SAME)
    network = b.network(b("Conv", name, weight=make_weight(b.rng, (3, 3, 8, 8), sparse), pads=SAME))
    assert not _layers(network)


def test_layers_of_one_kernel_share_their_code() -> None:
    b = IntegerBuilder(35, x=(24, 24, 8))
    name = "x"
    for _ in range(4):
        name = b("Conv", name, weight=(3, 3, 8, 8), pads=SAME, result=b.quantizations["x"])
    source = exporters.c.export(b.network(name), prefix="net")["net.c"].decode()
    assert source.count("rc_q_conv_pixels(") == 1
    assert "case 0u: case 1u: case 2u: case 3u: {" in source


@pytest.mark.parametrize(("name", "most"), [("vww96", 14_400), ("resnet8", 18_112), ("str_ww", 3_840)])
def test_the_arenas_of_mlperf_tiny(shared_data: Path, name: str, most: int) -> None:
    pytest.importorskip("tflite", reason="needs the extra tflite")
    path = shared_data / "tflite" / f"{name}_int8.tflite"
    if not path.is_file():
        pytest.skip("needs the int8 networks of the shared data")
    assert _arena_bytes(with_strips(lower_integer(tflite.load(path)))) <= most

"""Float convolutions that pool their sums: bit for bit what convolution, Relu and MaxPool compute in turn."""

from __future__ import annotations

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.forms import Form, all_forms, make_weight, samples
from hypothesis import given, settings
from hypothesis import strategies as st

import exporters.c
from exporters import memory_plan
from exporters.lower import lower
from exporters.pooled import with_pools
from refcompress import Graph, Node, TensorSpec, encodings, ops

FORMS = list(all_forms())
CONV = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1], "group": 1}
POOL = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]}
LARGE = [targets.GCC, targets.CLANG, targets.SANITIZED, targets.M4]


class _Builder:
    def __init__(self, seed: int, shape: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs = (TensorSpec("x", shape),)
        self.nodes: list[Node] = []
        self.params: dict[str, encodings.Encoding] = {}

    def __call__(self, op: str, source: str, **attrs: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(Node(op, name, (source,), name, attrs=ops.make_attrs(op, attrs)))
        return name

    def conv(self, source: str, shape: tuple[int, ...], form: Form, *, bias: bool = True, **attrs: object) -> str:
        name = f"n{len(self.nodes)}"
        roles = {"weight": f"{name} w"}
        self.params[f"{name} w"] = make_weight(self.rng, shape, form)
        if bias:
            roles["bias"] = f"{name} b"
            self.params[f"{name} b"] = encodings.encode(self.rng.normal(size=shape[-1]))
        self.nodes.append(Node("Conv", name, (source,), name, roles, ops.make_attrs("Conv", {**CONV, **attrs})))
        return name

    def graph(self, *outputs: str) -> Graph:
        return Graph(self.inputs, outputs, tuple(self.nodes), self.params)


def _kernels(graph: Graph) -> list[str]:
    return [step.kernel for step in with_pools(lower(graph)).steps]


def _every_form() -> Graph:
    b = _Builder(1, (7, 9, 3))
    made = []
    for i, form in enumerate(FORMS):
        name = b.conv("x", (3, 3, 3, 4), form, bias=bool(i % 2))
        made.append(b("MaxPool", b("Relu", name) if i % 3 == 0 else name, **POOL))
    return b.graph(*made)


def _windows() -> Graph:
    """Windows that overlap, leave gaps, lie in the padding, and hold the whole plane; groups, strides, dilations."""
    b = _Builder(2, (7, 9, 3))
    sparse = [form for form in FORMS if form.sparse]
    made = [
        b("MaxPool", b.conv("x", (2, 3, 3, 4), sparse[0]), **{**POOL, "kernel_shape": [3, 2], "strides": [1, 1]}),
        b("MaxPool", b.conv("x", (1, 1, 3, 4), sparse[3]), **{**POOL, "strides": [3, 4], "pads": [1, 1, 1, 1]}),
        b(
            "MaxPool",
            b("Relu", b.conv("x", (3, 3, 1, 6), sparse[5], group=3, dilations=[2, 1])),
            **{**POOL, "kernel_shape": [5, 3], "pads": [4, 2, 4, 2]},
        ),
        b("GlobalMaxPool", b.conv("x", (2, 2, 3, 7), sparse[8], strides=[2, 1]), keepdims=False),
        b("MaxPool", b.conv("x", (3, 1, 3, 2), FORMS[0], pads=[0, 0, 0, 0]), **POOL),  # plain, with few channels
    ]
    return b.graph(*made)


@pytest.mark.parametrize("target", LARGE, ids=lambda target: target.name)
def test_every_form_equals_the_reference(target: targets.Target) -> None:
    graph = _every_form()
    assert _kernels(graph).count("conv_pooled") == len(FORMS) - 1
    check_export(graph, samples(np.random.default_rng(3), graph), on=(target,))


@pytest.mark.parametrize("target", [*LARGE, targets.M0, targets.S390X], ids=lambda target: target.name)
def test_every_window_equals_the_reference(target: targets.Target) -> None:
    graph = _windows()
    assert _kernels(graph) == ["conv_pooled"] * 5
    check_export(graph, samples(np.random.default_rng(4), graph), on=(target,))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=8)
def test_random_windows_equal_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    b = _Builder(seed, (*(int(n) for n in rng.integers(4, 9, 2)), int(rng.integers(1, 4))))
    kernel, window = (tuple(int(n) for n in rng.integers(1, 4, 2)) for _ in range(2))
    forms = [form for form in FORMS if form.kind != "float32" or form.sparse]
    shape = (*kernel, b.inputs[0].shape[2], int(rng.integers(1, 6)))
    name = b.conv("x", shape, forms[int(rng.integers(len(forms)))], bias=bool(rng.integers(2)))
    if rng.integers(2):
        name = b("Relu", name)
    pads = [*(int(rng.integers(0, n)) for n in window), *(int(rng.integers(0, n)) for n in window)]
    graph = b.graph(b("MaxPool", name, kernel_shape=window, strides=rng.integers(1, 4, 2).tolist(), pads=pads))
    assert _kernels(graph) == ["conv_pooled"]
    check_export(graph, samples(rng, graph, 2), on=(targets.GCC,))


def test_infinities_and_nans_come_through_as_in_the_reference() -> None:
    b = _Builder(5, (6, 6, 2))
    form = next(form for form in FORMS if form.sparse)
    bare = b("MaxPool", b.conv("x", (2, 2, 2, 3), form), **POOL)
    cut = b("MaxPool", b("Relu", b.conv("x", (2, 2, 2, 3), form)), **POOL)
    x = np.random.default_rng(6).normal(size=(4, 6, 6, 2)).astype(np.float32)
    x[0, ::2], x[1, 3], x[2, :, 1], x[3] = np.inf, np.nan, -np.inf, -0.0
    check_export(b.graph(bare, cut), x, on=(targets.GCC, targets.CLANG))


def test_the_plane_between_takes_no_memory() -> None:
    b = _Builder(7, (10, 10, 2))
    graph = b.graph(b("MaxPool", b("Relu", b.conv("x", (3, 3, 2, 9), FORMS[1])), **POOL))
    assert memory_plan.plan(with_pools(lower(graph))).arena_bytes == 4 * 10 * 10  # the sums of one channel
    assert "ARENA_BYTES 400" in exporters.c.export(graph, prefix="net")["net.h"].decode()


def test_what_is_read_elsewhere_is_made() -> None:
    b = _Builder(8, (6, 6, 2))
    name = b.conv("x", (3, 3, 2, 4), FORMS[1])
    pooled = b("MaxPool", name, **POOL)
    assert _kernels(b.graph(pooled, name)) == ["conv", "max_pool"]
    other = b("Sigmoid", name)
    assert "conv_pooled" not in _kernels(b.graph(pooled, other))


def test_a_plane_of_another_shape_is_pooled_by_itself() -> None:
    b = _Builder(9, (6, 6, 2))
    name = b("Reshape", b.conv("x", (3, 3, 2, 4), FORMS[1]), shape=[12, 6, 2])
    graph = b.graph(b("MaxPool", name, **POOL))
    assert _kernels(graph) == ["conv", "max_pool"]
    check_export(graph, samples(np.random.default_rng(9), graph, 1))

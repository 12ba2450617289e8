"""Convolutions that pool their sums: bit for bit what convolution and MaxPool compute one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.forms import integer_forms, make_weight
from checks.integer_builder import IntegerBuilder
from checks.integer_networks import linear_weight, single
from checks.native import check_image
from hypothesis import given, settings
from hypothesis import strategies as st

import exporters.c
from exporters import memory_plan
from exporters.integer import lower_integer
from refcompress.encodings import Csr, Encoding
from refcompress.integer import IntegerNetwork, Quantization, smallest

FORMS = [form for form in integer_forms() if form.sparse]
RELU = ("Relu", {})
EVERY = [targets.GCC, targets.CLANG, targets.SANITIZED, targets.M3, targets.M4]


def _sparse(b: IntegerBuilder, shape: tuple[int, ...], form: int = 0) -> Encoding:
    return make_weight(b.rng, shape, FORMS[form % len(FORMS)])


def _kernels(network: IntegerNetwork) -> list[str]:
    return [f"{step.kernel}{' pooled' if step.pool else ''}" for step in lower_integer(network).steps]


def _pool(b: IntegerBuilder, name: str, **attrs: object) -> str:
    window = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]}
    return b("MaxPool", name, **{**window, **attrs})


def _windows() -> tuple[IntegerBuilder, IntegerNetwork]:
    """Windows that overlap, leave gaps, lie in the padding, and hold the whole plane."""
    b = IntegerBuilder(21, x=(7, 9, 3))
    made = [
        _pool(b, b("Conv", "x", weight=_sparse(b, (3, 3, 3, 5), 1), pads=[1, 1, 1, 1])),
        _pool(b, b("Conv", "x", weight=_sparse(b, (2, 3, 3, 4), 2)), kernel_shape=[3, 2], strides=[1, 1]),
        _pool(b, b("Conv", "x", weight=_sparse(b, (1, 1, 3, 4), 3)), strides=[3, 4], pads=[1, 1, 1, 1]),
        _pool(b, b("Conv", "x", weight=_sparse(b, (3, 3, 1, 6), 4), group=3), kernel_shape=[5, 3], pads=[4, 2, 4, 2]),
        b("GlobalMaxPool", b("Conv", "x", weight=_sparse(b, (2, 2, 3, 7), 5), strides=[2, 1]), keepdims=False),
    ]
    return b, b.network(*made)


@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.name)
def test_every_window_equals_the_reference_on_every_target(target: targets.Target) -> None:
    b, network = _windows()
    assert _kernels(network) == ["q_conv_stream pooled"] * 5
    check_export(network, b.samples(), on=(target,))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_random_windows_equal_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    b = IntegerBuilder(seed, x=(*(int(n) for n in rng.integers(4, 9, 2)), int(rng.integers(1, 4))))
    kernel, window = rng.integers(1, 4, 2), rng.integers(1, 4, 2)
    weight = _sparse(
        b, (*(int(n) for n in kernel), b.inputs[0].shape[2], int(rng.integers(1, 6))), int(rng.integers(99))
    )
    function = [None, RELU, ("Clip", {"min": -0.5, "max": 1.0})][int(rng.integers(3))]
    conv = b("Conv", "x", weight=weight, pads=[1, 1, 1, 1], function=function)
    attrs = {"kernel_shape": window.tolist(), "strides": rng.integers(1, 4, 2).tolist()}
    pads = [*(int(rng.integers(0, n)) for n in window), *(int(rng.integers(0, n)) for n in window)]
    network = b.network(_pool(b, conv, **attrs, pads=pads))
    assert _kernels(network)[0] == "q_conv_stream pooled"
    samples = b.samples(2)
    check_export(network, samples, on=(targets.GCC,))
    check_image(network, samples)


def test_a_clamp_goes_behind_both() -> None:
    b = IntegerBuilder(22, x=(6, 6, 2))
    conv = b("Conv", "x", weight=_sparse(b, (3, 3, 2, 4)), function=RELU, result=Quantization(0.05, -3))
    network = b.network(_pool(b, conv))
    assert _kernels(network) == ["q_conv_stream pooled", "q_clamp"]
    check_export(network, b.samples(), on=(targets.GCC, targets.SANITIZED))


def test_the_plane_between_takes_no_memory() -> None:
    b = IntegerBuilder(23, x=(10, 10, 2))
    network = b.network(_pool(b, b("Conv", "x", weight=_sparse(b, (3, 3, 2, 9)))))
    assert memory_plan.plan(lower_integer(network)).arena_bytes == 4 * 8 * 8  # the sums of one channel


def test_what_is_read_elsewhere_is_made() -> None:
    b = IntegerBuilder(24, x=(6, 6, 2))
    conv = b("Conv", "x", weight=_sparse(b, (3, 3, 2, 4)))
    pooled = _pool(b, conv)
    assert _kernels(b.network(pooled, conv)) == ["q_conv_stream", "q_max_pool"]
    check_export(b.network(pooled, conv), b.samples(1))
    both = b.network(pooled, b("Relu", conv))
    assert "q_conv_stream pooled" not in _kernels(both)


def test_a_plane_of_another_shape_is_pooled_by_itself() -> None:
    b = IntegerBuilder(25, x=(6, 6, 2))
    conv = b("Conv", "x", weight=_sparse(b, (3, 3, 2, 4)))
    network = b.network(_pool(b, b("Reshape", conv, shape=[4, 8, 2])))
    assert _kernels(network) == ["q_conv_stream", "q_max_pool"]
    check_export(network, b.samples(1))


@pytest.mark.parametrize(("scale", "pooled"), [(0.9, True), (8.0, False)])
def test_sums_whose_shift_may_wrap_are_not_compared(scale: float, pooled: bool) -> None:
    b = IntegerBuilder(26, x=(6, 6, 2))
    encoding = linear_weight(b.rng.integers(-9, 10, (3, 3, 2, 4)), [scale / b.quantizations["x"].scale])
    conv = b("Conv", "x", weight=encoding, result=Quantization(1.0, 5), bias=False, dilations=[1, 2])
    network = b.network(_pool(b, conv))
    assert _kernels(network)[0] == ("q_conv_stream pooled" if pooled else "q_conv_stream")
    check_export(network, b.samples(), on=(targets.GCC, targets.SANITIZED))


def test_the_header_of_pools_comes_with_convolutions() -> None:
    files = exporters.c.export(_windows()[1], prefix="net")
    assert "rc_q_pool.h" in files
    assert "rc_q_pool.c" not in files


def test_a_stride_that_leads_beyond_an_odd_row_comes_back() -> None:
    """Three columns two apart end behind a row of five: the way to the next row is negative."""
    rng = np.random.default_rng(11)
    integers = np.where(rng.random((1, 1, 8, 6)) < 0.3, rng.integers(-90, 90, (1, 1, 8, 6)), 0)
    weight = linear_weight(integers, [0.01] * 6)
    attrs = {"strides": (1, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    network = smallest(
        single("Conv", attrs, [((4, 5, 8), Quantization(0.05, -3))], Quantization(0.1, 5), weight=weight)
    )
    assert isinstance(network.graph.params["w"], Csr)
    check_export(network, rng.integers(-128, 128, (2, 4, 5, 8)).astype(np.int8), on=(targets.GCC, targets.SANITIZED))

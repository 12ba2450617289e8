"""MatMul and the reductions over axes against loops, and their float32 twins against scalar loops."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
from checks.gradients import check_grad, spread
from checks.ops import assert_same_bits, check_op
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops import OPS, NoAttrs
from refcompress.ops.base import deterministic_gamma
from refcompress.ops.reduce_max import ReduceMax
from refcompress.ops.reduce_mean import ReduceMean
from refcompress.ops.reduce_min import ReduceMin
from refcompress.ops.reduce_sum import ReduceSum

F = np.float32
sizes, seeds = st.integers(1, 4), st.integers(0, 2**32 - 1)
MAKE: dict[str, Any] = {
    "ReduceMax": ReduceMax,
    "ReduceMean": ReduceMean,
    "ReduceMin": ReduceMin,
    "ReduceSum": ReduceSum,
}


def in_order(values: list[Any], zero: Any) -> Any:
    return functools.reduce(lambda total, value: total + value, values, zero)


EXACT: dict[str, Any] = {
    "ReduceMax": lambda values: functools.reduce(max, values),
    "ReduceMean": lambda values: F(in_order(values, F(0)) / F(len(values))),
    "ReduceMin": lambda values: functools.reduce(min, values),
    "ReduceSum": lambda values: in_order(values, F(0)),
}
REFERENCE: dict[str, Any] = {
    "ReduceMax": max,
    "ReduceMean": lambda values: math.fsum(values) / len(values),
    "ReduceMin": min,
    "ReduceSum": math.fsum,
}


def loops(x: NDArray[Any], axes: tuple[int, ...], keepdims: bool, function: Any) -> NDArray[Any]:
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    groups: dict[tuple[int, ...], list[Any]] = {}
    for index in np.ndindex(*x.shape):  # the order in which elements lie in x
        groups.setdefault(tuple(0 if axis in axes else i for axis, i in enumerate(index)), []).append(x[index])
    out = np.zeros(kept, x.dtype)
    for index, values in groups.items():
        out[index] = function(values)
    return out if keepdims else out.reshape([size for axis, size in enumerate(x.shape) if axis not in axes])


@pytest.mark.parametrize("name", MAKE)
@given(st.lists(sizes, min_size=1, max_size=4), st.booleans(), st.data(), seeds)
@settings(max_examples=25)
def test_reductions_equal_their_loops(
    name: str, shape: list[int], keepdims: bool, data: st.DataObject, seed: int
) -> None:
    axes = tuple(data.draw(st.lists(st.integers(1, len(shape)), min_size=1, unique=True)))
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((data.draw(st.integers(1, 2)), *shape)) + rng.choice([0, 100])
    check_op(
        OPS[name],
        MAKE[name](axes, keepdims),
        [x],
        lambda inputs, _: loops(inputs[0], axes, keepdims, REFERENCE[name]),
        exact_oracle=lambda inputs, _: loops(inputs[0], axes, keepdims, EXACT[name]),
        seed=seed,
    )
    check_grad(OPS[name], MAKE[name](axes, keepdims), [spread(rng, x.shape)], seed=seed)


@pytest.mark.parametrize("name", ["ReduceMax", "ReduceMin"])
def test_zeros_and_nan_keep_the_stated_order(name: str) -> None:
    values = [F(v) for v in (0.0, -0.0, np.nan, 1.0, -np.inf)]
    x = np.array([[a, b, c] for a in values for b in values for c in values])
    wanted = np.array([EXACT[name](list(row)) for row in x])
    with np.errstate(invalid="ignore"):
        assert_same_bits(OPS[name].exact(MAKE[name]((1,)), [x], {}), wanted)


@pytest.mark.parametrize("name", ["ReduceMax", "ReduceMin"])
def test_ties_go_to_the_first_and_nan_to_none(name: str) -> None:
    x = np.array([[[2.0, 1.0], [1.0, 2.0]], [[np.nan, 3.0], [4.0, 5.0]]])
    attrs = MAKE[name]((1, 2))
    y = OPS[name].forward(attrs, [x], {})
    ((back,), _) = OPS[name].vjp(attrs, [x], {}, y, np.array([7.0, 7.0]))
    first = [[7, 0], [0, 0]] if name == "ReduceMax" else [[0, 7], [0, 0]]
    assert back.tolist() == [first, [[0, 0], [0, 0]]]


def test_the_bound_of_a_sum_holds_for_every_order() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 600)).astype(F)
    for name in ("ReduceSum", "ReduceMean"):
        attrs = MAKE[name]((1,))
        reference = OPS[name].forward(attrs, [x.astype(np.float64)], {})
        bound = OPS[name].error_bound(attrs, [x], [np.zeros(x.shape)], {}, reference, deterministic_gamma)
        for values in (np.sort(x[0]), x[0][np.argsort(-np.abs(x[0]))], *(rng.permutation(x[0]) for _ in range(50))):
            total = np.cumsum(values)[-1] * (F(1) if name == "ReduceSum" else F(1) / F(600))
            assert abs(float(total) - reference.item()) <= bound.item()
        assert bound.item() < 700 * 2.0**-24 * float(np.abs(x).sum())


@pytest.mark.parametrize("axes", [(), (0,), (-1,), (1, 1)])
def test_axes_that_are_none_are_refused(axes: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="each at least 1"):
        ReduceSum(axes)
    with pytest.raises(ModelError, match="last axis is 2"):
        OPS["ReduceSum"].infer_shape(ReduceSum((3,)), [(4, 4)], {})


def product_loops(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Multiply sample by sample, every sum in order of k from 0."""
    samples = []
    for left, right in zip(a, b, strict=True):
        leading = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        wide_left = np.broadcast_to(left, (*leading, *left.shape[-2:]))
        wide_right = np.broadcast_to(right, (*leading, *right.shape[-2:]))
        out = np.zeros((*leading, left.shape[-2], right.shape[-1]), a.dtype)
        for index in np.ndindex(*out.shape):
            *lead, i, j = index
            for k in range(left.shape[-1]):
                out[index] += wide_left[(*lead, i, k)] * wide_right[(*lead, k, j)]
        samples.append(out)
    return np.array(samples)


@given(st.lists(st.tuples(sizes, st.sampled_from("abc")), max_size=2), st.integers(0, 1), sizes, sizes, sizes, seeds)
@settings(max_examples=40)
def test_matmul_equals_its_loops(
    leading: list[tuple[int, str]], dropped: int, m: int, k: int, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    left = [1 if whose == "b" else size for size, whose in leading]
    right = [1 if whose == "c" else size for size, whose in leading][dropped:]
    inputs = [rng.standard_normal((2, *left, m, k)), rng.standard_normal((2, *right, k, n))]
    check_op(
        OPS["MatMul"],
        NoAttrs(),
        inputs,
        lambda inputs, _: product_loops(*inputs),
        exact_oracle=lambda inputs, _: product_loops(*inputs),
        seed=seed,
    )
    check_grad(OPS["MatMul"], NoAttrs(), inputs, seed=seed)


def test_matmul_counts_its_products_and_carries_both_errors() -> None:
    op = OPS["MatMul"]
    assert op.macs(NoAttrs(), [(7, 4, 5), (5, 6)], (7, 4, 6), {}) == 7 * 4 * 5 * 6
    x, e = np.array([[[2.0]]]), np.array([[[0.5]]])
    bound = op.error_bound(NoAttrs(), [x, 2 * x], [e, e], {}, 2 * x * x, deterministic_gamma)
    assert bound.item() == pytest.approx(0.5 * 4 + 2 * 0.5 + 0.25, rel=1e-5)


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ((3,), (3, 2), "reshape a vector"),
        ((2, 3), (2, 3), r"\(..., k, n\)"),
        ((2, 2, 3), (3, 3, 2), "do not broadcast"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(left: tuple[int, ...], right: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        OPS["MatMul"].infer_shape(NoAttrs(), [left, right], {})

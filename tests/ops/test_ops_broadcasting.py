"""Operators on several inputs, and on an input and constants, element by element: shapes, sums, bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pytest
from checks.gradients import check_grad, spread
from checks.ops import check_op
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numpy.typing import NDArray

from refcompress.encodings import encode
from refcompress.errors import ModelError
from refcompress.ops import OPS, NoAttrs
from refcompress.ops.base import deterministic_gamma

F = np.float32
Floats = NDArray[Any]
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
few = settings(max_examples=12)


def loops(inputs: Sequence[Floats], function: Callable[[Any, Any], Any]) -> Floats:
    """Combine element after element from left to right, each index counted from the right and 0 where it repeats."""
    shape = np.broadcast_shapes(*(x.shape[1:] for x in inputs))
    out = np.zeros((len(inputs[0]), *shape), inputs[0].dtype)
    for place in np.ndindex(*out.shape):
        values = []
        for x in inputs:
            own = place[1:][len(shape) - (x.ndim - 1) :]
            where = tuple(i if size > 1 else 0 for i, size in zip(own, x.shape[1:], strict=True))
            values.append(x[(place[0], *where)])
        out[place] = reduce(function, values)
    return out


MERGED: dict[str, tuple[Callable[[Any, Any], Any], int]] = {
    "Add": (lambda a, b: a + b, 4),
    "Mul": (lambda a, b: a * b, 4),
    "Max": (max, 4),
    "Min": (min, 4),
    "Sub": (lambda a, b: a - b, 2),
    "Div": (lambda a, b: a / b, 2),
}


@st.composite
def merged(draw: st.DrawFn, most: int) -> list[Floats]:
    count = draw(st.integers(2, most))
    sizes = draw(mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=3)).input_shapes
    batch, rng = draw(st.integers(1, 3)), np.random.default_rng(draw(seeds))
    return [(rng.choice([-1, 1]) * rng.uniform(0.3, 3, (batch, *size))).astype(F) for size in sizes]


@pytest.mark.parametrize("name", MERGED)
@few
@given(st.data())
def test_inputs_broadcast_and_combine_from_left_to_right(name: str, data: st.DataObject) -> None:
    function, most = MERGED[name]
    inputs = data.draw(merged(most))
    check_op(
        OPS[name],
        NoAttrs(),
        inputs,
        lambda arrays, _: loops(arrays, function),
        exact_oracle=lambda arrays, _: loops(arrays, function),
    )


@pytest.mark.parametrize("name", MERGED)
@few
@given(st.data(), seeds)
def test_gradients_are_summed_where_inputs_repeat_but_not_over_the_batch(
    name: str, data: st.DataObject, seed: int
) -> None:
    inputs = data.draw(merged(MERGED[name][1]))
    if name in {"Max", "Min"}:
        numbers = spread(np.random.default_rng(seed), (sum(x.size for x in inputs),))
        inputs = [part.reshape(x.shape) for part, x in zip(cut(numbers, inputs), inputs, strict=True)]
    check_grad(OPS[name], NoAttrs(), inputs, seed=seed)


def cut(numbers: Floats, inputs: Sequence[Floats]) -> list[Floats]:
    return np.split(numbers, np.cumsum([x.size for x in inputs])[:-1])


def test_the_first_of_equal_inputs_gets_the_gradient() -> None:
    x = [np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]]), np.array([[1.0, 3.0]])]
    for name, wanted in (("Max", [[1, 0], [0, 1], [0, 0]]), ("Min", [[1, 1], [0, 0], [0, 0]])):
        op = OPS[name]
        parts, _ = op.vjp(NoAttrs(), x, {}, op.forward(NoAttrs(), x, {}), np.ones((1, 2)))
        assert [part[0].tolist() for part in parts] == wanted


@pytest.mark.parametrize("name", ["Max", "Min"])
def test_bound_of_an_extreme_is_how_far_it_moves(name: str) -> None:
    sign = 1 if name == "Max" else -1
    x = [sign * np.array([[5.0, 5.0, 5.0]]), sign * np.array([[4.0, 4.0, 5.0]])]
    e = [np.array([[0.5, 1.0, 0.25]]), np.array([[0.5, 4.0, 0.5]])]
    y = OPS[name].forward(NoAttrs(), x, {})
    bound = OPS[name].error_bound(NoAttrs(), x, e, {}, y, deterministic_gamma)
    assert bound[0] == pytest.approx([0.5, 3.0, 0.5], rel=1e-5)


def test_bound_of_a_quotient_covers_products_with_reciprocals() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(1, 10_000)).astype(F) for _ in range(2))
    exact = a.astype(np.float64) / b
    zeros = [np.zeros(a.shape)] * 2
    bound = OPS["Div"].error_bound(NoAttrs(), [a, b], zeros, {}, exact, deterministic_gamma)
    assert (np.abs(a * (1 / b) - exact) <= bound).all()


def test_nothing_is_promised_of_a_quotient_whose_divisor_may_be_zero() -> None:
    zeros = [np.zeros((1, 2)), np.array([[0.0, 1.0]])]
    errors = [np.zeros((1, 2)), np.array([[0.0, 1.0]])]
    bound = OPS["Div"].error_bound(NoAttrs(), zeros, errors, {}, np.zeros((1, 2)), deterministic_gamma)
    assert bound.tolist() == [[np.inf, np.inf]]


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    for name in MERGED:
        with pytest.raises(ModelError, match="aligned from the right"):
            OPS[name].infer_shape(NoAttrs(), [(4, 3), (4,)], {})


# parameters


@st.composite
def with_constants(draw: st.DrawFn, *roles: str) -> tuple[Floats, dict[str, Floats]]:
    shape = draw(shapes)
    rng = np.random.default_rng(draw(seeds))
    params = {}
    for role in roles:
        size = shape[draw(st.integers(0, len(shape))) :]
        size = tuple(n if draw(st.booleans()) else 1 for n in size)
        params[role] = rng.normal(size=size).astype(F)
    return spread(rng, (draw(st.integers(1, 3)), *shape)), params


@few
@given(with_constants("scale", "bias"), st.sampled_from(["both", "scale", "bias"]), seeds)
def test_affine_scales_and_shifts(case: tuple[Floats, dict[str, Floats]], which: str, seed: int) -> None:
    x, params = case
    params = {role: value for role, value in params.items() if which in {"both", role}}
    one, zero = np.ones((), F), np.zeros((), F)

    def formula(inputs: Sequence[Floats], given: Any) -> Floats:
        product = loops([inputs[0], spanned(given.get("scale", one), inputs[0])], lambda a, b: a * b)
        return loops([product, spanned(given.get("bias", zero), inputs[0])], lambda a, b: a + b)

    check_op(OPS["Affine"], NoAttrs(), [x], formula, params=params, exact_oracle=formula)
    check_grad(OPS["Affine"], NoAttrs(), [x], params=params, seed=seed)


def spanned(parameter: Floats, x: Floats) -> Floats:
    return np.stack([parameter] * len(x)) if len(x) else parameter[None][:0]


@few
@given(with_constants("slope"), seeds)
def test_prelu_has_a_slope_for_each_element(case: tuple[Floats, dict[str, Floats]], seed: int) -> None:
    x, params = case

    def formula(inputs: Sequence[Floats], given: Any) -> Floats:
        return loops([inputs[0], spanned(given["slope"], inputs[0])], lambda v, s: v if v > 0 else s * v)

    check_op(OPS["PRelu"], NoAttrs(), [x], formula, params=params, exact_oracle=formula)
    check_grad(OPS["PRelu"], NoAttrs(), [x], params=params, seed=seed)


def test_affine_bound_covers_those_who_subtract_the_mean_first() -> None:
    rng = np.random.default_rng(0)
    x, mean, variance = rng.normal(3, 1, (200, 50)).astype(F), rng.normal(3, 1, 50), rng.uniform(0.1, 2, 50)
    params = {"scale": 1 / np.sqrt(variance), "bias": -mean / np.sqrt(variance)}
    encoded = {role: value.astype(F) for role, value in params.items()}
    expected = check_op(OPS["Affine"], NoAttrs(), [x], lambda i, p: i[0] * p["scale"] + p["bias"], params=encoded)
    stored = {role: encode(value) for role, value in encoded.items()}
    x64 = x.astype(np.float64)
    bound = OPS["Affine"].error_bound(NoAttrs(), [x64], [np.zeros_like(x64)], stored, expected, deterministic_gamma)
    got = (x - mean.astype(F)) * (F(1) / np.sqrt(variance.astype(F)))
    assert (np.abs(got - expected) <= bound).all()


def test_parameters_that_do_not_broadcast_are_refused() -> None:
    for op, role in (("Affine", "bias"), ("PRelu", "slope")):
        for shape in ((2,), (4, 3), (1, 1, 3)):
            with pytest.raises(ModelError, match=f"a {role} of shape"):
                OPS[op].infer_shape(NoAttrs(), [(2, 3)], {role: shape})
    with pytest.raises(ModelError, match="neither scale nor bias"):
        OPS["Affine"].infer_shape(NoAttrs(), [(2, 3)], {})


def test_affine_counts_multiplications_only_where_it_scales() -> None:
    op = OPS["Affine"]
    assert op.macs(NoAttrs(), [(2, 3)], (2, 3), {"scale": None}) == 6  # type: ignore[dict-item]
    assert op.macs(NoAttrs(), [(2, 3)], (2, 3), {}) == 0

"""Powers against their formula: results, gradients, bounds of many implementations, and what training leaves alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from checks.gradients import check_grad
from checks.ops import as_encoding, check_op
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numpy.typing import ArrayLike, NDArray

from refcompress.encodings import decode
from refcompress.errors import ModelError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import OPS, NoAttrs
from refcompress.ops.base import deterministic_gamma
from refcompress.train import Plan, Sgd, fit, losses

F = np.float32
OP, NO = OPS["Pow"], NoAttrs()
WHOLE = (2.0, 3.0, -1.0, 0.0, 1.0, -2.0, 5.0)
BROKEN = (0.5, -0.5, 1.7, -2.25)
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=12)


def oracle(inputs: Sequence[Any], params: Any) -> Any:
    """Python's own powers, element after element."""
    base, exponent = (params.get(role, inputs[0]) if params else inputs[i] for i, role in enumerate(OP.roles))
    rank = max(base.ndim, exponent.ndim)
    if not params:
        base, exponent = (x.reshape(len(x), *(1,) * (rank - x.ndim), *x.shape[1:]) for x in (base, exponent))
    pairs = np.broadcast(base, exponent)
    return np.array([float(a) ** float(b) for a, b in pairs], np.float64).reshape(pairs.shape)


@st.composite
def broadcast(draw: st.DrawFn) -> list[NDArray[np.float32]]:
    sizes = draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)).input_shapes
    batch, rng = draw(st.integers(1, 3)), np.random.default_rng(draw(seeds))
    base, exponent = (rng.uniform(0.3, 3, (batch, *size)) for size in sizes)
    return [base.astype(F), (exponent * rng.choice([-1, 1])).astype(F)]


@few
@given(broadcast(), seeds)
def test_two_inputs_broadcast(inputs: list[NDArray[np.float32]], seed: int) -> None:
    check_op(OP, NO, inputs, oracle)
    check_grad(OP, NO, inputs, seed=seed)


@pytest.mark.parametrize("exponent", [*WHOLE, *BROKEN])
@few
@given(seeds)
def test_powers_with_a_constant_exponent(exponent: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.2, 4, (2, 3, 4))
    check_grad(OP, NO, [x], params={"exponent": np.array([exponent])}, seed=seed)
    if exponent in WHOLE:
        x *= rng.choice([-1, 1], x.shape)
    check_op(OP, NO, [x], oracle, params={"exponent": np.array([exponent])})


@few
@given(seeds)
def test_powers_with_constants_that_broadcast(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, constant = rng.uniform(0.5, 2, (2, 3, 4)), rng.uniform(0.5, 2, (3, 1))
    for role in OP.roles:
        check_op(OP, NO, [x], oracle, params={role: constant})
        check_grad(OP, NO, [x], params={role: constant}, seed=seed)


def test_gradients_of_negative_bases_and_of_zero() -> None:
    x = np.array([[-2.0, -1.0, 0.0, 3.0]])
    for exponent, wanted in ((3.0, 3 * x**2), (2.0, 2 * x), (1.0, np.ones_like(x)), (0.0, np.zeros_like(x))):
        params = {"exponent": as_encoding(np.array([exponent]))}
        y = OP.forward(NO, [x], params)
        (got,), by_role = OP.vjp(NO, [x], params, y, np.ones_like(x))
        assert np.array_equal(got, wanted)
        assert by_role["exponent"].tolist() == [3.0**exponent * math.log(3)]  # negative bases say nothing of it


def bound_of(x: ArrayLike, y: ArrayLike, x_error: ArrayLike = 0.0, y_error: ArrayLike = 0.0) -> NDArray[np.float64]:
    """Bound for two inputs of one row."""
    rows = [np.asarray(row, np.float64) for row in (x, y, x_error, y_error)]
    base, exponent, *errors = (row[None].copy() for row in np.broadcast_arrays(*np.atleast_1d(*rows)))
    output = OP.forward(NO, [base, exponent], {})
    return np.asarray(OP.error_bound(NO, [base, exponent], errors, {}, output, deterministic_gamma)[0])


def by_squaring(x: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """x**n as compilers unroll it: squares of squares, of 1 / x if n is negative."""
    x, n, result = (F(1) / x, -n, np.ones_like(x)) if n < 0 else (x, n, np.ones_like(x))
    while n:
        result = result * x if n & 1 else result
        x, n = x * x, n >> 1
    return result


def one_by_one(x: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    result = np.ones_like(x)
    for _ in range(abs(n)):
        result = result * x
    return F(1) / result if n < 0 else result


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 10, 31, 64, -1, -2, -3, -7, -20])
@pytest.mark.parametrize("how", [by_squaring, one_by_one])
def test_bound_covers_repeated_multiplication(how: Callable[[Any, int], Any], n: int) -> None:
    rng = np.random.default_rng(n + 100)
    x = (2 ** rng.uniform(-60 / max(1, abs(n)), 60 / max(1, abs(n)), 5000) * rng.choice([-1, 1], 5000)).astype(F)
    with np.errstate(over="ignore"):
        got = how(x, n).astype(np.float64)
    assert (np.abs(got - x.astype(np.float64) ** n) <= bound_of(x, n)).all()


@pytest.mark.parametrize(
    ("exponent", "function"),
    [
        (0.5, np.sqrt),
        (-0.5, lambda x: 1 / np.sqrt(x)),
        (0.75, lambda x: np.sqrt(x) * np.sqrt(np.sqrt(x))),
        (1.5, lambda x: x * np.sqrt(x)),
        (1.7, lambda x: np.power(x, F(1.7))),
        (1 / 3, np.cbrt),
    ],
)
def test_bound_covers_roots_and_the_library(exponent: float, function: Callable[[Any], Any]) -> None:
    x = np.random.default_rng(0).lognormal(0, 5, 10_000).astype(F)
    exponent = float(F(exponent)) if exponent == 1.7 else exponent
    got = function(x)
    assert got.dtype == F
    assert (np.abs(got - x.astype(np.float64) ** exponent) <= bound_of(x, exponent)).all()


@few
@given(seeds)
def test_bound_is_how_far_the_power_moves_and_a_few_roundings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 300
    x, y = rng.uniform(0.3, 5, count), rng.choice([*WHOLE, *BROKEN], count)
    e = x * rng.uniform(0, 0.9, count) * rng.choice([0, 1e-6, 1], count)
    d = rng.choice([0, 1e-6, 0.5], count)
    signed = rng.choice([-1, 1], count) * x
    whole = np.isin(y, WHOLE) & (y > 0)
    x = np.where(whole & (d == 0), signed, x)
    e = np.where(whole & (d == 0), 3 * e, e)  # across 0
    bound, steps = bound_of(x, y, e, d), np.linspace(-1, 1, 101)
    moved = np.zeros(count)
    for step in steps:
        for up in (-1.0, 0.0, 1.0):
            moved = np.maximum(moved, np.abs((x + step * e) ** (y + up * d) - x**y))
    assert (bound >= moved * (1 - 1e-12)).all()
    assert (bound <= moved * 1.001 + 1e-3 * e * e + 2.0**-19 * (np.abs(x**y) + moved)).all()


def test_bound_near_zero_covers_denormals_that_are_flushed() -> None:
    x = np.array([1e-40, -1e-40, 0.0, 1e-30])
    assert (bound_of(x, 3.0) <= 2.0**-125).all()
    assert bound_of(1e-40, 0.5)[0] >= 1e-20
    assert bound_of(0.0, 0.5).tolist() == [2.0**-126]
    assert bound_of([0.0, -3.0], 0.0, 1.0)[0] == pytest.approx(2.0**-20, rel=1e-3)  # always 1
    assert bound_of(0.0, 2.0, 0.5)[0] == pytest.approx(0.25, rel=1e-5)
    assert bound_of(0.0, 1.7, 0.0)[0] <= 2.0**-125


def test_nothing_is_promised_at_a_singularity() -> None:
    assert np.isinf(bound_of([0.0, 1e-40, 1.0, -1.0], -1.0, [0.0, 0.0, 1.5, 1.0])).all()
    assert np.isinf(bound_of([-1.0, 1.0, 0.0], 0.5, [0.0, 1.5, 0.1])).all()
    assert np.isinf(bound_of([-2.0, 0.0], 2.0, 0.0, [1e-6, 2.5])).all()  # is the exponent whole?
    assert np.isfinite(bound_of([-2.0, -2.0], [-3.0, 2.0], 0.5)).all()


@pytest.mark.parametrize(
    ("inputs", "params"),
    [([(3,)], {}), ([(3,), (3,)], {"exponent": (1,)}), ([(3,)], {"base": (1,), "exponent": (1,)})],
)
def test_what_is_no_input_is_a_parameter(inputs: Any, params: Any) -> None:
    with pytest.raises(ModelError, match="it takes two inputs, base and exponent, or one and a parameter"):
        OP.infer_shape(NO, inputs, params)


def test_constants_larger_than_the_input_are_refused() -> None:
    with pytest.raises(ModelError, match="a exponent of shape"):
        OP.infer_shape(NO, [(3,)], {"exponent": (2, 3)})


def test_training_leaves_exponents_as_they_are() -> None:
    nodes = (
        Node("Gemm", "g", ("x",), "h", {"weight": "w"}, NO),
        Node("Pow", "p", ("h",), "y", {"exponent": "two"}, NO),
    )
    params = {"w": as_encoding(np.ones((2, 1), F)), "two": as_encoding(np.array([2], F))}
    graph = Graph((TensorSpec("x", (2,)),), ("y",), nodes, params)
    x = np.random.default_rng(0).normal(size=(64, 2)).astype(F)
    plan = Plan(2, batch_size=8, loss=losses.mean_squared_error, optimizer=Sgd(), rate=0.01)
    fitted = fit(graph, x, x[:, :1] ** 2, plan)
    assert decode(fitted.graph.params["two"]).tolist() == [2]
    assert decode(fitted.graph.params["w"])[1, 0] < 0.9

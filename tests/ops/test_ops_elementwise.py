"""Operators on single elements against their formulas: results, bounds of many implementations, and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from checks.gradients import check_grad, spread
from checks.ops import assert_same_bits, check_op
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy import special

from refcompress.errors import ModelError
from refcompress.kernels.exact_erf import erf32, expm1_32
from refcompress.kernels.exact_log import log32, softplus32
from refcompress.kernels.exact_math import exp32, sigmoid32, tanh32
from refcompress.ops import OPS, NoAttrs
from refcompress.ops.base import UNIT_ROUNDOFF, deterministic_gamma
from refcompress.ops.celu import Celu
from refcompress.ops.elu import Elu
from refcompress.ops.gelu import Gelu
from refcompress.ops.hard_sigmoid import HardSigmoid
from refcompress.ops.leaky_relu import LeakyRelu
from refcompress.ops.not_equal import NotEqual
from refcompress.ops.thresholded_relu import ThresholdedRelu

F = np.float32
Floats = NDArray[Any]
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
few = settings(max_examples=12)


def line(x: Floats, slope: float) -> Floats:
    return np.minimum(np.maximum(slope * x + 0.5, 0), 1)


def exact_gelu(x: np.float32) -> np.float32:
    return F((F(0.5) * x) * (F(1) + at(erf32, x * F(float.fromhex("0x1.6a09e6p-1")))))


def exact_tanh_gelu(x: np.float32) -> np.float32:
    t = F(F(x * x) * x) * F(float.fromhex("0x1.6e4e26p-5"))
    return F((F(0.5) * x) * (F(1) + at(tanh32, (x + t) * F(float.fromhex("0x1.988454p-1")))))


def exact_hard_swish(x: np.float32) -> np.float32:
    t = x * F(float.fromhex("0x1.555556p-3")) + F(0.5)
    return x * F(min(max(t, F(0)), F(1)))


def exact_hard_sigmoid(x: np.float32) -> np.float32:
    return F(min(max(x * F(0.2) + F(0.5), F(0)), F(1)))


def exact_mish(x: np.float32) -> np.float32:
    e = at(exp32, F(min(x, F(20))))
    n = e * (e + F(2))
    return x * (n / (n + F(2)))


def exact_selu(x: np.float32) -> np.float32:
    if x > 0:
        return F(float.fromhex("0x1.0cfabep+0")) * x
    return F(float.fromhex("0x1.c212ccp+0")) * at(expm1_32, x)


def at(function: Callable[[NDArray[np.float32]], NDArray[np.float32]], x: np.float32) -> np.float32:
    return F(function(np.array([x], np.float32))[0])


@dataclass(frozen=True)
class Case:
    """One operator of one input.

    Attributes
    ----------
    oracle
        The formula, in float64.
    exact
        The stated order of float32 operations on one number.
    others
        What frameworks compute instead, in the dtype of x.
    attrs, least, most
        Attributes, and the range of arguments.

    """

    oracle: Callable[[Floats], Floats]
    exact: Callable[[np.float32], np.float32]
    others: Sequence[Callable[[Floats], Floats]] = ()
    attrs: Any = field(default_factory=NoAttrs)
    least: float = -100.0
    most: float = 100.0


K, S = math.sqrt(2 / math.pi), 1.0507009873554805
A = 1.6732632423543772
NAMED: dict[str, Case] = {
    "Abs": Case(lambda x: np.sqrt(x * x), abs),
    "Celu": Case(
        lambda x: np.where(x > 0, x, 2.5 * np.expm1(np.minimum(x, 0) / 2.5)),
        lambda v: v if v > 0 else F(2.5) * at(expm1_32, v / F(2.5)),
        [lambda x: np.maximum(x, 0) + np.minimum(0, 2.5 * (np.exp(np.minimum(x, 0) * (1 / 2.5)) - 1))],
        Celu(2.5),
    ),
    "Elu": Case(
        lambda x: np.maximum(x, 0) + 1.5 * np.expm1(np.minimum(x, 0)),
        lambda v: v if v > 0 else F(1.5) * at(expm1_32, v),
        [
            lambda x: np.where(x > 0, x, 1.5 * (np.exp(np.minimum(x, 0)) - 1)),
            lambda x: np.where(x > 0, x, 1.5 * np.exp(np.minimum(x, 0)) - 1.5),
        ],
        Elu(1.5),
    ),
    "Erf": Case(lambda x: np.sign(x) * special.gammainc(0.5, x * x), lambda v: at(erf32, v), [special.erf]),
    "Exp": Case(
        lambda x: special.exp10(x / np.log(10)), lambda v: at(exp32, v), [lambda x: np.square(np.exp(x / 2))], most=80.0
    ),
    "Gelu": Case(
        lambda x: x * special.erfc(-x / np.sqrt(2)) / 2,
        exact_gelu,
        [lambda x: 0.5 * x * (1 + special.erf(x / math.sqrt(2))), lambda x: x * special.ndtr(x)],
        Gelu(),
    ),
    "Gelu tanh": Case(
        lambda x: x * special.expit(2 * K * (x + 0.044715 * x**3)),
        exact_tanh_gelu,
        [
            lambda x: 0.5 * x * (1 + np.tanh(K * (x + 0.044715 * x**3))),
            lambda x: 0.5 * x * (1 + np.tanh(x * (K + (K * 0.044715) * x * x))),
        ],
        Gelu("tanh"),
    ),
    "HardSigmoid": Case(
        lambda x: line(x, float(F(0.2))), exact_hard_sigmoid, [lambda x: line(x, 0.2)], HardSigmoid(0.2, 0.5)
    ),
    "HardSigmoid sixth": Case(
        lambda x: line(x, float(F(1 / 6))),
        lambda v: F(min(max(v * F(1 / 6) + F(0.5), F(0)), F(1))),
        [lambda x: np.clip(x + 3, 0, 6) / 6, lambda x: np.clip(x + 3, 0, 6) * F(1 / 6)],
        HardSigmoid(1 / 6, 0.5),
    ),
    "HardSwish": Case(
        lambda x: x * line(x, 1 / 6),
        exact_hard_swish,
        [lambda x: x * np.clip(x + 3, 0, 6) / 6, lambda x: x * (np.clip(x + 3, 0, 6) * F(1 / 6))],
    ),
    "LeakyRelu": Case(
        lambda x: np.maximum(x, 0) + float(F(0.3)) * np.minimum(x, 0),
        lambda v: v if v > 0 else F(0.3) * v,
        [lambda x: np.maximum(x, F(0.3) * x), lambda x: np.maximum(x, 0) - 0.3 * np.maximum(-x, 0)],
        LeakyRelu(0.3),
    ),
    "LeakyRelu falling": Case(
        lambda x: np.where(x > 0, x, -2 * x), lambda v: v if v > 0 else F(-2) * v, [], LeakyRelu(-2)
    ),
    "Log": Case(
        lambda x: np.log10(x) * np.log(10), lambda v: at(log32, v), [lambda x: np.log2(x) * F(np.log(2))], least=1e-3
    ),
    "Mish": Case(
        lambda x: x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))),
        exact_mish,
        [
            lambda x: x * np.tanh(np.log1p(np.exp(np.minimum(x, 80)))),
            lambda x: x * np.tanh(np.log(1 + np.exp(np.minimum(x, 80)))),
        ],
    ),
    "NotEqual": Case(
        lambda x: (np.abs(x - 1) > 0).astype(float), lambda v: F(v - F(1) != 0), [], NotEqual(1.0), least=-2, most=2
    ),
    "Reciprocal": Case(lambda x: x**-1.0, lambda v: F(1) / v, [lambda x: np.square(1 / np.sqrt(x))], least=1e-3),
    "Selu": Case(
        lambda x: float(F(S)) * (np.maximum(x, 0) + float(F(A)) * np.expm1(np.minimum(x, 0))),
        exact_selu,
        [
            lambda x: S * np.where(x > 0, x, A * np.exp(np.minimum(x, 0)) - A),
            lambda x: S * (np.maximum(x, 0) + np.minimum(0, A * (np.exp(np.minimum(x, 0)) - 1))),
        ],
    ),
    "Softplus": Case(
        lambda x: -np.log(special.expit(-x)),
        lambda v: at(softplus32, v),
        [
            lambda x: np.log(1 + np.exp(np.minimum(x, 80))) + np.maximum(x - 80, 0),
            lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
            lambda x: np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20)))),
        ],
    ),
    "Softsign": Case(
        lambda x: x * (1 + np.abs(x)) ** -1.0,
        lambda v: v / (F(1) + abs(v)),
        [lambda x: x * (1 / (np.abs(x) + 1))],
    ),
    "Sqrt": Case(
        lambda x: x**0.5, lambda v: F(math.sqrt(v)), [lambda x: x * (1 / np.sqrt(x))], least=1e-3
    ),  # rounded twice, which never differs for a root
    "Swish": Case(
        lambda x: x * special.expit(x),
        lambda v: v * at(sigmoid32, v),
        [
            lambda x: x / (1 + np.exp(-x)),
            lambda x: x * (1 / (1 + np.exp(-x))),
            lambda x: x * (0.5 + 0.5 * np.tanh(0.5 * x)),
        ],
        least=-80.0,
    ),
    "ThresholdedRelu": Case(
        lambda x: x * (x > 0.5), lambda v: v if v > F(0.5) else F(0), [], ThresholdedRelu(0.5), least=-2, most=2
    ),
}
STEPS = {"NotEqual", "ThresholdedRelu"}  # they jump


def op_of(name: str) -> Any:
    return OPS[name.split(maxsplit=1)[0]]


def arguments(case: Case, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Numbers of all sizes within the range, some of them special."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * rng.choice([1e-20, 1e-3, 1.0, 10.0], shape)
    x = np.where(rng.random(shape) < 0.2, rng.choice([0.0, -0.0, 1.0, 0.5, -3.0, 3.0, -2.5], shape), x)
    if case.least > 0:
        x = np.abs(x)
    return np.clip(x, case.least, case.most).astype(np.float32)


@pytest.mark.parametrize("name", NAMED)
@few
@given(shapes, seeds)
def test_results_are_those_of_the_formula(name: str, shape: tuple[int, ...], seed: int) -> None:
    case = NAMED[name]
    x = arguments(case, shape, seed)
    if name in STEPS:  # an error of the input may then cost a whole step, which check_op does not expect
        x = x[np.abs(np.abs(x) - 0.5) > 0.1][None]
    check_op(
        op_of(name),
        case.attrs,
        [x],
        lambda inputs, _: case.oracle(inputs[0]),
        exact_oracle=lambda inputs, _: np.array([case.exact(v) for v in inputs[0].ravel()], F).reshape(x.shape),
    )


def bound_of(name: str, x: ArrayLike, errors: ArrayLike) -> NDArray[np.float64]:
    case, values = NAMED[name], np.asarray(x, np.float64)[None]
    op = op_of(name)
    output = op.forward(case.attrs, [values], {})
    moved = np.broadcast_to(np.asarray(errors, np.float64), values.shape)
    return np.asarray(op.error_bound(case.attrs, [values], [moved], {}, output, deterministic_gamma)[0])


@pytest.mark.parametrize("name", [name for name, case in NAMED.items() if case.others])
def test_bound_covers_what_frameworks_compute(name: str) -> None:
    case = NAMED[name]
    rng = np.random.default_rng(0)
    sizes = np.concatenate([10 ** rng.uniform(-12, 2, 3000), rng.uniform(0, 8, 3000), rng.uniform(2.9, 3.1, 500)])
    x = np.clip(sizes * (1 if case.least > 0 else rng.choice([-1, 1], sizes.size)), case.least, case.most).astype(F)
    x64 = x.astype(np.float64)
    expected = op_of(name).forward(case.attrs, [x64], {})
    bound = bound_of(name, x64, 0.0)
    for i, other in enumerate(case.others):
        with np.errstate(under="ignore"):
            got = other(x)
        assert got.dtype == np.float32
        excess = np.abs(got.astype(np.float64) - expected) - bound
        assert (excess <= 1e-15 * np.abs(expected)).all(), f"number {i} by {excess.max()} at {x[excess.argmax()]}"


@pytest.mark.parametrize("name", NAMED)
@few
@given(seeds)
def test_bound_is_how_far_the_function_moves_and_a_few_roundings(name: str, seed: int) -> None:
    case = NAMED[name]
    rng = np.random.default_rng(seed)
    count = 200
    if case.least > 0:
        x = rng.uniform(0.5, 20, count)
        e = x * rng.uniform(0, 0.9, count)
    else:
        x = rng.uniform(-1, 1, count) * rng.choice([0.1, 1, 4, 20], count)
        e = rng.uniform(0, 1, count) * rng.choice([0, 1e-6, 1e-2, 3], count)
    bound = bound_of(name, x, e)
    middle = case.oracle(x)
    moved = np.abs(case.oracle(x + np.linspace(-1, 1, 401)[:, None] * e) - middle).max(0)
    assert (bound >= moved * (1 - 1e-12) - 1e-14).all()
    if name in STEPS:
        return
    # the grid misses an extreme between its points by the square of their distance
    slack = 1e-4 * e * e + 40 * UNIT_ROUNDOFF * (1 + np.abs(x) + e + np.abs(middle) + moved)
    assert (bound <= moved * 1.01 + slack).all()


def test_bound_of_a_step_covers_both_sides() -> None:
    assert bound_of("ThresholdedRelu", [0.4, 0.6, 0.6, 0.4, 3.0], [0.05, 0.05, 0.2, 0.2, 0.5]) == pytest.approx(
        [0, 0.05, 0.6, 0.6, 0.5], rel=1e-5
    )
    assert bound_of("ThresholdedRelu", [0.5], [0.0]).tolist() == [0]
    assert bound_of("NotEqual", [1.0, 1.5, 1.5, 1.5], [0.0, 0.25, 0.5, 1.0]).tolist() == [0, 0, 1, 1]


def test_nothing_is_promised_at_a_singularity() -> None:
    infinite = np.inf
    for name in ("Log", "Reciprocal"):
        assert bound_of(name, [0.0, 1.0, 1.0, 1e-39], [0.0, 1.0, 2.0, 0.0]).tolist() == [infinite] * 4
    assert bound_of("Reciprocal", [-1.0], [1.5]).tolist() == [infinite]
    assert bound_of("Sqrt", [1.0, -1.0], [1.5, 0.0]).tolist() == [infinite] * 2
    assert bound_of("Sqrt", [0.0, 1.0], [0.0, 1.0]) == pytest.approx([0.0, 1.0], abs=1e-5)


def test_functions_without_rounding_carry_errors_only() -> None:
    assert bound_of("Abs", [-1.0, 2.0], [0.0, 0.5]).tolist() == [0, 0.5]
    assert bound_of("LeakyRelu", [2.0], [0.0]).tolist() == [0]
    assert bound_of("Elu", [2.0], [0.0]).tolist() == [0]
    assert bound_of("HardSwish", [-4.0], [0.5]).tolist() == [0]
    assert bound_of("HardSigmoid", [-4.0, 9.0], [0.5, 5.0]).tolist() == [0, 0]


@pytest.mark.parametrize("name", NAMED)
@few
@given(st.integers(0, 3), shapes, seeds)
def test_gradients(name: str, batch: int, shape: tuple[int, ...], seed: int) -> None:
    x = spread(np.random.default_rng(seed), (batch, *shape))
    if NAMED[name].least > 0:
        x = np.abs(x) + 0.7
    check_grad(op_of(name), NAMED[name].attrs, [x], seed=seed)


@pytest.mark.parametrize("name", ["Gelu", "Gelu tanh", "Mish", "Swish", "Softplus", "Elu", "Selu", "Celu"])
def test_huge_arguments_neither_overflow_nor_warn(name: str) -> None:
    x = np.array([[-1e30, 1e30]], F)
    case, op = NAMED[name], op_of(name)
    y = op.forward(case.attrs, [x], {})
    (slope,), _ = op.vjp(case.attrs, [x], {}, y, np.ones_like(x))
    for got in (y, op.exact(case.attrs, [x], {})):
        assert got[0, 1] == pytest.approx(1e30 * (S if name == "Selu" else 1), rel=1e-6)
        assert -3 < got[0, 0] <= 0
    assert slope[0].tolist() == pytest.approx([0, S if name == "Selu" else 1], abs=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Celu(0.0), "must be positive"),
        (lambda: Elu(float("inf")), "alpha inf"),
        (lambda: LeakyRelu(1e39), "float32 can hold"),
        (lambda: HardSigmoid(0.2, float("nan")), "beta nan"),
        (lambda: Gelu("erf"), "none, tanh"),
    ],
)
def test_attributes_that_make_no_sense_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


def test_attributes_are_kept_as_float32() -> None:
    assert LeakyRelu().alpha == float(F(0.01))
    assert HardSigmoid().alpha == float(F(0.2))


def test_special_values_are_as_in_the_runtime() -> None:
    x = np.array([[-0.0, np.nan, -np.inf, np.inf]], F)
    assert_same_bits(OPS["LeakyRelu"].exact(LeakyRelu(0.5), [x], {}), np.array([[-0.0, np.nan, -np.inf, np.inf]], F))
    assert_same_bits(OPS["Max"].exact(NoAttrs(), [x, x[:, ::-1]], {}), np.array([[np.inf, np.nan, -np.inf, np.inf]], F))
    assert_same_bits(OPS["NotEqual"].exact(NotEqual(0), [x], {}), np.array([[0, 1, 1, 1]], F))

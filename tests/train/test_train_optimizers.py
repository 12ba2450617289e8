"""Optimizers: against scalar loops written from the papers, and against PyTorch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.errors import DataError, OptionError
from refcompress.train.clipping import clip_by_global_norm, global_norm
from refcompress.train.optimizers import Adam, AdamW, Optimizer, Sgd, State

Arrays = Mapping[str, NDArray[Any]]

OPTIMIZERS: list[Optimizer] = [
    Sgd(),
    Sgd(weight_decay=0.1),
    Sgd(momentum=0.9),
    Sgd(momentum=0.8, weight_decay=0.05),
    Sgd(momentum=0.9, nesterov=True, weight_decay=0.01),
    Adam(),
    Adam(beta1=0.8, beta2=0.95, epsilon=1e-3, weight_decay=0.1),
    AdamW(),
    AdamW(beta1=0.0, beta2=0.9, weight_decay=0.3),
]
RATES = [0.1, 0.05, 0.2, 0.01, 0.1, 0.3]


def scalar_sgd(options: Sgd, w: float, grads: list[float], rates: list[float]) -> Iterator[float]:
    decay = float(options.weight_decay)  # type: ignore[arg-type]
    velocity = 0.0
    for g, rate in zip(grads, rates, strict=True):
        d = g + decay * w
        velocity = options.momentum * velocity + d
        w = w - rate * (d + options.momentum * velocity if options.nesterov else velocity)
        yield w


def scalar_adam(options: Adam | AdamW, w: float, grads: list[float], rates: list[float]) -> Iterator[float]:
    decay = float(options.weight_decay)  # type: ignore[arg-type]
    m = v = 0.0
    for t, (grad, rate) in enumerate(zip(grads, rates, strict=True), 1):
        g = grad
        if isinstance(options, AdamW):
            w = w - rate * decay * w
        else:
            g = grad + decay * w
        m = options.beta1 * m + (1 - options.beta1) * g
        v = options.beta2 * v + (1 - options.beta2) * g * g
        m_hat, v_hat = m / (1 - options.beta1**t), v / (1 - options.beta2**t)
        w = w - rate * m_hat / (math.sqrt(v_hat) + options.epsilon)
        yield w


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@given(st.floats(-2, 2), st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_each_weight_moves_as_in_a_scalar_loop(optimizer: Optimizer, w: float, grads: list[float]) -> None:
    scalar = scalar_sgd if isinstance(optimizer, Sgd) else scalar_adam
    params: Arrays = {"w": np.array([w])}
    state = optimizer.start(params)
    for grad, rate, wanted in zip(grads, RATES, scalar(optimizer, w, grads, RATES), strict=True):  # type: ignore[arg-type]
        params, state = optimizer.step(params, {"w": np.array([grad])}, state, rate)
        # a few roundings a step, of numbers below 10; a tiny gradient is divided by its own size
        assert params["w"][0] == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_move_as_in_pytorch(optimizer: Optimizer, dtype: type) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    params: Arrays = {"w": rng.normal(size=(3, 4)).astype(dtype), "b": rng.normal(size=4).astype(dtype)}
    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in params.items()}
    options: dict[str, Any] = {"lr": 0.0, "weight_decay": optimizer.weight_decay}  # type: ignore[attr-defined]
    if isinstance(optimizer, Sgd):
        other = torch.optim.SGD(theirs.values(), momentum=optimizer.momentum, nesterov=optimizer.nesterov, **options)
    else:
        kind = torch.optim.AdamW if isinstance(optimizer, AdamW) else torch.optim.Adam
        betas = (optimizer.beta1, optimizer.beta2)  # type: ignore[attr-defined]
        other = kind(theirs.values(), betas=betas, eps=optimizer.epsilon, **options)  # type: ignore[attr-defined]
    state = optimizer.start(params)
    for rate in RATES:
        grads = {name: rng.normal(size=array.shape).astype(dtype) for name, array in params.items()}
        params, state = optimizer.step(params, grads, state, rate)
        for name, tensor in theirs.items():
            tensor.grad = torch.tensor(grads[name])
        other.param_groups[0]["lr"] = rate
        other.step()
    for name, tensor in theirs.items():
        assert params[name].dtype == dtype
        # six steps of some ten roundings each, of numbers below 4
        assert np.abs(params[name] - tensor.detach().numpy()).max() <= 60 * 4 * np.finfo(dtype).eps / 2


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_nothing_given_is_written_to_unless_donated_and_the_result_is_the_same(optimizer: Optimizer) -> None:
    rng = np.random.default_rng(2)
    params: Arrays = {"w": rng.normal(size=5).astype(np.float32)}
    state = optimizer.start(params)
    grads = {"w": rng.normal(size=5).astype(np.float32)}
    params, state = optimizer.step(params, grads, state, 0.1)
    every = [params["w"], grads["w"], *(slot["w"] for slot in state.slots.values())]
    before = [array.copy() for array in every]
    new, next_state = optimizer.step(params, grads, state, 0.1)
    assert all(np.array_equal(a, b) for a, b in zip(every, before, strict=True))
    donated, donated_state = optimizer.step(params, grads, state, 0.1, donate=True)
    assert np.array_equal(donated["w"], new["w"])
    assert donated["w"] is params["w"]
    assert next_state.count == donated_state.count == 2
    for name, slot in next_state.slots.items():
        assert np.array_equal(slot["w"], donated_state.slots[name]["w"])


@pytest.mark.parametrize("kind", [Sgd, Adam, AdamW])
def test_decay_by_name_leaves_other_parameters_alone(kind: Any) -> None:
    params: Arrays = {"w": np.ones(2), "b": np.ones(2)}
    grads = {name: np.full(2, 0.5) for name in params}
    results = []
    for decay in ({"w": 0.1}, 0.1, 0.0):
        optimizer = kind(weight_decay=decay)
        results.append(optimizer.step(params, grads, optimizer.start(params), 0.1)[0])
    named, every, none = results
    # the first step of Adam is the sign of the gradient, decay or not
    assert np.array_equal(named["w"], every["w"])
    assert np.array_equal(named["b"], none["b"])


def test_rates_outside_the_velocity_differ_from_rates_inside_when_they_change() -> None:
    params: Arrays = {"w": np.zeros(1)}
    optimizer = Sgd(momentum=0.9)
    state = optimizer.start(params)
    inside, velocity = 0.0, 0.0
    for rate in (1.0, 0.0):
        params, state = optimizer.step(params, {"w": np.ones(1)}, state, rate)
        velocity = 0.9 * velocity - rate
        inside += velocity
    assert params["w"].tolist() == [-1.0]
    assert inside == -1.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sgd(momentum=1.0), "momentum of 1.0"),
        (lambda: Sgd(nesterov=True), "nesterov without momentum"),
        (lambda: Sgd(weight_decay=-1.0), "decay of -1.0"),
        (lambda: Adam(beta2=1.5), "beta2 of 1.5"),
        (lambda: AdamW(epsilon=0.0), "epsilon of 0.0"),
        (lambda: Adam(weight_decay={"w": math.nan}), "decay of nan"),
    ],
)
def test_options_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


@pytest.mark.parametrize("optimizer", [Sgd(), Sgd(momentum=0.9), Adam(), AdamW()], ids=repr)
def test_gradients_that_do_not_fit_are_refused(optimizer: Optimizer) -> None:
    params = {"w": np.zeros(2)}
    state = optimizer.start(params)
    for grads in ({}, {"w": np.zeros(3)}, {"w": np.zeros(2, np.float32)}, {"w": np.zeros(2), "b": np.zeros(2)}):
        with pytest.raises(DataError, match="gradients"):
            optimizer.step(params, grads, state, 0.1)
    if state.slots:
        with pytest.raises(DataError, match="differ in the names"):
            optimizer.step(params, params, State(0, {name: {} for name in state.slots}), 0.1)


@given(st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=1, max_size=8), st.floats(0.01, 10))
def test_clipped_gradients_keep_their_direction_and_are_as_long_as_allowed(values: list[float], limit: float) -> None:
    grads: Arrays = {"a": np.array(values[:3]), "b": np.array(values[3:])}
    clipped, norm = clip_by_global_norm(grads, limit)
    assert norm == pytest.approx(math.sqrt(sum(v * v for v in values)), rel=1e-14)
    if norm <= limit:
        assert all(clipped[name] is grads[name] for name in grads)
    else:
        assert global_norm(clipped) == pytest.approx(limit, rel=1e-14)
        for name in grads:
            assert np.allclose(clipped[name] * norm, grads[name] * limit, rtol=1e-14, atol=1e-290)


def test_clipping_stays_in_float32_and_leaves_infinity_alone() -> None:
    grads: Arrays = {"a": np.array([3, 4], np.float32)}
    assert clip_by_global_norm(grads, 0.5)[0]["a"].dtype == np.float32
    broken: Arrays = {"a": np.array([np.inf])}
    assert clip_by_global_norm(broken, 1.0) == (broken, math.inf)
    with pytest.raises(OptionError, match="must be above 0"):
        clip_by_global_norm(grads, 0.0)


def test_clipping_is_nearly_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    grads = {"a": np.array([3.0, -4.0]), "b": np.array([12.0])}
    tensors = [torch.zeros(array.shape, dtype=torch.float64) for array in grads.values()]
    for tensor, array in zip(tensors, grads.values(), strict=True):
        tensor.grad = torch.tensor(array)
    norm = torch.nn.utils.clip_grad_norm_(tensors, 2.0)
    clipped, ours = clip_by_global_norm(grads, 2.0)
    assert ours == pytest.approx(norm.item(), rel=1e-14)
    for tensor, array in zip(tensors, clipped.values(), strict=True):
        assert np.allclose(tensor.grad.numpy() * (13 + 1e-6) / 13, array, rtol=1e-14)

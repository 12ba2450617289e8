"""Constraints: masks hold under every optimizer, surgery follows the paper, ties equal a re-parametrisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.errors import DataError, OptionError
from refcompress.train import constraints, schedules
from refcompress.train.constraints import Constraint
from refcompress.train.masks import GradualMasks, Masks, RecomputedMasks, magnitude_masks, masks_of
from refcompress.train.optimizers import Adam, AdamW, Optimizer, Sgd
from refcompress.train.splicing import Splicing, thresholds_from
from refcompress.train.tying import TiedCentroids, nearest

Arrays = Mapping[str, NDArray[Any]]

OPTIMIZERS: list[Optimizer] = [
    Sgd(weight_decay=0.1),
    Sgd(momentum=0.9, weight_decay=0.1),
    Sgd(momentum=0.9, nesterov=True, weight_decay=0.1),
    Adam(weight_decay=0.1),
    AdamW(weight_decay=0.1),
]


def train(
    held: Sequence[Constraint], params: Arrays, optimizer: Optimizer, grads: Sequence[Arrays], rate: float = 0.1
) -> list[dict[str, NDArray[Any]]]:
    """Take steps with given gradients of the effective parameters, and return these after each step."""
    latents, states = constraints.start(held, params)
    state = optimizer.start(latents)
    seen = [constraints.effective(held, latents, states)]
    for count, grad in enumerate(grads, 1):
        pulled = constraints.pull(held, grad, states)
        latents, state = optimizer.step(latents, pulled, state, rate)
        latents, states = constraints.follow(held, latents, states, count)
        seen.append(constraints.effective(held, latents, states))
    return seen


def is_plain_zero(array: NDArray[Any]) -> bool:
    return not np.ascontiguousarray(array).view(np.uint8).any()


def random_steps(seed: int, params: Arrays, count: int) -> list[dict[str, NDArray[Any]]]:
    rng = np.random.default_rng(seed)
    return [{n: rng.normal(size=a.shape).astype(a.dtype) for n, a in params.items()} for _ in range(count)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]), st.integers(1, 6))
def test_a_pruned_weight_stays_plus_zero_at_every_step(
    optimizer: Optimizer, seed: int, dtype: type, count: int
) -> None:
    rng = np.random.default_rng(seed)
    params: Arrays = {"w": rng.normal(size=(3, 4)).astype(dtype), "b": rng.normal(size=4).astype(dtype)}
    mask = rng.random((3, 4)) < 0.5
    grads = random_steps(seed, params, count)
    free = train([], params, optimizer, grads)
    for step, (masked, dense) in enumerate(
        zip(train([Masks({"w": mask})], params, optimizer, grads), free, strict=True)
    ):
        assert is_plain_zero(masked["w"][~mask])
        # the others move as if there were no mask: every optimizer here works weight by weight
        assert np.array_equal(masked["w"][mask], dense["w"][mask]), step
        assert np.array_equal(masked["b"], dense["b"])


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["layer", "global", "scaled"]))
def test_a_weight_pruned_on_the_way_never_returns(optimizer: Optimizer, seed: int, scope: Any) -> None:
    rng = np.random.default_rng(seed)
    params: Arrays = {"v": rng.normal(size=(4, 5)), "w": 9 * rng.normal(size=10)}
    sparsity = schedules.agp(0.8, begin=2, steps=6, every=2)
    seen = train([GradualMasks(("v", "w"), sparsity, scope)], params, optimizer, random_steps(seed, params, 12))
    dead = {name: np.zeros(array.shape, np.bool_) for name, array in params.items()}
    for count, now in enumerate(seen):
        total = 0
        for name, array in now.items():
            assert is_plain_zero(array[dead[name]])
            dead[name] = array == 0
            total += int(dead[name].sum())
            if scope == "layer":
                assert dead[name].sum() == round(sparsity(count) * array.size)
        if scope != "layer":
            assert total == round(sparsity(count) * 30)


def test_masks_come_with_the_smallest_magnitudes_and_ties_break_by_position() -> None:
    weights: Arrays = {"a": np.array([[1.0, -1.0], [1.0, 5.0]]), "b": np.array([-0.1, 0.2])}
    assert magnitude_masks(weights, 0.5)["a"].tolist() == [[False, False], [True, True]]
    together = magnitude_masks(weights, 0.5, scope="global")
    assert [together[name].reshape(-1).tolist() for name in weights] == [[False, True, True, True], [False, False]]
    # scaled by the root mean squares, sqrt(7) and sqrt(0.025): 0.38, 0.38, 0.38, 1.9 and 0.63, 1.3
    scaled = magnitude_masks(weights, 0.5, scope="scaled")
    assert [scaled[name].reshape(-1).tolist() for name in weights] == [[False, False, False, True], [True, True]]
    assert magnitude_masks({}, 0.5, scope="global") == {}


@given(st.lists(st.floats(-1, 1), max_size=20), st.floats(0, 1))
def test_a_magnitude_mask_prunes_the_exact_count_and_nothing_larger_than_what_it_keeps(
    values: list[float], sparsity: float
) -> None:
    weights = np.array(values)
    mask = magnitude_masks({"w": weights}, sparsity)["w"]
    assert (~mask).sum() == round(sparsity * len(values))
    assert np.abs(weights[~mask]).max(initial=0) <= np.abs(weights[mask]).min(initial=1)


def naive_surgery(
    w: float, grads: Sequence[float], thresholds: tuple[float, float], rate: float
) -> list[tuple[float, float]]:
    """One weight under plain SGD, as equations 3 and 4 of the paper say: (W, W T) after each step."""
    low, high = thresholds
    mask = abs(w) >= low and w != 0
    seen = []
    for grad in grads:
        w = w - rate * grad
        if abs(w) < low:
            mask = False
        elif abs(w) >= high:
            mask = True
        seen.append((w, w if mask else 0.0))
    return seen


@given(st.floats(-2, 2), st.lists(st.floats(-5, 5), max_size=12), st.floats(0, 1), st.floats(0, 1))
def test_surgery_prunes_and_splices_as_in_the_paper(w: float, grads: list[float], low: float, gap: float) -> None:
    thresholds = (low, low + gap)
    params: Arrays = {"w": np.array([w])}
    steps = [{"w": np.array([grad])} for grad in grads]
    seen = train([Splicing({"w": thresholds})], params, Sgd(), steps)
    assert [float(now["w"][0]) for now in seen[1:]] == [after for _, after in naive_surgery(w, grads, thresholds, 0.1)]


def test_a_pruned_weight_returns_when_it_has_grown() -> None:
    grads = [{"w": np.array([-4.0])}] * 3
    seen = train([Splicing({"w": (0.5, 1.0)})], {"w": np.array([0.1])}, Sgd(), grads)
    assert [round(float(now["w"][0]), 6) for now in seen] == [0.0, 0.0, 0.0, 1.3]


def test_updates_of_the_masks_become_rare_and_end() -> None:
    surgery = Splicing({}, gamma=0.01, power=1.0, until=3000, seed=4)
    chosen = [count for count in range(1, 4001) if surgery.updates(count)]
    assert chosen[0] == 1
    assert chosen[-1] <= 3000
    wanted = sum(1 / (1 + 0.01 * n) for n in range(3000))
    assert abs(len(chosen) - wanted) < 5 * np.sqrt(wanted)
    assert chosen == [count for count in range(1, 4001) if Splicing({}, 0.01, 1.0, 3000, 4).updates(count)]


def test_thresholds_come_from_the_magnitudes_that_are_not_zero() -> None:
    w = np.array([[1.0, -2.0, 0.0], [4.0, 0.0, -5.0]])
    low, high = thresholds_from({"w": w}, {"w": 0.5}, margin=0.2)["w"]
    magnitudes = [1.0, 2.0, 4.0, 5.0]
    middle = np.mean(magnitudes) + 0.5 * np.std(magnitudes)
    assert (low, high) == pytest.approx((0.8 * middle, 1.2 * middle))
    assert thresholds_from({"w": w, "z": np.zeros(2)}, -9.0) == {"w": (0.0, 0.0), "z": (0.0, 0.0)}


def loss_of(w: NDArray[Any], x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """Return mean(tanh(x w)^2), which is not linear, and its gradient by w."""
    y = np.tanh(x @ w)
    return float(np.square(y).mean()), x.T @ (2 * y * (1 - y * y)) / y.size


@given(st.integers(0, 2**32 - 1))
def test_the_gradient_of_a_centroid_is_the_slope_of_the_loss_by_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.array([0.0, -1.5, 0.5, 2.0])
    w = rng.choice(values, size=(6, 5))
    x = rng.normal(size=(4, 6))
    tied = TiedCentroids(("w",))
    latents, state = tied.start({"w": w})
    pulled = tied.pull({"w": loss_of(w, x)[1]}, state)["w:centroids"]
    centroids = latents["w:centroids"]
    assert centroids.tolist() == sorted(set(w.reshape(-1)) - {0.0})
    for j in range(centroids.size):
        slopes = []
        for step in (1e-6, -1e-6):
            moved = centroids.copy()
            moved[j] += step
            explicit = w.copy()
            explicit[w == centroids[j]] = moved[j]
            assert np.array_equal(tied.effective({"w:centroids": moved}, state)["w"], explicit)
            slopes.append(loss_of(explicit, x)[0] / (2 * step))
        assert sum(slopes) == pytest.approx(pulled[j], rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_tied_weights_move_as_in_an_explicit_reparametrisation(optimizer: Optimizer) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(8, 6))
    w = rng.choice([0.0, -1.0, 0.25, 3.0], size=(6, 5))
    # explicit: w = sum of indicator_j c_j, differentiated by the chain rule with a dense matrix
    centroids = np.array([-1.0, 0.25, 3.0])
    indicators = np.stack([(w == c).reshape(-1) for c in centroids], axis=1).astype(np.float64)
    tied = TiedCentroids(("w",))
    latents, state = tied.start({"w": w})
    explicit: Arrays = {"c": centroids}
    ours, theirs = optimizer.start(latents), optimizer.start(explicit)
    for count in range(1, 6):
        dense = tied.effective(latents, state)["w"]
        assert np.allclose(dense.reshape(-1), indicators @ explicit["c"], rtol=1e-12)
        assert is_plain_zero(dense[w == 0])
        latents, ours = optimizer.step(latents, tied.pull({"w": loss_of(dense, x)[1]}, state), ours, 0.1)
        latents, state = tied.follow(latents, state, count)
        other = (indicators @ explicit["c"]).reshape(w.shape)
        grad = indicators.T @ loss_of(other, x)[1].reshape(-1)
        explicit, theirs = optimizer.step(explicit, {"c": grad}, theirs, 0.1)
    assert np.allclose(latents["w:centroids"], explicit["c"], rtol=1e-11)


def test_tied_weights_move_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(6)
    x, w = rng.normal(size=(8, 6)), rng.choice([-1.0, 0.25, 3.0], size=(6, 5))
    tied = TiedCentroids(("w",))
    latents, state = tied.start({"w": w})
    centroids = torch.tensor([-1.0, 0.25, 3.0], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(np.searchsorted([-1.0, 0.25, 3.0], w))
    ours, theirs = Sgd(momentum=0.9), torch.optim.SGD([centroids], lr=0.1, momentum=0.9)
    velocity = ours.start(latents)
    for _ in range(5):
        theirs.zero_grad()
        (torch.tensor(x) @ centroids[labels]).tanh().square().mean().backward()
        theirs.step()
        grads = tied.pull({"w": loss_of(tied.effective(latents, state)["w"], x)[1]}, state)
        latents, velocity = ours.step(latents, grads, velocity, 0.1)
    assert np.allclose(latents["w:centroids"], centroids.detach().numpy(), rtol=1e-12)


def test_with_the_mean_gradient_a_centroid_moves_to_the_mean_of_its_retrained_members() -> None:
    rng = np.random.default_rng(7)
    w = rng.choice([0.0, -1.0, 2.0], size=(6, 5))
    grad = rng.normal(size=w.shape)
    after = train([TiedCentroids(("w",), gradient="mean")], {"w": w}, Sgd(), [{"w": grad}])[-1]["w"]
    retrained = w - 0.1 * grad
    for value in (-1.0, 2.0):
        assert np.allclose(after[w == value], retrained[w == value].mean(), rtol=1e-13)


def test_members_go_to_the_nearest_centroid_every_few_steps() -> None:
    tied = TiedCentroids(("w",), reassign_every=2)
    latents, state = tied.start({"w": np.array([0.0, 1.0, 1.0, 4.0])})
    moved = {"w": np.array([9.0, 1.0, 3.0, 4.0]), "w:centroids": np.array([1.0, 4.0])}
    latents, state = tied.follow(moved, state, 1)
    assert tied.effective(latents, state)["w"].tolist() == [0.0, 1.0, 1.0, 4.0]
    latents, state = tied.follow(latents, state, 2)
    assert tied.effective(latents, state)["w"].tolist() == [0.0, 1.0, 4.0, 4.0]
    pulled = tied.pull({"w": np.array([5.0, 1.0, 2.0, 3.0])}, state)
    assert {name: grad.tolist() for name, grad in pulled.items()} == {
        "w": [0.0, 1.0, 2.0, 3.0],
        "w:centroids": [1.0, 5.0],
    }


def test_zero_may_be_a_value_like_any_other() -> None:
    tied = TiedCentroids(("w",), zero_learns=True)
    latents, state = tied.start({"w": np.array([0.0, 1.0, 0.0])})
    assert latents["w:centroids"].tolist() == [0.0, 1.0]
    assert tied.pull({"w": np.ones(3)}, state)["w:centroids"].tolist() == [2.0, 1.0]


def test_a_weight_of_zeros_alone_can_be_tied() -> None:
    for tied in (TiedCentroids(("w",)), TiedCentroids(("w",), gradient="mean", reassign_every=1)):
        seen = train([tied], {"w": np.zeros((2, 2))}, Adam(), [{"w": np.ones((2, 2))}] * 2)
        assert is_plain_zero(seen[-1]["w"])


@given(st.lists(st.floats(-3, 3), max_size=12), st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_the_nearest_centroid_is_that_of_a_full_search(values: list[float], centroids: list[float]) -> None:
    found = nearest(np.array(values), np.array(centroids))
    for value, index in zip(values, found, strict=True):
        chosen = abs(value - centroids[index])
        assert chosen <= min(abs(value - c) for c in centroids) + 1e-15


def test_constraints_on_different_parameters_work_side_by_side() -> None:
    params: Arrays = {"a": np.array([1.0, -2.0]), "b": np.array([0.5, 0.5, 0.0]), "c": np.ones(2), "d": np.ones(1)}
    held: list[Constraint] = [
        Masks({"a": np.array([True, False])}),
        TiedCentroids(("b",), reassign_every=1),
        Splicing({"c": (0.95, 2.0)}),
    ]
    seen = train(held, params, Sgd(), [{name: np.ones(array.shape) for name, array in params.items()}])[-1]
    assert list(seen) == ["d", "a", "b", "c"]
    assert {name: array.round(6).tolist() for name, array in seen.items()} == {
        "a": [0.9, 0.0],
        "b": [0.3, 0.3, 0.0],
        "c": [0.0, 0.0],
        "d": [0.9],
    }


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: constraints.start([Masks(masks_of(p)), Masks(masks_of(p))], p), OptionError, "two constraints"),
        (lambda p: constraints.start([TiedCentroids(("x",))], p), OptionError, "not trained"),
        (lambda p: constraints.start([TiedCentroids(("w",))], {**p, "w:centroids": p["w"]}), OptionError, "rename"),
        (lambda _: Masks({"w": np.ones(2)}), OptionError, "must be bool"),
        (lambda p: Masks({"w": np.ones(3, np.bool_)}).start(p), DataError, r"shape \(3,\)"),
        (lambda p: Masks({"x": np.ones(3, np.bool_)}).start(p), DataError, "missing"),
        (lambda p: magnitude_masks(p, 1.5), OptionError, "sparsity of 1.5"),
        (lambda p: magnitude_masks(p, 0.5, scope="all"), OptionError, "scope 'all'"),
        (lambda _: Splicing({"w": (2.0, 1.0)}), OptionError, "0 <= a <= b"),
        (lambda _: Splicing({}, gamma=-1.0), OptionError, "gamma = -1.0"),
        (lambda p: thresholds_from(p, {}), OptionError, "rate of 'w'"),
        (lambda p: thresholds_from(p, 1.0, margin=2.0), OptionError, "margin of 2.0"),
        (lambda _: TiedCentroids((), gradient="max"), OptionError, "gradient 'max'"),  # type: ignore[arg-type]
        (lambda _: TiedCentroids((), reassign_every=-1), OptionError, "every -1"),
        (lambda _: TiedCentroids(("w",)).start({"w": np.arange(5000.0)}), DataError, "4999 distinct values"),
        (lambda _: TiedCentroids(("w",)).start({"w": np.array([np.nan])}), DataError, "NaN"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call({"w": np.array([1.0, 0.0])})


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@given(st.integers(0, 2**32 - 1))
def test_a_weight_that_is_zero_before_gradual_pruning_stays_zero(optimizer: Optimizer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    params: Arrays = {"w": np.where(rng.random((4, 5)) < 0.3, 0.0, rng.normal(size=(4, 5)))}
    dead = params["w"] == 0
    sparsity = schedules.agp(0.8, begin=2, steps=4, every=2)
    seen = train([GradualMasks(("w",), sparsity)], params, optimizer, random_steps(seed, params, 8))
    for count, now in enumerate(seen):
        assert is_plain_zero(now["w"][dead])
        assert (now["w"] == 0).sum() == max(round(sparsity(count) * 20), dead.sum())


def naive_pruning(w: NDArray[Any], count: int) -> NDArray[Any]:
    """Set the smallest magnitudes to zero, one by one."""
    w = w.copy()
    for _ in range(count):
        w[min((abs(value), place) for place, value in enumerate(w) if value)[1]] = 0
    return w


@given(st.integers(0, 2**32 - 1))
def test_recomputed_masks_are_plain_training_and_pruning_in_turn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    params: Arrays = {"w": rng.normal(size=12)}
    sparsity = schedules.agp(0.75, begin=1, steps=4, every=2)
    steps = random_steps(seed, params, 7)
    seen = train([RecomputedMasks(("w",), sparsity)], params, Sgd(), steps)
    w = params["w"]
    for count, (grad, now) in enumerate(zip(steps, seen[1:], strict=True), 1):
        w = naive_pruning(w - 0.1 * grad["w"], round(sparsity(count) * 12))
        assert np.array_equal(now["w"], w)


def test_weights_return_under_recomputed_masks_and_under_returning_ones() -> None:
    grads = [{"w": np.array([-20.0, 0.0])}] * 2
    params: Arrays = {"w": np.array([0.5, 1.0])}
    seen = [float(now["w"][0]) for now in train([RecomputedMasks(("w",), lambda _: 0.5)], params, Sgd(), grads)]
    assert seen == [0.0, 2.0, 4.0]

    def sparsity(count: int) -> float:
        return 0.5 if count < 2 else 0.51  # another number, the same count: pruned anew

    held = [GradualMasks(("w",), sparsity, returning=True)]
    assert [float(now["w"][0]) for now in train(held, params, Sgd(), grads)] == [0.0, 0.0, 4.5]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["layer", "global", "scaled"]))
def test_recomputed_masks_have_the_exact_sparsity_at_every_step(optimizer: Optimizer, seed: int, scope: Any) -> None:
    rng = np.random.default_rng(seed)
    params: Arrays = {"v": rng.normal(size=(4, 5)).astype(np.float32), "w": rng.normal(size=10).astype(np.float32)}
    seen = train([RecomputedMasks(("v", "w"), lambda _: 0.6, scope)], params, optimizer, random_steps(seed, params, 4))
    for now in seen:
        zeros = {name: array == 0 for name, array in now.items()}
        assert all(is_plain_zero(array[zeros[name]]) for name, array in now.items())
        assert sum(int(each.sum()) for each in zeros.values()) == 18
        if scope == "layer":
            assert zeros["v"].sum() == 12

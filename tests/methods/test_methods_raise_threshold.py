"""Raised thresholds: the control loop against one written by hand, the budget, the way back, and real digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from checks.digit_networks import arrays, as_bytes, dataset, trained, zeros
from checks.small_networks import classifier
from hypothesis import given
from hypothesis import strategies as st

from refcompress.encodings import encode
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.methods import raise_threshold
from refcompress.methods.rounds import seed_of
from refcompress.passes import share_weights
from refcompress.train import Dataset, Masks, Plan, Sgd, error_rate, fit, masks_of, score
from reference_models import digits_cnn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 12)).astype(np.float32)
LABELS = np.argmax(X[:, :4] + X[:, 4:8], axis=1)
DATA = Dataset(X[:40], LABELS[:40], X[40:], LABELS[40:])
KERNELS = ("fc1/kernel", "fc2/kernel")


def scores(values: Sequence[float]) -> Any:
    """Return a score that has these values one after the other, whatever the network."""
    left = iter(values)
    return lambda *_: next(left)


def by_hand(within: Sequence[bool], groups: Sequence[tuple[str, ...]], rounds: int, plan: Plan) -> tuple[Graph, int]:
    """Run the loop as the docstring says, and return the network and the number of trainings."""
    graph, count, answers = classifier(), 0, iter(within)
    for names in groups:
        q = 0.2
        for _ in range(rounds):
            weights = arrays(graph)
            pruned = {name: weights[name].copy() for name in KERNELS}
            for name in names:
                limit = q * np.sqrt(np.mean((weights[name].astype(float) - weights[name].astype(float).mean()) ** 2))
                for place in np.ndindex(weights[name].shape):
                    if abs(float(weights[name][place])) <= limit:
                        pruned[name][place] = 0
            masks = {name: mask for name, mask in masks_of(pruned).items() if not mask.all()}
            count += 1
            own = replace(
                plan, score=None, seed=seed_of(plan.seed, count), constraints=(Masks(masks),) if masks else ()
            )
            candidate = graph.with_params({name: encode(array) for name, array in pruned.items()})
            after = fit(candidate, DATA.inputs, DATA.targets, own, validation=DATA.validation).graph
            if not next(answers):
                break
            graph, q = after, q + 0.25
    return graph, count


@given(st.lists(st.booleans(), min_size=8, max_size=8), st.integers(1, 3), st.integers(0, 5))
def test_the_loop_is_that_of_one_written_by_hand(within: list[bool], rounds: int, seed: int) -> None:
    plan = Plan(epochs=1, batch_size=20, rate=0.02, seed=seed)
    graph, count = by_hand(within, [("fc2/kernel",), ("fc1/kernel",)], rounds, plan)
    values = [0.3] + [0.34 if good else 0.36 for good in within]
    own = replace(plan, score=scores(values))
    options: dict[str, Any] = {"groups": ["fc2", "*"], "start": 0.2, "step": 0.25, "budget": 0.05}
    ours = raise_threshold(classifier(), DATA, own, **options, max_rounds=rounds)
    assert as_bytes(ours.graph) == as_bytes(graph)
    assert len(ours.history) == count
    assert [epoch.number for epoch in ours.history] == list(range(1, count + 1))
    accepted = [number for number, epoch in enumerate(ours.history, 1) if epoch.score == 0.34]
    assert ours.best_epoch == max(accepted, default=0)


@pytest.mark.parametrize("std", ["all", "surviving", "cached"])
@pytest.mark.parametrize("inclusive", [True, False])
def test_thresholds_are_those_of_the_formula(std: Any, inclusive: bool) -> None:
    kernel = np.round(arrays(classifier())["fc1/kernel"] * 4) / 4
    kernel[:, :4] = 0
    graph = classifier().with_params({"fc1/kernel": encode(kernel)})
    still = Plan(epochs=1, optimizer=Sgd(), rate=0.0, score=error_rate)
    options: dict[str, Any] = {"std": std, "inclusive": inclusive, "budget": 1.0}
    after = arrays(
        raise_threshold(graph, DATA, still, groups=["fc1"], start=0.5, step=0.25, max_rounds=3, **options).graph
    )
    wanted = kernel.astype(np.float64)
    cached = wanted.std()
    for q in (0.5, 0.75, 1.0):
        spread = {"all": wanted.std(), "surviving": wanted[wanted != 0].std(), "cached": cached}[std]
        gone = np.abs(wanted) <= q * spread if inclusive else np.abs(wanted) < q * spread
        wanted[gone] = 0
    assert np.array_equal(after["fc1/kernel"], wanted)
    assert np.array_equal(after["fc2/kernel"], arrays(graph)["fc2/kernel"])


def test_a_weight_at_the_threshold_goes_if_the_option_says_so() -> None:
    kernel = np.where(np.arange(12 * 32).reshape(12, 32) % 2, 1.0, -1.0)  # the deviation is 1
    graph = classifier().with_params({"fc1/kernel": encode(kernel)})
    still = Plan(epochs=1, optimizer=Sgd(), rate=0.0, score=error_rate)
    for inclusive, left in ((True, 384), (False, 0)):
        options: dict[str, Any] = {"inclusive": inclusive, "budget": 1.0}
        after = raise_threshold(graph, DATA, still, groups=["fc1"], start=1.0, max_rounds=1, **options).graph
        assert zeros(after, "fc1/kernel") == left


def test_the_network_given_comes_back_if_no_raise_is_within_the_budget() -> None:
    plan = Plan(epochs=2, score=scores([0.1, 0.2, 0.3, 0.15, 0.2]))
    fitted = raise_threshold(classifier(), DATA, plan, groups=["fc1", "fc2"], budget=0.04)
    assert as_bytes(fitted.graph) == as_bytes(classifier())
    assert fitted.best_epoch == 0
    assert [epoch.score for epoch in fitted.history] == [0.2, 0.3, 0.15, 0.2]


def test_the_best_epoch_of_a_round_decides() -> None:
    plan = Plan(epochs=2, score=scores([0.1, 0.5, 0.12, 0.12, 0.5, 0.5, 0.5]))
    fitted = raise_threshold(classifier(), DATA, plan, groups=["fc1"], budget=0.05)
    assert fitted.best_epoch == 3
    assert len(fitted.history) == 6


def test_digits_are_read_within_the_budget() -> None:
    plan = Plan(epochs=5, rate=0.005, score=error_rate)
    graph, data = trained(), dataset()
    fitted = raise_threshold(graph, data, plan, start=0.2, step=0.2, budget=0.02, max_rounds=8)
    before, after = (score(each, *data.validation, plan) for each in (graph, fitted.graph))
    assert after <= before + 0.02
    assert after == fitted.history[fitted.best_epoch - 1].score
    sparsity = zeros(fitted.graph, "fc1/weight") / 2048
    assert sparsity > 0.5
    (drop,) = [node for node in fitted.graph.nodes if node.op == "Dropout"]
    assert drop.attrs.ratio == pytest.approx(0.2 * np.sqrt(1 - zeros(fitted.graph, "fc2/weight") / 320))


def test_dense_layers_come_first_and_convolutions_after_them() -> None:
    data = dataset(128)
    graph = digits_cnn.build(np.random.default_rng(0))
    seen = []

    def watch(outputs: Any, *_: object) -> float:
        seen.append(len(outputs))
        return 0.0

    plan = Plan(epochs=1, batch_size=64, score=watch)
    first = raise_threshold(graph, data, plan, start=1.0, max_rounds=1, groups=["Gemm"]).graph
    assert zeros(first, "dense1/weight") > 0.5 * 512 * 48
    assert zeros(first, "conv1/weight") == 0
    both = raise_threshold(graph, data, plan, start=1.0, max_rounds=1).graph
    assert zeros(both, "dense1/weight") == zeros(first, "dense1/weight")
    assert zeros(both, "conv2/weight") > 0.5 * 9 * 16 * 32
    assert seen == [360] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["fc3"]}, r"the group 'fc3' matches no layer; .* \(did you mean 'fc"),
        ({"start": -1.0}, "start is -1.0"),
        ({"step": float("nan")}, "step is nan"),
        ({"budget": "much"}, "budget is 'much'"),
        ({"std": "some"}, "std is 'some'"),
        ({"inclusive": 1}, "inclusive is 1"),
        ({"max_rounds": 0}, "max_rounds is 0"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        raise_threshold(classifier(), DATA, Plan(epochs=1), **options)


def test_shared_weights_are_refused() -> None:
    with pytest.raises(OptionError, match="prune before sharing"):
        raise_threshold(share_weights.kmeans(classifier(), bits=3), DATA, Plan(epochs=1))

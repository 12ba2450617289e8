"""Options of training steps: what plan comes of them, and what is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.small_networks import classifier
from hypothesis import given
from hypothesis import strategies as st

import refcompress.methods
from refcompress import recipe
from refcompress.errors import OptionError
from refcompress.methods.plan_options import DEFAULTS, PLAN_OPTIONS, make_plan
from refcompress.run import run
from refcompress.train import Adam, AdamW, Plan, Sgd, augment, losses, schedules

LOGITS = np.random.default_rng(0).normal(size=(5, 4))
LABELS = np.array([0, 3, 1, 1, 2])


def plan_of(samples: int = 640, **options: Any) -> Plan:
    return make_plan({"epochs": 2, **options}, samples=samples)


def rates(plan: Plan, steps: int) -> list[float]:
    return [plan.rate_at(step) for step in range(steps)]


def test_defaults_are_those_of_a_plan() -> None:
    ours, theirs = plan_of(), Plan(epochs=2)
    same = ("batch_size", "optimizer", "loss", "from_logits", "clip_norm", "augment", "teacher", "patience")
    for name in (*same, "batch_moments", "moment_memory"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert (ours.keep, ours.seed, ours.rate_at(7)) == (theirs.keep, theirs.seed, theirs.rate_at(7))
    assert set(DEFAULTS) < set(PLAN_OPTIONS)


def test_plain_options_reach_the_plan() -> None:
    plan = plan_of(batch_size=10, clip_norm=2, seed=5, keep="last", patience=3)
    assert (plan.epochs, plan.batch_size, plan.clip_norm, plan.seed, plan.keep, plan.patience) == (
        2,
        10,
        2,
        5,
        "last",
        3,
    )
    assert plan_of(batch_moments=False).batch_moments is False


def test_optimizers_are_chosen_by_name() -> None:
    assert plan_of(optimizer="adam", weight_decay=0.1).optimizer == Adam(weight_decay=0.1)
    assert plan_of(optimizer="adamw").optimizer == AdamW()
    assert plan_of(optimizer="adamw", weight_decay=0.1).optimizer == AdamW(weight_decay=0.1)
    assert plan_of(optimizer="sgd").optimizer == Sgd()
    given_ = {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}
    assert plan_of(optimizer="sgd", **given_).optimizer == Sgd(momentum=0.9, nesterov=True, weight_decay=1e-4)


@given(st.integers(1, 9), st.integers(1, 700), st.integers(1, 64), st.floats(0, 0.9))
def test_a_cosine_spans_all_steps_and_begins_after_its_hold(
    epochs: int, samples: int, batch_size: int, hold: float
) -> None:
    steps = epochs * sum(1 for _ in range(0, samples, batch_size))  # as a loop over batches counts them
    options = {"epochs": epochs, "batch_size": batch_size, "rate": 0.5, "schedule": "cosine", "hold": hold}
    begin = round(hold * steps)
    if begin >= steps:
        with pytest.raises(OptionError, match="leaves the cosine no step"):
            make_plan(options, samples=samples)
        return
    wanted = [
        0.5 if n < begin else 0.25 * (1 + math.cos(math.pi * (n - begin) / (steps - begin))) for n in range(steps + 1)
    ]
    assert rates(make_plan(options, samples=samples), steps + 1) == pytest.approx(wanted, abs=1e-15)


def test_a_warm_up_comes_first_and_a_hold_counts_from_the_beginning() -> None:
    plan = plan_of(samples=64 * 50, rate=1.0, schedule="cosine", warm_up=0.1, hold=0.5)  # 100 steps
    got = rates(plan, 101)
    assert got[:10] == pytest.approx([(n + 1) / 11 for n in range(10)])
    assert set(got[10:51]) == {1.0}
    assert got[51] < 1
    assert got[75] == pytest.approx(0.5)
    assert got[100] == pytest.approx(0, abs=1e-15)
    early = plan_of(samples=64 * 50, rate=1.0, schedule="cosine", warm_up=0.2, hold=0.1)
    assert early.rate_at(20) == 1
    assert early.rate_at(60) == pytest.approx(0.5)


def test_one_cycle_takes_all_steps() -> None:
    wanted = schedules.one_cycle(0.1, 20)
    assert rates(plan_of(rate=0.1, schedule="one_cycle"), 20) == [wanted(n) for n in range(20)]


def test_losses_are_chosen_by_name() -> None:
    value, gradient = plan_of(label_smoothing=0.1).loss(LOGITS, LABELS)
    wanted, slope = losses.softmax_cross_entropy(LOGITS, LABELS, label_smoothing=0.1)
    assert value == wanted
    assert np.array_equal(gradient, slope)
    assert plan_of(loss="binary_cross_entropy").loss is losses.binary_cross_entropy
    squared = plan_of(loss="squared_error")
    assert squared.loss is losses.mean_squared_error
    assert not squared.from_logits


def test_the_score_is_the_error_rate_of_classes_and_otherwise_the_loss() -> None:
    score = plan_of(label_smoothing=0.1).score
    assert score is not None
    assert score(LOGITS, LABELS) == np.mean(
        [np.argmax(row) != label for row, label in zip(LOGITS, LABELS, strict=True)]
    )
    soft = np.full((5, 4), 0.25)
    assert score(LOGITS, soft) == losses.softmax_cross_entropy(LOGITS, soft)[0]
    binary = plan_of(loss="binary_cross_entropy").score
    assert binary is not None
    ones = np.ones((5, 4), np.int64)
    assert binary(LOGITS, ones) == losses.binary_cross_entropy(LOGITS, ones)[0]


def test_augmentations_follow_one_another() -> None:
    images = np.random.default_rng(1).random((3, 8, 8, 1)).astype(np.float32)
    plan = plan_of(shift_pixels=2, rotate_degrees=5, elastic_alpha=3, elastic_sigma=2)
    assert plan.augment is not None
    rng = np.random.default_rng(4)
    wanted = augment.elastic(images, rng, alpha=3, sigma=2)
    wanted = augment.shift(augment.rotate(wanted, rng, degrees=5), rng, pixels=2)
    assert np.array_equal(plan.augment(images, np.random.default_rng(4)), wanted)
    only = plan_of(shift_pixels=1).augment
    assert only is not None
    assert np.array_equal(
        only(images, np.random.default_rng(4)), augment.shift(images, np.random.default_rng(4), pixels=1)
    )


def test_a_teacher_gives_its_logits_and_a_share_of_the_loss() -> None:
    teacher = classifier(seed=3)
    options = {"epochs": 1, "distill_weight": 0.7, "distill_temperature": 2.0, "label_smoothing": 0.1}
    plan = make_plan(options, samples=5, teacher=teacher)
    x = np.random.default_rng(2).normal(size=(5, 12)).astype(np.float32)
    assert plan.teacher is not None
    soft = plan.teacher({"x": x})
    z = soft.astype(np.float64)
    probabilities = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert np.allclose(probabilities, run(teacher, x)[0], rtol=1e-5)  # a softmax of float32 numbers
    got = plan.loss(LOGITS, LABELS, soft)[0]
    hard, _ = losses.softmax_cross_entropy(LOGITS, LABELS, label_smoothing=0.1)

    def tempered(values: np.ndarray) -> np.ndarray:
        return np.exp(values / 2) / np.exp(values / 2).sum(axis=1, keepdims=True)

    divergence = np.mean(np.sum(tempered(z) * np.log(tempered(z) / tempered(LOGITS)), axis=1))
    assert got == pytest.approx(0.3 * hard + 0.7 * 4 * divergence, rel=1e-12)
    assert make_plan({"epochs": 1}, samples=5, teacher=teacher).teacher is None


README = Path(refcompress.methods.__file__).with_name("README.md").read_text(encoding="utf-8")


def test_the_guide_lists_every_option_with_its_default_and_its_choices() -> None:
    section = README.partition("## In a recipe")[2].partition("\n## ")[0]
    rows = {
        option: (values, default)
        for option, values, default in re.findall(r"^\| `(\w+)` \| (.*) \| (.*?) ?\|$", section, re.MULTILINE)
    }
    assert set(rows) == set(PLAN_OPTIONS) | {"teacher"}
    for name, value in DEFAULTS.items():
        assert rows[name][1] == f"`{str(value).lower() if isinstance(value, bool) else value}`", name
    for name, kind in PLAN_OPTIONS.items():
        assert isinstance(kind, str) or all(f"`{choice}`" in rows[name][0] for choice in kind), name


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", README, re.DOTALL))
def test_the_recipes_of_the_guide_are_sound(block: str) -> None:
    recipe.parse(block)


BAD = {
    # what is wrong: the options, and words of the message
    "no epoch": ({"epochs": 0}, "epochs is 0"),
    "a batch of nothing": ({"batch_size": 0}, "batch_size is 0"),
    "a rate that rises": ({"rate": -0.1}, "rate is -0.1; give a number of at least 0"),
    "a rate without end": ({"rate": math.inf}, "rate is inf"),
    "a rate that is no number": ({"rate": math.nan}, "rate is nan"),
    "a choice that does not exist": ({"optimizer": "adm"}, "did you mean 'adam'"),
    "momentum beyond 1": ({"optimizer": "sgd", "momentum": 1.0}, "momentum of 1.0"),
    "Nesterov without momentum": ({"optimizer": "sgd", "nesterov": True}, "nesterov without momentum"),
    "momentum with Adam": ({"momentum": 0.9}, "momentum does nothing where optimizer is 'adam'.*take sgd"),
    "a hold without a cosine": ({"hold": 0.5}, "hold does nothing where schedule is 'constant'"),
    "a hold until the end": ({"schedule": "cosine", "hold": 1.0}, "leaves the cosine no step of 20"),
    "a warm-up before one cycle": ({"schedule": "one_cycle", "warm_up": 0.1}, "take constant or cosine"),
    "nothing but a warm-up": ({"warm_up": 1.0}, "leaves no step of 20"),
    "one cycle of one step": ({"epochs": 1, "batch_size": 640, "schedule": "one_cycle"}, "steps = 1"),
    "a clip to nothing": ({"clip_norm": 0}, "clip_norm is 0"),
    "too much smoothing": ({"label_smoothing": 1.5}, "label_smoothing is 1.5"),
    "smoothing of numbers": ({"loss": "squared_error", "label_smoothing": 0.1}, "take cross_entropy"),
    "a negative seed": ({"seed": -1}, "seed = -1"),
    "impatience": ({"patience": 0}, "patience = 0"),
    "a shift backwards": ({"shift_pixels": -1}, "shift_pixels is -1"),
    "a negative angle": ({"rotate_degrees": -1}, "rotate_degrees is -1"),
    "a blur of nothing": ({"elastic_sigma": 3.0}, "elastic_sigma does nothing without elastic_alpha"),
    "a blur of no width": ({"elastic_alpha": 3.0, "elastic_sigma": 0.0}, "elastic_sigma is 0"),
    "nobody to learn from": ({"distill_weight": 0.5}, "without a teacher; give the network"),
    "a temperature of nothing": ({"distill_temperature": 3.0}, "does nothing without distill_weight"),
}


@pytest.mark.parametrize("case", BAD)
def test_options_out_of_range_or_of_no_use_are_refused(case: str) -> None:
    options, message = BAD[case]
    with pytest.raises(OptionError, match=message):
        plan_of(**options)

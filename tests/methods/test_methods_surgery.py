"""Surgery: weights return, thresholds hold, and what it costs on real digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from checks.digit_networks import arrays, dataset, trained, untrained, zeros

from refcompress.encodings import encode
from refcompress.errors import OptionError
from refcompress.methods import surgery
from refcompress.passes import LayerRule, share_weights
from refcompress.train import Plan, Sgd, error_rate, score

PLAN = Plan(epochs=12, rate=0.005, score=error_rate)


def limits(values: Any, rate: float, margin: float) -> tuple[float, float]:
    """Return both thresholds by the formula."""
    magnitudes = [abs(float(value)) for value in values.reshape(-1) if value]
    mean = sum(magnitudes) / len(magnitudes)
    deviation = np.sqrt(sum((each - mean) ** 2 for each in magnitudes) / len(magnitudes))
    return (1 - margin) * (mean + rate * deviation), (1 + margin) * (mean + rate * deviation)


def test_two_weights_in_three_go_and_the_digits_are_still_read() -> None:
    fitted = surgery(trained(), dataset(), PLAN, rate=0.5)
    assert zeros(fitted.graph, "fc1/weight") > 0.6 * 2048
    assert score(fitted.graph, *dataset().validation, PLAN) < 0.07


def test_no_epoch_in_which_masks_still_change_is_chosen() -> None:
    scores = iter(range(12))
    plan = replace(PLAN, score=lambda *_: next(scores))
    # 24 steps: masks stand after step 17, in the ninth epoch of 2 steps
    assert surgery(trained(), dataset(100), plan, rate=0.5).best_epoch == 9


def test_weights_return_that_training_from_scratch_makes_large() -> None:
    graph = untrained()
    before = arrays(graph)["fc1/weight"]
    low, high = limits(before, 0.0, 0.1)
    start = np.abs(before) < low
    once = surgery(graph, dataset(), replace(PLAN, epochs=1), rate=0.0, end=1.0)
    later = surgery(graph, dataset(), replace(PLAN, rate=0.02), rate=0.0, gamma=0.0, end=1.0)
    after = arrays(later.graph)["fc1/weight"]
    returned = start & (after != 0)
    assert returned.sum() > 20
    assert np.abs(after[after != 0]).min() >= np.float32(low)
    assert (~start & (after == 0)).sum() > 20
    assert high > low
    assert zeros(once.graph, "fc1/weight") > 0


def test_without_learning_masks_are_those_of_the_lower_threshold() -> None:
    still = Plan(epochs=1, optimizer=Sgd(), rate=0.0)
    rules = [LayerRule("fc2", {"rate": -0.5, "margin": 0.3})]
    after = arrays(surgery(trained(), dataset(100), still, rate=0.25, layers=rules).graph)
    for name, rate, margin in (("fc1/weight", 0.25, 0.1), ("fc2/weight", -0.5, 0.3)):
        before = arrays(trained())[name]
        low, _ = limits(before, rate, margin)
        assert np.array_equal(after[name], np.where(np.abs(before) < low, 0, before))


def test_zeros_may_return_but_not_those_of_a_layer_that_is_skipped() -> None:
    params = arrays(trained())
    dead = {name: np.random.default_rng(1).random(params[name].shape) < 0.5 for name in ("fc1/weight", "fc2/weight")}
    graph = trained().with_params({name: encode(np.where(mask, 0, params[name])) for name, mask in dead.items()})
    rules = [LayerRule("fc2", {"skip": True})]
    plan = replace(PLAN, epochs=4, rate=0.02)
    after = arrays(surgery(graph, dataset(), plan, rate=-1.0, layers=rules).graph)
    assert after["fc1/weight"][dead["fc1/weight"]].any()
    assert not after["fc2/weight"][dead["fc2/weight"]].any()
    assert after["fc2/weight"][~dead["fc2/weight"]].all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": float("nan")}, "rate of 'fc1/weight'"),
        ({"margin": 2.0}, "margin of 2.0"),
        ({"gamma": -1.0}, "gamma = -1.0"),
        ({"end": 2.0}, "end is 2.0"),
        ({"layers": [LayerRule("fc1", {"gamma": 1.0})]}, "does not have"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        surgery(trained(), dataset(), PLAN, **{"rate": 1.0, **options})


def test_shared_weights_are_refused() -> None:
    with pytest.raises(OptionError, match="prune before sharing"):
        surgery(share_weights.kmeans(trained(), bits=3), dataset(), PLAN, rate=1.0)

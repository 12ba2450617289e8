"""Gradual pruning: exact sparsity, levels by layer, zeros that stay or return, and what it costs on real digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from checks.digit_networks import WEIGHTS, arrays, dataset, trained, untrained, zeros

from refcompress.encodings import encode
from refcompress.errors import OptionError
from refcompress.graph import Node
from refcompress.methods import prune_gradually
from refcompress.methods.prune_gradually import Masking
from refcompress.passes import LayerRule, share_weights
from refcompress.train import AdamW, Plan, Sgd, error_rate, score

SIZES = {"fc1/weight": 2048, "fc2/weight": 320}
PLAN = Plan(epochs=12, rate=0.005, score=error_rate, optimizer=AdamW())
STILL = Plan(epochs=2, optimizer=Sgd(), rate=0.0)


@pytest.mark.parametrize("masks", get_args(Masking))
def test_four_weights_in_five_go_and_the_digits_are_still_read(masks: Masking) -> None:
    fitted = prune_gradually(trained(), dataset(), PLAN, sparsity=0.8, every=10, masks=masks)
    for name, size in SIZES.items():
        assert zeros(fitted.graph, name) == round(0.8 * size)
    assert score(fitted.graph, *dataset().validation, PLAN) < 0.08
    assert len(fitted.history) == 12


def test_no_epoch_before_the_last_pruning_is_chosen() -> None:
    scores = iter(range(12))
    plan = replace(PLAN, score=lambda *_: next(scores))
    fitted = prune_gradually(trained(), dataset(100), plan, sparsity=0.8, every=5)
    # 24 steps: from step 2 every 5 until 17, in the ninth epoch of 2 steps
    assert fitted.best_epoch == 9
    assert zeros(fitted.graph, "fc2/weight") == 256


@pytest.mark.parametrize("scope", ["global", "scaled"])
def test_the_sparsity_of_all_layers_together_is_exact(scope: Any) -> None:
    fitted = prune_gradually(trained(), dataset(), replace(PLAN, epochs=4), sparsity=0.8, every=10, scope=scope)
    counts = [zeros(fitted.graph, name) for name in WEIGHTS]
    assert sum(counts) == round(0.8 * 2368)
    assert counts[1] != round(0.8 * 320)


@pytest.mark.parametrize("masks", get_args(Masking))
def test_without_learning_the_smallest_weights_of_each_layer_go(masks: Masking) -> None:
    rules = [LayerRule("fc1", {"sparsity": 0.75})]
    graph = trained()
    after = arrays(prune_gradually(graph, dataset(100), STILL, sparsity=0.5, layers=rules, every=1, masks=masks).graph)
    for name, level in (("fc1/weight", 0.75), ("fc2/weight", 0.5)):
        before = arrays(graph)[name].reshape(-1)
        order = sorted(range(before.size), key=lambda place: abs(before[place]))
        for place in order[: round(level * before.size)]:
            before[place] = 0
        assert np.array_equal(after[name].reshape(-1), before)


def test_a_layer_that_is_skipped_stays_dense_and_its_zeros_stay() -> None:
    kernel = arrays(trained())["fc2/weight"]
    kernel[:5] = 0
    graph = trained().with_params({"fc2/weight": encode(kernel)})
    rules = [LayerRule("fc2", {"skip": True})]
    for scope in ("layer", "global"):
        plan = replace(PLAN, epochs=2)
        after = prune_gradually(graph, dataset(), plan, sparsity=0.5, layers=rules, scope=scope, every=5).graph
        assert zeros(after, "fc1/weight") == 1024
        assert zeros(after, "fc2/weight") == 50
        assert not arrays(after)["fc2/weight"][:5].any()


def test_weights_that_are_zero_before_stay_zero_only_if_masks_are_computed_once() -> None:
    kernel = arrays(trained())["fc1/weight"]
    dead = np.random.default_rng(0).random(kernel.shape) < 0.6
    kernel[dead] = 0
    graph = trained().with_params({"fc1/weight": encode(kernel)})
    plan = replace(PLAN, epochs=3)
    kept = prune_gradually(graph, dataset(), plan, sparsity=0.7, every=10).graph
    assert zeros(kept, "fc1/weight") == round(0.7 * 2048)
    assert not arrays(kept)["fc1/weight"][dead].any()
    more = prune_gradually(graph, dataset(), plan, sparsity=0.3, every=10).graph
    assert zeros(more, "fc1/weight") == dead.sum()
    back = prune_gradually(graph, dataset(), plan, sparsity=0.3, every=10, masks="returning").graph
    assert zeros(back, "fc1/weight") == round(0.3 * 2048)


def test_frozen_weights_are_neither_pruned_nor_trained() -> None:
    plan = replace(PLAN, epochs=2, frozen=("fc2/*",))
    after = arrays(prune_gradually(trained(), dataset(), plan, sparsity=0.5, every=5).graph)
    assert np.array_equal(after["fc2/weight"], arrays(trained())["fc2/weight"])
    assert (after["fc1/weight"] == 0).sum() == 1024


def test_a_weight_that_two_nodes_share_is_pruned_once() -> None:
    graph = untrained()
    flatten, fc1, relu, drop, fc2, softmax = graph.nodes
    again = Node("Gemm", "again", ("relu",), "more", {"weight": "square"}, fc1.attrs)
    last = Node("Gemm", "last", ("more",), "most", {"weight": "square"}, fc1.attrs)
    nodes = (flatten, fc1, relu, again, last, replace(drop, inputs=("most",)), fc2, softmax)
    square = encode(np.random.default_rng(1).normal(size=(32, 32)) / 6)
    twice = replace(graph, nodes=nodes, params={**graph.params, "square": square})
    after = prune_gradually(twice, dataset(300), replace(PLAN, epochs=2), sparsity=0.5, every=2).graph
    assert zeros(after, "square") == 512


def test_pruning_at_one_step_is_where_beginning_and_end_leave_no_room() -> None:
    fitted = prune_gradually(trained(), dataset(), replace(PLAN, epochs=2), sparsity=0.9, begin=0.2, end=0.5, every=999)
    assert zeros(fitted.graph, "fc1/weight") == round(0.9 * 2048)
    assert fitted.best_epoch >= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 1.5}, "sparsity is 1.5; give a number from 0 to 1"),
        ({"scope": "all"}, "scope is 'all'"),
        ({"masks": "never"}, "masks is 'never'"),
        ({"begin": 0.5, "end": 0.5}, "there must be a step in between"),
        ({"end": 1.5}, "end is 1.5"),
        ({"every": 0}, "every is 0"),
        ({"layers": [LayerRule("fc9", {"skip": True})]}, "matches no layer"),
        ({"layers": [LayerRule("fc1", {"sparsity": 2})]}, "sparsity is 2 for 'fc1/weight'"),
        ({"layers": [LayerRule("fc1", {"sparsity": 0.5})], "scope": "global"}, "does not have"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        prune_gradually(trained(), dataset(), PLAN, **{"sparsity": 0.5, **options})


def test_shared_weights_are_refused_before_anything_is_trained() -> None:
    with pytest.raises(OptionError, match=r"'fc1/weight' is shared .* prune before sharing"):
        prune_gradually(share_weights.kmeans(trained(), bits=3), dataset(), PLAN, sparsity=0.5)

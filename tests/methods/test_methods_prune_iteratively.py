"""Iterative pruning: equal to a loop written by hand, exact levels, and what it costs on real digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from checks.digit_networks import WEIGHTS, arrays, as_bytes, dataset, trained, zeros

from refcompress.encodings import encode
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.methods import fine_tune, prune_iteratively
from refcompress.methods.rounds import seed_of
from refcompress.ops.dropout import Dropout
from refcompress.passes import LayerRule, prune, share_weights
from refcompress.train import Masks, Plan, Progress, error_rate, fit, masks_of, score

PLAN = Plan(epochs=4, rate=0.005, score=error_rate)


def test_two_weights_in_three_rounds_and_the_digits_are_still_read() -> None:
    fitted = prune_iteratively(trained(), dataset(), PLAN, sparsities=[0.5, 0.7, 0.8])
    assert zeros(fitted.graph, "fc1/weight") == round(0.8 * 2048)
    assert zeros(fitted.graph, "fc2/weight") == 256
    assert score(fitted.graph, *dataset().validation, PLAN) < 0.07
    assert fitted.history[fitted.best_epoch - 1].score == score(fitted.graph, *dataset().validation, PLAN)
    assert [epoch.number for epoch in fitted.history] == list(range(1, 13))
    assert fitted.best_epoch > 8
    assert fitted.steps == 12 * 17
    (drop,) = [node for node in fitted.graph.nodes if node.op == "Dropout"]
    assert drop.attrs.ratio == pytest.approx(0.2 * np.sqrt(0.2))


def smallest_to_zero(array: Any, count: int) -> Any:
    flat = array.reshape(-1).copy()
    for place in sorted(range(flat.size), key=lambda place: abs(flat[place]))[:count]:
        flat[place] = 0
    return flat.reshape(array.shape)


def test_it_is_a_loop_of_pruning_and_training() -> None:
    data = dataset(300)
    plan = replace(PLAN, epochs=2)
    ours = prune_iteratively(trained(), data, plan, sparsities=[0.3, 0.6])
    graph: Graph = trained()
    for number, level in ((1, 0.3), (2, 0.6)):
        weights = arrays(graph)
        pruned = {name: smallest_to_zero(weights[name], round(level * weights[name].size)) for name in WEIGHTS}
        drop = Dropout(0.2 * float(np.sqrt((pruned["fc2/weight"] != 0).sum() / 320)))
        nodes = tuple(replace(node, attrs=drop) if node.op == "Dropout" else node for node in graph.nodes)
        graph = replace(graph, nodes=nodes).with_params({name: encode(array) for name, array in pruned.items()})
        own = replace(plan, constraints=(Masks(masks_of(pruned)),), seed=seed_of(0, number))
        graph = fit(graph, data.inputs, data.targets, own, validation=data.validation).graph
    assert as_bytes(ours.graph) == as_bytes(graph)
    assert ours.graph.nodes == graph.nodes


def test_one_round_without_dropout_is_a_pass_and_fine_tuning() -> None:
    graph = trained()
    graph = replace(
        graph, nodes=tuple(replace(node, attrs=Dropout(0.0)) if node.op == "Dropout" else node for node in graph.nodes)
    )
    plan = replace(PLAN, epochs=1)
    one = prune_iteratively(graph, dataset(200), plan, sparsities=[0.5])
    other = fine_tune(prune.magnitude(graph, sparsity=0.5), dataset(200), plan)
    assert as_bytes(one.graph) == as_bytes(other.graph)
    assert one.history == other.history


@pytest.mark.parametrize("scope", ["global", "scaled"])
def test_the_sparsity_of_all_layers_together_is_exact(scope: Any) -> None:
    fitted = prune_iteratively(trained(), dataset(200), replace(PLAN, epochs=1), sparsities=[0.4, 0.8], scope=scope)
    assert sum(zeros(fitted.graph, name) for name in WEIGHTS) == round(0.8 * 2368)


def test_levels_may_differ_by_layer() -> None:
    rules = [LayerRule("fc2", {"sparsities": [0.0, 0.25]}), LayerRule("nothing*", {"skip": True})]
    plan = replace(PLAN, epochs=1)
    fitted = prune_iteratively(trained(), dataset(200), plan, sparsities=[0.4, 0.9], layers=rules[:1])
    assert zeros(fitted.graph, "fc1/weight") == round(0.9 * 2048)
    assert zeros(fitted.graph, "fc2/weight") == 80
    with pytest.raises(OptionError, match="matches no layer"):
        prune_iteratively(trained(), dataset(200), plan, sparsities=[0.4, 0.9], layers=rules)


def test_progress_is_counted_over_all_rounds() -> None:
    seen: list[Progress] = []
    plan = replace(PLAN, epochs=2, batch_size=100)
    fitted = prune_iteratively(trained(), dataset(300), plan, sparsities=[0.2, 0.4, 0.6], progress=seen.append)
    assert [each.step for each in seen] == list(range(1, 19))
    assert {(each.steps, each.epochs) for each in seen} == {(18, 6)}
    assert [each.epoch for each in seen] == [1 + step // 3 for step in range(18)]
    assert tuple(each.finished for each in seen if each.finished) == fitted.history
    assert all(each.seconds_left > 0 for each in seen[:-1])
    assert seen[-1].seconds_left == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsities": []}, "give one for each round"),
        ({"sparsities": [0.5, 0.4]}, "must not fall"),
        ({"sparsities": [0.5, 1.4]}, "a sparsity is 1.4"),
        ({"scope": "all"}, "scope is 'all'"),
        ({"layers": [LayerRule("fc1", {"sparsities": [0.1]})]}, "for 'fc1/weight'; give one for each round, 2"),
        ({"layers": [LayerRule("fc1", {"sparsities": [0.1, 0.2]})], "scope": "scaled"}, "does not have"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        prune_iteratively(trained(), dataset(), PLAN, **{"sparsities": [0.5, 0.6], **options})


def test_shared_weights_are_refused() -> None:
    with pytest.raises(OptionError, match="prune before sharing"):
        prune_iteratively(share_weights.kmeans(trained(), bits=3), dataset(), PLAN, sparsities=[0.5])

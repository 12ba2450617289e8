"""Fine-tuning: zeros stay zero, shared values stay shared, and the error falls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from checks.digit_networks import WEIGHTS, arrays, as_bytes, dataset, trained, untrained, zeros

from refcompress.encodings import Codebook, encode, smallest
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.methods import fine_tune
from refcompress.passes import prune, quantize, share_weights
from refcompress.train import Masks, Plan, error_rate, fit, masks_of, score

PLAN = Plan(epochs=6, rate=0.003, score=error_rate)


def error(graph: Graph) -> float:
    return score(graph, *dataset().validation, PLAN)


def test_a_pruned_network_recovers_with_its_zeros() -> None:
    pruned = prune.magnitude(trained(), sparsity=0.8)
    fitted = fine_tune(pruned, dataset(), replace(PLAN, epochs=12, rate=0.01))
    for name in WEIGHTS:
        before, after = arrays(pruned)[name], arrays(fitted.graph)[name]
        assert not after.view(np.uint32)[before == 0].any()
        assert zeros(fitted.graph, name) == zeros(pruned, name)
    assert error(fitted.graph) < 0.07 < error(pruned)
    assert fitted.history[fitted.best_epoch - 1].score == error(fitted.graph)


@pytest.mark.parametrize(("gradient", "reassign"), [("sum", 0), ("mean", 0), ("sum", 5)])
def test_shared_weights_learn_and_stay_shared(gradient: Any, reassign: int) -> None:
    shared = share_weights.kmeans(prune.magnitude(trained(), sparsity=0.5), bits=2)
    fitted = fine_tune(shared, dataset(), PLAN, gradient=gradient, reassign_every=reassign)
    for name in WEIGHTS:
        before, after = arrays(shared)[name], arrays(fitted.graph)[name]
        values = fitted.graph.params[name].values
        assert isinstance(values, Codebook)
        assert len(values.centroids) == len(np.unique(after)) == 5
        assert not after.view(np.uint32)[before == 0].any()
        assert not np.array_equal(np.unique(after), np.unique(before))
        moved = any(len(np.unique(after[before == value])) > 1 for value in np.unique(before))
        assert moved == bool(reassign)
    assert error(fitted.graph) < min(error(shared), 0.08)


def test_a_dense_network_is_just_trained() -> None:
    data = dataset(200)
    plain = fit(untrained(), data.inputs, data.targets, PLAN, validation=data.validation)
    assert as_bytes(fine_tune(untrained(), data, PLAN).graph) == as_bytes(plain.graph)


def test_how_a_network_is_stored_does_not_matter() -> None:
    pruned = prune.magnitude(trained(), sparsity=0.9)
    packed = replace(pruned, params={name: smallest(each) for name, each in pruned.params.items()})
    plan = replace(PLAN, epochs=1)
    ours, theirs = (fine_tune(graph, dataset(200), plan).graph for graph in (pruned, packed))
    assert as_bytes(ours) == as_bytes(theirs)
    # equal biases are stored as one shared value; they are not tied for that
    packed = untrained().with_params({"fc1/bias": smallest(encode(np.full(32, 0.5)))})
    assert isinstance(packed.params["fc1/bias"].values, Codebook)
    assert len(np.unique(arrays(fine_tune(packed, dataset(200), plan).graph)["fc1/bias"])) > 16


def test_shared_biases_stay_shared_if_that_is_said() -> None:
    shared = share_weights.kmeans(trained(), bits=2, biases=True)
    before = arrays(shared)["fc1/bias"]
    tied, free = (fine_tune(shared, dataset(200), replace(PLAN, epochs=1), biases=each).graph for each in (True, False))
    assert len(np.unique(arrays(tied)["fc1/bias"])) == len(np.unique(before)) <= 5
    assert len(np.unique(arrays(free)["fc1/bias"])) > 16
    assert arrays(tied)["fc1/bias"].tobytes() != before.tobytes()


def test_weights_that_the_plan_holds_or_freezes_are_left_to_it() -> None:
    kernel = arrays(trained())["fc1/weight"]
    kernel[:9] = 0
    graph = quantize.linear(trained().with_params({"fc1/weight": encode(kernel)}), bits=4)
    graph = graph.with_params({"fc1/weight": encode(kernel)})
    masks = masks_of({"fc1/weight": np.arange(kernel.size).reshape(kernel.shape) % 2})
    plan = replace(PLAN, epochs=1, constraints=(Masks(masks),), frozen=("fc2/weight",))
    after = fine_tune(graph, dataset(200), plan).graph
    assert arrays(after)["fc1/weight"][:9].any()
    assert not arrays(after)["fc1/weight"][~masks["fc1/weight"]].any()
    assert after.params["fc2/weight"] is graph.params["fc2/weight"]


def test_quantized_weights_are_refused() -> None:
    with pytest.raises(OptionError, match="quantized to integers, which training would undo"):
        fine_tune(quantize.linear(trained(), bits=4), dataset(), PLAN)

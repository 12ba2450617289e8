"""Scores: those that a training gives its epochs, whatever makes the output."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from checks import digit_networks
from checks.small_networks import classifier

from refcompress.encodings import encode
from refcompress.errors import DataError
from refcompress.graph import Node
from refcompress.integer import dequantize, quantize, run_integer_all
from refcompress.ops import NoAttrs
from refcompress.post_training import quantize_network
from refcompress.run import run
from refcompress.train import Dataset, Plan, error_rate, fit, losses, score
from refcompress.train.samples import calibration_samples
from refcompress.train.scoring import logits_graph

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 12)).astype(np.float32)
LABELS = np.argmax(X[:, :4], axis=1)


@pytest.mark.parametrize("measure", [None, error_rate])
def test_the_score_of_a_network_is_that_of_the_epoch_it_came_from(measure: object) -> None:
    data = Dataset(X[:200], LABELS[:200], X[200:], LABELS[200:])
    plan = Plan(epochs=3, score=measure)  # type: ignore[arg-type]
    fitted = fit(classifier(), data.inputs, data.targets, plan, validation=data.validation)
    assert score(fitted.graph, *data.validation, plan) == fitted.history[fitted.best_epoch - 1].score


def test_the_loss_is_taken_of_logits_unless_the_plan_says_otherwise() -> None:
    x = X / 10  # no probability is rounded to zero
    (probabilities,) = run(classifier(), x)
    wanted = -np.log(probabilities[np.arange(300), LABELS]).mean()
    assert score(classifier(), x, LABELS, Plan(epochs=1)) == pytest.approx(wanted, rel=1e-5)
    plan = Plan(epochs=1, loss=losses.mean_squared_error, from_logits=False)
    one_hot = np.eye(4)[LABELS]
    assert score(classifier(), x, one_hot, plan) == pytest.approx(np.square(probabilities - one_hot).mean(), rel=1e-5)


def test_a_teacher_is_asked_for_the_samples_that_are_scored() -> None:
    def answers(output: np.ndarray, _labels: np.ndarray, taught: np.ndarray) -> float:
        return float(np.abs(output - taught).max())

    plan = Plan(epochs=1, score=answers, teacher=lambda batch: run(logits_graph(classifier()), batch)[0])
    assert score(classifier(), X, LABELS, plan) == 0.0


def test_a_network_that_has_gone_astray_scores_infinity() -> None:
    broken = classifier().with_params({"fc1/bias": encode(np.full(32, np.nan))})
    assert score(broken, X, LABELS, Plan(epochs=1)) == np.inf


def test_an_output_that_another_node_reads_is_kept_for_it() -> None:
    graph = classifier()
    nodes = (*graph.nodes, Node("Relu", "more", ("y",), "z2", attrs=NoAttrs()))
    cut = logits_graph(replace(graph, nodes=nodes))
    assert cut.outputs == ("z",)
    assert len(cut.nodes) == 5


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="there must be one for each"):
        score(classifier(), X, LABELS[:5], Plan(epochs=1))


def test_an_integer_network_is_scored_by_what_its_integers_are() -> None:
    graph, data = digit_networks.trained(), digit_networks.dataset()
    network = quantize_network(graph, data.inputs)
    x, labels = data.validation
    every = run_integer_all(network, quantize(x, network.quantizations["image"]))
    logits, known = every["fc2"], network.quantizations["fc2"]
    assert (
        score(network, x, labels, Plan(epochs=1)) == losses.softmax_cross_entropy(dequantize(logits, known), labels)[0]
    )
    plan = Plan(epochs=1, score=error_rate)
    assert score(network, x, labels, plan) == error_rate(logits, np.asarray(labels))
    as_probabilities = Plan(epochs=1, score=error_rate, from_logits=False)
    assert score(network, x, labels, as_probabilities) == error_rate(every["probabilities"], np.asarray(labels))


@pytest.mark.parametrize(("count", "step"), [(1, 1), (1024, 1), (1025, 2), (5000, 5)])
def test_calibration_takes_up_to_1024_samples_from_everywhere(count: int, step: int) -> None:
    x = np.arange(count, dtype=np.float32).repeat(64).reshape(count, 8, 8, 1)
    found = calibration_samples(digit_networks.untrained(), x)["image"][:, 0, 0, 0]
    assert np.array_equal(found, np.arange(count)[::step])
    assert len(found) <= 1024

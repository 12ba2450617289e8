"""Quantization-aware training: it ends in the integers it simulated, and wins back what rounding cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import digit_networks
from checks.export import check_export
from checks.simulation import image_network, largest_steps, share_apart

from refcompress.deep_compression import deep_compression
from refcompress.encodings import Codebook, IntegerCodebook, decode, integers
from refcompress.errors import DataError, OptionError
from refcompress.formats.rcz import integer
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork, quantize, run_dequantized, run_integer_all, smallest
from refcompress.methods import fine_tune, quantize_aware
from refcompress.passes import LayerRule, prune, share_weights
from refcompress.post_training import quantize_network
from refcompress.post_training.network import prepared
from refcompress.recipe import parse
from refcompress.train import Dataset, Fitted, Masks, Plan, error_rate
from refcompress.train.schedules import cosine

PLAN = Plan(epochs=2, rate=1e-3, score=error_rate)


def _network(fitted: Fitted) -> IntegerNetwork:
    return quantize_network(fitted.graph, quantizations=fitted.quantizations)


def _errors(network: IntegerNetwork) -> float:
    x, labels = digit_networks.dataset().validation
    return error_rate(run_dequantized(network, x)[0], np.asarray(labels))


def _small() -> Dataset:
    return digit_networks.dataset(256)


@pytest.fixture(scope="module")
def image_fitted() -> Fitted:
    data = digit_networks.dataset(512)
    start = fine_tune(image_network(), data, Plan(epochs=3, rate=0.01, score=error_rate)).graph
    return quantize_aware(start, data, PLAN, layers=[LayerRule("fc", {"weight_bits": 4, "scales": "tensor"})])


@pytest.mark.parametrize(
    "options",
    [{}, {"weight_bits": 4}, {"weight_bits": 2, "weight_ranges": "mse", "range_memory": 1.0}, {"ranges": "percentile"}],
    ids=str,
)
def test_the_integer_network_computes_what_the_training_simulated(options: dict[str, Any]) -> None:
    fitted = quantize_aware(digit_networks.trained(), _small(), PLAN, **options)
    _check_simulated(fitted)


def test_convolutions_sums_and_pools_compute_what_the_training_simulated(image_fitted: Fitted) -> None:
    assert not any(node.op == "BatchNormalization" for node in image_fitted.graph.nodes)
    _check_simulated(image_fitted)


def _check_simulated(fitted: Fitted) -> None:
    network = _network(fitted)
    assert network.quantizations == fitted.quantizations
    for name in ("fc1/weight", "fc2/weight", "a/weight", "b/weight", "fc/weight"):
        if name in fitted.graph.params:
            simulated, made = fitted.graph.params[name], network.graph.params[name]
            assert np.array_equal(integers.rows_of(simulated), integers.rows_of(made))
            used = integers.rows_of(made).any(axis=1) | (len(integers.scales_of(made)) == 1)
            # a unit without weights has the scale that its bias takes
            assert not np.any((integers.scales_of(simulated) != integers.scales_of(made)) & used)
            assert decode(simulated).tobytes() == decode(made).tobytes()
    for step in network.steps:
        if step.bias is not None:
            unit = step.inputs[0].scale * integers.scales_of(step.params["weight"]).astype(np.float64)
            away = np.abs(step.bias * unit - decode(fitted.graph.params[step.node.params["bias"]]))
            assert (away <= 0.501 * unit).all()
    x = digit_networks.dataset().validation_inputs
    found = run_integer_all(network, quantize(x, network.quantizations["image"]))
    steps = largest_steps(fitted.graph, network, found)
    assert max(steps.values()) <= 1
    assert share_apart(fitted.graph, network, x) < 0.05


def test_training_wins_back_what_rounding_to_few_bits_costs() -> None:
    data, graph = digit_networks.dataset(), digit_networks.trained()
    options: dict[str, Any] = {"weight_bits": 2, "weight_ranges": "mse"}
    rounded = _errors(quantize_network(graph, data.inputs, **options))
    fitted = quantize_aware(graph, data, Plan(epochs=10, rate=2e-3, score=error_rate), **options)
    assert rounded > 0.1
    assert _errors(_network(fitted)) < rounded / 2
    # what the epochs were chosen by is what the integers do
    score = fitted.history[fitted.best_epoch - 1].score
    assert score == pytest.approx(_errors(_network(fitted)), abs=2.5 / 360)


def _shared(values: int) -> Graph:
    """Return the network of the digits with two or three values in each layer."""
    graph = digit_networks.trained()
    if values == 2:
        return share_weights.kmeans(graph, bits=1, zero="clustered")
    return share_weights.kmeans(prune.threshold(graph, q=0.5), bits=1)


@pytest.mark.parametrize("values", [2, 3])
def test_networks_of_two_and_three_values_stay_so_and_learn(values: int) -> None:
    data, graph = digit_networks.dataset(), _shared(values)
    rounded = quantize_network(graph, data.inputs)
    plan = Plan(epochs=20, rate=cosine(5e-3, 340), score=error_rate)
    fitted = quantize_aware(graph, data, plan, reassign_every=1)
    network = _network(fitted)
    for each in (rounded, network):
        for name in digit_networks.WEIGHTS:
            book = each.graph.params[name].values
            assert isinstance(book, IntegerCodebook)
            assert len(book.centroids) == values
            assert (0 in book.centroids) == (values == 3)
    assert _errors(network) < 0.5 * _errors(rounded)
    _check_simulated(fitted)
    x = quantize(data.validation_inputs[:3], network.quantizations["image"])
    check_export(smallest(network), x)


@pytest.mark.parametrize("values", [2, 3])
def test_two_and_three_values_take_a_bit_or_two_in_the_file(values: int) -> None:
    network = smallest(quantize_network(_shared(values), digit_networks.dataset().inputs))
    data = integer.to_bytes(network)
    weights = sum(decode(network.graph.params[name]).size for name in digit_networks.WEIGHTS)
    assert len(data) < weights * (values - 1) / 8 + 300
    assert integer.to_bytes(integer.from_bytes(data)) == data


@pytest.mark.parametrize("values", [2, 3])
def test_convolutions_of_two_and_three_values_run_as_c(values: int) -> None:
    graph = share_weights.kmeans(prepared(image_network()), bits=1, zero="clustered")
    if values == 3:
        graph = share_weights.kmeans(prune.threshold(prepared(image_network()), q=0.5), bits=1)
    x = np.asarray(digit_networks.dataset().validation_inputs)
    network = smallest(quantize_network(graph, x))
    for step in network.steps:
        if step.params:
            book = step.params["weight"].values
            assert isinstance(book, IntegerCodebook)
            assert len(book.centroids) == values
    check_export(network, quantize(x[:3], network.quantizations["image"]))


def test_shared_values_move_and_keep_their_members() -> None:
    graph = share_weights.kmeans(digit_networks.trained(), bits=3)
    fitted = quantize_aware(graph, _small(), PLAN)
    for name in digit_networks.WEIGHTS:
        before, after = graph.params[name].values, fitted.graph.params[name].values
        assert isinstance(before, Codebook)
        assert isinstance(after, IntegerCodebook)
        old, new = decode(graph.params[name]), decode(fitted.graph.params[name])
        for value in np.unique(old):
            assert np.unique(new[old == value]).size == 1
        assert not np.array_equal(old, new)


@pytest.mark.parametrize("shared", [False, True])
def test_pruned_weights_stay_pruned(shared: bool) -> None:
    graph = prune.magnitude(digit_networks.trained(), sparsity=0.7)
    graph = share_weights.kmeans(graph, bits=3) if shared else graph
    network = _network(quantize_aware(graph, _small(), PLAN))
    for name in digit_networks.WEIGHTS:
        assert not decode(network.graph.params[name])[decode(graph.params[name]) == 0].any()


def test_sparse_convolutions_learn_for_integers_too() -> None:
    graph = prune.magnitude(image_network(), sparsity=0.85, layers=[LayerRule("fc", {"skip": True})])
    fitted = quantize_aware(graph, _small(), Plan(epochs=2, rate=5e-3, score=error_rate))
    _check_simulated(fitted)
    for name in ("a/weight", "b/weight"):
        before, after = decode(graph.params[name]), decode(fitted.graph.params[name])
        assert not after[before == 0].any()
        assert not np.array_equal(before, after)


def test_frozen_weights_are_rounded_once() -> None:
    graph = digit_networks.trained()
    plan = Plan(epochs=1, score=error_rate, frozen=("fc1/*",))
    network = _network(quantize_aware(graph, _small(), plan, weight_bits=4))
    expected = quantize_network(graph, digit_networks.dataset().inputs, weight_bits=4)
    same = [
        np.array_equal(*(integers.rows_of(each.graph.params[name]) for each in (network, expected)))
        for name in digit_networks.WEIGHTS
    ]
    assert same == [True, False]


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("kill_at", [1, 4, 7])
def test_an_interrupted_training_goes_on_to_the_same_integers(tmp_path: Path, kill_at: int) -> None:
    graph = share_weights.kmeans(digit_networks.trained(), bits=2, layers=[LayerRule("fc2", {"skip": True})])
    plan = Plan(epochs=2, batch_size=64, rate=1e-2, score=error_rate)
    options: dict[str, Any] = {"weight_bits": 3, "weight_ranges": "mse", "reassign_every": 2}

    def killer(now: Any) -> None:
        if now.step == kill_at:
            raise _KilledError

    with pytest.raises(_KilledError):
        quantize_aware(graph, _small(), plan, **options, directory=tmp_path, progress=killer)
    resumed = quantize_aware(graph, _small(), plan, **options, directory=tmp_path)
    whole = quantize_aware(graph, _small(), plan, **options)
    assert integer.to_bytes(_network(resumed)) == integer.to_bytes(_network(whole))
    with pytest.raises(DataError, match="another call"):
        quantize_aware(graph, _small(), plan, directory=tmp_path)


RECIPE = """
[[pass]]
name = "prune.magnitude"
sparsity = 0.5
[[pass]]
name = "train.quantize_aware"
epochs = 2
weight_bits = 4
[[pass.layers]]
match = "fc2"
weight_bits = 8
"""


def test_a_recipe_may_end_in_training_for_integers() -> None:
    data = digit_networks.dataset()
    network, report = deep_compression(digit_networks.trained(), data, parse(RECIPE))
    assert isinstance(network, IntegerNetwork)
    assert report.file_bytes == len(integer.to_bytes(network))
    assert [stage.name for stage in report.stages] == [
        "as given",
        "prune.magnitude",
        "train.quantize_aware",
        "encoded",
    ]
    assert report.stages[-1].validation == pytest.approx(_errors(network), abs=1.5 / 360)
    assert report.stages[-2].epochs == 2
    assert report.stages[-1].density == pytest.approx(0.5, abs=0.15)
    assert {p.name: p.value_bits for p in report.parameters if p.role == "weight"}["fc1/weight"] == 4


@pytest.mark.parametrize(
    ("options", "plan", "error", "message"),
    [
        ({"weight_bits": 9}, PLAN, OptionError, "weight_bits is 9"),
        ({"range_memory": 2.0}, PLAN, OptionError, "range_memory"),
        ({"layers": [LayerRule("fc9", {})]}, PLAN, OptionError, "fc9"),
        ({}, Plan(epochs=1, constraints=(Masks({}),)), OptionError, "the plan has constraints"),
    ],
    ids=["bits", "memory", "layer", "constraints"],
)
def test_what_does_not_fit_is_refused(options: Any, plan: Plan, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        quantize_aware(digit_networks.trained(), _small(), plan, **options)


def test_known_quantizations_are_checked() -> None:
    graph = digit_networks.trained()
    fitted = quantize_aware(graph, _small(), PLAN)
    known = dict(fitted.quantizations)
    with pytest.raises(DataError, match="calibration samples are needed for the range of 'image'"):
        quantize_network(graph)
    with pytest.raises(OptionError, match="'nothing', which is no quantized activation"):
        quantize_network(graph, quantizations={**known, "nothing": known["image"]})
    with pytest.raises(OptionError, match="have one quantization"):
        quantize_network(graph, quantizations={**known, "flatten": known["relu"]})
    only = {name: known[name] for name in ("image", "relu")}
    network = quantize_network(graph, digit_networks.dataset().inputs, quantizations=only)
    assert network.quantizations["image"] == known["image"]
    assert network.quantizations["fc2"] != known["fc2"]

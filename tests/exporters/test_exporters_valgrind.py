"""Nothing is read that was not written: C and images under valgrind, in memory that nobody has filled."""

from __future__ import annotations

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.small_networks import classifier
from checks.tflite_networks import MAKERS

import refcompress
from refcompress import Graph, recipe
from refcompress.formats import tflite
from refcompress.integer import IntegerNetwork, smallest
from reference_models import DIGITS_CHECKPOINT, DIGITS_RECIPE

EXPORTERS = ["c", "blob"]


def _run(network: Graph | IntegerNetwork, exporter: str) -> None:
    targets.require(targets.VALGRIND)
    graph = network.graph if isinstance(network, IntegerNetwork) else network
    rng = np.random.default_rng(2)
    inputs = [rng.integers(-128, 128, (2, *spec.shape)).astype(np.int8) for spec in graph.inputs]
    if isinstance(network, Graph):
        inputs = [rng.random((2, *spec.shape), np.float32) for spec in graph.inputs]
    check_export(network, inputs, on=(targets.VALGRIND,), exporter=exporter)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_compressed_convolutional_network(exporter: str) -> None:
    small = refcompress.compress(refcompress.load(DIGITS_CHECKPOINT), recipe.load(DIGITS_RECIPE))[0]
    assert isinstance(small, Graph)
    _run(small, exporter)
    _run(
        smallest(refcompress.quantize_network(small, np.random.default_rng(1).random((64, 8, 8, 1), np.float32))),
        exporter,
    )


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_dense_network(exporter: str) -> None:
    _run(classifier(), exporter)
    samples = np.random.default_rng(1).normal(size=(64, 12)).astype(np.float32)
    _run(refcompress.quantize_network(classifier(), samples), exporter)


@pytest.mark.parametrize(
    "operator", ["add", "average_pool", "concatenation", "conv", "depthwise", "max_pool", "mean", "pad"]
)
def test_every_kind_of_int8_operator(operator: str) -> None:
    pytest.importorskip("tflite", reason="needs the extra tflite")
    network = tflite.read(MAKERS[operator](np.random.default_rng(4)))
    for exporter in EXPORTERS:
        _run(network, exporter)

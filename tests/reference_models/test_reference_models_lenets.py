"""The LeNets that come with the project: small enough, right often enough, and bit for bit the same in C."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from checks import targets
from checks.export import check_export

import refcompress
from refcompress import Graph, ops
from refcompress.analysis import accuracy
from reference_models import LENET_FILES
from reference_models.data import Labelled, mnist

IMAGES = 100
NOISE_IMAGES = 5
TARGETS = (targets.GCC, targets.M4)


@dataclass(frozen=True)
class Bar:
    """What a network must keep to: bytes of its ``.rcz`` file, and how many of the 10,000 test images it may miss."""

    file_bytes: int
    wrong: int


BARS = {"lenet-300-100": Bar(7_100, 164), "lenet-5": Bar(5_700, 80)}
names = pytest.mark.parametrize("name", LENET_FILES)


@pytest.fixture(scope="module")
def test_part(shared_data: Path) -> Labelled:
    return mnist(shared_data / "mnist").test


def load(path: Path) -> Graph:
    if not path.is_file():
        pytest.skip(f"needs {path.name}, which does not lie among the checkpoints")
    return refcompress.load(path)


def wrong(graph: Graph, images: Labelled) -> int:
    return len(images.y) - accuracy(graph, images.x, images.y).correct


@names
def test_the_file_is_as_small_as_promised(name: str) -> None:
    load(LENET_FILES[name].small)
    assert LENET_FILES[name].small.stat().st_size <= BARS[name].file_bytes


@names
def test_the_layers_are_those_of_the_trained_network(name: str) -> None:
    before, after = load(LENET_FILES[name].dense), load(LENET_FILES[name].small)
    assert [spec.shape for spec in after.inputs] == [spec.shape for spec in before.inputs]
    assert [(node.op, node.attrs) for node in after.nodes] == [(node.op, node.attrs) for node in before.nodes]
    assert ops.infer_shapes(after)[after.outputs[0]] == ops.infer_shapes(before)[before.outputs[0]]
    for old, new in zip(before.nodes, after.nodes, strict=True):
        assert new.params.keys() == old.params.keys()
        for role, param in new.params.items():
            # units that no longer matter may be gone
            sizes = zip(after.params[param].shape, before.params[old.params[role]].shape, strict=True)
            assert all(now <= then for now, then in sizes), (new.name, role)


@names
def test_it_errs_as_seldom_as_promised(name: str, test_part: Labelled) -> None:
    assert wrong(load(LENET_FILES[name].small), test_part) <= BARS[name].wrong


@names
def test_the_trained_network_errs_less_than_is_promised_of_the_small_one(name: str, test_part: Labelled) -> None:
    assert wrong(load(LENET_FILES[name].dense), test_part) < BARS[name].wrong


@names
@pytest.mark.parametrize("exporter", ["c", "blob"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_c_equals_the_reference_on_digits(
    name: str, exporter: str, target: targets.Target, test_part: Labelled
) -> None:
    check_export(load(LENET_FILES[name].small), test_part.x[:IMAGES], on=(target,), exporter=exporter)


@names
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_c_equals_the_reference_on_noise(name: str, target: targets.Target) -> None:
    graph = load(LENET_FILES[name].small)
    noise = np.random.default_rng(0).normal(size=(NOISE_IMAGES, *graph.inputs[0].shape))
    check_export(graph, noise, on=(target,))

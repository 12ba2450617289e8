"""The LeNets in int8 on a Cortex-M4: bit for bit the reference, within the flash, RAM and instructions promised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from checks import targets
from checks.export import check_export, harness_bytes
from checks.lenets import in_int8

import refcompress
from refcompress.integer import IntegerNetwork, quantize, run_integer
from reference_models import LENET_FILES
from reference_models.data import Labelled, Splits, mnist

IMAGES = 10
CLASSES = 10
ACCURACY_IMAGES = 1000


@dataclass(frozen=True)
class Bar:
    """What a network must keep to on a Cortex-M4, and how many of the first 1,000 test images it may miss."""

    flash_bytes: int
    ram_bytes: int
    instructions: int
    wrong: int


BARS = {"lenet-300-100": Bar(12_000, 1_400, 200_000, 20), "lenet-5": Bar(12_000, 5_000, 1_200_000, 10)}
names = pytest.mark.parametrize("name", BARS)


@pytest.fixture(scope="module")
def data(shared_data: Path) -> Splits:
    return mnist(shared_data / "mnist")


@pytest.fixture(scope="module")
def networks(data: Splits) -> dict[str, IntegerNetwork]:
    return {name: in_int8(refcompress.load(LENET_FILES[name].small), data) for name in BARS}


def _inputs(network: IntegerNetwork, test: Labelled, count: int) -> np.ndarray:
    spec = network.graph.inputs[0]
    return quantize(test.x[:count].reshape(count, *spec.shape), network.quantizations[spec.name])


@names
def test_c_equals_the_reference_and_is_as_small_and_fast_as_promised(
    data: Splits, networks: dict[str, IntegerNetwork], name: str
) -> None:
    network, bar = networks[name], BARS[name]
    x = _inputs(network, data.test, IMAGES)
    check_export(network, x, on=(targets.GCC,))
    (found,) = check_export(network, x, on=(targets.M4,), count=True)
    assert found.text_bytes + found.data_bytes - harness_bytes(network, x) <= bar.flash_bytes
    assert found.arena_bytes + (found.stack_bytes or 0) + x[0].size + CLASSES <= bar.ram_bytes
    assert (found.instructions or 0) <= bar.instructions


@names
def test_integers_are_right_as_often_as_promised(data: Splits, networks: dict[str, IntegerNetwork], name: str) -> None:
    answers = run_integer(networks[name], _inputs(networks[name], data.test, ACCURACY_IMAGES))[0].argmax(axis=1)
    assert int((answers != data.test.y[:ACCURACY_IMAGES]).sum()) <= BARS[name].wrong

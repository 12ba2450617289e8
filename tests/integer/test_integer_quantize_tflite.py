"""quantize_network against TFLite's converter: the same network, the same samples, nearly the same integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refcompress
from refcompress.encodings import integers
from refcompress.integer import IntegerNetwork, quantize, run_integer
from refcompress.integer.step import Step
from refcompress.post_training import quantize_network

tensorflow = pytest.importorskip("tensorflow", reason="the converter is TensorFlow's")
pytest.importorskip("tflite", reason="needs the extra tflite")
pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own


def _chain(x: Any) -> Any:
    layers = tensorflow.keras.layers
    for layer in [
        layers.Conv2D(8, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.DepthwiseConv2D(3, strides=2, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(6.0),
        layers.MaxPooling2D(2),
        layers.Conv2D(12, 1),
        layers.AveragePooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="relu"),
        layers.Dense(4),
        layers.Softmax(),
    ]:
        x = layer(x)
    return x


def _branches(x: Any) -> Any:
    layers = tensorflow.keras.layers
    x = layers.Conv2D(8, 3, activation="relu")(x)
    a, b = layers.Conv2D(8, 3, padding="same")(x), layers.Conv2D(8, 1)(x)
    x = layers.ReLU()(layers.Add()([a, b]))
    x = layers.Concatenate()([layers.Conv2D(4, 1)(x), layers.Conv2D(6, 1, activation="relu")(x)])
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(3, activation="sigmoid")(x)


def _model(layers: Callable[[Any], Any]) -> Any:
    keras = tensorflow.keras
    rng = np.random.default_rng(5)
    start = keras.layers.Input(batch_shape=(1, 16, 16, 3))
    model = keras.Model(start, layers(start))
    weights = []
    for weight in model.weights:
        values = rng.normal(0, 0.4, weight.shape)
        weights.append(values**2 + 0.2 if "variance" in weight.name or "gamma" in weight.name else values)
    model.set_weights(weights)
    return model


def _samples() -> np.ndarray:
    rng = np.random.default_rng(6)
    return rng.normal(0.3, 1.0, (64, 16, 16, 3)).astype(np.float32)


def _convert(model: Any, samples: np.ndarray) -> bytes:
    def representative() -> Iterator[list[np.ndarray]]:
        for sample in samples:
            yield [sample[None]]

    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    data: bytes = converter.convert()
    return data


@pytest.fixture(scope="module", params=[_chain, _branches], ids=["chain", "branches"])
def networks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[IntegerNetwork, IntegerNetwork]:
    """Return the network as we quantize it and as TFLite does."""
    from refcompress.formats import tflite

    path = Path(tmp_path_factory.mktemp("tflite")) / "model.h5"
    model = _model(request.param)
    model.save(path)
    ours = quantize_network(refcompress.load(path), _samples())
    return ours, tflite.read(_convert(model, _samples()))


def _steps(network: IntegerNetwork) -> list[Step]:
    return [step for step in network.steps if step.node.op not in {"Flatten", "Reshape"}]


def test_the_operators_are_the_same(networks: tuple[IntegerNetwork, IntegerNetwork]) -> None:
    ours, theirs = ([step.node.op for step in _steps(network)] for network in networks)
    assert ours == theirs


def test_scales_and_zero_points_of_activations_are_those_of_the_converter(
    networks: tuple[IntegerNetwork, IntegerNetwork],
) -> None:
    for ours, theirs in zip(*map(_steps, networks), strict=True):
        for a, b in zip((*ours.inputs, ours.result), (*theirs.inputs, theirs.result), strict=True):
            assert a.scale == pytest.approx(b.scale, rel=1e-4), ours.node.name
            assert abs(a.zero_point - b.zero_point) <= 1, ours.node.name


def test_weights_and_biases_are_those_of_the_converter(networks: tuple[IntegerNetwork, IntegerNetwork]) -> None:
    layers = 0
    for ours, theirs in zip(*map(_steps, networks), strict=True):
        if "weight" not in ours.params:
            continue
        layers += 1
        a, b = ours.params["weight"], theirs.params["weight"]
        np.testing.assert_allclose(integers.scales_of(a), integers.scales_of(b), rtol=1e-5)
        # the converter folds and rounds in float32: a quotient next to a half may go the other way
        assert np.abs(integers.rows_of(a) - integers.rows_of(b)).max() <= 1
        assert np.mean(integers.rows_of(a) != integers.rows_of(b)) < 0.01
        assert ours.bias is not None
        assert theirs.bias is not None
        # the input scales differ by their roundings
        assert np.abs(ours.bias.astype(int) - theirs.bias).max() <= 1 + 1e-4 * np.abs(theirs.bias).max()
    assert layers in {5, 6}


def test_outputs_are_within_two_steps_of_the_converted_network(networks: tuple[IntegerNetwork, IntegerNetwork]) -> None:
    x = _samples()
    found = []
    for network in networks:
        source = network.quantizations[network.graph.inputs[0].name]
        found.append(run_integer(network, quantize(x, source), runtime="tflite")[0].astype(int))
    difference = np.abs(found[0] - found[1])
    assert difference.max() <= 2
    assert np.mean(difference > 0) < 0.2

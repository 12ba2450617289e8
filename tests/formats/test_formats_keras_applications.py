"""Keras's own applications with random weights: imported from every layout, equal, and within the error bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from refcompress import encodings, formats
from refcompress.graph import Graph
from refcompress.verify import compare

keras = pytest.importorskip("keras", reason="Keras builds the architectures")

# TensorFlow's arrays with NumPy 2, and that HDF5 is a legacy
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "UserWarning")]

# name -> side of the image and other options; the smallest that the architecture takes, without a classifier of 1000
APPLICATIONS: dict[str, tuple[int, dict[str, Any]]] = {
    "ConvNeXtTiny": (32, {"classes": 10}),
    "DenseNet121": (32, {"classes": 10}),
    "EfficientNetB0": (32, {"classes": 10}),
    "EfficientNetV2B0": (32, {"classes": 10}),
    "InceptionResNetV2": (75, {"classes": 10}),
    "InceptionV3": (75, {"classes": 10}),
    "MobileNet": (32, {"classes": 10, "alpha": 0.25}),
    "MobileNetV2": (32, {"classes": 10, "alpha": 0.35}),
    "MobileNetV3Small": (32, {"classes": 10, "include_preprocessing": True}),
    "NASNetMobile": (32, {"classes": 10}),
    "ResNet50": (32, {"classes": 10}),
    "ResNet50V2": (32, {"classes": 10}),
    "VGG16": (32, {"include_top": False}),
    "Xception": (71, {"classes": 10}),
}


def build(name: str) -> Any:
    """Build an architecture; its statistics and factors are random, too, so that none can be mistaken for another."""
    side, options = APPLICATIONS[name]
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), **options)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in {"moving_variance", "gamma"}:
            variable.assign(rng.uniform(0.7, 1.3, variable.shape).astype(np.float32))
        elif variable.name in {"moving_mean", "beta", "bias"}:
            variable.assign(rng.normal(0.0, 0.1, variable.shape).astype(np.float32))
    return model


def saved(model: Any, folder: Path) -> dict[str, Path]:
    """Save a model in every layout."""
    paths = {ending: folder / f"model.{ending}" for ending in ("h5", "keras", "weights.h5")}
    model.save(paths["h5"])
    model.save(paths["keras"])
    model.save_weights(paths["weights.h5"])
    (folder / "model.json").write_text(model.to_json(), encoding="utf-8")
    return paths


def arrays_of(graph: Graph) -> dict[str, NDArray[np.float32]]:
    """Decode all parameters."""
    return {name: encodings.decode(encoding) for name, encoding in graph.params.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_is_imported_from_every_layout(tmp_path: Path, name: str) -> None:
    model = build(name)
    paths = saved(model, tmp_path)
    graph = formats.load(paths["keras"])
    expected = arrays_of(graph)
    others = {"h5": formats.load(paths["h5"])}
    others["weights.h5"] = formats.load(paths["weights.h5"], architecture=tmp_path / "model.json")
    for layout, other in others.items():
        found = arrays_of(other)
        assert found.keys() == expected.keys(), layout
        for parameter, array in expected.items():
            np.testing.assert_array_equal(found[parameter], array, err_msg=f"{layout}: {parameter}")
    trained = sum(array.size for array in expected.values())
    assert trained >= sum(int(np.prod(variable.shape)) for variable in model.weights if variable.dtype == "float32")

    side, _ = APPLICATIONS[name]
    images = np.random.default_rng(1).uniform(0.0, 255.0, (1, side, side, 3)).astype(np.float32)
    verdict = compare(graph, {"x": images, "y": model(images, training=False).numpy()})
    assert verdict.within, verdict

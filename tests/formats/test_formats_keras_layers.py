"""Every layer of Keras 3 and of Keras 2, built by Keras itself: what it computes lies within the error bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.keras_layer_models import MODELS, inputs_of, randomized

from refcompress import encodings, formats
from refcompress.verify import compare

# TensorFlow's arrays with NumPy 2, that HDF5 is a legacy, and that a mask reaches a layer that does not heed it
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "UserWarning", "FutureWarning")
]


@pytest.fixture(params=["keras", "tf_keras"])
def framework(request: pytest.FixtureRequest) -> Any:
    """Keras 3 or Keras 2."""
    return pytest.importorskip(request.param, reason="Keras builds the models")


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_is_imported_within_its_error_bound(tmp_path: Path, framework: Any, name: str) -> None:
    rng = np.random.default_rng(0)
    framework.utils.set_random_seed(0)
    model = MODELS[name](framework)
    if name != "adapted":
        randomized(model, rng)
    inputs = inputs_of(model, name, rng)
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    arrays = {f"x{i}": x for i, x in enumerate(inputs)} | {f"y{i}": np.asarray(y) for i, y in enumerate(outputs)}

    model.save(tmp_path / "model.h5")
    graph = formats.load(tmp_path / "model.h5")
    verdict = compare(graph, arrays)
    assert verdict.within, verdict

    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    archive = formats.load(tmp_path / "model.keras")
    weights = formats.load(tmp_path / "model.weights.h5", architecture=tmp_path / "model.h5")
    for other in (archive, weights):
        assert other.params.keys() == graph.params.keys()
        for parameter, encoding in graph.params.items():
            expected = encodings.decode(encoding)
            np.testing.assert_array_equal(encodings.decode(other.params[parameter]), expected, err_msg=parameter)

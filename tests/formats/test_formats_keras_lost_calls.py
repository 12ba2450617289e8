"""TensorFlow's Keras writes one list of calls for a layer that models share: what was lost is found or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import keras_files as kf
from checks.keras_files import functional, image_input, layer, nested, normal

from refcompress.errors import ModelError
from refcompress.formats import keras
from refcompress.run import run

RNG = np.random.default_rng(0)
SHARED, LAST = normal(RNG, 4, 4), normal(RNG, 4, 3)
WEIGHTS = {
    "shared": {"shared/kernel:0": SHARED},
    "inner": {"shared/kernel:0": SHARED, "last/kernel:0": LAST},
}
X = RNG.normal(size=(2, 4))


def dense(name: str, units: int, *inbound: Any) -> Any:
    return layer("Dense", name, *inbound, units=units, use_bias=False)


def inner(*inbound: Any, source: str = "ix") -> Any:
    """Describe the nested model: two layers, of which the outer model calls the first one too."""
    layers = [image_input(source, 4), dense("shared", 4, [source]), dense("last", 3, ["shared"])]
    return nested(functional(layers, [source], ["last"], name="inner"), *inbound)


def computed(folder: Path, layers: list[Any], source: str, output: Any) -> Any:
    path = kf.write(folder / "model.h5", functional(layers, [source], [output]), WEIGHTS)
    (made,) = run(keras.load(path), X, dtype=np.float64)
    return made


def twice(x: Any) -> Any:
    return x @ np.float64(SHARED) @ np.float64(SHARED) @ np.float64(LAST)


def test_a_call_that_the_nested_models_has_replaced_reads_what_nobody_else_reads(tmp_path: Path) -> None:
    # "ix" stands in the nested model only; the file says nothing about a call on "x"
    layers = [image_input("x", 4), dense("shared", 4, ["ix"]), inner(["shared"])]
    np.testing.assert_allclose(computed(tmp_path, layers, "x", ("inner", 1, 0)), twice(X), atol=1e-12)


def test_a_replaced_call_is_found_where_names_happen_to_fit(tmp_path: Path) -> None:
    # the file has the call on the nested model's "x", and nobody reads "r"
    layers = [image_input("x", 4), layer("ReLU", "r", ["x"]), dense("shared", 4, ["x"]), inner(["shared"], source="x")]
    np.testing.assert_allclose(computed(tmp_path, layers, "x", ("inner", 1, 0)), twice(np.maximum(X, 0)), atol=1e-12)


def test_calls_that_are_right_stay_as_they_are(tmp_path: Path) -> None:
    layers = [image_input("x", 4), dense("shared", 4, ["x"]), inner(["shared"], source="x")]
    np.testing.assert_allclose(computed(tmp_path, layers, "x", ("inner", 1, 0)), twice(X), atol=1e-12)


@pytest.mark.parametrize(
    "layers",
    [
        # two calls of which only one is listed
        [dense("shared", 4, ["ix"]), inner([("shared", 0, 0)], [("shared", 1, 0)])],
        # two activations that nobody reads
        [layer("ReLU", "r", ["x"]), layer("ReLU", "s", ["x"]), dense("shared", 4, ["ix"]), inner(["shared"])],
        # none
        [layer("Add", "a", ["x", "shared"]), dense("shared", 4, ["ix"]), inner(["a"])],
    ],
)
def test_calls_that_cannot_be_told_are_refused(tmp_path: Path, layers: list[Any]) -> None:
    with pytest.raises(ModelError, match=r"'shared' \(Dense\): the file describes its calls in another model"):
        computed(tmp_path, [image_input("x", 4), *layers], "x", ("inner", 1, 0))


def test_a_call_that_no_other_model_explains_is_malformed(tmp_path: Path) -> None:
    layers = [image_input("x", 4), dense("shared", 4, ["nowhere"]), inner(["shared"])]
    with pytest.raises(ModelError, match="reads call 0 of the layer 'nowhere'"):
        computed(tmp_path, layers, "x", ("inner", 1, 0))

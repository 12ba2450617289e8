"""Small Keras checkpoints in the legacy HDF5 layout, written with h5py alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from refcompress.errors import FormatError, ModelError
from refcompress.formats import keras

Json = dict[str, Any]
Arrays = Mapping[str, Mapping[str, NDArray[Any]]]


def layer(class_name: str, name: str, *inbound: Any, **options: Any) -> Json:
    """Describe a layer; ``inbound`` are its calls, each a list of layers' names or of (name, call, output)."""
    calls = [[[*ref, {}] if isinstance(ref, list | tuple) else [ref, 0, 0, {}] for ref in call] for call in inbound]
    return {"class_name": class_name, "name": name, "config": {"name": name, **options}, "inbound_nodes": calls}


def image_input(name: str, *shape: int | None) -> Json:
    """Describe an input; the batch axis is added."""
    return layer("InputLayer", name, batch_input_shape=[None, *shape], dtype="float32", sparse=False)


def sequential(*layers: Json, name: str = "sequential") -> Json:
    """Describe a Sequential model."""
    plain = [{"class_name": one["class_name"], "config": one["config"]} for one in layers]
    return {"class_name": "Sequential", "config": {"name": name, "layers": plain}}


def functional(layers: Sequence[Json], inputs: Sequence[Any], outputs: Sequence[Any], name: str = "model") -> Json:
    """Describe a functional model; inputs and outputs are names or (name, call, output)."""
    refs = [[list(ref) if isinstance(ref, tuple) else [ref, 0, 0] for ref in side] for side in (inputs, outputs)]
    config = {"name": name, "layers": list(layers), "input_layers": refs[0], "output_layers": refs[1]}
    return {"class_name": "Functional", "config": config}


def nested(model: Json, *inbound: Any) -> Json:
    """Describe a model as a layer of another one."""
    entry = layer(model["class_name"], model["config"]["name"], *inbound)
    return {**entry, "config": model["config"]}


def write(
    path: Path,
    model: Any,
    weights: Arrays | None = None,
    *,
    keras_version: str = "2.13.1",
    spoil: Callable[[h5py.File], None] | None = None,
) -> Path:
    """Write a checkpoint.

    Parameters
    ----------
    path
        The file.
    model
        The architecture: JSON values, or the text or bytes to stand in their place.
    weights
        Group to weight name (``dense/kernel:0``) to array.
    keras_version
        What the file says wrote it.
    spoil
        Does to the open file whatever a test needs.

    """
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = model if isinstance(model, str | bytes | np.generic) else json.dumps(model)
        file.attrs["keras_version"] = keras_version
        file.attrs["backend"] = "tensorflow"
        root = file.create_group("model_weights")
        set_names(root, "layer_names", list(weights or {}))
        for name, arrays in (weights or {}).items():
            group = root.create_group(name)
            set_names(group, "weight_names", list(arrays))
            for weight, array in arrays.items():
                group.create_dataset(weight, data=array)
        if spoil is not None:
            spoil(file)
    return path


def refusal(
    folder: Path, model: Any, weights: Arrays | None = None, spoil: Callable[[h5py.File], None] | None = None
) -> str:
    """Import a checkpoint that must be refused by an error of ours; return its message."""
    path = write(folder / "model.h5", model, weights, spoil=spoil)
    with pytest.raises((FormatError, ModelError)) as caught:
        keras.load(path)
    if isinstance(caught.value, FormatError):
        assert caught.value.offset_bytes == 0
    return str(caught.value)


def set_names(place: h5py.Group, attribute: str, names: list[str]) -> None:
    """Write a list of texts as Keras 2 does: fixed-length bytes, and float64 if there are none."""
    place.attrs[attribute] = np.array([name.encode() for name in names]) if names else []


def normal(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Draw float32 weights of moderate size."""
    return rng.normal(0.0, 0.5, shape).astype(np.float32)

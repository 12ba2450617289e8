"""Small Keras files in the layouts of Keras 3 and of TensorFlow 2.12, written with h5py and zipfile alone."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from refcompress import formats
from refcompress.errors import FormatError, ModelError

# path of a group to the name noted beside its weights (or None) and the weights themselves
Groups = Mapping[str, tuple[str | None, list[NDArray[Any]]]]


def weights_file(groups: Groups) -> bytes:
    """Return HDF5 as ``save_weights("x.weights.h5")`` of Keras 3 writes it."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for path, (name, arrays) in groups.items():
            group = file.require_group(path).create_group("vars")
            if name is not None:
                group.attrs["name"] = name
            for number, array in enumerate(arrays):
                group[str(number)] = array
    return memory.getvalue()


def members(model: Any, groups: Groups, keras_version: str = "3.8.0") -> dict[str, bytes]:
    """Return the files inside a ``.keras`` archive."""
    return {
        "metadata.json": json.dumps({"keras_version": keras_version, "date_saved": "2025-01-01@00:00:00"}).encode(),
        "config.json": json.dumps(model).encode(),
        "model.weights.h5": weights_file(groups),
    }


def archive(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive of files."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return memory.getvalue()


def refusal(path: Path, data: bytes, **options: Any) -> str:
    """Load bytes that must be refused by an error of ours; return its message."""
    path.write_bytes(data)
    with pytest.raises((FormatError, ModelError)) as caught:
        formats.load(path, **options)
    return str(caught.value)


def numbers(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw float32 weights."""
    return np.random.default_rng(seed).normal(0.0, 0.5, shape).astype(np.float32)

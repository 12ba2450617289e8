"""The four files of a small MNIST, written from the description of the format alone."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """Return an IDX file: two zeros, the type (8: unsigned bytes), the rank, big-endian sizes, values row by row."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + b"".join(struct.pack(">I", size) for size in array.shape)
    return header + bytes(array.ravel().tolist())


def small_mnist(train: int = 8, test: int = 3, seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    """Make random images and labels, by the names of their files."""
    rng = np.random.default_rng(seed)
    arrays = [
        array
        for count in (train, test)
        for array in (rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count, np.uint8))
    ]
    return dict(zip(NAMES, arrays, strict=True))


def packed(arrays: Mapping[str, NDArray[np.uint8]]) -> dict[str, bytes]:
    """Return the files as they are published, packed by gzip, by their names."""
    return {f"{name}.gz": gzip.compress(idx_bytes(array), mtime=0) for name, array in arrays.items()}


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder, which is made if it is missing."""
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder

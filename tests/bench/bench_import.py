"""How long importing a checkpoint of 100 MB takes, against reading its arrays with h5py and nothing else.

``python tests/bench/bench_import.py`` makes a dense network as legacy HDF5 and as ``.keras`` archive, and prints the
ratio of the fastest runs; the bar is 1.5. A network of many small kernels, where opening datasets counts as much as
reading them, is shown beside them without a bar.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from checks import keras_archives as ka
from checks import keras_files as kf
from checks.keras_files import image_input, layer, sequential

from refcompress import formats

SIZE, DEPTH = 2048, 6  # six matrices of 16 MiB
CHANNELS, CONVOLUTIONS = 184, 80  # eighty kernels of 1.2 MB
RUNS = 9
BAR = 1.5

Networks = dict[str, dict[str, np.ndarray[Any, np.dtype[np.float32]]]]


def dense() -> tuple[kf.Json, Networks]:
    """Return a network of few large matrices, and its weights."""
    rng = np.random.default_rng(0)
    names = [f"d{number}" for number in range(DEPTH)]
    arrays = {name: {"kernel": kf.normal(rng, SIZE, SIZE), "bias": kf.normal(rng, SIZE)} for name in names}
    layers = [layer("Dense", name, units=SIZE, activation="relu") for name in names]
    return sequential(image_input("x", SIZE), *layers), arrays


def convolutional() -> tuple[kf.Json, Networks]:
    """Return a network of many small kernels, and its weights."""
    rng = np.random.default_rng(0)
    names = [f"c{number}" for number in range(CONVOLUTIONS)]
    arrays = {
        name: {"kernel": kf.normal(rng, 3, 3, CHANNELS, CHANNELS), "bias": kf.normal(rng, CHANNELS)} for name in names
    }
    same = {"filters": CHANNELS, "kernel_size": [3, 3], "padding": "same"}
    layers = [layer("Conv2D", name, **same) for name in names]
    return sequential(image_input("x", 16, 16, CHANNELS), *layers), arrays


def write_legacy(path: Path, model: kf.Json, networks: Networks) -> Path:
    """Write the network as legacy HDF5."""
    named = {name: {f"{name}/{role}:0": array for role, array in arrays.items()} for name, arrays in networks.items()}
    return kf.write(path, model, named)


def write_archive(path: Path, model: kf.Json, networks: Networks) -> Path:
    """Write the network as a ``.keras`` archive."""
    snake = "dense" if "d0" in networks else "conv2d"
    groups = {
        f"layers/{snake}_{number}" if number else f"layers/{snake}": (name, list(arrays.values()))
        for number, (name, arrays) in enumerate(networks.items())
    }
    path.write_bytes(ka.archive(ka.members(model, groups)))
    return path


def read_all(file: h5py.File) -> list[Any]:
    """Read every array of a file, as one does who only has h5py."""
    found: list[Any] = []
    file.visititems(lambda _, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    return found


def read_legacy(path: Path) -> list[Any]:
    """Read the arrays of legacy HDF5."""
    with h5py.File(path) as file:
        return read_all(file)


def read_archive(path: Path) -> list[Any]:
    """Read the arrays of an archive, from memory as Keras does."""
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        return read_all(file)


def fastest(functions: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the shortest time of each function in seconds; they take turns, so that all have the same neighbours."""
    times: dict[str, float] = dict.fromkeys(functions, float("inf"))
    for _ in range(RUNS):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name] = min(times[name], time.perf_counter() - start)
    return times


def main() -> None:
    """Print a table; exit with 1 if a ratio is over its bar."""
    missed = 0
    layouts = {"legacy HDF5": (write_legacy, read_legacy), ".keras": (write_archive, read_archive)}
    sys.stdout.write(f"{'network':<16}{'layout':<14}{'MB':>7}{'h5py ms':>10}{'load ms':>10}{'ratio':>8}\n")
    with tempfile.TemporaryDirectory() as folder:
        for title, make, bar in (("6 matrices", dense, BAR), ("80 kernels", convolutional, None)):
            model, networks = make()
            for layout, (write, read) in layouts.items():
                path = write(Path(folder, "model"), model, networks)
                times = fastest({"h5py": partial(read, path), "load": partial(formats.load, path)})
                ratio = times["load"] / times["h5py"]
                missed += bar is not None and ratio > bar
                verdict = "" if bar is None else f"  bar {bar}: {'ok' if ratio <= bar else 'MISSED'}"
                sys.stdout.write(
                    f"{title:<16}{layout:<14}{path.stat().st_size / 1e6:>7.1f}{1e3 * times['h5py']:>10.1f}"
                    f"{1e3 * times['load']:>10.1f}{ratio:>8.2f}{verdict}\n"
                )
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()

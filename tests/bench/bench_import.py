"""How long importing a checkpoint of 100 MB takes, against reading its arrays with h5py and nothing else.

``python tests/bench/bench_import.py`` writes three networks, each as legacy HDF5 and as ``.keras`` archive: few large
matrices, many small kernels, and ResNet50. What is compared with ``refcompress.formats.load(path)`` is, for HDF5::

    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None)

and for an archive the same on ``io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5"))``, as Keras does. Both take
turns, each first as often as second. The ratio is the median of those of each turn; the bar is 1.5.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from checks import keras_archives as ka
from checks import keras_files as kf
from checks.keras_files import functional, image_input, layer, sequential

from refcompress import formats

SIZE, DEPTH = 2048, 6  # six matrices of 16 MiB
CHANNELS, CONVOLUTIONS = 184, 80  # eighty kernels of 1.2 MB
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # channels, blocks and stride of ResNet50
RUNS = 12
BAR = 1.5

SNAKE = {"Dense": "dense", "Conv2D": "conv2d", "BatchNormalization": "batch_normalization"}
NORMALIZED = ("gamma", "beta", "moving_mean", "moving_variance")

Arrays = dict[str, np.ndarray[Any, np.dtype[np.float32]]]
Networks = dict[str, Arrays]
Read = Callable[[Path], Any]


def initializers(*roles: str) -> Mapping[str, Any]:
    """Return what Keras writes about how weights began."""
    return {f"{role}_initializer": {"class_name": "Zeros", "config": {}} for role in roles}


def dense() -> tuple[kf.Json, Networks]:
    """Return a network of few large matrices, and its weights."""
    rng = np.random.default_rng(0)
    names = [f"d{number}" for number in range(DEPTH)]
    arrays = {name: {"kernel": kf.normal(rng, SIZE, SIZE), "bias": kf.normal(rng, SIZE)} for name in names}
    options = {"units": SIZE, "activation": "relu", **initializers("kernel", "bias")}
    return sequential(image_input("x", SIZE), *(layer("Dense", name, **options) for name in names)), arrays


def convolutional() -> tuple[kf.Json, Networks]:
    """Return a network of many small kernels, and its weights."""
    rng = np.random.default_rng(0)
    names = [f"c{number}" for number in range(CONVOLUTIONS)]
    arrays = {
        name: {"kernel": kf.normal(rng, 3, 3, CHANNELS, CHANNELS), "bias": kf.normal(rng, CHANNELS)} for name in names
    }
    same = {"filters": CHANNELS, "kernel_size": [3, 3], "padding": "same", **initializers("kernel", "bias")}
    layers = [layer("Conv2D", name, **same) for name in names]
    return sequential(image_input("x", 16, 16, CHANNELS), *layers), arrays


def resnet50() -> tuple[kf.Json, Networks]:
    """Return the network of 107 layers with weights that keras.applications calls ResNet50, and its weights."""
    rng = np.random.default_rng(0)
    arrays: Networks = {}
    layers = [image_input("input", 224, 224, 3), layer("ZeroPadding2D", "conv1_pad", ["input"], padding=[3, 3])]

    def add(class_name: str, name: str, *sources: str, **options: Any) -> str:
        layers.append(layer(class_name, name, [*sources], **options))
        return name

    def convolve(name: str, source: str, shape: tuple[int, ...], stride: int = 1, *, relu: bool = True) -> str:
        arrays[f"{name}_conv"] = {"kernel": 0.02 * kf.normal(rng, *shape), "bias": kf.normal(rng, shape[-1])}
        arrays[f"{name}_bn"] = {role: np.abs(kf.normal(rng, shape[-1])) for role in NORMALIZED}
        same = {"kernel_size": [*shape[:2]], "strides": stride, "padding": "same" if stride == 1 else "valid"}
        add("Conv2D", f"{name}_conv", source, filters=shape[-1], **same, **initializers("kernel", "bias"))
        made = add("BatchNormalization", f"{name}_bn", f"{name}_conv", epsilon=1e-5, **initializers(*NORMALIZED))
        return add("Activation", f"{name}_relu", made, activation="relu") if relu else made

    made = convolve("conv1", "conv1_pad", (7, 7, 3, 64), 2)
    made = add("MaxPooling2D", "pool1_pool", made, pool_size=[3, 3], strides=2, padding="same")
    channels = 64
    for stage, (width, blocks, first_stride) in enumerate(STAGES):
        for block in range(blocks):
            name, stride = f"conv{stage + 2}_block{block + 1}", 1 if block else first_stride
            branch = convolve(f"{name}_1", made, (1, 1, channels, width), stride)
            branch = convolve(f"{name}_2", branch, (3, 3, width, width))
            if block == 0:
                made = convolve(f"{name}_0", made, (1, 1, channels, 4 * width), stride, relu=False)
            branch = convolve(f"{name}_3", branch, (1, 1, width, 4 * width), relu=False)
            made = add("Add", f"{name}_add", made, branch)
            made, channels = add("Activation", f"{name}_out", made, activation="relu"), 4 * width
    made = add("GlobalAveragePooling2D", "avg_pool", made)
    arrays["predictions"] = {"kernel": 0.02 * kf.normal(rng, channels, 1000), "bias": kf.normal(rng, 1000)}
    options = {"units": 1000, "activation": "softmax", **initializers("kernel", "bias")}
    return functional(layers, ["input"], [add("Dense", "predictions", made, **options)]), arrays


def write_legacy(path: Path, model: kf.Json, networks: Networks) -> Path:
    """Write the network as legacy HDF5, with a group for each layer and names as today's h5py writes them."""

    def finish(file: h5py.File) -> None:
        root = file["model_weights"]
        names = [entry["config"]["name"] for entry in model["config"]["layers"]]
        root.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            group = root.require_group(name)
            group.attrs["weight_names"] = [f"{name}/{role}:0".encode() for role in networks.get(name, ())]

    named = {name: {f"{name}/{role}:0": array for role, array in arrays.items()} for name, arrays in networks.items()}
    return kf.write(path, model, named, spoil=finish)


def write_archive(path: Path, model: kf.Json, networks: Networks) -> Path:
    """Write the network as ``.keras`` archive."""
    counts = dict.fromkeys(SNAKE.values(), 0)
    groups = {}
    for entry in model["config"]["layers"]:
        if (snake := SNAKE.get(entry["class_name"])) is not None:
            number, name = counts[snake], entry["config"]["name"]
            counts[snake] += 1
            groups[f"layers/{snake}_{number}" if number else f"layers/{snake}"] = (name, [*networks[name].values()])
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


def seconds(read: Read, path: Path) -> float:
    """Return how long reading takes, until all that was read is given back."""
    start = time.perf_counter()
    read(path)
    return time.perf_counter() - start


def turns(read: Read, path: Path) -> Iterator[tuple[float, float]]:
    """Yield the seconds of h5py and of importing, after one turn that is not counted."""
    for turn in range(RUNS + 1):
        order = (read, formats.load) if turn % 2 else (formats.load, read)
        times = {function: seconds(function, path) for function in order}
        if turn:
            yield times[read], times[formats.load]


def main() -> None:
    """Print a table; exit with 1 if a ratio is over its bar."""
    missed = 0
    layouts = {"legacy HDF5": (write_legacy, read_legacy), ".keras": (write_archive, read_archive)}
    sys.stdout.write(
        f"{'network':<14}{'layout':<14}{'MB':>7}{'h5py ms':>10}{'load ms':>10}{'ratio':>8}{'of turns':>14}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        for title, make in (("6 matrices", dense), ("80 kernels", convolutional), ("ResNet50", resnet50)):
            model, networks = make()
            for layout, (write, read) in layouts.items():
                path = write(Path(folder, "model"), model, networks)
                times = list(turns(read, path))
                ratios = sorted(load / h5 for h5, load in times)
                h5, load = (1e3 * median(side) for side in zip(*times, strict=True))
                missed += median(ratios) > BAR
                sys.stdout.write(
                    f"{title:<14}{layout:<14}{path.stat().st_size / 1e6:>7.1f}{h5:>10.1f}{load:>10.1f}"
                    f"{median(ratios):>8.2f}{f'{ratios[0]:.2f}-{ratios[-1]:.2f}':>14}"
                    f"  bar {BAR}: {'ok' if median(ratios) <= BAR else 'MISSED'}\n"
                )
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()

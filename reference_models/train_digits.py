"""Train the digits network and write it as a Keras HDF5 file: ``python -m reference_models.train_digits``.

The UCI digits come from scikit-learn (extra ``demo``). Epochs are chosen by the validation part; the test part
is looked at once, at the end. The same seed gives the same file on the same machine with as many BLAS threads;
another BLAS adds in another order, which is why the trained file is shipped too.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refcompress.files import write_file
from refcompress.formats import hdf5_write
from reference_models import DIGITS_CHECKPOINT, digits_cnn
from reference_models.backprop import Array, Params, backward, forward, params_of
from reference_models.data import Labelled, Splits, digits

SEED = 1
EPOCHS = 80
BATCH = 32
LEARNING_RATE = 2e-3
L1 = 1e-3  # per unit of weight; keeps most weights so small that they can be pruned without retraining


@dataclass(frozen=True, slots=True)
class Epoch:
    """How training goes.

    Attributes
    ----------
    number
        Counted from 1.
    loss
        Mean cross-entropy on the validation part, in nats.
    accuracy
        Share of the validation part classified rightly.
    params
        The weights after this epoch.

    """

    number: int
    loss: float
    accuracy: float
    params: Params


def accuracy(params: Params, part: Labelled) -> float:
    """Return the share of images classified rightly."""
    return float((forward(params, part.x)[0].argmax(axis=1) == part.y).mean())


def train(splits: Splits, epochs: int = EPOCHS, seed: int = SEED) -> Iterator[Epoch]:
    """Fit the network by Adam with a cosine learning rate, an L1 penalty, dropout and shifts by one pixel.

    Parameters
    ----------
    splits
        The data; the test part is not used.
    epochs
        How often each training image is seen.
    seed
        Of the initial weights, the order of the images, the shifts and the dropout.

    Yields
    ------
    Epoch
        The state after each epoch.

    """
    rng = np.random.default_rng(seed)
    params = params_of(digits_cnn.build(rng))
    first = {name: np.zeros_like(value) for name, value in params.items()}
    second = {name: np.zeros_like(value) for name, value in params.items()}
    part, step = splits.train, 0
    steps = epochs * -(-len(part.y) // BATCH)
    for number in range(1, epochs + 1):
        order = rng.permutation(len(part.y))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            x = _shifted(part.x[chosen], rng)
            keep = 1 - digits_cnn.DROPOUT
            mask = (rng.random((len(x), 4, 4, 32)) < keep).astype(np.float32) / np.float32(keep)
            probabilities, kept = forward(params, x, mask)
            gradients = _penalized(backward(params, kept, probabilities, part.y[chosen]), params)
            rate = LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
            step += 1
            params = _adam(params, gradients, first, second, step, rate)
        held_out = forward(params, splits.validation.x)[0]
        right = held_out[np.arange(len(held_out)), splits.validation.y]
        yield Epoch(number, float(-np.log(right).mean()), accuracy(params, splits.validation), params)


def _shifted(x: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    offsets = rng.integers(0, 3, (len(x), 2))
    return np.stack([image[top : top + 8, left : left + 8] for image, (top, left) in zip(padded, offsets, strict=True)])


def _penalized(gradients: Params, params: Params) -> Params:
    penalty = {name: np.float32(L1) * np.sign(params[name]) for name in params if name.endswith("weight")}
    return {name: value + penalty.get(name, np.float32(0)) for name, value in gradients.items()}


def _adam(  # Kingma & Ba, ICLR 2015, algorithm 1, with the moments updated in place
    params: Params, gradients: Params, first: Params, second: Params, step: int, rate: float
) -> Params:
    updated: Params = {}
    for name, value in params.items():
        gradient = gradients[name]
        first[name] += np.float32(0.1) * (gradient - first[name])
        second[name] += np.float32(0.001) * (gradient * gradient - second[name])
        size = np.float32(rate * math.sqrt(1 - 0.999**step) / (1 - 0.9**step))
        change: Array = (size * first[name] / (np.sqrt(second[name]) + np.float32(1e-8))).astype(np.float32)
        updated[name] = value - change
    return updated


def keras_layers() -> list[tuple[str, dict[str, object]]]:
    """Return class and options of each layer of the network, as a Keras 2 Sequential model lists them."""

    def conv(name: str, filters: int) -> tuple[str, dict[str, object]]:
        options = {
            "kernel_size": [3, 3],
            "strides": [1, 1],
            "padding": "same",
            "dilation_rate": [1, 1],
            "groups": 1,
        }
        shared = {"data_format": "channels_last", "activation": "relu", "use_bias": True}
        return "Conv2D", {"name": name, "filters": filters, **options, **shared}

    def dense(name: str, units: int, activation: str) -> tuple[str, dict[str, object]]:
        return "Dense", {"name": name, "units": units, "activation": activation, "use_bias": True}

    pool = {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid", "data_format": "channels_last"}
    return [
        (
            "InputLayer",
            {"name": "image", "batch_input_shape": [None, 8, 8, 1], "sparse": False, "ragged": False},
        ),
        conv("conv1", 16),
        conv("conv2", 32),
        ("MaxPooling2D", {"name": "pool", **pool}),
        ("Flatten", {"name": "flatten", "data_format": "channels_last"}),
        ("Dropout", {"name": "dropout", "rate": digits_cnn.DROPOUT}),
        dense("dense1", 48, "relu"),
        dense("dense2", 10, "softmax"),
    ]


def keras_file(params: Params) -> bytes:
    """Return the network as the bytes of a legacy Keras HDF5 full model.

    Parameters
    ----------
    params
        Weights and biases as :func:`reference_models.backprop.params_of` names them.

    """
    layers = keras_layers()
    listed = [
        {"class_name": kind, "config": {**options, "dtype": "float32", "trainable": True}} for kind, options in layers
    ]
    config = {"class_name": "Sequential", "config": {"name": "digits_cnn", "layers": listed}}
    groups = {}
    for kind, options in layers[1:]:
        name = str(options["name"])
        roles = {"kernel:0": "weight", "bias:0": "bias"} if kind in {"Conv2D", "Dense"} else {}
        arrays = {f"{name}/{keras}": params[f"{name}/{role}"] for keras, role in roles.items()}
        groups[name] = hdf5_write.Group(arrays, {"weight_names": list(arrays)})
    versions: dict[str, str | list[str]] = {"keras_version": "2.15.0", "backend": "tensorflow"}
    weights = hdf5_write.Group(groups, {"layer_names": list(groups), **versions})
    return hdf5_write.pack(
        hdf5_write.Group({"model_weights": weights}, {"model_config": json.dumps(config), **versions})
    )


def main() -> None:
    """Train, choose the epoch of the least validation loss, write it, and measure it on the test part."""
    parser = argparse.ArgumentParser(prog="python -m reference_models.train_digits", description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, default=DIGITS_CHECKPOINT, help="file to write")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    splits = digits()
    best: Epoch | None = None
    for epoch in train(splits, options.epochs, options.seed):
        sys.stdout.write(f"epoch {epoch.number}: validation loss {epoch.loss:.4f}, accuracy {epoch.accuracy:.2%}\n")
        best = epoch if best is None or epoch.loss < best.loss else best
    if best is None:
        parser.error("--epochs must be at least 1")
    write_file(options.output, keras_file(best.params))
    sys.stdout.write(
        f"epoch {best.number} written to {options.output}: {options.output.stat().st_size} bytes, "
        f"test accuracy {accuracy(best.params, splits.test):.2%}\n"
    )


if __name__ == "__main__":
    main()

"""Train the digits network and write it as a Keras HDF5 file: ``python -m reference_models.train_digits``.

The UCI digits come from scikit-learn (extra ``demo``). Epochs are chosen by the validation part; the test part
is looked at once, at the end. The same seed gives the same file on the same machine with as many BLAS threads;
another BLAS adds in another order, which is why the trained file is shipped too.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import encode
from refcompress.files import write_file
from refcompress.graph import Graph
from reference_models import DIGITS_CHECKPOINT, digits_cnn
from reference_models.backprop import Array, Params, backward, forward, params_of
from reference_models.data import Labelled, Splits, digits
from reference_models.keras_file import keras_file

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


def trained(params: Params) -> Graph:
    """Return the network with these weights."""
    graph = digits_cnn.build(np.random.default_rng(0))
    return graph.with_params({name: encode(array) for name, array in params.items()})


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
    write_file(options.output, keras_file(trained(best.params), "digits_cnn"))
    sys.stdout.write(
        f"epoch {best.number} written to {options.output}: {options.output.stat().st_size} bytes, "
        f"test accuracy {accuracy(best.params, splits.test):.2%}\n"
    )


if __name__ == "__main__":
    main()

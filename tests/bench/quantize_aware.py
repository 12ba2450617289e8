"""LeNet-300-100 in integers of few bits: rounded after training, and trained for it.

    python tests/bench/quantize_aware.py DIR

DIR holds MNIST. Epochs are chosen by the validation part (:func:`reference_models.data.mnist`); of the test part each
network that is printed is measured once, at the end.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

import refcompress
from refcompress.analysis import accuracy
from refcompress.formats.rcz import integer
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork, smallest
from refcompress.methods import quantize_aware
from refcompress.passes import prune, share_weights
from refcompress.train import Dataset, Plan, error_rate
from refcompress.train.samples import calibration_samples
from refcompress.train.schedules import cosine
from reference_models import CHECKPOINTS
from reference_models.data import Splits, mnist

RATE, BATCH = 1e-3, 128


def variants(graph: Graph) -> dict[str, tuple[Graph, dict[str, Any], dict[str, Any]]]:
    """Name to network, options of quantization, and what only its training takes."""
    two = share_weights.kmeans(graph, bits=1, zero="clustered")
    three = share_weights.kmeans(prune.threshold(graph, q=0.5), bits=1)
    few: dict[str, Any] = {"weight_ranges": "mse"}
    return {
        "4 bits": (graph, {"weight_bits": 4}, {}),
        "3 bits": (graph, {"weight_bits": 3, **few}, {}),
        "2 bits": (graph, {"weight_bits": 2, **few}, {}),
        "3 values": (three, {}, {"reassign_every": 1}),
        "2 values": (two, {}, {"reassign_every": 1}),
    }


def measure(network: Graph | IntegerNetwork, splits: Splits) -> list[str]:
    """Return validation error, test error and bytes as text."""
    errors = [f"{100 - 100 * accuracy(network, part.x, part.y).share:.2f}" for part in (splits.validation, splits.test)]
    return [*errors, f"{len(integer.to_bytes(network)):,}" if isinstance(network, IntegerNetwork) else ""]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()
    splits = mnist(args.data)
    graph = refcompress.load(CHECKPOINTS / "lenet_300_100.h5")
    data = Dataset(splits.train.x, splits.train.y, splits.validation.x, splits.validation.y)
    steps = args.epochs * int(np.ceil(len(splits.train.x) / BATCH))
    plan = Plan(epochs=args.epochs, batch_size=BATCH, rate=cosine(RATE, steps), score=error_rate)
    samples = calibration_samples(graph, data.inputs)
    sys.stdout.write("network | validation % | test % | bytes\n")
    sys.stdout.write(" | ".join(["float32", *measure(graph, splits)]) + "\n")
    for name, (start, options, more) in variants(graph).items():
        rounded = smallest(refcompress.quantize_network(start, samples, **options))
        sys.stdout.write(" | ".join([f"{name}, rounded", *measure(rounded, splits)]) + "\n")
        sys.stdout.flush()
        fitted = quantize_aware(start, data, plan, **options, **more)
        trained = smallest(refcompress.quantize_network(fitted.graph, quantizations=fitted.quantizations))
        sys.stdout.write(" | ".join([f"{name}, trained", *measure(trained, splits)]) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

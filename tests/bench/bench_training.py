"""Seconds of one epoch of ``refcompress.train.fit``, beside PyTorch's on the same threads.

usage: python tests/bench/bench_training.py DIR [--batch-size N] [--threads N] [--samples N] [--repeats N] [--json]

DIR holds the four files of MNIST, as they are or packed with gzip. PyTorch trains as fast as a plain loop goes:
images lie in one tensor, a batch is an index of it, and nothing loads or augments. Both shuffle anew in every epoch,
take the same batches and the same optimizer, and drop nothing. Each takes its turn, so that a busy machine slows all
of them alike: the ratio of medians is what counts. It is ours divided by theirs; below 1, ours is faster.

The pruned LeNet-5 has one weight in a hundred, at random. Here PyTorch trains as it is usually done: dense, with masks
multiplied into gradients and weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from refcompress import Graph
from refcompress.train import Adam, Masks, Plan, Sgd, fit
from reference_models import lenet_5, lenet_300_100
from reference_models.data import Labelled, mnist

NETWORKS = {"lenet-300-100": lenet_300_100, "lenet-5": lenet_5}
OPTIMIZERS = {"adam": (Adam(), 1e-3), "sgd": (Sgd(momentum=0.9), 1e-2)}  # and their rates
SURVIVORS = 0.01
Epochs = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Row:
    """One line of the table: medians over the repeats."""

    network: str
    optimizer: str
    batch_size: int
    threads: int
    samples: int
    ours_seconds: float
    other: str
    other_seconds: float
    ratio: float


def masks_of(graph: Graph, rng: np.random.Generator) -> dict[str, Any]:
    """Choose the survivors of each weight."""
    weights = [name for _, role, name in graph.weights() if role == "weight"]
    return {name: rng.random(graph.params[name].shape) < SURVIVORS for name in weights}


def ours(graph: Graph, data: Labelled, optimizer: str, batch_size: int, masks: dict[str, Any]) -> Callable[[], object]:
    """Return one epoch of this engine."""
    how, rate = OPTIMIZERS[optimizer]
    constraints = (Masks(masks),) if masks else ()
    plan = Plan(epochs=1, batch_size=batch_size, optimizer=how, rate=rate, constraints=constraints)
    return lambda: fit(graph, data.x, data.y, plan)


def layers_of(name: str) -> list[Any]:
    """Return the same network in PyTorch, without its softmax."""
    from torch import nn

    if name == "lenet-5":
        convolutions = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2)]
        return [*convolutions, nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)]
    dense = [nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
    return [nn.Flatten(), *dense]


def pytorch(
    name: str, data: Labelled, optimizer: str, batch_size: int, *, fused: bool, channels_last: bool, masked: bool
) -> Callable[[], object]:
    """Return one epoch of PyTorch, with its default optimizer or the fused one, in one memory format or the other."""
    import torch
    from torch import nn

    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    model = nn.Sequential(*layers_of(name)).to(memory_format=memory_format)
    how, rate = OPTIMIZERS[optimizer]
    params = list(model.parameters())
    move: Any = (
        torch.optim.SGD(params, lr=rate, momentum=how.momentum, fused=fused or None)
        if isinstance(how, Sgd)
        else torch.optim.Adam(params, lr=rate, fused=fused or None)
    )
    weights = [each for each in params if each.ndim > 1] if masked else []
    masks = [(torch.rand_like(each) < SURVIVORS).float() for each in weights]
    images, labels = torch.tensor(data.x).reshape(-1, 1, 28, 28), torch.tensor(data.y)
    # with one channel the strides alone tell the formats apart, so the images must be made in theirs
    strides = (784, 1, 28, 1) if channels_last else (784, 784, 28, 1)
    cross_entropy = nn.CrossEntropyLoss()

    def epoch() -> float:
        total, order = 0.0, torch.randperm(len(images))
        for batch in order.split(batch_size):
            x = images[batch]
            loss = cross_entropy(model(x.as_strided(x.shape, strides)), labels[batch])
            move.zero_grad()
            loss.backward()
            for weight, mask in zip(weights, masks, strict=True):
                weight.grad.mul_(mask)
            move.step()
            with torch.no_grad():
                for weight, mask in zip(weights, masks, strict=True):
                    weight.mul_(mask)
            total += loss.item() * len(batch)
        return total / len(images)

    return epoch


def others(name: str, data: Labelled, optimizer: str, batch_size: int, *, masked: bool) -> Epochs:
    """Return what there is to compare with; nothing without PyTorch."""
    try:
        import torch
    except ImportError:
        sys.stderr.write("PyTorch is not installed: nothing to compare with\n")
        return {}
    torch.set_num_threads(int(os.environ["OPENBLAS_NUM_THREADS"]))
    make = partial(pytorch, name, data, optimizer, batch_size, masked=masked)
    found: Epochs = {
        "PyTorch": make(fused=False, channels_last=False),
        "PyTorch, fused optimizer": make(fused=True, channels_last=False),
    }
    if name == "lenet-5":
        found["PyTorch, fused, channels last"] = make(fused=True, channels_last=True)
    return found


def measure(epochs: Epochs, repeats: int) -> dict[str, float]:
    """Run the epochs in turn, once to warm up; return the median seconds of each."""
    taken: dict[str, list[float]] = {name: [] for name in epochs}
    for turn in range(repeats + 1):
        for name, epoch in epochs.items():
            start = time.perf_counter()
            epoch()
            if turn:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def rows(data: Labelled, options: argparse.Namespace) -> Iterator[Row]:
    """Measure one network after the other."""
    cases = [(name, optimizer, False) for name in NETWORKS for optimizer in OPTIMIZERS]
    for name, optimizer, masked in [*cases, ("lenet-5", "sgd", True)]:
        title = f"{name}, pruned" if masked else name
        if options.only and f"{title} {optimizer}" not in options.only:
            continue
        rng = np.random.default_rng(0)
        graph = NETWORKS[name].build(rng)
        masks = masks_of(graph, rng) if masked else {}
        epochs: Epochs = {"ours": ours(graph, data, optimizer, options.batch_size, masks)}
        epochs.update(others(name, data, optimizer, options.batch_size, masked=masked))
        seconds = measure(epochs, options.repeats)
        own = seconds.pop("ours")
        for other, theirs in (seconds or {"nothing": float("nan")}).items():
            yield Row(
                title, optimizer, options.batch_size, options.threads, len(data.x), own, other, theirs, own / theirs
            )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time an epoch of training, beside PyTorch's.")
    parser.add_argument("directory", help="where the files of MNIST are")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1, help="of BLAS and of PyTorch")
    parser.add_argument("--samples", type=int, default=60_000, help="how many images make an epoch")
    parser.add_argument("--repeats", type=int, default=5, help="epochs of each, after one to warm up")
    parser.add_argument("--only", nargs="+", help="such as 'lenet-5 adam' or 'lenet-5, pruned sgd'")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    return parser.parse_args()


def main() -> None:
    """Print a table, or JSON."""
    options = parse()
    if os.environ.get("OPENBLAS_NUM_THREADS") != str(options.threads):  # BLAS reads it when it is loaded
        variables = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(options.threads))
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | variables)  # noqa: S606 - it is this script
    train = mnist(options.directory, validation=0).train
    data = Labelled(train.x[: options.samples], train.y[: options.samples])
    measured = []
    for row in rows(data, options):
        measured.append(row)
        if not options.json:
            print(
                f"{row.network:15} {row.optimizer:5} batch {row.batch_size:4} threads {row.threads}  "
                f"ours {row.ours_seconds:7.3f} s  {row.other:30} {row.other_seconds:7.3f} s  ratio {row.ratio:5.2f}",
                flush=True,
            )
    if options.json:
        print(json.dumps([asdict(row) for row in measured], indent=1))


if __name__ == "__main__":
    main()

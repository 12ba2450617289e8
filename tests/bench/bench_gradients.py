"""Milliseconds of one forward and backward pass of the LeNets, beside PyTorch's on the same thread.

``python tests/bench/bench_gradients.py`` with PyTorch installed; run it with ``OPENBLAS_NUM_THREADS=1`` to
compare single threads. Both compute gradients of all parameters and of no input, for batches of 64 and a
given cotangent of the logits. The three take turns, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from refcompress import Graph, gradients
from refcompress.encodings import decode
from reference_models import lenet_5, lenet_300_100

BATCH = 64
ROUNDS = 60
WARM_UP_ROUNDS = 10


def ours(graph: Graph, x: Any, cotangent: Any) -> Callable[[], object]:
    """Return one step of this engine, on the network without its softmax."""
    *nodes, _ = graph.nodes
    logits = replace(graph, nodes=tuple(nodes), outputs=(nodes[-1].output,))
    params = {name: np.array(decode(encoding)) for name, encoding in logits.params.items()}
    return lambda: gradients(logits, x, [cotangent], params=params, wrt_inputs=False)


def pytorch(name: str, x: Any, cotangent: Any, *, channels_last: bool) -> Callable[[], object]:
    """Return the same step in PyTorch, in its default memory format or channels last."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    if name == "lenet-5":
        convolutions = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2)]
        layers = [*convolutions, nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)]
    else:
        dense = [nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
        layers = [nn.Flatten(), *dense]
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    model = nn.Sequential(*layers).to(memory_format=memory_format)
    # with one channel the strides alone tell the formats apart, so the images must be made in theirs
    images = torch.tensor(x).reshape(len(x), 1, 28, 28)
    images = images.as_strided(images.shape, (784, 1, 28, 1)) if channels_last else images
    seed = torch.tensor(cotangent)

    def step() -> None:
        model.zero_grad()
        model(images).backward(seed)

    return step


def measure(steps: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Run the steps in turn; return the milliseconds of every round."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(WARM_UP_ROUNDS + ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= WARM_UP_ROUNDS:
                taken[name].append(1e3 * (time.perf_counter() - start))
    return taken


def main() -> None:
    """Print the least and the median time of each."""
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, 28, 28, 1)).astype(np.float32)
    cotangent = rng.standard_normal((BATCH, 10)).astype(np.float32)
    for name, module in (("lenet-5", lenet_5), ("lenet-300-100", lenet_300_100)):
        graph = module.build(rng)
        steps = {"refcompress": ours(graph, x.reshape(BATCH, *graph.inputs[0].shape), cotangent)}
        try:
            steps["PyTorch"] = pytorch(name, x, cotangent, channels_last=False)
            steps["PyTorch channels last"] = pytorch(name, x, cotangent, channels_last=True)
        except ImportError:
            sys.stderr.write("PyTorch is not installed: nothing to compare with\n")
        for what, times in measure(steps).items():
            sys.stdout.write(f"{name:14} {what:22} least {min(times):6.2f} ms, median {np.median(times):6.2f} ms\n")


if __name__ == "__main__":
    main()

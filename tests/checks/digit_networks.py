"""A small network of dense layers for the UCI digits, trained once, and what compares networks."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import decode
from refcompress.graph import Graph, TensorSpec
from refcompress.train import Dataset, Plan, error_rate, fit
from reference_models.data import digits
from reference_models.layers import Layer, chain, gemm, glorot_uniform, he_normal

WEIGHTS = ("fc1/weight", "fc2/weight")


@functools.cache
def dataset(samples: int = 1077) -> Dataset:
    """Return the first training digits, and all validation digits."""
    splits = digits()
    train, validation = splits.train, splits.validation
    return Dataset(train.x[:samples], train.y[:samples], validation.x, validation.y)


def untrained(seed: int = 0) -> Graph:
    """Make a network: image (8, 8, 1) -> 32 units -> dropout 0.2 -> 10 probabilities; 2,368 weights."""
    rng = np.random.default_rng(seed)
    layers = [
        Layer("Flatten", "flatten"),
        gemm("fc1", he_normal(rng, (64, 32))),
        Layer("Relu", "relu"),
        Layer("Dropout", "dropout", {"ratio": 0.2}),
        gemm("fc2", glorot_uniform(rng, (32, 10))),
        Layer("Softmax", "probabilities"),
    ]
    return chain(TensorSpec("image", (8, 8, 1)), layers)


@functools.cache
def trained() -> Graph:
    """Return the network after 20 epochs: 3 to 4 % of the validation digits wrong."""
    data = dataset()
    plan = Plan(epochs=20, rate=0.01, score=error_rate)
    return fit(untrained(), data.inputs, data.targets, plan, validation=data.validation).graph


def arrays(graph: Graph) -> dict[str, NDArray[np.float32]]:
    """Return all parameters, decoded."""
    return {name: decode(encoding) for name, encoding in graph.params.items()}


def as_bytes(graph: Graph) -> dict[str, bytes]:
    """Return the bytes of all parameters."""
    return {name: array.tobytes() for name, array in arrays(graph).items()}


def zeros(graph: Graph, name: str) -> int:
    """Count the entries that are +0.0; any other zero is an error."""
    array = decode(graph.params[name])
    plain = int((array.view(np.uint32) == 0).sum())
    assert plain == int((array == 0).sum())
    return plain

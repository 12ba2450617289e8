"""Small networks and their files, for tests of what works on any network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from refcompress.encodings import encode
from refcompress.formats import rcz
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import make_attrs


def classifier(*, seed: int = 0, inputs: int = 12, classes: int = 4) -> Graph:
    """Two dense layers and a softmax: x (inputs) -> hidden (32) -> y (classes)."""
    rng = np.random.default_rng(seed)
    arrays = {
        "fc1/kernel": rng.normal(size=(inputs, 32)),
        "fc1/bias": rng.normal(size=32),
        "fc2/kernel": rng.normal(size=(32, classes)),
    }
    nodes = (
        Node("Gemm", "fc1", ("x",), "h", {"weight": "fc1/kernel", "bias": "fc1/bias"}, make_attrs("Gemm", {})),
        Node("Relu", "relu", ("h",), "a", attrs=make_attrs("Relu", {})),
        Node("Gemm", "fc2", ("a",), "z", {"weight": "fc2/kernel"}, make_attrs("Gemm", {})),
        Node("Softmax", "softmax", ("z",), "y", attrs=make_attrs("Softmax", {})),
    )
    params = {name: encode(array) for name, array in arrays.items()}
    return Graph((TensorSpec("x", (inputs,)),), ("y",), nodes, params)


def two_ended() -> Graph:
    """Two inputs a and b (3), two outputs: relu(a) and a + b."""
    nodes = (
        Node("Relu", "relu", ("a",), "first", attrs=make_attrs("Relu", {})),
        Node("Add", "add", ("a", "b"), "second", attrs=make_attrs("Add", {})),
    )
    return Graph((TensorSpec("a", (3,)), TensorSpec("b", (3,))), ("first", "second"), nodes, {})


def saved(graph: Graph, path: Path) -> str:
    """Write a network as .rcz and return the path as a command line takes it."""
    rcz.save(graph, path)
    return str(path)

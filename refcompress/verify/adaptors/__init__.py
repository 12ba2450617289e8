"""Other frameworks: each adaptor loads a model, runs it, and captures its activations under our names."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import OptionError
from refcompress.graph import Graph

Array = NDArray[Any]
Inputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Adaptor:
    """What verification needs of a framework.

    Attributes
    ----------
    load
        ``(path) -> model``.
    outputs
        ``(model, inputs by our names, graph) -> the network's outputs in our order and layout``, run as users run it.
    capture
        ``(model, inputs by our names, graph) -> activation of the graph to array in our layout``: the inputs, the
        outputs and all between that the framework shows.

    """

    load: Callable[[str | os.PathLike[str]], Any]
    outputs: Callable[[Any, Inputs, Graph], tuple[Array, ...]]
    capture: Callable[[Any, Inputs, Graph], dict[str, Array]]


FRAMEWORKS: Mapping[str, str] = MappingProxyType(
    {
        "keras": "refcompress.verify.adaptors.keras",
        "torch": "refcompress.verify.adaptors.torch",
        "onnxruntime": "refcompress.verify.adaptors.onnxruntime",
        "tflite": "refcompress.verify.adaptors.tflite",
    }
)


def find_adaptor(framework: str) -> Adaptor:
    """Return the adaptor of a framework; the framework itself is imported when it is used.

    Raises
    ------
    OptionError
        There is no such adaptor.

    Examples
    --------
    >>> find_adaptor("jaxx")
    Traceback (most recent call last):
        ...
    refcompress.errors.OptionError: no framework is named 'jaxx'; there are keras, torch, onnxruntime, tflite

    """
    if framework not in FRAMEWORKS:
        raise OptionError(f"no framework is named {framework!r}; there are {', '.join(FRAMEWORKS)}")
    module = importlib.import_module(FRAMEWORKS[framework])
    return Adaptor(module.load, module.outputs, module.capture)


def random_inputs(graph: Graph, samples: int, *, seed: int = 0) -> dict[str, Array]:
    """Make inputs for a network: uniform in 0 to 1, float32; whole numbers for what an embedding reads.

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> random_inputs(Graph((TensorSpec("x", (2,)),), ("x",), (), {}), 3)["x"].shape
    (3, 2)

    """
    rng = np.random.default_rng(seed)
    rows: dict[str, int] = {}
    for node in graph.nodes:
        if node.op == "Gather":
            rows.setdefault(node.inputs[0], graph.params[node.params["weight"]].shape[0])
    inputs: dict[str, Array] = {}
    for spec in graph.inputs:
        shape = (samples, *spec.shape)
        if spec.name in rows:
            inputs[spec.name] = rng.integers(0, rows[spec.name], shape).astype(np.float32)
        else:
            inputs[spec.name] = rng.random(shape, np.float32)
    return inputs

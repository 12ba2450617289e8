"""Correct runs of other frameworks, on any number of threads: verification must not find anything wrong with them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from checks.frameworks import framework, onnx_model, torch_module, torch_names
from numpy.typing import NDArray

from refcompress import formats
from refcompress.graph import Graph
from refcompress.verify import Verdict, compare, compare_layers
from refcompress.verify.adaptors import find_adaptor, onnxruntime, random_inputs

SHARED = (
    "mlperf_pretrainedResnet.h5",
    "mlperf_vww_96.h5",
    "mlperf_ad01.h5",
    "mlperf_str_ww_ref_model.h5",
    "fer_emotion_model.hdf5",
)
OURS = ("lenet_300_100.h5", "lenet_5.h5")


class Checked(NamedTuple):
    """Verdicts on one run: of its layers, and of its outputs."""

    network: str
    framework: str
    threads: int
    seed: int
    layers: Verdict
    outputs: Verdict

    @property
    def alarm(self) -> bool:
        """Whether anything was found wrong."""
        return not (self.layers.within and self.outputs.within)


def networks(shared_data: Path) -> dict[str, Path]:
    """Name of a network to its Keras file."""
    from reference_models import CHECKPOINTS

    return {name: shared_data / "h5" / name for name in SHARED} | {name: CHECKPOINTS / name for name in OURS}


def runs(path: Path, name: str, threads: int, seeds: range, samples: int = 2) -> Iterator[Checked]:
    """Run a network in a framework and judge it.

    TensorFlow takes the number of threads once a process: call this for Keras in a process of its own.
    """
    graph = formats.load(path)
    model, options = _model(path, graph, name, threads)
    adaptor = find_adaptor(name)
    for seed in seeds:
        inputs = _inputs(graph, seed, samples)
        activations = adaptor.capture(model, inputs, graph, **options)
        (y,) = adaptor.outputs(model, inputs, graph)
        outputs = compare(graph, {"x": inputs[graph.inputs[0].name], "y": y})
        yield Checked(path.name, name, threads, seed, compare_layers(graph, activations), outputs)


def _inputs(graph: Graph, seed: int, samples: int) -> dict[str, NDArray[np.float32]]:
    """Return inputs of several kinds: uniform, normal, of large values, mostly zero, constant."""
    rng = np.random.default_rng(seed)
    inputs = random_inputs(graph, samples, seed=seed)
    kinds = (
        lambda x: x,
        lambda x: rng.normal(size=x.shape),
        lambda x: 255 * x,
        lambda x: x * (rng.random(x.shape) < 0.1),
        lambda x: np.full(x.shape, 0.7),
    )
    return {name: kinds[seed % len(kinds)](array).astype(np.float32) for name, array in inputs.items()}


def _model(path: Path, graph: Graph, name: str, threads: int) -> tuple[Any, dict[str, Any]]:
    if name == "torch":
        framework("torch").set_num_threads(threads)
        return torch_module(graph), {"names": torch_names(graph)}
    if name == "onnxruntime":
        options = framework("onnxruntime").SessionOptions()
        options.intra_op_num_threads = threads
        return onnxruntime.Model(onnx_model(graph), options), {}
    tensorflow = framework("tensorflow")
    with contextlib.suppress(RuntimeError):  # another test has used it: the number of threads stays what it was
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    return find_adaptor(name).load(path), {}

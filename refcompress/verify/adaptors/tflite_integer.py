"""TFLite's interpreter on int8 models, with its default kernels: outputs, and the integers between operations."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError
from refcompress.integer import IntegerNetwork, Quantization, dequantize, quantize
from refcompress.ops import infer_shapes
from refcompress.verify.adaptors import matching

Array = NDArray[Any]
Samples = dict[str, list[Array]]

ABOVE_INT8 = 128  # uint8 integers are those of int8 and this


def random_integers(network: IntegerNetwork, samples: int, *, seed: int = 0) -> dict[str, NDArray[np.int8]]:
    """Make inputs for an integer network, uniform over the range of its integers.

    Examples
    --------
    >>> from refcompress.graph import Graph, TensorSpec
    >>> network = IntegerNetwork(Graph((TensorSpec("x", (2,)),), ("x",), (), {}), {"x": Quantization(0.5, 0)})
    >>> random_integers(network, 3)["x"].shape
    (3, 2)

    """
    rng, found = np.random.default_rng(seed), {}
    for spec in network.graph.inputs:
        known = network.quantizations[spec.name]
        found[spec.name] = rng.integers(known.low, known.high + 1, (samples, *spec.shape)).astype(np.int8)
    return found


def outputs(model: bytes, inputs: Mapping[str, Array], network: IntegerNetwork) -> tuple[Array, ...]:
    """Run the interpreter as users run it; return int8 integers."""
    ends, _ = _run(model, inputs, network, every_tensor=False)
    return tuple(ends[name] for name in network.graph.outputs)


def capture(model: bytes, inputs: Mapping[str, Array], network: IntegerNetwork) -> dict[str, Array]:
    """Run a model and read the integers between its operations.

    Parameters
    ----------
    model
        What :func:`refcompress.verify.adaptors.tflite.load` returns.
    inputs
        Name of the network's input to int8 array, batch first.
    network
        The network that was imported of the model; its activations are named after the model's tensors.

    Returns
    -------
    dict
        Activation of the network to int8 array, the inputs and outputs included. Left out are tensors whose name
        several have; what lies between is then compared as one.

    Raises
    ------
    DataError
        The interpreter refuses the model or the inputs, or the model is of another network.

    """
    ends, between = _run(model, inputs, network, every_tensor=True)
    shapes = infer_shapes(network.graph)
    named = {
        name: array
        for name, array in between.items()
        if name in network.quantizations and array.shape[1:] == shapes[name]
    }
    return {**named, **{name: np.asarray(array) for name, array in inputs.items()}, **ends}


def _run(
    model: bytes, inputs: Mapping[str, Array], network: IntegerNetwork, *, every_tensor: bool
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Run one sample after the other, as the file's shapes ask; return outputs and int8 tensors by their names."""
    litert = matching.library("ai_edge_litert.interpreter", "ai-edge-litert")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that preserved tensors take memory
            interpreter = litert.Interpreter(model_content=model, experimental_preserve_all_tensors=every_tensor)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise DataError(f"TFLite does not run the model: {str(error).splitlines()[0]}") from None
    sources, results = interpreter.get_input_details(), interpreter.get_output_details()
    if (len(sources), len(results)) != (len(network.graph.inputs), len(network.graph.outputs)):
        raise DataError(f"the TFLite model has {len(sources)} inputs and {len(results)} outputs; not so the network")
    ends: Samples = {name: [] for name in network.graph.outputs}
    between: Samples = {}
    made = _made(interpreter) if every_tensor else {}
    for sample in range(len(next(iter(inputs.values())))):
        for spec, slot in zip(network.graph.inputs, sources, strict=True):
            _set(interpreter, slot, inputs[spec.name][sample : sample + 1], network.quantizations[spec.name])
        interpreter.invoke()
        for name, slot in zip(network.graph.outputs, results, strict=True):
            ends[name].append(_integers(interpreter.get_tensor(slot["index"]), network.quantizations[name]))
        for name, index in made.items():
            between.setdefault(name, []).append(np.array(interpreter.get_tensor(index)))
    return _together(ends), _together(between)


def _together(samples: Samples) -> dict[str, Array]:
    return {name: np.concatenate(arrays) for name, arrays in samples.items()}


def _set(interpreter: Any, slot: Mapping[str, Any], integers: Array, known: Quantization) -> None:
    """Give integers to an input, which may be of real numbers or of uint8 that the model converts itself."""
    dtype = np.dtype(slot["dtype"])
    if dtype == np.uint8:
        integers = (integers.astype(np.int16) + ABOVE_INT8).astype(np.uint8)
    elif dtype.kind == "f":
        integers = dequantize(integers, known)
    try:
        interpreter.set_tensor(slot["index"], integers.astype(dtype))
    except ValueError as error:
        raise DataError(f"TFLite does not take the inputs: {str(error).splitlines()[0]}") from None


def _integers(array: Array, known: Quantization) -> NDArray[np.int8]:
    """Return an output as int8, of whatever type the model converts it to."""
    if array.dtype == np.uint8:
        return (array.astype(np.int16) - ABOVE_INT8).astype(np.int8)
    return quantize(array, known) if array.dtype.kind == "f" else np.array(array, np.int8)


def _made(interpreter: Any) -> dict[str, int]:
    """Name to number of every int8 tensor that an operation makes and whose name is its alone."""
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    # the interpreter lists its operations under a private name only
    operations = interpreter._get_ops_details()  # noqa: SLF001
    made = {int(index) for operation in operations for index in operation["outputs"]} & details.keys()
    names = Counter(detail["name"] for detail in details.values())
    return {
        details[index]["name"]: index
        for index in sorted(made)
        if details[index]["dtype"] is np.int8 and names[details[index]["name"]] == 1
    }

"""Run an integer network: its outputs, or every quantized activation, to the last bit as a runtime computes them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, OptionError
from refcompress.integer.network import IntegerNetwork
from refcompress.integer.operators import INTEGER_OPS
from refcompress.integer.quantization import dequantize, quantize
from refcompress.integer.runtimes import Runtime, find_runtime
from refcompress.integer.step import Activation
from refcompress.ops import infer_shapes
from refcompress.run import DEFAULT_BATCH, Inputs, check_inputs


def run_integer(
    network: IntegerNetwork, inputs: Inputs, *, runtime: str = "tflm", batch_size: int = DEFAULT_BATCH
) -> tuple[Activation, ...]:
    """Compute the outputs of an integer network.

    Parameters
    ----------
    network
        The network.
    inputs
        Integers: one array, a sequence of arrays in the order of the network's inputs, or a mapping from their
        names; (samples, *shape of the input) each. :func:`refcompress.integer.quantize` makes them of real numbers.
    runtime
        Whose roundings: a key of :data:`refcompress.integer.RUNTIMES`.
    batch_size
        Samples computed together; changes memory and speed only.

    Returns
    -------
    tuple of int8 arrays
        One for each output, (samples, *shape of the output).

    Raises
    ------
    DataError
        The inputs do not fit the network, are no integers or out of range.
    OptionError
        There is no such runtime, or the batch size is below 1.

    """
    computed = _compute(network, inputs, find_runtime(runtime), batch_size, set(network.graph.outputs))
    return tuple(computed[name] for name in network.graph.outputs)


def run_integer_all(
    network: IntegerNetwork, inputs: Inputs, *, runtime: str = "tflm", batch_size: int = DEFAULT_BATCH
) -> dict[str, Activation]:
    """Compute every quantized activation of an integer network, its inputs included.

    Parameters and errors are those of :func:`run_integer`.

    Returns
    -------
    dict
        Name of the activation to int8 array (samples, *shape).

    """
    return _compute(network, inputs, find_runtime(runtime), batch_size, set(network.quantizations))


def run_dequantized(
    network: IntegerNetwork, inputs: Inputs, *, runtime: str = "tflm", batch_size: int = DEFAULT_BATCH
) -> tuple[NDArray[np.float32], ...]:
    """Compute the outputs of an integer network for real inputs, as the real numbers that they stand for.

    Inputs are rounded to the network's integers as TFLite's operator QUANTIZE does, batch after batch. Parameters and
    errors are those of :func:`run_integer`, but that the inputs are real numbers.

    Returns
    -------
    tuple of float32 arrays
        One for each output, (samples, *shape of the output).

    Examples
    --------
    >>> from refcompress.graph import Graph, Node, TensorSpec
    >>> from refcompress.integer.quantization import Quantization
    >>> from refcompress.ops import NoAttrs
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (Node("Relu", "relu", ("x",), "y", attrs=NoAttrs()),), {})
    >>> network = IntegerNetwork(graph, {"x": Quantization(0.5, 0), "y": Quantization(0.25, -128)})
    >>> run_dequantized(network, [[-1.0, 3.3]])
    (array([[0. , 3.5]], dtype=float32),)

    """
    if batch_size < 1:
        raise OptionError(f"a batch size of {batch_size}; it must be at least 1")
    found, known = find_runtime(runtime), network.quantizations
    arrays = check_inputs(network.graph, inputs)
    parts = []
    for start in range(0, max(map(len, arrays.values()), default=0) or 1, batch_size):
        part = {name: quantize(array[start : start + batch_size], known[name]) for name, array in arrays.items()}
        parts.append(_compute(network, part, found, batch_size, set(network.graph.outputs)))
    return tuple(
        dequantize(np.concatenate([part[name] for part in parts]), known[name]) for name in network.graph.outputs
    )


def _compute(
    network: IntegerNetwork, inputs: Inputs, runtime: Runtime, batch_size: int, wanted: Collection[str]
) -> dict[str, Activation]:
    if batch_size < 1:
        raise OptionError(f"a batch size of {batch_size}; it must be at least 1")
    shapes = infer_shapes(network.graph)
    arrays = check_integers(network, inputs)
    samples = len(next(iter(arrays.values())))
    results = {name: np.empty((samples, *shapes[name]), np.int8) for name in wanted}
    for start in range(0, max(samples, 1), batch_size):
        part = slice(start, start + batch_size)
        alive = {name: array[part] for name, array in arrays.items()}
        for step in network.steps:
            values = [alive[name] for name in step.node.inputs]
            alive[step.output] = INTEGER_OPS[step.node.op].forward(step, values, runtime)
        for name in wanted:
            results[name][part] = alive[name]
    return results


def check_integers(network: IntegerNetwork, inputs: Inputs) -> dict[str, Activation]:
    """Match integer arrays with a network's inputs.

    Returns
    -------
    dict
        Name of the input to int8 array (samples, *shape).

    Raises
    ------
    DataError
        They do not fit, are no integers, or out of range.

    """
    arrays: dict[str, NDArray[Any]] = check_inputs(network.graph, inputs)
    for name, array in arrays.items():
        quantization = network.quantizations[name]
        if array.dtype.kind not in "iu":
            raise DataError(
                f"the input {name!r} is of dtype {array.dtype}; it must hold integers: "
                f"refcompress.integer.quantize(x, network.quantizations[{name!r}]) makes them of real numbers"
            )
        if array.size and not quantization.low <= int(array.min()) <= int(array.max()) <= quantization.high:
            raise DataError(
                f"the input {name!r} runs from {array.min()} to {array.max()}; its integers lie within "
                f"{quantization.low} and {quantization.high}"
            )
    return {name: np.ascontiguousarray(array, np.int8) for name, array in arrays.items()}

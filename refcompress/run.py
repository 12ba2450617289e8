"""Run a network: its outputs, or every activation; in float32 or float64, or bit for bit as the C runtime does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcompress.encodings import Encoding
from refcompress.errors import DataError, OptionError
from refcompress.graph import Graph, Node
from refcompress.ops import find_op, infer_shapes, weights
from refcompress.ops.base import Array, Op

Inputs = ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike]
Apply = Callable[[Node, Op, Sequence[Any], Mapping[str, Encoding]], Array]

DEFAULT_BATCH = 64


def run(
    graph: Graph,
    inputs: Inputs,
    *,
    dtype: Any = np.float32,
    batch_size: int = DEFAULT_BATCH,
    replaced: Mapping[str, Op] | None = None,
) -> tuple[Array, ...]:
    """Compute a network's outputs.

    Parameters
    ----------
    graph
        The network.
    inputs
        One array, a sequence of arrays in the order of the network's inputs, or a mapping from their names;
        (samples, *shape of the input) each, real numbers.
    dtype
        ``np.float32`` or ``np.float64``: of all arithmetic and of the outputs.
    batch_size
        Samples computed together; changes memory and speed, and float32 results by their roundings only.
    replaced
        Operators to use in place of those of the nodes so named, as :func:`refcompress.gradients` takes them.

    Returns
    -------
    tuple of arrays
        One for each output, (samples, *shape of the output).

    Raises
    ------
    DataError
        The inputs do not fit the network.
    OptionError
        The dtype is neither of the two, or the batch size is below 1.
    ModelError
        The parts of the network do not fit together.

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Relu", "act", ("x",), "y", attrs=NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {})
    >>> run(graph, [[1.0, -2.0], [-3.0, 4.0]])
    (array([[1., 0.],
           [0., 4.]], dtype=float32),)

    """
    own = replaced or {}

    def forward(node: Node, op: Op, inputs: Sequence[Any], params: Mapping[str, Encoding]) -> Array:
        return own.get(node.name, op).forward(node.attrs, inputs, params)

    computed = _compute(graph, inputs, float_dtype(dtype), batch_size, forward, set(graph.outputs))
    return tuple(computed[name] for name in graph.outputs)


def run_all(
    graph: Graph, inputs: Inputs, *, dtype: Any = np.float32, batch_size: int = DEFAULT_BATCH
) -> dict[str, Array]:
    """Compute every activation of a network, its inputs included.

    Parameters and errors are those of :func:`run`.

    Returns
    -------
    dict
        Name of the activation to array (samples, *shape).

    """
    return _compute(graph, inputs, float_dtype(dtype), batch_size, _forward, None)


def run_exact(graph: Graph, inputs: Inputs, *, batch_size: int = DEFAULT_BATCH) -> tuple[NDArray[np.float32], ...]:
    """Compute a network's outputs as the C runtime does, bit for bit.

    Every sum runs in a stated order and every operation is rounded to float32; the batch size changes nothing.
    Parameters and errors are those of :func:`run`.
    """
    computed = _compute(graph, inputs, np.dtype(np.float32), batch_size, _exact, set(graph.outputs))
    return tuple(computed[name] for name in graph.outputs)


def run_exact_all(graph: Graph, inputs: Inputs, *, batch_size: int = DEFAULT_BATCH) -> dict[str, NDArray[np.float32]]:
    """Compute every activation as :func:`run_exact` does, the inputs included."""
    return _compute(graph, inputs, np.dtype(np.float32), batch_size, _exact, None)


def _forward(node: Node, op: Op, inputs: Sequence[Any], params: Mapping[str, Encoding]) -> Array:
    return op.forward(node.attrs, inputs, params)


def _exact(node: Node, op: Op, inputs: Sequence[Any], params: Mapping[str, Encoding]) -> Array:
    return op.exact(node.attrs, inputs, params)


def float_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype in which a network is to run.

    Raises
    ------
    OptionError
        It is neither float32 nor float64.

    Examples
    --------
    >>> float_dtype("float32")
    dtype('float32')

    """
    allowed = (np.dtype(np.float32), np.dtype(np.float64))
    wanted: np.dtype[Any]
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = np.dtype(object)
    if wanted not in allowed:
        raise OptionError(f"the dtype {dtype!r}; a network runs in float32 or float64")
    return wanted


def _compute(
    graph: Graph,
    inputs: Inputs,
    dtype: np.dtype[Any],
    batch_size: int,
    apply: Apply,
    wanted: Collection[str] | None,
) -> dict[str, Any]:
    """Compute the wanted activations (None: all) in batches."""
    if batch_size < 1:
        raise OptionError(f"a batch size of {batch_size}; it must be at least 1")
    shapes = infer_shapes(graph)
    arrays = check_inputs(graph, inputs)
    samples = len(next(iter(arrays.values()))) if arrays else 0
    names = list(shapes) if wanted is None else wanted
    results = {name: np.empty((samples, *shapes[name]), dtype) for name in names}
    # what overflows shows as inf or NaN in the results; kernels and BLAS would not warn of it either
    with weights.kept(), np.errstate(all="ignore"):
        # no samples still run once, so that what is wrong with a network shows
        for start in range(0, max(samples, 1), batch_size):
            part = slice(start, start + batch_size)
            batch = {name: np.ascontiguousarray(array[part], dtype) for name, array in arrays.items()}
            for name, value in _activations(graph, batch, apply, set(names)):
                results[name][part] = value
    return results


def check_inputs(graph: Graph, inputs: Inputs) -> dict[str, NDArray[Any]]:
    """Match arrays with a network's inputs.

    Parameters
    ----------
    graph, inputs
        As in :func:`run`.

    Returns
    -------
    dict
        Name of the input to array (samples, *shape), of any real dtype.

    Raises
    ------
    DataError
        An array is missing or one too many, its shape does not fit, it holds no real numbers, or the inputs differ
        in the number of samples.

    """
    arrays = {}
    for spec, value in zip(graph.inputs, _in_order(graph, inputs), strict=True):
        array = _real_array(value, spec.name)
        if array.ndim != len(spec.shape) + 1 or array.shape[1:] != spec.shape:
            wanted = ", ".join(["samples", *map(str, spec.shape)])
            raise DataError(f"the input {spec.name!r} has the shape {array.shape}; it must be ({wanted})")
        arrays[spec.name] = array
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"the inputs differ in their number of samples: {counts}")
    return arrays


def _in_order(graph: Graph, inputs: Inputs) -> list[Any]:
    names = [spec.name for spec in graph.inputs]
    if isinstance(inputs, Mapping):
        if set(inputs) != set(names):
            raise DataError(f"inputs named {sorted(map(str, inputs))}; the network's are {names}")
        return [inputs[name] for name in names]
    several: list[Any] = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    if len(names) == 1 and not _is_wrapped(several, len(graph.inputs[0].shape) + 1):
        return [inputs]
    if len(several) != len(names):
        raise DataError(f"{len(several)} input arrays; the network takes {len(names)}: {names}")
    return several


def _is_wrapped(several: list[Any], axes: int) -> bool:
    """Whether a list holds the array of the only input, rather than being its samples."""
    return len(several) == 1 and isinstance(several[0], np.ndarray) and several[0].ndim == axes


def _real_array(value: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"the input {name!r} is no array: its rows differ in length") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"the input {name!r} is of dtype {array.dtype}; it must hold real numbers")
    return array


def _activations(graph: Graph, batch: dict[str, Array], apply: Apply, wanted: set[str]) -> Iterator[tuple[str, Array]]:
    """Yield the wanted activations of one batch as they are made; each is freed after its last reader."""
    last_reader = {name: node.name for node in graph.nodes for name in node.inputs}
    alive = dict(batch)
    yield from ((name, value) for name, value in batch.items() if name in wanted)
    for node in graph.nodes:
        value = _apply_node(graph, node, [alive[name] for name in node.inputs], apply)
        if node.output in wanted:
            yield node.output, value
        alive[node.output] = value
        for name in {*node.inputs, node.output}:
            if last_reader.get(name, node.name) == node.name:
                del alive[name]


def _apply_node(graph: Graph, node: Node, values: Sequence[Array], apply: Apply) -> Array:
    params = {role: graph.params[name] for role, name in node.params.items()}
    return apply(node, find_op(node.op), values, params)

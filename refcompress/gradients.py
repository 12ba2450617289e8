"""Reverse-mode gradients of a whole network: outputs, and what flows back into inputs and parameters."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcompress.encodings import Encoding
from refcompress.errors import DataError, ModelError
from refcompress.graph import Graph, Node
from refcompress.ops import find_op, infer_shapes, weights
from refcompress.ops.base import Array, Op
from refcompress.run import Inputs, check_inputs, float_dtype

Outputs = tuple[Array, ...]
OutputCotangents = Sequence[ArrayLike] | Callable[[Outputs], Sequence[ArrayLike]]


def gradients(
    graph: Graph,
    inputs: Inputs,
    cotangents: OutputCotangents,
    *,
    dtype: Any = np.float32,
    params: Mapping[str, ArrayLike] | None = None,
    wrt_inputs: bool = True,
    replaced: Mapping[str, Op] | None = None,
) -> tuple[Outputs, dict[str, Array], dict[str, Array]]:
    """Compute a network's outputs and the gradients of ``sum of outputs * cotangents``.

    Reverse accumulation (Griewank & Walther, Evaluating Derivatives, 2nd edition, section 3.2): one pass forward
    that keeps every activation, one backward that frees each after its last use. What an activation or a parameter
    is used for several times adds up. All samples are computed together: the caller chooses the batch.

    Parameters
    ----------
    graph
        The network; parameters in any encoding.
    inputs
        As in :func:`refcompress.run.run`.
    cotangents
        One array for each output, (samples, *shape of the output); or a function that makes them from the outputs,
        as the derivative of a loss does.
    dtype
        ``np.float32`` or ``np.float64``: of all arithmetic and of all results.
    params
        Arrays to compute with in place of those parameters: name to array of the parameter's shape. Training
        changes these and encodes nothing.
    wrt_inputs
        Whether gradients of the inputs are wanted; without them no time is spent on what only they need.
    replaced
        Operators to use in place of those of the nodes so named: dropout that drops, for example. Shapes must stay.

    Returns
    -------
    outputs
        One array for each output.
    input gradients
        Name of the input to array of its shape, (samples, *shape); zeros where no output depends on it. Empty if
        not wanted.
    parameter gradients
        Name of each parameter that a node uses to array of the parameter's shape, summed over the samples and over
        all uses, dense whatever the encoding; zeros where no output depends on it.

    Raises
    ------
    DataError
        Inputs, cotangents or ``params`` do not fit the network.
    OptionError
        The dtype is neither of the two.
    ModelError
        The parts of the network do not fit together, or a replaced node does not exist.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"w": encode([[3.0], [4.0]])})
    >>> outputs, by_input, by_parameter = gradients(graph, [[1.0, 2.0]], [[[1.0]]])
    >>> outputs[0], by_input["x"]
    (array([[11.]], dtype=float32), array([[3., 4.]], dtype=float32))
    >>> by_parameter["w"]
    array([[1.],
           [2.]], dtype=float32)

    """
    wanted = float_dtype(dtype)
    shapes = infer_shapes(graph)
    arrays = {name: np.ascontiguousarray(array, wanted) for name, array in check_inputs(graph, inputs).items()}
    graph, given = _with_arrays(graph, params or {}, wanted)
    table = _operators(graph, replaced or {})
    # what overflows shows as inf or NaN in the results
    with weights.kept(given), np.errstate(all="ignore"):
        alive = dict(arrays)
        for node in graph.nodes:
            values = [alive[name] for name in node.inputs]
            alive[node.output] = table[node.name].forward(node.attrs, values, _params(graph, node))
        outputs = tuple(alive[name] for name in graph.outputs)
        pending = _seeds(graph, outputs, cotangents, wanted)
        by_parameter = _backward(graph, table, alive, pending, wrt_inputs=wrt_inputs)
    for _, _, name in graph.weights():
        if name not in by_parameter:
            by_parameter[name] = np.zeros(graph.params[name].shape, wanted)
    by_input = {}
    if wrt_inputs:
        samples = len(next(iter(arrays.values()))) if arrays else 0
        for spec in graph.inputs:
            # a copy, because what flows back may be a view of the caller's own cotangent
            zeros = np.zeros((samples, *shapes[spec.name]), wanted)
            by_input[spec.name] = np.array(pending[spec.name]) if spec.name in pending else zeros
    return outputs, by_input, by_parameter


def _backward(
    graph: Graph, table: Mapping[str, Op], alive: dict[str, Array], pending: dict[str, Array], *, wrt_inputs: bool
) -> dict[str, Array]:
    """Carry cotangents back from node to node; those of the inputs remain in ``pending``."""
    needed = _that_need_gradients(graph, wrt_inputs=wrt_inputs)
    by_parameter: dict[str, Array] = {}
    for node in reversed(graph.nodes):
        output, cotangent = alive.pop(node.output), pending.pop(node.output, None)
        if cotangent is None or node.output not in needed:
            continue
        by_input, by_role = _node_vjp(graph, table[node.name], node, alive, output, cotangent, needed)
        for name, part in zip(node.inputs, by_input, strict=True):
            if name in needed:
                pending[name] = pending[name] + part if name in pending else part
        for role, part in by_role.items():
            name = node.params[role]
            by_parameter[name] = by_parameter[name] + part if name in by_parameter else part
    return by_parameter


def _node_vjp(
    graph: Graph, op: Op, node: Node, alive: Mapping[str, Array], output: Array, cotangent: Array, needed: set[str]
) -> tuple[Sequence[Array], Mapping[str, Array]]:
    values, params = [alive[name] for name in node.inputs], _params(graph, node)
    if op.param_vjp is None or any(name in needed for name in node.inputs):
        return op.vjp(node.attrs, values, params, output, cotangent)
    return [cotangent] * len(values), op.param_vjp(node.attrs, values, params, output, cotangent)


def _that_need_gradients(graph: Graph, *, wrt_inputs: bool) -> set[str]:
    """Name the activations that depend on a parameter, or on an input if those are wanted."""
    needed = {spec.name for spec in graph.inputs} if wrt_inputs else set()
    for node in graph.nodes:
        if node.params or any(name in needed for name in node.inputs):
            needed.add(node.output)
    return needed


def _params(graph: Graph, node: Node) -> dict[str, Encoding]:
    return {role: graph.params[name] for role, name in node.params.items()}


def _operators(graph: Graph, replaced: Mapping[str, Op]) -> dict[str, Op]:
    unknown = sorted(set(replaced) - {node.name for node in graph.nodes})
    if unknown:
        raise ModelError(f"operators for nodes {unknown}, which the network does not have")
    return {node.name: replaced.get(node.name) or find_op(node.op) for node in graph.nodes}


def _with_arrays(
    graph: Graph, params: Mapping[str, ArrayLike], dtype: np.dtype[Any]
) -> tuple[Graph, list[tuple[Encoding, Array]]]:
    """Return the network with encodings of their own where arrays are given, and those arrays."""
    given: list[tuple[Encoding, Array]] = []
    changed: dict[str, Encoding] = {}
    sharers = Counter(map(id, graph.params.values()))
    for name, values in params.items():
        if name not in graph.params:
            raise DataError(f"an array for the parameter {name!r}, which the network does not have")
        array = _array(values, graph.params[name].shape, dtype, f"the array for the parameter {name!r}")
        encoding = graph.params[name]
        if sharers[id(encoding)] > 1:  # another name has the same encoding, but not the same array
            encoding = changed[name] = copy.copy(encoding)
        given.append((encoding, array))
    return (graph.with_params(changed) if changed else graph), given


def _seeds(graph: Graph, outputs: Outputs, cotangents: OutputCotangents, dtype: np.dtype[Any]) -> dict[str, Array]:
    """Return what flows into the outputs; one that is returned twice gets the sum."""
    values = cotangents(outputs) if callable(cotangents) else cotangents
    if len(values) != len(outputs):
        raise DataError(f"{len(values)} cotangents for {len(outputs)} outputs; give one for each, in their order")
    seeds: dict[str, Array] = {}
    for name, output, value in zip(graph.outputs, outputs, values, strict=True):
        array = _array(value, output.shape, dtype, f"the cotangent of the output {name!r}")
        seeds[name] = seeds[name] + array if name in seeds else array
    return seeds


def _array(value: ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> Array:
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.shape != shape:
        raise DataError(f"{what} is of dtype {array.dtype} and shape {array.shape}; it must hold real numbers, {shape}")
    return np.ascontiguousarray(array, dtype)

"""What belongs to what: arrays of other layouts to shapes of ours, calls of a framework's layers to our nodes."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, MissingToolError
from refcompress.graph import Graph, Node, Shape
from refcompress.ops import infer_shapes
from refcompress.run import run_all

Array = NDArray[Any]


def library(module: str, install: str) -> Any:
    """Import a framework, or say how to install it.

    Raises
    ------
    MissingToolError
        It is not installed.

    Examples
    --------
    >>> library("math", "math").sqrt(4.0)
    2.0

    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingToolError(f"{module} is not installed ({error}); pip install {install}") from None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a framework's layer.

    Attributes
    ----------
    names
        The framework's names for it and for what it returned.
    kinds
        Our operators of which it computes one; empty if that cannot be told.
    array
        What it returned, in the framework's layout.

    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    array: Array


def layouts(array: Array, shape: Shape) -> Iterator[Array]:
    """Yield an array in every layout in which it has our shape: as it is, then with its channels moved to the end.

    Where it has our shape in neither, axes of 1 are left out of account.

    Examples
    --------
    >>> [a.shape for a in layouts(np.zeros((1, 3, 8, 8)), (8, 8, 3))]
    [(1, 8, 8, 3)]

    """
    found = [moved for moved in _moved(array) if moved.shape[1:] == shape]
    yield from found
    if not found:
        bare = tuple(size for size in shape if size != 1)
        squeezed = array.reshape(len(array), *(size for size in array.shape[1:] if size != 1))
        yield from (moved.reshape(len(array), *shape) for moved in _moved(squeezed) if moved.shape[1:] == bare)


def _moved(array: Array) -> list[Array]:
    return [array, np.moveaxis(array, 1, -1)] if array.ndim > 2 else [array]


def in_our_layout(array: Array, shape: Shape, near: Array | None = None) -> Array | None:
    """Return an array in the layout of our shape, None if it has none; of several the one nearest to ``near``.

    Examples
    --------
    >>> in_our_layout(np.zeros((1, 3, 8, 8)), (8, 8, 4)) is None
    True

    """
    found = list(layouts(array, shape))
    if len(found) < 2 or near is None:
        return np.ascontiguousarray(found[0]) if found else None
    return np.ascontiguousarray(min(found, key=lambda candidate: distance(candidate, near)))


def distance(a: Array, b: Array) -> float:
    """Sum of squared differences; infinite if it is no number."""
    with np.errstate(all="ignore"):
        total = float(np.square(a.astype(np.float64) - b).sum())
    return total if math.isfinite(total) else math.inf


def aligned(calls: Sequence[Call], graph: Graph, references: Mapping[str, Array]) -> dict[str, Array]:
    """Match calls with nodes by name, then by order, operator and shape.

    Calls that have the names of activations (``/`` and ``.`` taken for the same) are taken first, then those that have
    the names of nodes: a node may be called after the first of several calls that it is made of. Between them, calls
    and nodes are matched in their order as the longest common subsequence of (operator, shape). Where the framework's
    model has no batch normalizations they were folded into the layers before them: then those make what the graph's
    normalizations make.

    Parameters
    ----------
    calls
        In the order in which they were made.
    graph
        The network.
    references
        Our own activations, which decide between layouts of equal shapes.

    Returns
    -------
    dict
        Activation to array in our layout.

    """
    shapes = infer_shapes(graph)
    found: dict[str, Array] = {}

    def take(call: Call, output: str) -> bool:
        array = in_our_layout(call.array, shapes[output], references.get(output)) if output not in found else None
        if array is not None:
            found[output] = array
        return array is not None

    rest = list(calls)
    for by_name in (
        {_plain_name(node.output): node.output for node in graph.nodes},
        {_plain_name(node.name): node.output for node in graph.nodes},
    ):
        named = [[by_name[name] for name in map(_plain_name, call.names) if name in by_name] for call in rest]
        rest = [
            call for call, outputs in zip(rest, named, strict=True) if not any(take(call, output) for output in outputs)
        ]
    makes = _made(graph, folded=not any("BatchNormalization" in call.kinds for call in calls))
    nodes = [node for node in graph.nodes if makes[node.name] not in found]
    alike = [[_alike(call, node.op, shapes[makes[node.name]]) for node in nodes] for call in rest]
    for i, j in _longest_common(alike):
        take(rest[i], makes[nodes[j].name])
    return found


def _plain_name(name: str) -> str:
    return name.replace("/", ".").strip(".")


def _alike(call: Call, op: str, shape: Shape) -> bool:
    return op in call.kinds and next(layouts(call.array, shape), None) is not None


def _made(graph: Graph, *, folded: bool) -> dict[str, str]:
    """Node to the activation it makes, or the normalization that was folded into it."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    made = {}
    for node in graph.nodes:
        after = readers.get(node.output, [])
        is_folded = folded and len(after) == 1 and after[0].op == "BatchNormalization"
        made[node.name] = after[0].output if is_folded else node.output
    return made


def _longest_common(alike: Sequence[Sequence[bool]]) -> list[tuple[int, int]]:
    """Longest common subsequence of two sequences whose elements are alike or not.

    Examples
    --------
    >>> _longest_common([[False, True], [True, False], [False, True]])
    [(1, 0), (2, 1)]

    """
    rows, columns = len(alike), len(alike[0]) if alike else 0
    best = np.zeros((rows + 1, columns + 1), np.int64)
    for i, j in itertools.product(reversed(range(rows)), reversed(range(columns))):
        best[i, j] = 1 + best[i + 1, j + 1] if alike[i][j] else max(best[i + 1, j], best[i, j + 1])
    pairs, i, j = [], 0, 0
    while i < rows and j < columns:
        if alike[i][j] and best[i, j] == 1 + best[i + 1, j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i + 1, j] >= best[i, j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def our_activations(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every activation as we compute it in float32: to tell layouts apart, not to judge by."""
    return dict(run_all(graph, dict(inputs)))


def plain(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the inputs as float32, which is what frameworks are given."""
    return {name: np.ascontiguousarray(array, np.float32) for name, array in inputs.items()}


def in_order(arrays: Sequence[Array], graph: Graph, references: Mapping[str, Array]) -> tuple[Array, ...]:
    """Return a framework's outputs, given in the order of the graph's, in our layout.

    Raises
    ------
    DataError
        There are not as many, or one has another shape.

    """
    shapes = infer_shapes(graph)
    if len(arrays) != len(graph.outputs):
        raise DataError(f"the framework's model has {len(arrays)} outputs; the network has {len(graph.outputs)}")
    placed = []
    for name, array in zip(graph.outputs, arrays, strict=True):
        ours = in_our_layout(np.asarray(array), shapes[name], references.get(name))
        if ours is None:
            raise DataError(f"the framework's output for {name!r} has the shape {array.shape[1:]}, not {shapes[name]}")
        placed.append(ours)
    return tuple(placed)


def channels_first(array: Array) -> Array:
    """Move the last axis behind the batch.

    Examples
    --------
    >>> channels_first(np.zeros((1, 4, 4, 3))).shape
    (1, 3, 4, 4)

    """
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def fits(array: Array, sizes: Sequence[Any]) -> bool:
    """Whether an array has a framework's shape, in which open sizes are no numbers; the batch is not looked at.

    Examples
    --------
    >>> fits(np.zeros((5, 3)), ("batch", 3)), fits(np.zeros((5, 3)), (None, 4))
    (True, False)

    """
    if len(sizes) != array.ndim:
        return False
    wanted = zip(sizes[1:], array.shape[1:], strict=True)
    return all(not isinstance(want, int) or want in (-1, have) for want, have in wanted)

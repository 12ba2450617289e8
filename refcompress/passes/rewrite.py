"""What passes share: values of a weight in row order, new encodings of the same kind, new names."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Bits, Codebook, Dense, Encoding, Float32, Linear, decode
from refcompress.encodings.rows import matrix_shape, to_rows
from refcompress.encodings.values import label_bits
from refcompress.errors import ModelError
from refcompress.graph import Graph, Node
from refcompress.passes.rules import Weight


def row_values(weight: Weight) -> NDArray[np.float32]:
    """Return the values of a weight in row order, one dimension; not to be written to.

    Raises
    ------
    ModelError
        A value is not finite.

    """
    encoding = weight.encoding
    if isinstance(encoding, Dense) and isinstance(encoding.values, Float32):
        values = encoding.values.array  # in row order already
    else:
        values = to_rows(decode(encoding)).reshape(-1)
    if values.size and not (np.isfinite(values.max()) and np.isfinite(values.min())):
        raise ModelError(f"the weight {weight.name!r} holds NaN or infinity; repair the checkpoint, or skip the layer")
    return values


def like(encoding: Encoding, values: NDArray[np.float32]) -> Dense:
    """Store values that are those of an encoding, or zero, in the way it stores them.

    Parameters
    ----------
    encoding
        An encoding: of float32, a codebook or integers.
    values
        Its values in row order, some of them replaced by 0.0.

    Returns
    -------
    Dense
        Shared weights stay shared (with the centroids still in use), quantized ones quantized.

    Examples
    --------
    >>> shared = Dense((3,), Codebook(np.array([1, 2, 5], np.float32), Bits(np.array([0, 2, 1], np.uint16), 2)))
    >>> like(shared, np.array([0, 5, 0], np.float32)).values.centroids
    array([0., 5.], dtype=float32)

    """
    old = encoding.values
    if isinstance(old, Codebook):
        known = np.unique(np.append(old.centroids, np.float32(0)))
        labels = np.searchsorted(known, values)
        used = np.bincount(labels, minlength=known.size) > 0
        return shared(encoding.shape, known[used], (np.cumsum(used) - 1)[labels].astype(np.uint16))
    if isinstance(old, Linear):
        rows, columns = matrix_shape(encoding.shape)
        scales, zero_points = (np.broadcast_to(each, rows)[:, None] for each in (old.scales, old.zero_points))
        scales = np.where(scales == 0, np.float32(1), scales)
        # a step is at most 2^16 and its product was rounded once, so the quotient is within 1/100 of the step
        steps = np.rint(np.divide(values.reshape(rows, columns), scales, dtype=np.float64))
        integers = (steps + zero_points).astype(np.uint16).reshape(-1)
        return Dense(encoding.shape, replace(old, integers=Bits(integers, old.bits)))
    return Dense(encoding.shape, Float32(values))


def shared(shape: tuple[int, ...], centroids: NDArray[np.float32], labels: NDArray[np.uint16]) -> Dense:
    """Store a codebook and labels in row order.

    Examples
    --------
    >>> decode(shared((2,), np.array([0.5, 1.5], np.float32), np.array([1, 0], np.uint16)))
    array([1.5, 0.5], dtype=float32)

    """
    return Dense(shape, Codebook(centroids, Bits(labels, label_bits(len(centroids)))))


def fresh(name: str, taken: Container[str]) -> str:
    """Return a name that is not taken: this one, or with a number behind.

    Examples
    --------
    >>> fresh("conv", {"conv", "conv_1"})
    'conv_2'

    """
    number, candidate = 0, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def with_nodes(graph: Graph, nodes: Sequence[Node], params: Mapping[str, Encoding]) -> Graph:
    """Return the graph of other nodes; parameters that none of them uses any more are dropped.

    Parameters
    ----------
    graph
        The network before.
    nodes
        The nodes after.
    params
        Parameters that are new or changed.

    """
    every = {**graph.params, **params}
    used_before = {name for _, _, name in graph.weights()}
    used = {name for node in nodes for name in node.params.values()}
    kept = {name: each for name, each in every.items() if name in used or name not in used_before | params.keys()}
    return replace(graph, nodes=tuple(nodes), params=kept)

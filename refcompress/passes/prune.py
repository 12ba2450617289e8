"""Pruning: set the smallest weights to zero, by an exact share or by a threshold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Dense, Encoding
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.passes.rewrite import like, row_values
from refcompress.passes.rules import (
    LayerRule,
    Weight,
    check_choice,
    check_flag,
    check_number,
    weights_of,
    with_options,
)

Ties = Literal["exact", "keep", "prune"]
Scope = Literal["layer", "global"]
Magnitudes = NDArray[np.float32]

_BLOCK = 1 << 16  # values whose moments are summed at a time


def magnitude(
    graph: Graph,
    *,
    sparsity: float,
    scope: Scope = "layer",
    ties: Ties = "exact",
    layers: Sequence[LayerRule] = (),
) -> Graph:
    """Prune the weights of the smallest magnitude, a stated share of them.

    Parameters
    ----------
    graph
        A network; biases and normalization are left alone.
    sparsity
        Share of zeros wanted, 0 to 1. Of n weights ``floor(sparsity * n + 0.5)`` are zero afterwards, more only where
        more were zero before: zeros have the smallest magnitude and count first.
    scope
        ``"layer"``: in each weight by itself. ``"global"``: one count and one threshold over all weights.
    ties
        What becomes of weights as large as the last one pruned. ``"exact"``: the count holds; weights earlier in row
        order (and in earlier layers) go first. ``"keep"``: all of them stay (magnitude < threshold). ``"prune"``: all
        of them go (magnitude <= threshold).
    layers
        Rules for single layers: ``sparsity``, ``ties`` and ``skip``; with the global scope ``skip`` alone. A layer
        that is left out does not count.

    Returns
    -------
    Graph
        The same network; every zero of a pruned weight is +0.0. Weights that were shared or quantized stay so.

    Raises
    ------
    OptionError
        An option is out of range, or a rule matches no layer.
    ModelError
        A weight holds NaN or infinity.

    References
    ----------
    Han, Pool, Tran, Dally 2015, "Learning both weights and connections for efficient neural networks", section 3.1;
    global: Zhu & Gupta 2017, "To prune, or not to prune".

    Examples
    --------
    >>> from refcompress.encodings import decode, encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w"}),)
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), nodes, {"w": encode([[3.0, -1.0], [1.0, -4.0]])})
    >>> decode(magnitude(graph, sparsity=0.5).params["w"])
    array([[ 3.,  0.],
           [ 0., -4.]], dtype=float32)

    """
    check_choice("scope", scope, ("layer", "global"))
    options = {} if scope == "global" else {"sparsity": sparsity, "ties": ties}
    chosen = list(with_options(weights_of(graph), layers, options))
    for where, each in [("", {"sparsity": sparsity, "ties": ties}), *((w.name, each) for w, each in chosen if each)]:
        check_number("sparsity", each["sparsity"], 0, 1, where)
        check_choice("ties", each["ties"], ("exact", "keep", "prune"), where)
    if scope == "global":
        return graph.with_params(dict(_globally([weight for weight, _ in chosen], sparsity, ties)))
    changed = {}
    for weight, each in chosen:
        values = row_values(weight)
        mask = _smallest(np.abs(values), each["sparsity"], each["ties"])
        if mask is not None:
            changed[weight.name] = _without(weight, values, mask)
    return graph.with_params(changed)


def _globally(weights: Sequence[Weight], sparsity: float, ties: Ties) -> Iterator[tuple[str, Encoding]]:
    values = [row_values(weight) for weight in weights]
    magnitudes = np.empty(sum(each.size for each in values), np.float32)
    stops = np.cumsum([each.size for each in values], dtype=np.int64)
    for each, stop in zip(values, stops, strict=True):
        np.abs(each, out=magnitudes[stop - each.size : stop])
    mask = _smallest(magnitudes, sparsity, ties)
    if mask is not None:
        for weight, each, stop in zip(weights, values, stops, strict=True):
            yield weight.name, _without(weight, each, mask[stop - each.size : stop])


def _smallest(magnitudes: Magnitudes, sparsity: float, ties: Ties) -> NDArray[np.bool_] | None:
    """Mark the entries to prune; None where there is none."""
    count = math.floor(sparsity * magnitudes.size + 0.5)
    if count == 0:
        return None
    largest = np.partition(magnitudes, count - 1)[count - 1]
    mask: NDArray[np.bool_] = magnitudes <= largest if ties == "prune" else magnitudes < largest
    if ties == "exact":
        missing = count - int(np.count_nonzero(mask))
        mask[np.flatnonzero(magnitudes == largest)[:missing]] = True
    return mask


def _without(weight: Weight, values: NDArray[np.float32], mask: NDArray[np.bool_]) -> Dense:
    kept = np.where(mask, np.float32(0), values)
    kept += np.float32(0)  # -0.0 + 0.0 is +0.0
    return like(weight.encoding, kept)


def threshold(
    graph: Graph,
    *,
    q: float,
    std: Literal["all", "surviving"] | Mapping[str, float] = "all",
    inclusive: bool = False,
    layers: Sequence[LayerRule] = (),
) -> Graph:
    """Prune the weights whose magnitude is below q standard deviations of their layer.

    Parameters
    ----------
    graph
        A network; biases and normalization are left alone.
    q
        Quality factor, 0 or more (Han et al. take 0.25 and more; others start at 0.1).
    std
        Standard deviation (divided by n) over ``"all"`` weights, zeros included; over the ``"surviving"`` ones, those
        not zero; or cached before any pruning, as :func:`standard_deviations` gives it: repeated pruning then keeps
        one yardstick.
    inclusive
        Whether a weight exactly at the threshold goes too.
    layers
        Rules for single layers: ``q``, ``inclusive`` and ``skip``.

    Returns
    -------
    Graph
        The same network; every zero of a pruned weight is +0.0. Weights that were shared or quantized stay so.

    Raises
    ------
    OptionError
        An option is out of range, a rule matches no layer, or the cache lacks a layer.
    ModelError
        A weight holds NaN or infinity.

    References
    ----------
    Han, Pool, Tran, Dally 2015, section 4; the cached deviation is sensitivity pruning's.

    Examples
    --------
    >>> from refcompress.encodings import decode, encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w"}),)
    >>> graph = Graph((TensorSpec("x", (1,)),), ("y",), nodes, {"w": encode([[-3.0, -1.0, 1.0, 3.0]])})
    >>> decode(threshold(graph, q=1).params["w"])  # the deviation is the square root of 5
    array([[-3.,  0.,  0.,  3.]], dtype=float32)

    """
    if not isinstance(std, Mapping):
        check_choice("std", std, ("all", "surviving"))
    chosen = list(with_options(weights_of(graph), layers, {"q": q, "inclusive": inclusive}))
    for where, each in [("", {"q": q, "inclusive": inclusive}), *((weight.name, each) for weight, each in chosen)]:
        check_number("q", each["q"], 0, where=where)
        check_flag("inclusive", each["inclusive"], where)
    changed = {}
    for weight, each in chosen:
        values = row_values(weight)
        limit = each["q"] * _deviation(weight, values, std)
        mask = _below(np.abs(values), limit, inclusive=each["inclusive"])
        if mask.any():
            changed[weight.name] = _without(weight, values, mask)
    return graph.with_params(changed)


def standard_deviations(graph: Graph, *, surviving: bool = False) -> dict[str, float]:
    """Return the standard deviation of each weight, for ``threshold(std=...)``.

    Parameters
    ----------
    graph
        A network, usually before any pruning.
    surviving
        Whether zeros are left out.

    Returns
    -------
    dict
        Parameter name to deviation (divided by n), float64; 0.0 for a weight without entries.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w"}),)
    >>> graph = Graph((TensorSpec("x", (1,)),), ("y",), nodes, {"w": encode([[-1.0, 1.0, 0.0, 0.0]])})
    >>> standard_deviations(graph, surviving=True)
    {'w': 1.0}

    """
    std: Any = "surviving" if surviving else "all"
    return {weight.name: _deviation(weight, row_values(weight), std) for weight in weights_of(graph)}


def _deviation(weight: Weight, values: NDArray[np.float32], std: str | Mapping[str, float]) -> float:
    if isinstance(std, Mapping):
        if weight.name not in std:
            raise OptionError(
                f"the cached standard deviations lack {weight.name!r}; take standard_deviations() of this network"
            )
        check_number("the standard deviation", std[weight.name], 0, where=weight.name)
        return float(std[weight.name])
    entries = values[values != 0] if std == "surviving" else values
    if entries.size == 0:
        return 0.0
    # summed block by block in float64: the same on every machine, and no large temporary
    mean = math.fsum(float(block.sum()) for block in _blocks(entries)) / entries.size
    return math.sqrt(math.fsum(float(np.square(block - mean).sum()) for block in _blocks(entries)) / entries.size)


def _blocks(entries: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
    return (entries[start : start + _BLOCK].astype(np.float64) for start in range(0, entries.size, _BLOCK))


def _below(magnitudes: Magnitudes, limit: float, *, inclusive: bool) -> NDArray[np.bool_]:
    """Compare with a float64 limit as exact numbers, without widening the magnitudes."""
    nearest = np.float32(min(limit, float(np.finfo(np.float32).max)))
    if float(nearest) != limit:  # rounded down, nearest itself lies below the limit; rounded up, above it
        inclusive = float(nearest) < limit
    mask: NDArray[np.bool_] = magnitudes <= nearest if inclusive else magnitudes < nearest
    return mask

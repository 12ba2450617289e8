"""Low-rank factorization: one layer becomes two smaller ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, encode
from refcompress.errors import OptionError
from refcompress.graph import Graph, Node
from refcompress.passes.rewrite import fresh, row_values, with_nodes
from refcompress.passes.rules import LayerRule, Weight, check_number, check_whole, weights_of, with_options

Floats = NDArray[np.float64]

_CUTS = ("rank", "fraction", "energy")
_MAX_RANK = 1 << 31
_TAIL = 1e-8  # share of the energy below which the Gram matrix cannot tell the tail from rounding


def svd(
    graph: Graph,
    *,
    rank: int | None = None,
    fraction: float | None = None,
    energy: float | None = None,
    layers: Sequence[LayerRule] = (),
) -> Graph:
    """Replace dense and convolutional layers by two, whose product is the best approximation of their rank.

    A ``Gemm`` (in, out) becomes Gemm (in, r) and Gemm (r, out). A ``Conv`` (kh, kw, in, out) becomes Conv
    (kh, kw, in, r) with its strides, pads and dilations, and a 1 x 1 Conv (1, 1, r, out). The bias stays with the
    second. With W = U S V^T the factors are U sqrt(S) and sqrt(S) V^T; each column of U has its entry of the largest
    magnitude positive. Layers of groups and layers that would not shrink, r * (m + n) >= m * n, stay.

    Parameters
    ----------
    graph
        A network.
    rank, fraction, energy
        Exactly one of them: the rank r; r as a share of the full rank min(m, n), ``floor(fraction * min(m, n) + 0.5)``
        and at least 1; or the smallest r whose squared singular values sum to this share of them all. Share 0 to 1.
    layers
        Rules for single layers: one of ``rank``, ``fraction``, ``energy`` instead, and ``skip``.

    Returns
    -------
    Graph
        The network with nodes ``NAME/factor0`` and ``NAME/factor1`` for each factorized ``NAME``, and likewise named
        parameters. Activations keep their names.

    Raises
    ------
    OptionError
        Not exactly one of the three is given, one is out of range, or a rule matches no layer.
    ModelError
        A weight holds NaN or infinity.

    Notes
    -----
    Singular vectors come from the eigenvectors of the smaller Gram matrix in float64; where the part cut off is less
    than 1e-8 of the energy, from a full decomposition. LAPACK's last bits differ between machines.

    References
    ----------
    Eckart & Young 1936; Xue, Li, Gong 2013 (dense layers); Zhang et al. 2016, "Accelerating very deep convolutional
    networks", section 3 (convolutions as k x k, then 1 x 1).

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> nodes = (Node("Gemm", "fc", ("x",), "y", {"weight": "w"}),)
    >>> graph = Graph((TensorSpec("x", (8,)),), ("y",), nodes, {"w": encode(np.ones((8, 6)))})
    >>> small = svd(graph, rank=1)
    >>> [(node.name, small.params[node.params["weight"]].shape) for node in small.nodes]
    [('fc/factor0', (8, 1)), ('fc/factor1', (1, 6))]

    """
    default = {name: value for name, value in zip(_CUTS, (rank, fraction, energy), strict=True) if value is not None}
    _check(default, "")
    weights = [weight for weight in weights_of(graph) if _is_dense(graph, weight)]
    factors: dict[str, tuple[str, str]] = {}
    params: dict[str, Encoding] = {}
    for weight, options in with_options(weights, layers, dict.fromkeys(_CUTS)):
        cut = {name: value for name, value in options.items() if value is not None} or default
        _check(cut, weight.name)
        pair = _factors(weight, cut)
        if pair is not None:
            names = [fresh(f"{weight.name}/factor{i}", {*graph.params, *params}) for i in (0, 1)]
            factors[weight.name] = names[0], names[1]
            params.update(zip(names, pair, strict=True))
    return _rewritten(graph, factors, params) if factors else graph


def _check(cut: Mapping[str, Any], where: str) -> None:
    if len(cut) != 1:
        at = f" for {where!r}" if where else ""
        raise OptionError(f"{' and '.join(cut) or 'nothing'} given{at}; give exactly one of {', '.join(_CUTS)}")
    [(name, value)] = cut.items()
    if name == "rank":
        check_whole("rank", value, 1, _MAX_RANK, where)
    else:
        check_number(name, value, 0, 1, where)


def _is_dense(graph: Graph, weight: Weight) -> bool:
    """Whether each use of the parameter is a matrix product or a convolution of one group."""
    uses = sum(name == weight.name for _, _, name in graph.weights())
    dense = all(node.op == "Gemm" or node.attrs.group == 1 for node in weight.nodes)
    return dense and uses == len(weight.nodes) and math.prod(weight.encoding.shape) > 0


def _factors(weight: Weight, cut: Mapping[str, Any]) -> tuple[Encoding, Encoding] | None:
    """Return the encoded factors; None where they would not be smaller."""
    shape = weight.encoding.shape
    matrix = row_values(weight).reshape(shape[-1], -1).T.astype(np.float64)
    m, n = matrix.shape
    [(name, value)] = cut.items()
    rank = value if name == "rank" else None
    if name == "fraction":
        rank = max(1, math.floor(value * min(m, n) + 0.5))
    if rank is not None and rank * (m + n) >= m * n:
        return None
    values, left, right = _decomposed(matrix, rank, energy=value)
    r = values.size
    if r * (m + n) >= m * n:
        return None
    signs = np.where(left[np.abs(left).argmax(axis=0), np.arange(r)] < 0, -1.0, 1.0)
    root = np.sqrt(values) * signs
    left, right = left * root, (right * root).T
    return encode(left.reshape(*shape[:-1], r)), encode(right.reshape(*(1 for _ in shape[2:]), r, n))


def _decomposed(matrix: Floats, rank: int | None, energy: float) -> tuple[Floats, Floats, Floats]:
    """Largest singular values, decreasing, and their left and right vectors as columns; by energy if no rank."""
    from scipy import linalg

    if matrix.shape[0] < matrix.shape[1]:
        values, left, right = _decomposed(matrix.T, rank, energy)
        return values, right, left
    side = matrix.shape[1]
    subset = None if rank is None else (side - rank, side - 1)
    squares, right = linalg.eigh(matrix.T @ matrix, subset_by_index=subset, check_finite=False)
    squares, right = squares[::-1], right[:, ::-1]
    total = float(np.square(matrix).sum())
    r = rank or _rank_of_energy(squares, energy)
    if total - float(squares[:r].sum()) > _TAIL * total:
        projected = matrix @ right[:, :r]
        values = np.sqrt(np.square(projected).sum(axis=0))
        return values, projected / values, right[:, :r]
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    r = rank or _rank_of_energy(np.square(values), energy)
    return values[:r], left[:, :r], right[:r].T


def _rank_of_energy(squares: Floats, energy: float) -> int:
    """Smallest rank, at least 1, that holds this share of the squared singular values."""
    shares = np.cumsum(squares)
    return min(int(np.searchsorted(shares, energy * shares[-1])), len(squares) - 1) + 1


def _rewritten(graph: Graph, factors: Mapping[str, tuple[str, str]], params: Mapping[str, Encoding]) -> Graph:
    """Put two nodes in the place of each that uses a factorized weight."""
    names = {node.name for node in graph.nodes}
    activations = {*(node.output for node in graph.nodes), *(spec.name for spec in graph.inputs)}
    nodes: list[Node] = []
    for node in graph.nodes:
        pair = factors.get(node.params.get("weight", "")) if node.op in {"Conv", "Gemm"} else None
        if pair is None:
            nodes.append(node)
            continue
        first, second = (fresh(f"{node.name}/factor{i}", names) for i in (0, 1))
        between = fresh(first, activations)
        names |= {first, second}
        activations.add(between)
        attrs = node.attrs
        if node.op == "Conv":
            attrs = replace(attrs, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1))
        nodes.append(replace(node, name=first, output=between, params={"weight": pair[0]}))
        rest = {**node.params, "weight": pair[1]}
        nodes.append(replace(node, name=second, inputs=(between,), params=rest, attrs=attrs))
    return with_nodes(graph, nodes, params)

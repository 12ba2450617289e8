"""The weights a method prunes or ties, and the zeros it keeps; what is frozen, skipped or shared already."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from refcompress.encodings import Codebook, Encoding, Linear, decode
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.passes.rules import LayerRule, Weight, weights_of, with_options
from refcompress.train.constraints import Array, Constraint
from refcompress.train.masks import Masks, masks_of
from refcompress.train.plan import Plan


def trained_weights(graph: Graph, plan: Plan, roles: Sequence[str] = ("weight",)) -> tuple[Weight, ...]:
    """Return the weights of Conv and Gemm nodes that move and that no constraint of the plan holds, a shared one once.

    Parameters
    ----------
    graph
        The network.
    plan
        Its training.
    roles
        Of the parameters.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> nodes = (Node("Gemm", "a", ("x",), "y", {"weight": "a/w"}), Node("Gemm", "b", ("y",), "z", {"weight": "b/w"}))
    >>> graph = Graph((TensorSpec("x", (1,)),), ("z",), nodes, {"a/w": encode([[1.0]]), "b/w": encode([[1.0]])})
    >>> [weight.name for weight in trained_weights(graph, Plan(epochs=1, frozen=("a/*",)))]
    ['b/w']

    """
    every = weights_of(graph, roles=roles)
    names = [weight.name for weight in every]
    left = {name for pattern in plan.frozen for name in fnmatch.filter(names, pattern)}
    left |= {name for each in plan.constraints for name in each.names}
    return tuple(weight for weight in every if weight.name not in left)


def refuse_shared(weights: Iterable[Weight]) -> None:
    """Refuse weights that pruning with retraining would turn back into plain numbers.

    Raises
    ------
    OptionError
        A weight is shared (stored with a codebook) or quantized.

    """
    for weight in weights:
        if isinstance(weight.encoding.values, Codebook | Linear):
            kind = "shared (it has a codebook)" if isinstance(weight.encoding.values, Codebook) else "quantized"
            raise OptionError(
                f"the weight {weight.name!r} is {kind}, and pruning with retraining would undo that; "
                "prune before sharing or quantizing, or freeze the weight"
            )


def options_of(
    graph: Graph, plan: Plan, layers: Sequence[LayerRule], defaults: Mapping[str, Any]
) -> Iterator[tuple[Weight, dict[str, Any]]]:
    """Yield each weight that a method prunes with its options; the rules may also name weights that do not move.

    Raises
    ------
    OptionError
        A weight is shared or quantized, or a rule does not fit.

    """
    weights = trained_weights(graph, plan)
    refuse_shared(weights)
    moving = {weight.name for weight in weights}
    for weight, options in with_options(weights_of(graph), layers, defaults):
        if weight.name in moving:
            yield weight, options


def values_of(weights: Iterable[Weight]) -> dict[str, Array]:
    """Return name to float32 array of weights."""
    return {weight.name: _array(weight.encoding) for weight in weights}


def kept_zeros(graph: Graph, plan: Plan, but: Iterable[str] = ()) -> tuple[Constraint, ...]:
    """Return masks that hold the zeros of all weights that move, but those named; none where there are no zeros."""
    other = set(but)
    arrays = values_of(weight for weight in trained_weights(graph, plan) if weight.name not in other)
    masks = {name: mask for name, mask in masks_of(arrays).items() if not mask.all()}
    return (Masks(masks),) if masks else ()


def _array(encoding: Encoding) -> Array:
    return np.asarray(decode(encoding), np.float32)

"""TensorSpec, Node and Graph: a frozen description of a network and its encoded parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from refcompress.encodings import Encoding
from refcompress.errors import ModelError

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name and shape of an activation; the batch axis is left out.

    Examples
    --------
    >>> TensorSpec("image", (28, 28, 1)).shape
    (28, 28, 1)

    """

    name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of a network.

    Attributes
    ----------
    op
        Key of the operator in :data:`refcompress.ops.OPS` (ONNX's name for it).
    name
        Unique name of the node: the layer's name in the checkpoint.
    inputs
        Names of the activations it reads.
    output
        Name of the activation it makes.
    params
        Role (``"weight"``, ``"bias"``, ...) to the name of a parameter of the graph.
    attrs
        The operator's frozen dataclass of attributes.

    """

    op: str
    name: str
    inputs: tuple[str, ...]
    output: str
    params: Mapping[str, str] = field(default_factory=dict)
    attrs: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A network: nodes in topological order and the encoded parameters they use.

    Attributes
    ----------
    inputs
        The network's inputs; shapes without the batch axis, channels last.
    outputs
        Names of the activations the network returns, in order.
    nodes
        Operators in an order in which each one's inputs exist already.
    params
        Name to encoded array. Several nodes may share one parameter.

    Raises
    ------
    ModelError
        A name is used twice, used before it is made, or refers to nothing.

    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    params: Mapping[str, Encoding]

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))
        _check_names(self)

    def weights(self) -> Iterator[tuple[Node, str, str]]:
        """Yield ``(node, role, parameter name)`` of every parameter use, in the order of the nodes."""
        for node in self.nodes:
            for role, name in node.params.items():
                yield node, role, name

    def with_params(self, changed: Mapping[str, Encoding]) -> Graph:
        """Return the same network with some parameters replaced."""
        return replace(self, params={**self.params, **changed})


def _check_names(graph: Graph) -> None:
    made = {spec.name for spec in graph.inputs}
    if len(made) != len(graph.inputs):
        raise ModelError(f"two inputs share a name: {[spec.name for spec in graph.inputs]}; rename one")
    _check_unique([node.name for node in graph.nodes], "nodes")
    for node in graph.nodes:
        for name in node.inputs:
            if name not in made:
                raise ModelError(
                    f"node {node.name!r} ({node.op}) reads {name!r}, which no earlier node makes; "
                    "nodes must stand in topological order"
                )
        if node.output in made:
            raise ModelError(f"node {node.name!r} ({node.op}) makes {node.output!r} a second time")
        made.add(node.output)
        for role, name in node.params.items():
            if name not in graph.params:
                raise ModelError(f"node {node.name!r} ({node.op}): its {role} {name!r} is not a parameter")
    for name in graph.outputs:
        if name not in made:
            raise ModelError(f"the network's output {name!r} is made by no node")


def _check_unique(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ModelError(f"two {what} are named {name!r}; rename one")
        seen.add(name)

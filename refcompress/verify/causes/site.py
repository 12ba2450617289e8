"""Where a layer differs, and what it may have been instead: the types that all causes share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.graph import Graph, Node
from refcompress.ops import OPS
from refcompress.verify.precision import Float64

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A node that is under suspicion.

    Attributes
    ----------
    graph
        The whole network.
    node
        The node.
    params
        Its parameters, decoded, by role.
    inputs
        What it reads, all samples, float64.
    theirs
        What the framework made of that, if the node's own output is known.

    """

    graph: Graph
    node: Node
    params: Mapping[str, Float32]
    inputs: tuple[Float64, ...]
    theirs: Float64 | None


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """What a node may have been instead.

    Attributes
    ----------
    text
        Completes "with ... it agrees".
    nodes
        Stand in the place of the node; the last makes its output.
    params
        New parameters by name.
    slack
        By how much bounds are widened, for quantities that the framework computed and rounded itself.

    """

    text: str
    nodes: tuple[Node, ...]
    params: Mapping[str, Float32] = field(default_factory=dict)
    slack: float = 1.0


@dataclass(frozen=True, slots=True)
class Cause:
    """A usual suspect.

    Attributes
    ----------
    name
        What goes wrong.
    ops
        Operators to which it happens; None for all.
    variants
        What a node may then have been instead.

    """

    name: str
    ops: frozenset[str] | None
    variants: Callable[[Site], Iterator[Variant]]

    def applies_to(self, op: str) -> bool:
        """Whether it can happen to an operator.

        Examples
        --------
        >>> Cause("bias missing", frozenset({"Conv"}), lambda site: iter(())).applies_to("Relu")
        False

        """
        return self.ops is None or op in self.ops


def with_attrs(site: Site, text: str, **fields: Any) -> Iterator[Variant]:
    """Change attributes of the node; nothing if it already has them or cannot have them."""
    try:
        attrs = dataclasses.replace(site.node.attrs, **fields)
    except (ModelError, TypeError):
        return
    if attrs != site.node.attrs:
        yield Variant(text, (dataclasses.replace(site.node, attrs=attrs),))


def with_params(
    site: Site, text: str, by_role: Mapping[str, NDArray[Any] | None], slack: float = 1.0
) -> Iterator[Variant]:
    """Change parameters of the node by role, None to leave one out; nothing if they are the same."""
    names, arrays = dict(site.node.params), {}
    for role, array in by_role.items():
        if array is None:
            names.pop(role, None)
        else:
            names[role] = f"{site.node.name}?{role}"
            arrays[names[role]] = np.ascontiguousarray(array, np.float32)
    same = all(
        role in site.params and array is not None and np.array_equal(site.params[role], array, equal_nan=True)
        for role, array in by_role.items()
    )
    if not same:
        yield Variant(text, (dataclasses.replace(site.node, params=names),), arrays, slack)


def with_op(site: Site, text: str, op: str, **fields: Any) -> Iterator[Variant]:
    """Put another operator without parameters in the node's place; nothing if there is no such operator."""
    attrs = attrs_of(op, **fields)
    if attrs is None or (op == site.node.op and attrs == site.node.attrs):
        return
    yield Variant(text, (dataclasses.replace(site.node, op=op, attrs=attrs, params={}),))


def followed_by(site: Site, text: str, op: str, **fields: Any) -> Iterator[Variant]:
    """Put an operator behind the node."""
    attrs = attrs_of(op, **fields)
    if attrs is None:
        return
    between = f"{site.node.output}?before"
    after = Node(op, f"{site.node.name}?after", (between,), site.node.output, {}, attrs)
    yield Variant(text, (dataclasses.replace(site.node, output=between), after))


def led_by(
    site: Site, text: str, op: str, changes: Mapping[str, Any] | None = None, **fields: Any
) -> Iterator[Variant]:
    """Put an operator before the node, between it and its first input; ``changes`` are fields of the node's own."""
    attrs = attrs_of(op, **fields)
    if attrs is None:
        return
    between = f"{site.node.output}?after"
    before = Node(op, f"{site.node.name}?before", site.node.inputs[:1], between, {}, attrs)
    node = dataclasses.replace(site.node, inputs=(between, *site.node.inputs[1:]), **(changes or {}))
    yield Variant(text, (before, node))


def attrs_of(op: str, **fields: Any) -> Any:
    """Attributes of an operator, None if there is no such operator or it cannot have them.

    Examples
    --------
    >>> attrs_of("Clip", min=0, max=6)
    Clip(min=0.0, max=6.0)
    >>> attrs_of("NoSuchOperator") is None
    True

    """
    if op not in OPS:
        return None
    try:
        return OPS[op].attrs(**fields)
    except (ModelError, TypeError):
        return None

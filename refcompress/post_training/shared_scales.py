"""Which activations must share one quantization, and which have a given one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from refcompress.graph import Graph, Node
from refcompress.integer import Quantization
from refcompress.integer.spans import MOVING, Span
from refcompress.ops import make_attrs
from refcompress.passes.rewrite import fresh

# What the integer arithmetic of a function makes, and the range that this is.
GIVEN: Mapping[str, Quantization] = MappingProxyType(
    {"Sigmoid": Quantization(1 / 256, -128), "Softmax": Quantization(1 / 256, -128), "Tanh": Quantization(1 / 128, 0)}
)
_RANGE_OF: Mapping[str, tuple[float, float]] = {"Sigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Tanh": (-1.0, 1.0)}

# Operators whose result may have any quantization: a Relu or Clip behind them becomes their clamp.
FUSING = frozenset({"Add", "Conv", "Gemm"})
FUNCTIONS = frozenset({"Clip", "Relu"})

SOFTMAX_SCALE = 2.0**-25  # integer Softmax takes no finer steps than 2^-26


def fused(graph: Graph) -> frozenset[str]:
    """Return the activations that never exist as integers: those that a single Relu or Clip reads."""
    readers = Counter(name for node in graph.nodes for name in node.inputs) + Counter(graph.outputs)
    makers = {node.output: node for node in graph.nodes if node.op in FUSING}
    return frozenset(
        node.inputs[0]
        for node in graph.nodes
        if node.op in FUNCTIONS and node.inputs[0] in makers and readers[node.inputs[0]] == 1
    )


def rescaled(graph: Graph) -> Graph:
    """Put a Clip behind each function of given scale whose values are moved together with others.

    Parameters
    ----------
    graph
        A network in integer form.

    Returns
    -------
    Graph
        In it every group has either a given quantization or none. The Clips change no value.

    """
    makers = {node.output: node for node in graph.nodes}
    mixed = {
        name: makers[name]
        for members, sources in _groups(graph)
        if len({_given(makers, source) for source in sources}) > 1
        for name in sources
        if _given(makers, name) is not None
    }
    if not mixed:
        return graph
    taken = {*makers, *(spec.name for spec in graph.inputs), *(node.name for node in graph.nodes)}
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op in MOVING:
            nodes.append(replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs)))
        else:
            nodes.append(node)
        if node.output in mixed:
            low, high = _RANGE_OF[node.op]
            name = renamed[node.output] = fresh(f"{node.output}/rescaled", taken)
            taken.add(name)
            nodes.append(Node("Clip", name, (node.output,), name, attrs=make_attrs("Clip", {"min": low, "max": high})))
    return replace(graph, nodes=tuple(nodes))


def groups(graph: Graph) -> tuple[Span, ...]:
    """Return the groups of all activations that exist as integers, their ranges still open.

    Parameters
    ----------
    graph
        What :func:`rescaled` returned.

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> nodes = (
    ...     Node("Softmax", "softmax", ("x",), "p", attrs=make_attrs("Softmax", {})),
    ...     Node("Flatten", "flatten", ("p",), "y", attrs=make_attrs("Flatten", {})),
    ... )
    >>> [each.members for each in groups(Graph((TensorSpec("x", (2, 3)),), ("y",), nodes, {}))]
    [('x',), ('p', 'y')]

    """
    makers = {node.output: node for node in graph.nodes}
    return tuple(
        Span(members, sources, least_scale=_least_scale(graph, members), given=_given(makers, sources[0]))
        for members, sources in _groups(graph)
    )


def _least_scale(graph: Graph, members: Sequence[str]) -> float:
    read_by_softmax = any(node.op == "Softmax" and node.inputs[0] in members for node in graph.nodes)
    return SOFTMAX_SCALE if read_by_softmax else 0.0


def _given(makers: Mapping[str, Node], name: str) -> Quantization | None:
    return GIVEN.get(makers[name].op) if name in makers else None


def _groups(graph: Graph) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the members and the sources of each group, in the order in which they are made."""
    without = fused(graph)
    names = [name for name in (*(spec.name for spec in graph.inputs), *_made(graph.nodes)) if name not in without]
    root = {name: name for name in names}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    moved = set()
    for node in graph.nodes:
        if node.op in MOVING:
            moved.add(node.output)
            for name in node.inputs:
                root[find(node.output)] = find(name)
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(find(name), []).append(name)
    return [(tuple(each), tuple(name for name in each if name not in moved)) for each in members.values()]


def _made(nodes: Sequence[Node]) -> list[str]:
    return [node.output for node in nodes]

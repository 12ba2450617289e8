"""What a rule that lowers an operator may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from exporters.program import Step, Tensor
from exporters.streams import real, single_streams
from refcompress import encodings
from refcompress.graph import Graph, Node, Shape


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """A network while it is lowered.

    Attributes
    ----------
    graph
        The network.
    shapes
        Of its activations.
    roots
        Identities removed: activation to the one whose memory it is.

    """

    graph: Graph
    shapes: Mapping[str, Shape]
    roots: dict[str, str]

    def inputs(self, node: Node) -> tuple[str, ...]:
        """Names of the memory that a node reads."""
        return tuple(self.roots[name] for name in node.inputs)

    def shape(self, node: Node, index: int = 0) -> Shape:
        """Shape of an input, without the batch axis."""
        return self.shapes[node.inputs[index]]

    def out_shape(self, node: Node) -> Shape:
        """Shape of the output, without the batch axis."""
        return self.shapes[node.output]

    def weight(self, node: Node, role: str = "weight") -> Tensor:
        """Return a weight that is streamed."""
        name = node.params[role]
        return Tensor(name, f"{node.name} {role}", real(single_streams(self.graph.params[name])))

    def arrays(self, node: Node, *roles: str) -> dict[str, Tensor]:
        """Return dense parameters by role, those that are there, element after element."""
        found = {}
        for role in roles:
            if role in node.params:
                name = node.params[role]
                dense = encodings.encode(encodings.decode(self.graph.params[name]).reshape(-1))  # not row after row
                found[role] = Tensor(name, f"{node.name} {role}", dense)
        return found


Rule = Callable[[Node, Context], Iterator[Step]]


def identity(_node: Node, _context: Context) -> Iterator[Step]:
    """Lower an operator that leaves every element where it is: to nothing."""
    return iter(())

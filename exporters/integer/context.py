"""What a rule that lowers an integer operator may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from exporters.program import Step
from refcompress.graph import Shape
from refcompress.integer import RUNTIMES, IntegerNetwork
from refcompress.integer.step import Step as IntegerStep

RUNTIME = RUNTIMES["tflm"]


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a lowering rule may look at."""

    network: IntegerNetwork
    shapes: Mapping[str, Shape]
    roots: dict[str, str]  # identities removed: activation -> the one whose memory it is

    def inputs(self, step: IntegerStep) -> tuple[str, ...]:
        """Names of the activations that a step reads."""
        return tuple(self.roots[name] for name in step.node.inputs)

    def shape(self, step: IntegerStep, index: int = 0) -> Shape:
        """Shape of an input of a step."""
        return self.shapes[step.node.inputs[index]]


Rule = Callable[[IntegerStep, Context], Iterator[Step]]

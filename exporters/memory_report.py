"""How much of the arena each step keeps busy: which layer costs the memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporters.memory_plan import MemoryPlan, last_uses
from exporters.program import Program


@dataclass(frozen=True, slots=True)
class StepMemory:
    """What one step takes of the arena.

    Attributes
    ----------
    name
        Name of the node that the step comes from; of the first and the last one, if several run row by row.
    kernel
        Its kernel.
    live_bytes
        Bytes of the arena that hold what the step or a later one reads, what it makes, or its scratch memory; memory
        that two of these share counts once.
    is_peak
        Whether no step takes more.

    """

    name: str
    kernel: str
    live_bytes: int
    is_peak: bool


def memory_by_step(program: Program, plan: MemoryPlan) -> tuple[StepMemory, ...]:
    """Return what every step takes of the arena, in the order in which they run.

    Parameters
    ----------
    program
        The lowered network.
    plan
        Its memory plan.

    Examples
    --------
    >>> from exporters.memory_plan import plan
    >>> from exporters.program import Step
    >>> steps = (Step("gemm", "a", ("x",), "h"), Step("gemm", "b", ("h",), "g"), Step("gemm", "c", ("g",), "y"))
    >>> program = Program(("x",), ("y",), ("y",), {"x": 8, "h": 5, "g": 3, "y": 2}, steps)
    >>> [(row.name, row.live_bytes, row.is_peak) for row in memory_by_step(program, plan(program))]
    [('a', 20, False), ('b', 32, True), ('c', 12, False)]

    """
    live = [_covered(list(_spans(program, plan, i))) for i in range(len(program.steps))]
    most = max(live, default=0)
    return tuple(StepMemory(step.name, step.kernel, n, n == most) for step, n in zip(program.steps, live, strict=True))


def _spans(program: Program, plan: MemoryPlan, i: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of the arena, from byte to byte, that are in use while a step runs."""
    uses, step = last_uses(program), program.steps[i]
    made = (other.output for other in program.steps[: i + 1])
    for name in made:
        place = plan.places[name]
        if uses[name] >= i and place.where == "arena":
            start = place.index * program.element_bytes
            yield start, start + program.elements[name] * program.element_bytes
    if step.output in plan.scratch:
        start = plan.scratch[step.output].index * program.element_bytes
        yield start, start + step.scratch_bytes


def _covered(spans: list[tuple[int, int]]) -> int:
    """Bytes in at least one of the spans."""
    total, reached = 0, 0
    for start, end in sorted(spans):
        total += max(end - max(start, reached), 0)
        reached = max(reached, end)
    return total

"""Where each activation lives: in the caller's buffers or at an offset of one arena, reused by liveness."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from exporters.offsets import Buffer, best_offsets, least_at, total
from exporters.program import Program, Step

ALIGN_BYTES = 4

Where = Literal["arena", "input", "output"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an activation lives: at an element of the arena, or in an input or output of the caller."""

    where: Where
    index: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """A place for every activation.

    Attributes
    ----------
    places
        Activation to place.
    copies
        (source, output index) of every output that is an input, or the same activation as another output: it is
        copied when all steps are done.
    arena_bytes
        Size of the arena.
    scratch
        Place of the scratch memory of each step that takes some, by the name of its output.

    """

    places: dict[str, Place]
    copies: tuple[tuple[Place, int], ...]
    arena_bytes: int
    scratch: dict[str, Place] = field(default_factory=dict)


def plan(program: Program) -> MemoryPlan:
    """Assign memory: elementwise steps work in place, outputs are made in the caller's buffers, the rest is packed.

    Parameters
    ----------
    program
        The lowered network.

    Returns
    -------
    MemoryPlan
        Deterministic; the smallest arena of several greedy orders and a bounded search, exact for small networks.

    Examples
    --------
    >>> from exporters.program import Step
    >>> steps = (Step("gemm", "a", ("x",), "h"), Step("relu", "b", ("h",), "r", overwrites=(0,)),
    ...          Step("gemm", "c", ("r",), "y"))
    >>> sizes = {"x": 8, "h": 5, "r": 5, "y": 2}
    >>> plan(Program(("x",), ("y",), ("y",), sizes, steps)).arena_bytes
    20

    """
    buffers = _buffers(program)
    places = {name: Place("input", i) for i, name in enumerate(program.inputs)}
    copies = _bind_outputs(program, buffers, places)
    in_arena = [buffer for buffer in buffers if buffer.output is None]
    offsets = best_offsets(in_arena)
    elements = total(in_arena, offsets)
    for buffer, offset in zip(in_arena, offsets, strict=True):
        places.update({name: Place("arena", offset) for name in buffer.members})
    scratch = {step.output: places[_scratch_name(step)] for step in program.steps if step.scratch_bytes}
    return MemoryPlan(places, copies, elements * program.element_bytes, scratch)


def least_bytes(program: Program) -> list[int]:
    """Bytes of the arena that every step takes at least, whatever the offsets.

    Examples
    --------
    >>> from exporters.program import Step
    >>> steps = (Step("gemm", "a", ("x",), "h"), Step("gemm", "b", ("h",), "g"), Step("gemm", "c", ("g",), "y"))
    >>> least_bytes(Program(("x",), ("y",), ("y",), {"x": 8, "h": 5, "g": 3, "y": 2}, steps))
    [20, 32, 12]

    """
    buffers = _buffers(program)
    _bind_outputs(program, buffers, {name: Place("input", i) for i, name in enumerate(program.inputs)})
    in_arena = [buffer for buffer in buffers if buffer.output is None]
    return [least_at(in_arena, i) * program.element_bytes for i in range(len(program.steps))]


def _scratch_name(step: Step) -> str:
    return f"{step.output}\0scratch"


def last_uses(program: Program) -> dict[str, int]:
    """Last step that reads each activation: the number of steps for an output, its own step if nothing does."""
    uses = dict.fromkeys(program.inputs, -1)
    for i, step in enumerate(program.steps):
        uses[step.output] = i
        uses.update(dict.fromkeys(step.inputs, i))
    uses.update(dict.fromkeys(program.outputs, len(program.steps)))
    return uses


def _buffers(program: Program) -> list[Buffer]:
    """Chain activations that are made in the memory of one that dies; network inputs are never written."""
    uses = last_uses(program)
    buffers: list[Buffer] = []
    holder: dict[str, Buffer] = {}
    for i, step in enumerate(program.steps):
        dying = (step.inputs[k] for k in step.overwrites)
        found = next((holder[name] for name in dying if name in holder and uses[name] == i), None)
        if found is None:
            found = Buffer(_aligned(program, program.elements[step.output] * program.element_bytes), i, i, [])
            if step.lag is not None and uses[step.inputs[0]] == i:
                found.over, found.lag = holder.get(step.inputs[0]), _aligned(program, step.lag * program.element_bytes)
            buffers.append(found)
        if step.scratch_bytes:
            buffers.append(Buffer(_aligned(program, step.scratch_bytes), i, i, [_scratch_name(step)]))
        found.members.append(step.output)
        found.last = uses[step.output]
        holder[step.output] = found
    return buffers


def _aligned(program: Program, n_bytes: int) -> int:
    """Elements that so many bytes take if every buffer begins at a multiple of four bytes."""
    return -(-n_bytes // ALIGN_BYTES) * ALIGN_BYTES // program.element_bytes


def _bind_outputs(program: Program, buffers: list[Buffer], places: dict[str, Place]) -> tuple[tuple[Place, int], ...]:
    """Let the caller's output buffers be the memory of the activations they receive."""
    holder = {name: buffer for buffer in buffers for name in buffer.members}
    copies = []
    for index, name in enumerate(program.outputs):
        buffer = holder.get(name)
        if buffer is not None and buffer.output is None:
            buffer.output = index
            places.update({member: Place("output", index) for member in buffer.members})
        else:
            copies.append((places[name], index))
    return tuple(copies)

"""Where each activation lives: in the caller's buffers or at an offset of one arena, reused by liveness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from exporters.program import Program, Step

ALIGN_BYTES = 4
PROMOTIONS = 64  # tries to place the highest buffer earlier

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


@dataclass(slots=True)
class _Buffer:
    """Activations that follow each other in the same memory."""

    elements: int
    first: int  # step that makes the first of them
    last: int  # last step that reads one of them
    members: list[str]
    output: int | None = None
    over: _Buffer | None = None  # it is made over this one, which dies then
    lag: int = 0  # if it begins at least so many elements before it


def plan(program: Program) -> MemoryPlan:
    """Assign memory: elementwise steps work in place, outputs are made in the caller's buffers, the rest is packed.

    Parameters
    ----------
    program
        The lowered network.

    Returns
    -------
    MemoryPlan
        Deterministic; the smallest arena of several greedy orders.

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
    offsets, elements = _best_offsets(in_arena)
    for buffer, offset in zip(in_arena, offsets, strict=True):
        places.update({name: Place("arena", offset) for name in buffer.members})
    scratch = {step.output: places[_scratch_name(step)] for step in program.steps if step.scratch_bytes}
    return MemoryPlan(places, copies, elements * program.element_bytes, scratch)


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


def _buffers(program: Program) -> list[_Buffer]:
    """Chain activations that are made in the memory of one that dies; network inputs are never written."""
    uses = last_uses(program)
    buffers: list[_Buffer] = []
    holder: dict[str, _Buffer] = {}
    for i, step in enumerate(program.steps):
        dying = (step.inputs[k] for k in step.overwrites)
        found = next((holder[name] for name in dying if name in holder and uses[name] == i), None)
        if found is None:
            found = _Buffer(_aligned(program, program.elements[step.output] * program.element_bytes), i, i, [])
            if step.lag is not None and uses[step.inputs[0]] == i:
                found.over, found.lag = holder.get(step.inputs[0]), _aligned(program, step.lag * program.element_bytes)
            buffers.append(found)
        if step.scratch_bytes:
            buffers.append(_Buffer(_aligned(program, step.scratch_bytes), i, i, [_scratch_name(step)]))
        found.members.append(step.output)
        found.last = uses[step.output]
        holder[step.output] = found
    return buffers


def _aligned(program: Program, n_bytes: int) -> int:
    """Elements that so many bytes take if every buffer begins at a multiple of four bytes."""
    return -(-n_bytes // ALIGN_BYTES) * ALIGN_BYTES // program.element_bytes


def _bind_outputs(program: Program, buffers: list[_Buffer], places: dict[str, Place]) -> tuple[tuple[Place, int], ...]:
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


_ORDERS: tuple[Callable[[_Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.elements, b.first),
    lambda b: (-b.elements * (b.last - b.first + 1), b.first),
    lambda b: (b.first - b.last, -b.elements, b.first),
    lambda b: (b.first, -b.elements),
    lambda b: (-b.last, -b.elements),
    lambda b: (-b.elements, -b.first),  # what lies over something first
    lambda b: (-b.first, -b.elements),
)


def _best_offsets(buffers: list[_Buffer]) -> tuple[list[int], int]:
    """Offsets in elements and their total; the bound from below is what must live at the same time."""
    least = max((_least(buffers, i) for i in {buffer.first for buffer in buffers}), default=0)
    best, best_total = [0] * len(buffers), -1
    for key in _ORDERS:
        order = sorted(range(len(buffers)), key=lambda i: key(buffers[i]))
        for _ in range(PROMOTIONS):
            offsets = _place(buffers, order)
            ends = [offset + buffer.elements for offset, buffer in zip(offsets, buffers, strict=True)]
            total = max(ends, default=0)
            if best_total < 0 or total < best_total:
                best, best_total = offsets, total
            if best_total == least:
                return best, best_total
            highest = ends.index(total)
            if order[0] == highest:
                break
            order.remove(highest)
            order.insert(0, highest)
    return best, max(best_total, 0)


def _least(buffers: Sequence[_Buffer], step: int) -> int:
    """Elements that live at a step, at least: of two that may lie over each other, the larger."""
    alive = [buffer for buffer in buffers if buffer.first <= step <= buffer.last]
    shared = [min(b.elements, b.over.elements) for b in alive if b.over is not None and b.first == step]
    return sum(buffer.elements for buffer in alive) - sum(shared)


def _place(buffers: Sequence[_Buffer], order: Sequence[int]) -> list[int]:
    """Put each buffer, in this order, at the lowest offset free while it lives."""
    offsets = [0] * len(buffers)
    placed: list[tuple[_Buffer, int]] = []
    for i in order:
        buffer = buffers[i]
        others = [(other, at) for other, at in placed if other.first <= buffer.last and buffer.first <= other.last]
        candidates = {0, *(at + other.elements for other, at in others)}
        candidates |= {at - buffer.lag for other, at in others if buffer.over is other}
        candidates |= {at + other.lag for other, at in others if other.over is buffer}
        offsets[i] = min(
            offset
            for offset in candidates
            if offset >= 0 and all(_fit(buffer, offset, other, at) for other, at in others)
        )
        placed.append((buffer, offsets[i]))
    return offsets


def _fit(buffer: _Buffer, offset: int, other: _Buffer, at: int) -> bool:
    """Whether two buffers that live at the same time may begin there."""
    apart = offset + buffer.elements <= at or at + other.elements <= offset
    over = buffer.over is other and offset + buffer.lag <= at
    return apart or over or (other.over is buffer and at + other.lag <= offset)

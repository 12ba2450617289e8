"""Offsets of buffers in one arena, where those that live at the same time are apart or may lie over each other."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

PROMOTIONS = 64  # tries of an order that place the highest buffer earlier
NODES = 10_000  # of the exact search


@dataclass(slots=True)
class Buffer:
    """Activations that follow each other in the same memory.

    Attributes
    ----------
    elements
        Its size.
    first, last
        Steps between which it lives: the one that makes it, and the last that reads it.
    members
        Names of the activations.
    output
        Which buffer of the caller it is, if one.
    over
        The buffer over which it may be made, which dies then.
    lag
        So many elements before that it must begin, at least, to lie over it.

    """

    elements: int
    first: int
    last: int
    members: list[str]
    output: int | None = None
    over: Buffer | None = None
    lag: int = 0


def least_at(buffers: Sequence[Buffer], step: int) -> int:
    """Elements that live at a step, at least: what lies over another shares what its lag allows."""
    alive = [buffer for buffer in buffers if buffer.first <= step <= buffer.last]
    shared = [
        max(min(b.elements, b.over.elements, b.elements - b.lag), 0)
        for b in alive
        if b.over is not None and b.over.output is None and b.first == step
    ]
    return sum(buffer.elements for buffer in alive) - sum(shared)


def best_offsets(buffers: Sequence[Buffer]) -> list[int]:
    """Return an offset for each buffer: the best of greedy orders, or of a search if that may find better.

    Examples
    --------
    >>> best_offsets([Buffer(4, 0, 1, []), Buffer(2, 1, 2, []), Buffer(6, 2, 3, [])])
    [0, 6, 0]

    """
    least = max((least_at(buffers, i) for i in {buffer.first for buffer in buffers}), default=0)
    greedy = _greedy(buffers, least)
    if total(buffers, greedy) <= least:
        return greedy
    return _searched(buffers, greedy, least)


def total(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """Elements of the arena.

    Examples
    --------
    >>> total([Buffer(4, 0, 1, []), Buffer(2, 1, 2, [])], [2, 0])
    6

    """
    return max((offset + buffer.elements for offset, buffer in zip(offsets, buffers, strict=True)), default=0)


_ORDERS: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.elements, b.first),
    lambda b: (-b.elements * (b.last - b.first + 1), b.first),
    lambda b: (b.first - b.last, -b.elements, b.first),
    lambda b: (b.first, -b.elements),
    lambda b: (-b.last, -b.elements),
    lambda b: (-b.elements, -b.first),  # what lies over something first
    lambda b: (-b.first, -b.elements),
)


def _greedy(buffers: Sequence[Buffer], least: int) -> list[int]:
    best, best_total = [0] * len(buffers), -1
    for key in _ORDERS:
        order = sorted(range(len(buffers)), key=lambda i: key(buffers[i]))
        for _ in range(PROMOTIONS):
            offsets = _place(buffers, order)
            ends = [offset + buffer.elements for offset, buffer in zip(offsets, buffers, strict=True)]
            reached = max(ends, default=0)
            if best_total < 0 or reached < best_total:
                best, best_total = offsets, reached
            if best_total == least:
                return best
            highest = ends.index(reached)
            if order[0] == highest:
                break
            order.remove(highest)
            order.insert(0, highest)
    return best


def _place(buffers: Sequence[Buffer], order: Sequence[int]) -> list[int]:
    """Put each buffer, in this order, at the lowest offset free while it lives."""
    offsets = [0] * len(buffers)
    placed: list[tuple[Buffer, int]] = []
    for i in order:
        buffer = buffers[i]
        others = [(other, at) for other, at in placed if _meet(buffer, other)]
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


def _meet(a: Buffer, b: Buffer) -> bool:
    return a.first <= b.last and b.first <= a.last


def _fit(buffer: Buffer, offset: int, other: Buffer, at: int) -> bool:
    """Whether two buffers that live at the same time may begin there."""
    apart = offset + buffer.elements <= at or at + other.elements <= offset
    over = buffer.over is other and offset + buffer.lag <= at
    return apart or over or (other.over is buffer and at + other.lag <= offset)


@dataclass(frozen=True, slots=True)
class _After:
    """Buffer ``above`` begins at least ``distance`` elements behind the begin of ``below``."""

    below: int
    above: int
    distance: int


def _ways(buffers: Sequence[Buffer], i: int, j: int) -> Iterator[_After]:
    """Yield the ways to arrange two buffers that live at the same time, of which one must be taken."""
    yield _After(i, j, buffers[i].elements)
    yield _After(j, i, buffers[j].elements)
    for above, below in ((i, j), (j, i)):
        if buffers[below].over is buffers[above]:
            yield _After(below, above, buffers[below].lag)


def _searched(buffers: Sequence[Buffer], best: list[int], least: int) -> list[int]:
    """Branch and bound over the ways to arrange each pair; every way raises offsets, so the bound only grows.

    The search is exact if it ends before its last node: then no offsets give a smaller arena.
    """
    pairs = [(i, j) for i, j in combinations(range(len(buffers)), 2) if _meet(buffers[i], buffers[j])]
    pairs.sort(key=lambda pair: -buffers[pair[0]].elements - buffers[pair[1]].elements)
    best_total, nodes = total(buffers, best), 0
    todo: list[tuple[int, int, int, list[int], tuple[_After, ...]]] = [(0, 0, 0, [0] * len(buffers), ())]
    while todo and nodes < NODES:
        *_, offsets, taken = heapq.heappop(todo)
        if total(buffers, offsets) >= best_total:
            continue
        broken = next((p for p in pairs if not _fit(buffers[p[0]], offsets[p[0]], buffers[p[1]], offsets[p[1]])), None)
        if broken is None:
            best, best_total = offsets, total(buffers, offsets)
            if best_total <= least:
                break
            continue
        for way in _ways(buffers, *broken):
            nodes += 1
            raised = _raised(buffers, offsets, (*taken, way), best_total)
            if raised is not None:  # deepest first, then the smallest arena
                heapq.heappush(todo, (-len(taken), total(buffers, raised), nodes, raised, (*taken, way)))
    return best


def _raised(buffers: Sequence[Buffer], offsets: list[int], taken: Sequence[_After], below: int) -> list[int] | None:
    """Return the lowest offsets that keep these distances; None if the arena would reach ``below``."""
    found = offsets.copy()
    for _ in range(len(buffers) + 1):
        changed = False
        for after in taken:
            least = found[after.below] + after.distance
            if found[after.above] < least:
                found[after.above], changed = least, True
                if least + buffers[after.above].elements >= below:
                    return None
        if not changed:
            return found
    return None  # they contradict each other

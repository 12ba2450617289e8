"""Offsets in the arena, against every possible choice of offsets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters import offsets
from exporters.offsets import Buffer, best_offsets, least_at, total


def _cells(buffer: Buffer, offset: int) -> set[int]:
    return set(range(offset, offset + buffer.elements))


def _is_valid(buffers: Sequence[Buffer], at: Sequence[int]) -> bool:
    """Whether no two that live at the same time share a cell, unless one is made over the other far enough ahead."""
    for (a, p), (b, q) in itertools.combinations(zip(buffers, at, strict=True), 2):
        alive_together = set(range(a.first, a.last + 1)) & set(range(b.first, b.last + 1))
        if alive_together and _cells(a, p) & _cells(b, q):
            over = (a.over is b and q - p >= a.lag) or (b.over is a and p - q >= b.lag)
            if not over:
                return False
    return True


def _least_of_all(buffers: Sequence[Buffer]) -> int:
    """Try every choice of offsets in ever larger arenas."""
    for size in itertools.count(max(buffer.elements for buffer in buffers)):
        choices = [range(size - buffer.elements + 1) for buffer in buffers]
        if any(_is_valid(buffers, at) for at in itertools.product(*choices)):
            return size
    raise AssertionError


@st.composite
def few_buffers(draw: st.DrawFn) -> list[Buffer]:
    found: list[Buffer] = []
    for i in range(draw(st.integers(1, 5))):
        first = draw(st.integers(0, 4))
        buffer = Buffer(draw(st.integers(1, 4)), first, first + draw(st.integers(0, 3)), [str(i)])
        dying = [b for b in found if b.last == first and not any(other.over is b for other in found)]
        if dying and draw(st.booleans()):
            buffer.over, buffer.lag = (
                draw(st.sampled_from(dying)),
                draw(st.sampled_from([-(2**31), -3, -2, -1, 0, 1, 2, 9])),
            )
        found.append(buffer)
    return found


@given(few_buffers())
def test_few_buffers_take_the_smallest_arena_there_is(buffers: list[Buffer]) -> None:
    found = best_offsets(buffers)
    assert _is_valid(buffers, found)
    least = _least_of_all(buffers)
    assert total(buffers, found) == least
    assert max(least_at(buffers, step) for step in range(9)) <= least


@given(few_buffers())
def test_the_search_finds_it_whatever_it_starts_from(buffers: list[Buffer]) -> None:
    stacked = [0, *itertools.accumulate(buffer.elements for buffer in buffers)][:-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offsets, "_greedy", lambda *_: stacked)
        found = best_offsets(buffers)
    assert _is_valid(buffers, found)
    assert total(buffers, found) == _least_of_all(buffers)


def test_the_search_beats_the_greedy_orders() -> None:
    spans = [(6, 4, 5), (1, 0, 2), (4, 2, 3), (4, 3, 4), (4, 3, 5), (5, 5, 6), (4, 3, 3), (3, 3, 5)]
    buffers = [Buffer(elements, first, last, []) for elements, first, last in spans]
    found = best_offsets(buffers)
    assert _is_valid(buffers, found)
    assert total(buffers, found) == 19 == max(least_at(buffers, step) for step in range(7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offsets, "NODES", 0)
        assert total(buffers, best_offsets(buffers)) == 21


def test_the_search_ends_after_its_nodes() -> None:
    buffers = [Buffer(3 + i * 7 % 11, i // 3, i // 3 + 2 + i % 3, []) for i in range(60)]
    found = best_offsets(buffers)
    assert _is_valid(buffers, found)
    assert found == best_offsets(buffers)


def test_nothing_takes_nothing() -> None:
    assert best_offsets([]) == []
    assert total([], []) == 0

"""The memory plan, against a checker that only knows what must not overlap."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from exporters.memory_plan import MemoryPlan, Place, plan
from exporters.program import Program, Step

ELEMENT_BYTES = 4


def check(program: Program, found: MemoryPlan) -> None:
    """Play the program: each activation is written at its place and must be intact whenever it is read."""
    memory: dict[tuple[str, int, int], str] = {}
    buffers = {"input": lambda i: ("input", i), "output": lambda i: ("output", i), "arena": lambda _: ("arena", 0)}

    def cells(name: str) -> list[tuple[str, int, int]]:
        place = found.places[name]
        start = place.index if place.where == "arena" else 0
        return [(*buffers[place.where](place.index), start + i) for i in range(program.elements[name])]

    def write(name: str) -> None:
        memory.update(dict.fromkeys(cells(name), name))

    for name in program.inputs:
        assert found.places[name] == Place("input", program.inputs.index(name))
        write(name)
    for step in program.steps:
        for i, name in enumerate(step.inputs):
            assert all(memory[cell] == name for cell in cells(name))
            if i not in step.overwrites:
                assert not set(cells(name)) & set(cells(step.output)) or name in (
                    step.inputs[k] for k in step.overwrites
                )
        assert found.places[step.output].where != "input"
        write(step.output)
    copied = {index for _, index in found.copies}
    for index, name in enumerate(program.outputs):
        assert all(memory[cell] == name for cell in cells(name))
        assert index in copied or found.places[name] == Place("output", index)
    used = [cell[2] for cell in memory if cell[0] == "arena"]
    assert found.arena_bytes == ELEMENT_BYTES * (max(used, default=-1) + 1)


@st.composite
def programs(draw: st.DrawFn, most: int = 12) -> Program:
    elements = {"x": draw(st.integers(1, 20)), "z": draw(st.integers(1, 20))}
    steps = []
    for i in range(draw(st.integers(0, most))):
        names = list(elements)
        first = draw(st.sampled_from(names))
        if draw(st.booleans()):
            twins = [name for name in names if elements[name] == elements[first]]
            steps.append(Step("add", f"s{i}", (first, draw(st.sampled_from(twins))), f"a{i}", overwrites=(0, 1)))
            elements[f"a{i}"] = elements[first]
        else:
            steps.append(Step("gemm", f"s{i}", (first,), f"a{i}"))
            elements[f"a{i}"] = draw(st.integers(1, 20))
    outputs = draw(st.lists(st.sampled_from(list(elements)), min_size=1, max_size=3))
    names = tuple(f"y{i}" for i in range(len(outputs)))
    return Program(("x", "z"), tuple(outputs), names, elements, tuple(steps))


@given(programs())
def test_nothing_is_overwritten_before_its_last_use(program: Program) -> None:
    check(program, plan(program))


def chain(*sizes: int, ends: int = 1) -> Program:
    names = ["x", *(f"a{i}" for i in range(len(sizes))), "y"]
    elements = dict(zip(names, (1, *sizes, ends), strict=True))
    steps = tuple(Step("gemm", b, (a,), b) for a, b in itertools.pairwise(names))
    return Program(("x",), ("y",), ("y",), elements, steps)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_a_chain_takes_its_largest_pair_of_neighbours(sizes: list[int]) -> None:
    pairs = [a + b for a, b in itertools.pairwise(sizes)]
    assert plan(chain(*sizes)).arena_bytes == ELEMENT_BYTES * max([*sizes, *pairs])


def test_elementwise_steps_work_in_place() -> None:
    steps = (
        Step("gemm", "g", ("x",), "a"),
        Step("relu", "r", ("a",), "b", overwrites=(0,)),
        Step("softmax", "s", ("b",), "y", overwrites=(0,)),
    )
    found = plan(Program(("x",), ("y",), ("y",), dict.fromkeys("xaby", 7), steps))
    assert found.arena_bytes == 0
    assert {found.places[name] for name in "aby"} == {Place("output", 0)}


def test_an_input_of_the_network_is_never_written() -> None:
    program = Program(("x",), ("y",), ("y",), {"x": 4, "y": 4}, (Step("relu", "r", ("x",), "y", overwrites=(0,)),))
    assert plan(program).places["y"] == Place("output", 0)


def test_an_output_that_is_an_input_is_copied() -> None:
    found = plan(Program(("x",), ("x", "x"), ("p", "q"), {"x": 4}, ()))
    assert found.copies == ((Place("input", 0), 0), (Place("input", 0), 1))
    assert found.arena_bytes == 0


@given(programs(6))
def test_the_arena_is_never_larger_than_all_buffers_and_never_smaller_than_the_busiest_step(program: Program) -> None:
    found = plan(program)
    arena = {name for name, place in found.places.items() if place.where == "arena"}
    assert found.arena_bytes <= ELEMENT_BYTES * sum(program.elements[name] for name in arena)
    for step in program.steps:
        if step.output in arena and step.inputs[0] in arena and not step.overwrites:
            assert found.arena_bytes >= ELEMENT_BYTES * (
                program.elements[step.output] + program.elements[step.inputs[0]]
            )

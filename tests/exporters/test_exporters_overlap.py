"""How far an output may lie over its input, against a kernel that plays every read and write."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from exporters.memory_plan import plan
from exporters.overlap import lag
from exporters.program import Program, Step
from refcompress.integer import Quantization

Sizes = dict[str, int]


@st.composite
def planes(draw: st.DrawFn) -> Sizes:
    sizes = {}
    for axis, pad in (("h", "pad_top"), ("w", "pad_left")):
        kernel, length = draw(st.integers(1, 4)), draw(st.integers(1, 6))
        before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        after += max(0, kernel - length - before - after)
        stride = draw(st.integers(1, 3))
        sizes |= {f"in_{axis}": length, f"kernel_{axis}": kernel, f"stride_{axis}": stride, pad: before}
        sizes[f"out_{axis}"] = (length + before + after - kernel) // stride + 1
    return sizes


def _units(sizes: Sizes, at_once: int) -> Iterator[list[tuple[int, int]]]:
    for y in range(sizes["out_h"]):
        for x in range(0, sizes["out_w"], at_once):
            yield [(y, i) for i in range(x, min(x + at_once, sizes["out_w"]))]


def _read(sizes: Sizes, y: int, x: int, channels: int) -> set[int]:
    rows = range(y * sizes["stride_h"] - sizes["pad_top"], y * sizes["stride_h"] - sizes["pad_top"] + sizes["kernel_h"])
    left = x * sizes["stride_w"] - sizes["pad_left"]
    pixels = [
        row * sizes["in_w"] + column
        for row in rows
        for column in range(left, left + sizes["kernel_w"])
        if 0 <= row < sizes["in_h"] and 0 <= column < sizes["in_w"]
    ]
    return {pixel * channels + channel for pixel in pixels for channel in range(channels)}


def _is_safe(sizes: Sizes, cin: int, cout: int, distance: int, *, at_once: int, gathers: bool) -> bool:
    """Play a kernel whose output begins ``distance`` elements before its input."""
    overwritten: set[int] = set()
    for unit in _units(sizes, at_once):
        reads = set().union(*(_read(sizes, y, x, cin) for y, x in unit))
        writes = {(y * sizes["out_w"] + x) * cout + channel - distance for y, x in unit for channel in range(cout)}
        if reads & overwritten or (not gathers and reads & writes):
            return False
        overwritten |= writes
    return True


@given(planes(), st.integers(1, 4), st.integers(1, 4), st.booleans(), st.integers(0, 5))
def test_from_the_lag_on_nothing_is_overwritten_too_early(
    sizes: Sizes, cin: int, cout: int, gathers: bool, more: int
) -> None:
    at_once = 2 if gathers else 1
    least = lag(sizes, cin, cout, pixels_at_once=at_once, gathers=gathers)
    distance = max(least, -500) + more
    assert _is_safe(sizes, cin, cout, distance, at_once=at_once, gathers=gathers)


def test_one_element_less_is_too_early() -> None:
    plane = {"in_h": 5, "in_w": 4, "kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1}
    plane |= {"pad_top": 1, "pad_left": 1, "out_h": 5, "out_w": 4}
    for at_once, gathers in ((1, False), (2, True)):
        least = lag(plane, 3, 3, pixels_at_once=at_once, gathers=gathers)
        assert not _is_safe(plane, 3, 3, least - 3, at_once=at_once, gathers=gathers)
        assert 12 <= least <= 24


@st.composite
def programs(draw: st.DrawFn) -> Program:
    elements = {"x": draw(st.integers(1, 40))}
    steps = []
    for i in range(draw(st.integers(1, 10))):
        name = draw(st.sampled_from(list(elements)[-3:]))
        distance = draw(st.one_of(st.none(), st.integers(-30, 30)))
        scratch = draw(st.sampled_from([0, 0, 7]))
        steps.append(Step("q", f"s{i}", (name,), f"a{i}", lag=distance, scratch_bytes=scratch))
        elements[f"a{i}"] = draw(st.integers(1, 40))
    output = draw(st.sampled_from([step.output for step in steps]))
    return Program(("x",), (output,), (output,), elements, tuple(steps), {}, {"x": Quantization(1.0, 0)})


@given(programs())
def test_a_plan_keeps_what_is_alive_apart(program: Program) -> None:
    found = plan(program)
    last = {name: i for i, step in enumerate(program.steps) for name in step.inputs} | {program.outputs[0]: 99}

    def span(name: str) -> range:
        place = found.places[name]
        return range(place.index, place.index + program.elements[name]) if place.where == "arena" else range(0)

    for i, step in enumerate(program.steps):
        output = span(step.output)
        made = [other.output for other in program.steps[:i] if last.get(other.output, -1) >= i]
        for name in made:
            other = span(name)
            apart = output.stop <= other.start or other.stop <= output.start or not output or not other
            over = name == step.inputs[0] and last[name] == i and step.lag is not None
            assert apart or (over and other.start - output.start >= (step.lag or 0))
        if step.scratch_bytes:
            at = found.scratch[step.output].index
            assert at % 4 == 0
            for name in [*made, step.output]:
                assert at + step.scratch_bytes <= span(name).start or span(name).stop <= at or not span(name)
        assert output.start % 4 == 0
        assert output.stop <= found.arena_bytes

"""What each step takes of the arena, against a count of cells."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

import exporters.c
from exporters.memory_plan import plan
from exporters.memory_report import memory_by_step
from exporters.program import Program, Step
from refcompress import Graph, Node, TensorSpec, encodings, ops


@st.composite
def programs(draw: st.DrawFn) -> Program:
    elements = {"x": draw(st.integers(1, 20))}
    steps = []
    for i in range(draw(st.integers(0, 8))):
        source = draw(st.sampled_from(list(elements)))
        name, in_place = f"a{i}", draw(st.booleans())
        scratch = draw(st.sampled_from([0, 0, 5, 12]))
        elements[name] = elements[source] if in_place else draw(st.integers(1, 20))
        steps.append(Step("k", f"s{i}", (source,), name, overwrites=(0,) * in_place, scratch_bytes=scratch))
    output = draw(st.sampled_from(list(elements)))
    return Program(("x",), (output,), ("y",), elements, tuple(steps))


@given(programs())
def test_every_byte_in_use_counts_once(program: Program) -> None:
    found = plan(program)
    rows = memory_by_step(program, found)
    assert [(row.name, row.kernel) for row in rows] == [(step.name, step.kernel) for step in program.steps]
    for i, (step, row) in enumerate(zip(program.steps, rows, strict=True)):
        later = {name for other in program.steps[i:] for name in other.inputs} | set(program.outputs)
        cells: set[int] = set()
        for name in {other.output for other in program.steps[:i]} & later | {step.output}:
            place = found.places[name]
            if place.where == "arena":
                cells |= {4 * place.index + k for k in range(4 * program.elements[name])}
        if step.scratch_bytes:
            cells |= {4 * found.scratch[step.output].index + k for k in range(step.scratch_bytes)}
        assert row.live_bytes == len(cells)
    assert max((row.live_bytes for row in rows), default=0) <= found.arena_bytes
    assert [row.is_peak for row in rows] == [row.live_bytes == max(r.live_bytes for r in rows) for row in rows]


def test_the_header_tells_what_each_layer_takes() -> None:
    nodes = (
        Node("Gemm", "first", ("x",), "h", {"weight": "w"}, ops.NoAttrs()),
        Node("Gemm", "second", ("h",), "g", {"weight": "v"}, ops.NoAttrs()),
        Node("Gemm", "third", ("g",), "y", {"weight": "u"}, ops.NoAttrs()),
    )
    params = {name: encodings.encode([[0.5] * n] * m) for name, m, n in (("w", 4, 6), ("v", 6, 3), ("u", 3, 1))}
    graph = Graph((TensorSpec("x", (4,)),), ("y",), nodes, params)
    header = exporters.c.export(graph, prefix="net")["net.h"].decode()
    assert re.findall(r"^ \* +\d+ +\d+ +(\d+) ([* ])  (\w+): ", header, re.MULTILINE) == [
        ("24", " ", "first"),
        ("36", "*", "second"),
        ("12", " ", "third"),
    ]

"""Which neighbouring steps run row by row, so that the planes between them are never stored whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from exporters.memory_plan import least_bytes, plan
from exporters.program import Program, RowLayer, Step
from exporters.rows import IN_PLACE, Plane, least_rows, next_plane, plane_of, row_layer, with_windows

MIN_SAVED_BYTES = 1024  # of the arena; the code and the table of layers take about as much flash
TRIES = 64  # most promising runs of steps whose memory is planned
MAX_LAYERS = 32


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Neighbouring steps that can run row by row.

    Attributes
    ----------
    first, end
        Which steps of the program.
    source
        The one activation that they read and do not make.
    layers
        One for each step.
    bound
        Bytes that the arena takes at least if they do.

    """

    first: int
    end: int
    source: str
    layers: tuple[RowLayer, ...]
    bound: int


def with_strips(program: Program) -> Program:
    """Let the run of steps that saves most memory run row by row, if one saves enough.

    Planes between its steps keep the rows that are still needed, and nothing is computed twice (Lin et al., "MCUNetV2:
    Memory-Efficient Patch-based Inference for Tiny Deep Learning", 2021, section 3, computes overlapping patches anew).
    Weights that are decoded from streams would be decoded for each row, so such steps stay as they are.

    Parameters
    ----------
    program
        The lowered network.

    Examples
    --------
    >>> pool = {"in_h": 64, "in_w": 64, "channels": 4, "kernel_h": 2, "kernel_w": 2, "stride_h": 2, "stride_w": 2}
    >>> pool |= {"pad_top": 0, "pad_left": 0, "out_h": 32, "out_w": 32}
    >>> steps = (Step("relu", "r", ("x",), "h", {"n": 16384}), Step("max_pool", "p", ("h",), "y", pool))
    >>> shapes = {"x": (64, 64, 4), "h": (64, 64, 4), "y": (32, 32, 4)}
    >>> program = Program(("x",), ("y",), ("y",), {"x": 16384, "h": 16384, "y": 4096}, steps, shapes)
    >>> from exporters.memory_plan import plan
    >>> plan(program).arena_bytes, plan(with_strips(program)).arena_bytes
    (65536, 2064)

    """
    most = plan(program).arena_bytes - MIN_SAVED_BYTES
    best = program
    for run in sorted(_runs(program), key=lambda run: (run.bound, run.end - run.first))[:TRIES]:
        if run.bound > most:
            break
        tried = _applied(program, run)
        arena_bytes = plan(tried).arena_bytes
        if arena_bytes <= most:
            best, most = tried, arena_bytes - 1
    return best


def _runs(program: Program) -> Iterator[_Run]:
    """Every run of at least two steps, with one input and one output, around the step that takes most memory."""
    least = least_bytes(program)
    if not least:
        return
    before = [0, *accumulate(least, max)]
    after = [0, *accumulate(reversed(least), max)][::-1]
    peak = least.index(max(least))
    for first in range(max(peak - MAX_LAYERS, 0), peak + 1):
        for end, source, layers in _grown(program, first):
            if end > peak and len(layers) > 1:
                bound = max(before[first], after[end], _run_bytes(program, source, layers))
                yield _Run(first, end, source, layers, bound)


def _grown(program: Program, first: int) -> Iterator[tuple[int, str, tuple[RowLayer, ...]]]:
    """Add one step after the other, as long as all can run row by row; yield those with one input and one output."""
    planes: dict[str, Plane] = {}
    made: dict[str, int] = {}
    layers: list[RowLayer] = []
    readers = Counter([*program.outputs, *(name for step in program.steps for name in step.inputs)])
    source = program.steps[first].inputs[0]
    start = plane_of(program, source) or _plane_before(program.steps[first])
    if start is None or start.height < 2:
        return
    planes[source] = start
    for end in range(first + 1, min(first + MAX_LAYERS, len(program.steps)) + 1):
        step = program.steps[end - 1]
        after = next_plane(step, [planes.get(name) for name in step.inputs])
        if after is None or len(step.inputs) > 2:
            return
        before = planes[step.inputs[0]]
        alone = made.get(step.inputs[0]) == len(layers) - 1 and readers[step.inputs[0]] == 1
        if layers and alone and step.kernel in IN_PLACE:
            layers[-1] = replace(layers[-1], after=(*layers[-1].after, step))
        else:
            sources = [made.get(name, -1) for name in step.inputs]
            layers.append(row_layer(step, sources, before, after, program.element_bytes))
        planes[step.output], made[step.output] = after, len(layers) - 1
        if _left(program, first, end) <= {step.output}:
            yield end, source, tuple(layers)


def _plane_before(step: Step) -> Plane | None:
    sizes = step.sizes
    if "in_h" not in sizes or sizes["in_h"] == 1:
        return None
    return Plane(sizes["in_h"], sizes["in_w"], sizes.get("in_channels", sizes.get("channels", 0)))


def _left(program: Program, first: int, end: int) -> set[str]:
    """Activations made by these steps that others read."""
    made = {step.output for step in program.steps[first:end]}
    others = (*program.steps[:first], *program.steps[end:])
    return made & {*program.outputs, *(name for step in others for name in step.inputs)}


def _run_bytes(program: Program, source: str, layers: Sequence[RowLayer]) -> int:
    """Bytes of the arena that a run takes at least."""
    last = layers[-1].last.output
    whole = [name for name in (source, last) if name not in (*program.inputs, *program.outputs)]
    rows: dict[int, int] = {}
    for layer in layers:
        for k in layer.sources:
            rows[k] = max(rows.get(k, 0), least_rows(layer))
    rows.pop(-1, None)
    kept = sum(n * layers[k].out_row_bytes for k, n in rows.items())
    return sum(program.elements[name] * program.element_bytes for name in whole) + kept


def _applied(program: Program, run: _Run) -> Program:
    """Replace the steps of a run by one."""
    layers, memory_bytes = with_windows(run.layers)
    first, last = layers[0].step, layers[-1].last
    scratch_bytes = memory_bytes + max(layer.step.scratch_bytes for layer in layers)
    name = f"{first.name} to {last.name}"
    whole = Step("strips", name, (run.source,), last.output, scratch_bytes=scratch_bytes, layers=layers)
    return replace(program, steps=(*program.steps[: run.first], whole, *program.steps[run.end :]))

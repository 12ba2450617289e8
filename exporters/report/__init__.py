"""What an exported network costs, layer by layer: tables, memory, multiplications, and measured instructions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import exporters.c
from exporters.c import Generated
from exporters.c.calls import kernels_of
from exporters.decode_tables import DEFAULT_MAX_TABLE_BITS
from exporters.memory_report import memory_by_step
from exporters.program import Step
from exporters.report.measure import Measured, measure, missing_tools
from exporters.stack import stack_bytes
from refcompress import ops
from refcompress.graph import Graph, Shape
from refcompress.integer import IntegerNetwork

TARGET = "Cortex-M4, GCC -O2, counted by QEMU"


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer costs.

    Attributes
    ----------
    name, kernel
        Node and kernel; of layers that run row by row, the first and the last node.
    shape
        Of its output, without the batch axis; None if no activation of the network is.
    macs
        Multiplications with a weight or of two activations.
    table_bytes
        Of the constant tables that it is the first to use.
    live_bytes
        Of the arena while it runs.
    is_peak
        Whether no layer takes more of the arena.
    instructions
        On the target; None if it was not measured.

    """

    name: str
    kernel: str
    shape: Shape | None
    macs: int
    table_bytes: int
    live_bytes: int
    is_peak: bool
    instructions: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a network costs.

    Attributes
    ----------
    layers
        In the order in which they run.
    arena_bytes, buffer_bytes
        The arena; inputs and outputs.
    stack_bytes
        Most that a run takes of the stack.
    table_bytes
        Of all constant tables, descriptors not counted.
    flash_bytes
        Tables and code over a program with an empty network; None if it was not measured.
    target
        What was measured on.
    missing
        Programs without which nothing is measured.

    """

    layers: tuple[Layer, ...]
    arena_bytes: int
    buffer_bytes: int
    stack_bytes: int
    table_bytes: int
    flash_bytes: int | None
    target: str
    missing: tuple[str, ...]

    @property
    def macs(self) -> int:
        """Of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def instructions(self) -> int | None:
        """Of all layers; None if they were not measured."""
        counts = [layer.instructions for layer in self.layers]
        return None if None in counts else sum(count for count in counts if count is not None)


def document(
    graph: Graph | IntegerNetwork, *, prefix: str, max_table_bits: int = DEFAULT_MAX_TABLE_BITS
) -> dict[str, Any]:
    """Return the report of :func:`report` in types that JSON knows: what ``refcompress export --report`` prints."""
    found = report(graph, prefix=prefix, max_table_bits=max_table_bits)
    layers = [
        {
            "name": layer.name,
            "kernel": layer.kernel,
            "output_shape": None if layer.shape is None else list(layer.shape),
            "macs": layer.macs,
            "table_bytes": layer.table_bytes,
            "arena_bytes": layer.live_bytes,
            "is_peak": layer.is_peak,
            "instructions": layer.instructions,
        }
        for layer in found.layers
    ]
    return {
        "layers": layers,
        "macs": found.macs,
        "table_bytes": found.table_bytes,
        "flash_bytes": found.flash_bytes,
        "arena_bytes": found.arena_bytes,
        "buffer_bytes": found.buffer_bytes,
        "stack_bytes": found.stack_bytes,
        "instructions": found.instructions,
        "target": found.target,
        "missing": list(found.missing),
    }


def report(graph: Graph | IntegerNetwork, *, prefix: str, max_table_bits: int = DEFAULT_MAX_TABLE_BITS) -> Report:
    """Tell what the C of a network costs; with Arm's GCC and QEMU installed, measured on a Cortex-M4.

    Parameters
    ----------
    graph
        The network, as :func:`exporters.c.export` takes it.
    prefix, max_table_bits
        Likewise.

    Returns
    -------
    Report
        Instructions are those of a run on zeros; where activations are skipped or saturate, other inputs take others.

    Raises
    ------
    OptionError, ModelError
        As :func:`exporters.c.export`.
    RefcompressError
        The compiler or QEMU fails.

    """
    made = exporters.c.generate(graph, prefix=prefix, max_table_bits=max_table_bits)
    program, missing = made.program, missing_tools()
    measured = None if missing else measure(made.files, program, made.buffers, prefix)
    return Report(
        tuple(_layers(graph, made, measured)),
        made.plan.arena_bytes,
        sum(program.elements[name] for name in (*program.inputs, *program.outputs)) * program.element_bytes,
        stack_bytes(kernels_of(program)),
        sum(call.data_bytes for call in made.layers),
        None if measured is None else measured.flash_bytes,
        TARGET,
        missing,
    )


def _layers(graph: Graph | IntegerNetwork, made: Generated, measured: Measured | None) -> Iterator[Layer]:
    macs, program = _macs(graph.graph if isinstance(graph, IntegerNetwork) else graph), made.program
    counts = [None] * len(program.steps) if measured is None else measured.instructions
    rows = zip(program.steps, memory_by_step(program, made.plan), made.layers, counts, strict=True)
    for step, memory, call, count in rows:
        # a node that became several steps counts with the first of them
        multiplications = sum(macs.pop(name, 0) for name in _nodes(step))
        shape = program.shapes.get(step.output)
        yield Layer(
            memory.name,
            memory.kernel,
            shape,
            multiplications,
            call.data_bytes,
            memory.live_bytes,
            memory.is_peak,
            count,
        )


def _nodes(step: Step) -> Iterator[str]:
    yield step.name
    for layer in step.layers:
        yield from (each.name for each in (layer.step, *layer.after))


def _macs(graph: Graph) -> dict[str, int]:
    shapes = ops.infer_shapes(graph)
    found = {}
    for node in graph.nodes:
        inputs = [shapes[name] for name in node.inputs]
        params = {role: graph.params[name] for role, name in node.params.items()}
        found[node.name] = ops.OPS[node.op].macs(node.attrs, inputs, shapes[node.output], params)
    return found

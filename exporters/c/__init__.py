"""C99 source: ``PREFIX.h``, ``PREFIX.c`` with the data and a straight line of kernel calls, and the runtime's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporters import memory_plan, runtime
from exporters.c.calls import Buffers, Call, calls, copies, kernels_of
from exporters.c.float_calls import FLOAT_FAMILIES
from exporters.c.tensors import Data
from exporters.cmake import cmake_lists
from exporters.decode_tables import DEFAULT_MAX_TABLE_BITS
from exporters.fields import with_fields
from exporters.header import buffer_notes, buffer_sizes, quantization_macros
from exporters.identifiers import Namer, check_prefix
from exporters.integer import lower_integer
from exporters.lower import lower
from exporters.memory_plan import MemoryPlan
from exporters.memory_report import StepMemory, memory_by_step
from exporters.pooled import with_pools
from exporters.program import Program
from exporters.stack import stack_bytes
from exporters.strips import with_strips
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork

RUNTIME_VERSION = 1
AVR_TABLES_BYTES = (1 << 16) - 256  # what its pointers of 16 bits reach, less the interrupt vectors


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """C of a network, and what it was made from.

    Attributes
    ----------
    program, plan
        The lowered network and its memory.
    buffers
        Names of the function's parameters.
    layers
        One for each step of the program.
    files
        Name to contents.

    """

    program: Program
    plan: MemoryPlan
    buffers: Buffers
    layers: tuple[Call, ...]
    files: dict[str, bytes]


def export(
    graph: Graph | IntegerNetwork, *, prefix: str, max_table_bits: int = DEFAULT_MAX_TABLE_BITS
) -> dict[str, bytes]:
    """Write a network as C99 that computes the same bits as the reference.

    The reference is :func:`refcompress.run_exact` for a float32 network, and
    :func:`refcompress.integer.run_integer` with the roundings of ``"tflm"`` for an integer network.

    Parameters
    ----------
    graph
        The network, float32 or integer. Its weights are executed as they are encoded, from constant tables.
    prefix
        Begins every identifier and names the two generated files.
    max_table_bits
        Most bits that index the table of a Huffman code (2 bytes an entry); rarer codes are searched bit by bit.

    Returns
    -------
    dict of str to bytes
        ``PREFIX.h``, ``PREFIX.c``, the files of the runtime that they need and ``CMakeLists.txt``; the same graph
        gives the same bytes.

    Raises
    ------
    OptionError
        The prefix cannot be one.
    ModelError
        The network has an operator without a kernel, or weights that are not finite.

    Examples
    --------
    >>> from refcompress import Graph, Node, TensorSpec, ops
    >>> node = Node("Relu", "act", ("x",), "y", attrs=ops.NoAttrs())
    >>> files = export(Graph((TensorSpec("x", (4,)),), ("y",), (node,), {}), prefix="net")
    >>> list(files)
    ['net.h', 'net.c', 'rc.h', 'rc_activation.h', 'rc_config.h', 'rc_activation.c', 'CMakeLists.txt']

    """
    return generate(graph, prefix=prefix, max_table_bits=max_table_bits).files


def generate(graph: Graph | IntegerNetwork, *, prefix: str, max_table_bits: int = DEFAULT_MAX_TABLE_BITS) -> Generated:
    """Write a network as :func:`export` does, and return what it was made from too."""
    check_prefix(prefix)
    program = lowered(graph)
    plan = memory_plan.plan(program)
    upper = prefix.upper()
    buffers = parameters(program)
    data = Data(Namer(prefix, [f"{prefix}_run", *_macros(upper, buffers)]), max_table_bits)
    layers, last = calls(program, plan, buffers, data), copies(program, plan, buffers)
    files = runtime.files_for(kernels_of(program))
    header = _header(prefix, program, buffers, plan, data.data_bytes, layers)
    source = _source(prefix, _headers(files, last), buffers, program, plan, data, _body(prefix, layers, last))
    written = {f"{prefix}.h": header.encode(), f"{prefix}.c": source.encode(), **files}
    written["CMakeLists.txt"] = cmake_lists(prefix, written)
    return Generated(program, plan, buffers, tuple(layers), written)


def sources(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the C files of an export, without what builds them."""
    return {name: data for name, data in files.items() if name.endswith((".c", ".h"))}


def lowered(graph: Graph | IntegerNetwork) -> Program:
    """Lower a network of either kind to the steps that its C code runs: convolutions pool, first layers go row by row.

    Examples
    --------
    >>> from exporters.memory_plan import plan
    >>> from refcompress import Node, TensorSpec, ops
    >>> node = Node("Relu", "act", ("x",), "y", attrs=ops.NoAttrs())
    >>> program = lowered(Graph((TensorSpec("x", (4,)),), ("y",), (node,), {}))
    >>> [(row.name, row.live_bytes) for row in memory_by_step(program, plan(program))]
    [('act', 0)]

    """
    program = with_fields(lower_integer(graph)) if isinstance(graph, IntegerNetwork) else with_pools(lower(graph))
    return with_strips(program)


def parameters(program: Program) -> Buffers:
    """Return the names of the function's parameters: ``input``, or ``input_0`` and so on if there are several."""
    return Buffers(_numbered("input", len(program.inputs)), _numbered("output", len(program.outputs)))


def _numbered(kind: str, count: int) -> tuple[str, ...]:
    return (kind,) if count == 1 else tuple(f"{kind}_{i}" for i in range(count))


def _macros(upper: str, buffers: Buffers) -> list[str]:
    sizes = [*buffers.inputs, *buffers.outputs]
    ends = ("SIZE", "SCALE", "ZERO_POINT")
    names = [f"{upper}_{name}" for name in ("H", "ARENA_BYTES", "LAYER_COUNT", "HOOK")]
    return [*names, *(f"{upper}_{name.upper()}_{end}" for name in sizes for end in ends)]


def _body(prefix: str, layers: Sequence[Call], last: Sequence[str]) -> str:
    """Write the statements of the run function, the hook before each layer."""
    hook = f"{prefix.upper()}_HOOK"
    lines = []
    for index, call in enumerate(layers):
        lines += [f"    /* {call.layer} */\n    {hook}({index}u);\n", *(f"    {text}\n" for text in call.statements)]
    lines += [f"    {text}\n" for text in last]
    return "".join([*lines, f"    {hook}({prefix.upper()}_LAYER_COUNT);\n"])


def _headers(files: dict[str, bytes], last: Sequence[str]) -> str:
    """Include what the statements call; what declares no kernel comes in by itself."""
    declaring = {f"rc_{q}{kind}.h" for q in ("", "q_") for kind in ("activation", "conv", "gemm", "merge", "pool")}
    declaring |= {f"rc_{family}.h" for family in FLOAT_FAMILIES}
    declaring |= {"rc_conv_pooled.h", "rc_q_gemm_fields.h", "rc_strips.h"}
    wanted = [name for name in declaring if name in files]
    lines = [f'#include "{name}"\n' for name in sorted(wanted)]
    if last:
        lines.append("\n#include <string.h>\n")
    return "".join(lines)


def _signature(prefix: str, c_type: str, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    words = [f"const {c_type} *{name}" for name in inputs]
    words += [f"{c_type} *{name}" for name in outputs]
    return f"rc_status {prefix}_run({', '.join(words)}, void *arena)"


def _header(
    prefix: str, program: Program, buffers: Buffers, plan: MemoryPlan, data_bytes: int, layers: Sequence[Call]
) -> str:
    upper = prefix.upper()
    inputs, outputs = buffers.inputs, buffers.outputs
    stack = stack_bytes(kernels_of(program))
    types = "\n#include <stdint.h>\n" if program.quantizations else ""
    flags = "" if program.quantizations else ", with -ffp-contract=off"
    return f"""/* {prefix}.h - a network exported by refcompress; do not edit, export it again.
 *
 * RAM: an arena of {plan.arena_bytes} bytes, the buffers of inputs and outputs, and at most {stack} bytes of stack
 * (32-bit Arm and RISC-V, GCC -O2 or -Os).
 * Flash: {data_bytes} bytes of tables in {prefix}.c, and code.
 * Compile {prefix}.c and the rc_*.c files written with it{flags}.
 *
 * Inputs and outputs, channels last:
{buffer_notes(program, inputs, outputs)} */
#ifndef {upper}_H
#define {upper}_H

#include "rc.h"
{types}
/* Elements ({program.c_type}) of each buffer. */
{buffer_sizes(prefix, program, inputs, outputs)}{quantization_macros(prefix, program, inputs, outputs)}
/* Bytes of the arena, which must be aligned as a uint32_t is; it may be used for other things between two runs. */
#define {upper}_ARENA_BYTES {plan.arena_bytes}

/* Layers in the order in which they run. If {upper}_HOOK is the name of a function where {prefix}.c is compiled
 * (-D{upper}_HOOK=on_layer), void on_layer(uint32_t layer) is called before each, and with {upper}_LAYER_COUNT behind
 * the last: for clocks, traces and watchdogs.
 *
 *   layer  tables in bytes  arena in use, * the most
{_layer_lines(layers, memory_by_step(program, plan))} */
#define {upper}_LAYER_COUNT {len(layers)}u

#ifdef __cplusplus
extern "C" {{
#endif

/* Compute the outputs. No two buffers may overlap. Reentrant as long as each call has its own arena and outputs. */
RC_MUST_USE {_signature(prefix, program.c_type, inputs, outputs)};

#ifdef __cplusplus
}}
#endif

#endif
"""


def _layer_lines(layers: Sequence[Call], memory: Sequence[StepMemory]) -> str:
    lines = []
    for i, (call, row) in enumerate(zip(layers, memory, strict=True)):
        mark = "*" if row.is_peak else " "
        lines.append(f" * {i:7} {call.data_bytes:16} {row.live_bytes:13} {mark}  {call.layer}\n")
    return "".join(lines)


def _source(
    prefix: str,
    includes: str,
    buffers: Buffers,
    program: Program,
    plan: MemoryPlan,
    data: Data,
    body: str,
) -> str:
    hook = f"{prefix.upper()}_HOOK"
    pointers = [*buffers.inputs, *buffers.outputs, *(["arena"] if plan.arena_bytes else [])]
    nulls = " || ".join(f"{name} == NULL" for name in pointers)
    arena = "    (void)arena;\n"
    align = ""
    if plan.arena_bytes:
        arena = f"    {program.c_type} *const ram = ({program.c_type} *)arena;\n\n"
        align = "    if (((uintptr_t)arena & (RC_ALIGNMENT - 1u)) != 0u) {\n        return RC_ERROR_ALIGNMENT;\n    }\n"
    return f"""/* {prefix}.c - a network exported by refcompress; do not edit, export it again. */
#include "{prefix}.h"

#include <stddef.h>
#include <stdint.h>

{includes}{_limit(prefix, data.data_bytes)}
#if RC_RUNTIME_VERSION != {RUNTIME_VERSION}
#error "{prefix}.c needs version {RUNTIME_VERSION} of the runtime: regenerate it, or use the rc_* files written with it"
#endif

#ifdef {hook}
void {hook}(uint32_t layer);
#else
#define {hook}(layer) ((void)0)
#endif
{"".join(data.text)}
{_signature(prefix, program.c_type, buffers.inputs, buffers.outputs)}
{{
{arena}    if ({nulls}) {{
        return RC_ERROR_NULL;
    }}
{align}{body}    return RC_OK;
}}
"""


def _limit(prefix: str, data_bytes: int) -> str:
    """Stop compilers for machines whose flash is larger than what their pointers reach."""
    if data_bytes <= AVR_TABLES_BYTES:
        return ""
    return f"""
#if defined(__AVR__)
#error "{prefix} has {data_bytes} bytes of tables; an AVR reads them in the first {AVR_TABLES_BYTES} bytes of its flash"
#endif
"""

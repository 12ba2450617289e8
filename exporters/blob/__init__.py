"""A flash image: one packed, aligned, position-independent block that the runtime checks and runs (SPEC.md)."""

from __future__ import annotations

from exporters import memory_plan, runtime
from exporters.blob.image import KERNELS, build
from exporters.blob.intel_hex import lines_of
from exporters.decode_tables import DEFAULT_MAX_TABLE_BITS
from exporters.header import buffer_notes, buffer_sizes, quantization_macros
from exporters.identifiers import check_prefix
from exporters.integer import lower_integer
from exporters.lower import lower
from exporters.program import Program
from refcompress.errors import ModelError
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork


def export(
    graph: Graph | IntegerNetwork, *, prefix: str, max_table_bits: int = DEFAULT_MAX_TABLE_BITS
) -> dict[str, bytes]:
    """Write a network as a flash image that the runtime checks and executes where it lies.

    One of float32 is accepted by :c:func:`rc_check` and executed by :c:func:`rc_run`, which computes what
    :func:`refcompress.run_exact` does; an integer network by :c:func:`rc_q_check` and :c:func:`rc_q_run`, which compute
    what :func:`refcompress.integer.run_integer` does with the roundings of ``"tflm"``.

    Parameters
    ----------
    graph
        The network, float32 or integer. Its packed tensors stand in the image as :func:`refcompress.encodings.pack`
        writes them, Huffman streams in one part.
    prefix
        Names the files and begins the macros of the header.
    max_table_bits
        Most bits that index the table of a Huffman code (2 bytes an entry); rarer codes are searched bit by bit.

    Returns
    -------
    dict of str to bytes
        ``PREFIX.bin``; ``PREFIX.hex``, the same as Intel HEX at address 0; ``PREFIX.h`` with its sizes; the runtime.
        The same graph gives the same bytes.

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
    >>> files["net.bin"][:4], len(files["net.bin"])
    (b'RCIM', 72)

    """
    check_prefix(prefix)
    program = lower_integer(graph) if isinstance(graph, IntegerNetwork) else lower(graph)
    _check_kernels(graph.graph if isinstance(graph, IntegerNetwork) else graph, program)
    plan = memory_plan.plan(program)
    image = build(program, plan, max_table_bits)
    return {
        f"{prefix}.bin": image,
        f"{prefix}.hex": "".join(f"{line}\n" for line in lines_of(image)).encode(),
        f"{prefix}.h": _header(prefix, program, plan.arena_bytes, len(image)).encode(),
        **runtime.image_files(integers=bool(program.quantizations)),
    }


def _check_kernels(graph: Graph, program: Program) -> None:
    """Refuse what only C has kernels for, by the names of the node and of its operator."""
    missing = {step.name for step in program.steps if step.kernel not in KERNELS}
    for node in graph.nodes:
        if node.name in missing:
            raise ModelError(
                f"node {node.name!r}: {node.op} is exported as C only; flash images have no kernel for it (use --to c)"
            )


def _header(prefix: str, program: Program, arena_bytes: int, image_bytes: int) -> str:
    upper = prefix.upper()
    inputs = [f"input_{i}" for i in range(len(program.inputs))]
    outputs = [f"output_{i}" for i in range(len(program.outputs))]
    q = "q_" if program.quantizations else ""
    flags = "" if program.quantizations else ", with -ffp-contract=off"
    return f"""/* {prefix}.h - sizes of {prefix}.bin, a network exported by refcompress; do not edit, export it again.
 *
 * Compile the rc_*.c files written with it{flags}; rc_{q}check accepts the image, rc_{q}run executes it.
 *
 * Inputs and outputs, channels last:
{buffer_notes(program, inputs, outputs)} */
#ifndef {upper}_H
#define {upper}_H

#include "rc_image.h"

/* Bytes of the image, to be placed at an address aligned to 4 bytes, and of the arena, aligned likewise. */
#define {upper}_IMAGE_BYTES {image_bytes}
#define {upper}_ARENA_BYTES {arena_bytes}

/* Elements ({program.c_type}) of each buffer. */
#define {upper}_INPUT_COUNT {len(program.inputs)}
#define {upper}_OUTPUT_COUNT {len(program.outputs)}
{buffer_sizes(prefix, program, inputs, outputs)}{quantization_macros(prefix, program, inputs, outputs)}
#endif
"""

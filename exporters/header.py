"""What every generated header says of the network's buffers: which activation, its shape, its elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exporters.identifiers import comment
from exporters.program import Program
from refcompress.graph import Shape


def described(name: str, shape: Shape | None) -> str:
    """Name something in a comment, with its shape if that is known.

    Examples
    --------
    >>> described("conv1", (8, 8, 16)), described("x", None)
    ('conv1: 8 x 8 x 16', 'x')

    """
    return comment(name) + (f": {' x '.join(map(str, shape))}" if shape else "")


def buffer_notes(program: Program, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Lines of a comment that tell what the buffers of these C names hold.

    Examples
    --------
    >>> program = Program(("x",), ("y",), ("y",), {"x": 4, "y": 4}, (), {"x": (2, 2), "y": (4,)})
    >>> print(buffer_notes(program, ["input"], ["output"]), end="")
     *   input      x: 2 x 2
     *   output     y: 4

    """
    names = zip([*inputs, *outputs], [*program.inputs, *program.output_names], strict=True)
    return "".join(
        f" *   {buffer:10} {described(name, program.shapes.get(name))}{_quantized(program, name)}\n"
        for buffer, name in names
    )


def _quantized(program: Program, name: str) -> str:
    if name not in program.quantizations:
        return ""
    known = program.quantizations[name]
    width = "" if known.bits == 8 else f" from {known.low} to {known.high}"
    zero = f"- {known.zero_point}" if known.zero_point >= 0 else f"+ {-known.zero_point}"
    return f", real = {np.float32(known.scale)} * (integer{width} {zero})"


def quantization_macros(prefix: str, program: Program, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Macros of the scale and the zero point of these buffers; none for a float network.

    Examples
    --------
    >>> quantization_macros("net", Program(("x",), ("y",), ("y",), {"x": 4, "y": 3}, ()), ["input"], ["output"])
    ''

    """
    if not program.quantizations:
        return ""
    lines = ["\n/* What the integers stand for: real = scale * (integer - zero point). */\n"]
    for buffer, name in zip([*inputs, *outputs], [*program.inputs, *program.output_names], strict=True):
        known, macro = program.quantizations[name], f"{prefix}_{buffer}".upper()
        lines.append(f"#define {macro}_SCALE {np.float32(known.scale)}f\n")
        zero = f"({known.zero_point})" if known.zero_point < 0 else str(known.zero_point)
        lines.append(f"#define {macro}_ZERO_POINT {zero}\n")
    return "".join(lines)


def buffer_sizes(prefix: str, program: Program, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Macros of the elements of these buffers.

    Examples
    --------
    >>> program = Program(("x",), ("y",), ("y",), {"x": 4, "y": 3}, ())
    >>> print(buffer_sizes("net", program, ["input"], ["output"]), end="")
    #define NET_INPUT_SIZE 4
    #define NET_OUTPUT_SIZE 3

    """
    names = zip([*inputs, *outputs], [*program.inputs, *program.outputs], strict=True)
    return "".join(f"#define {f'{prefix}_{buffer}'.upper()}_SIZE {program.elements[name]}\n" for buffer, name in names)

"""A function that runs layers row by row: a table of the layers, and a case for each kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from exporters.c.integer_calls import INTEGER_CALLS, conv_descriptor, points_descriptor, pool_descriptor, sum_descriptor
from exporters.c.tensors import Data
from exporters.identifiers import comment
from exporters.program import RowLayer, Step

INPUT = "RC_STRIPS_INPUT"
OPERANDS = {1: ["rows.x", "rows.y"], 2: ["rows.x", "rows.other", "rows.y"]}
Elementwise = Callable[[Step, Sequence[str], Data], str]
Described = Callable[[Step, Data], str]

# Kernels whose window moves over rows -> type of their descriptor, and the part of it that tells the window
_WINDOWS = {
    "average_pool": ("rc_pool", ""),
    "conv_pixels": ("rc_conv", ""),
    "max_pool": ("rc_pool", ""),
    "q_average_pool": ("rc_q_pool", ""),
    "q_conv_depthwise": ("rc_q_conv", "window."),
    "q_conv_pixels": ("rc_q_conv", "window."),
    "q_max_pool": ("rc_q_pool", ""),
}
_DESCRIPTORS: dict[str, Described] = {
    "q_add": sum_descriptor,
    "q_average_pool": pool_descriptor,
    "q_conv_depthwise": conv_descriptor,
    "q_conv_pixels": conv_descriptor,
    "q_conv_points": points_descriptor,
    "q_max_pool": pool_descriptor,
}


def strips(step: Step, at: Sequence[str], data: Data, float_call: Elementwise, float_descriptor: Described) -> str:
    """Define the function and its table; return the call.

    Parameters
    ----------
    step
        With its layers.
    at
        Expressions of the input, the output, and the scratch memory.
    data
        Takes the definitions.
    float_call, float_descriptor
        How an elementwise kernel of a float network is called, and how any other's descriptor is defined.

    """
    found = [_layer(layer, data, float_call, float_descriptor) for layer in step.layers]
    rows = [_table_row(layer, name) for layer, (name, _) in zip(step.layers, found, strict=True)]
    table, function = data.namer(f"{step.name} layers"), data.namer(f"{step.name} row by row")
    cases: dict[str, list[int]] = {}
    for i, (_, text) in enumerate(found):
        cases.setdefault(text, []).append(i)
    data.text.append(
        f"\n/* {comment(step.name)}, row by row */\nstatic const rc_strip_layer {table}[{len(rows)}] = {{\n"
        f"{_COLUMNS}{','.join(rows)[1:]}\n}};\n\n{_function(function, table, step, cases)}"
    )
    return f"{function}({', '.join(at)});"


_COLUMNS = "    /* descriptor, out_row, at, kept, in_h, out_h, kernel_h, stride_h, pad_top, from, other */\n"


def _table_row(layer: RowLayer, descriptor: str) -> str:
    sources = [INPUT if k < 0 else f"{k}u" for k in (layer.sources[0], layer.sources[-1])]
    numbers = (layer.out_row_bytes, layer.at, layer.kept, layer.in_h, layer.out_h)
    window = (layer.kernel_h, layer.stride_h, layer.pad_top)
    words = [descriptor, *(f"{n}u" for n in (*numbers, *window)), *sources]
    return f"\n    {{{', '.join(words)}}}"


def _function(function: str, table: str, step: Step, cases: dict[str, list[int]]) -> str:
    scratch = max(layer.step.scratch_bytes for layer in step.layers)
    columns = f"    void *const columns = (uint8_t *)memory + {step.scratch_bytes - scratch};\n" if scratch else ""
    body = "".join(
        "        " + " ".join(f"case {i}u:" for i in which) + f" {{\n{text}            break;\n        }}\n"
        for text, which in cases.items()
    )
    return f"""static void {function}(const void *input, void *output, void *memory)
{{
{columns}    rc_strips rows;

    rc_strips_open(&rows, {table}, {len(step.layers)}u, input, {step.layers[0].in_row_bytes}u, output, memory);
    while (rc_strips_next(&rows) != 0u) {{
        switch (rows.layer) {{
{body}        default: break;
        }}
    }}
}}
"""


def _layer(layer: RowLayer, data: Data, float_call: Elementwise, float_descriptor: Described) -> tuple[str, str]:
    """Return a layer's descriptor and the statements that make a row."""
    size = layer.out_row_bytes // (1 if layer.step.kernel.startswith("q_") else 4)

    def elementwise(step: Step, at: list[str]) -> str:
        part = replace(step, sizes=_row_sizes(step, size))
        integer = step.kernel in INTEGER_CALLS
        return _statement(INTEGER_CALLS[step.kernel](part, at, data)[0] if integer else float_call(part, at, data))

    descriptor, text = "NULL", ""
    if layer.step.kernel in _DESCRIPTORS or layer.step.kernel in _WINDOWS:
        descriptor = f"&{_DESCRIPTORS.get(layer.step.kernel, float_descriptor)(layer.step, data)}"
        text = _window(layer.step) if layer.step.kernel in _WINDOWS else _statement(_whole_rows(layer.step, size))
    elif layer.step.parts:
        text = _concat(layer.step, size // layer.step.sizes["pitch"])
    else:
        text = elementwise(layer.step, OPERANDS[len(layer.sources)])
    return descriptor, text + "".join(elementwise(step, ["rows.y", "rows.y"]) for step in layer.after)


def _whole_rows(step: Step, size: int) -> str:
    """Call a kernel that knows no rows."""
    if step.kernel == "q_conv_points":
        n = size // step.sizes["out_channels"]
        return f"rc_q_conv_points((const rc_q_rows *)rows.descriptor, rows.x, rows.y, {n}u, columns);"
    return f"rc_q_add((const rc_q_sum *)rows.descriptor, rows.x, rows.other, rows.y, {size}u);"


def _concat(step: Step, pixels: int) -> str:
    """Put the channels of two inputs beside each other."""
    c_type = "int8_t" if step.kernel == "q_concat" else "float"
    first, second = step.parts
    sizes = [f"{pixels}u, {part}u, {step.sizes['pitch']}u" for part in (first, second)]
    return _statement(f"rc_{step.kernel}(rows.x, rows.y, {sizes[0]});") + _statement(
        f"rc_{step.kernel}(rows.other, ({c_type} *)rows.y + {first}, {sizes[1]});"
    )


def _row_sizes(step: Step, size: int) -> dict[str, int]:
    """Sizes of an elementwise step for one row."""
    if "channels" in step.sizes:
        return {"pixels": size // step.sizes["channels"], "channels": step.sizes["channels"]}
    return {"n": size}


def _window(step: Step) -> str:
    """Run the kernel with the rows there are, for one row of the output."""
    c_type, path = _WINDOWS[step.kernel]
    function = "rc_conv_pixels_float32" if step.kernel == "conv_pixels" else f"rc_{step.kernel}"
    columns = ", columns" if step.scratch_bytes else ""
    return "".join(
        _statement(line)
        for line in (
            f"{c_type} part = *(const {c_type} *)rows.descriptor;",
            f"part.{path}in_h = rows.in_h;",
            f"part.{path}pad_top = rows.pad_top;",
            f"part.{path}out_h = 1u;",
            f"{function}(&part, rows.x, rows.y{columns});",
        )
    )


def _statement(text: str) -> str:
    return f"            {text}\n"

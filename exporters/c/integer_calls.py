"""Calls of the kernels of integer networks, and their descriptors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exporters.c.scales import compact, unfolded
from exporters.c.tensors import Data
from exporters.entries import CODED, has_entries
from exporters.fields import field_bits, offset, words
from exporters.program import Step, Table, form_name, form_of

# A step, where its inputs, its output and its scratch memory are, the data -> statements
IntegerCall = Callable[[Step, list[str], Data], list[str]]


def _integers(step: Step) -> dict[str, str]:
    return {key: str(value) for key, value in step.integers.items()}


def _sizes(step: Step) -> dict[str, str]:
    return _unsigned(step.sizes)


def _unsigned(sizes: Mapping[str, int]) -> dict[str, str]:
    return {key: f"{value}u" for key, value in sizes.items()}


def _scale(step: Step, data: Data, before: str = "", *, short: bool = False) -> dict[str, str]:
    roles = ("bias", "factors", "shifts")
    depthwise = step.kernel == "q_conv_depthwise"  # whose inner loop has no time for a choice
    tables, multiple = ({role: step.tables[role] for role in roles}, 0) if depthwise else compact(step, short=short)
    fields = {f"{before}scale.{role}": data.table(table) for role, table in tables.items()}
    if multiple:
        fields[f"{before}scale.bias_step"] = str(multiple)
    fields[f"{before}scale.zero_point"] = str(step.integers["zero_point"])
    return {**fields, f"{before}scale.one_factor": "1u"} if len(tables["factors"].values) == 1 else fields


def _rows(step: Step, data: Data, rows: int, columns: int, before: str = "") -> dict[str, str]:
    return {
        f"{before}weights": data.table(step.tables["weights"]),
        **_scale(step, data, before),
        f"{before}rows": f"{rows}u",
        f"{before}columns": f"{columns}u",
        f"{before}in_zero_point": str(step.integers["in_zero_point"]),
    }


def _gemm(step: Step, at: list[str], data: Data) -> list[str]:
    name = data.descriptor("rc_q_rows", step.name, _rows(step, data, step.sizes["rows"], step.sizes["columns"]))
    return [f"rc_q_gemm(&{name}, {', '.join(at)});"]


def points_descriptor(step: Step, data: Data) -> str:
    """Define what a convolution takes whose windows are one pixel; return its name."""
    sizes = step.sizes
    return data.descriptor("rc_q_rows", step.name, _rows(step, data, sizes["out_channels"], sizes["in_channels"]))


def _points(step: Step, at: list[str], data: Data) -> list[str]:
    x, y, columns = at
    return [f"rc_q_conv_points(&{points_descriptor(step, data)}, {x}, {y}, {step.sizes['out_w']}u, {columns});"]


def conv_descriptor(step: Step, data: Data) -> str:
    """Define what a convolution of bytes takes; return its name."""
    sizes = step.sizes
    columns = sizes["kernel_h"] * sizes["kernel_w"] * sizes["in_channels"] // sizes["group"]
    fields = _rows(step, data, sizes["out_channels"], columns, "rows.")
    fields |= {f"window.{key}": value for key, value in _sizes(step).items()}
    return data.descriptor("rc_q_conv", step.name, fields)


def _conv(step: Step, at: list[str], data: Data) -> list[str]:
    return [f"rc_{step.kernel}(&{conv_descriptor(step, data)}, {', '.join(at)});"]


def _weights(step: Step, data: Data) -> tuple[dict[str, str], str]:
    """Return what a descriptor says of a streamed weight, and the name of its form."""
    if step.weight is None:
        return {"weights": f"&{data.plain_weights(step.tables['weights'])}"}, "dense_int8"
    if has_entries(step.weight.encoding):
        name, form = data.entries(step.weight)
        return {"entries": f"&{name}"}, form
    return {"weights": f"&{data.integer_weights(step.weight)}"}, form_name(form_of(step.weight.encoding))


def _gemm_stream(step: Step, at: list[str], data: Data) -> list[str]:
    weights, form = _weights(step, data)
    fields = {**weights}
    if form in CODED and step.weight is not None:
        step = unfolded(step, step.weight.encoding)
        fields["in_zero_point"] = str(step.integers["in_zero_point"])
    fields |= {**_scale(step, data, short=True), **_sizes(step)}
    name = data.descriptor("rc_q_gemm_stream", step.name, fields)
    return [f"rc_q_gemm_{form}(&{name}, {', '.join(at)});"]


def _gemm_fields(step: Step, at: list[str], data: Data) -> list[str]:
    if step.weight is None:
        raise TypeError(f"{step.name} streams no weight")
    encoding = step.weight.encoding
    table = Table(f"{step.weight.name}\0fields", step.weight.label, words(encoding))
    fields = {"words": data.table(table), **_scale(step, data, short=True), "offset": f"{offset(encoding)}u"}
    name = data.descriptor("rc_q_gemm_fields", step.name, {**fields, **_sizes(step)})
    return [f"rc_q_gemm_fields_{field_bits(encoding)}(&{name}, {', '.join(at)});"]


def _conv_stream(step: Step, at: list[str], data: Data) -> list[str]:
    weights, form = _weights(step, data)
    fields = {**weights, **_scale(step, data, short=True), "in_zero_point": str(step.integers["in_zero_point"])}
    if step.pool:
        fields["pool"] = f"&{data.descriptor('rc_q_pool', f'{step.name} pool', _unsigned(step.pool))}"
    fields |= {f"window.{key}": value for key, value in _sizes(step).items()}
    name = data.descriptor("rc_q_conv_stream", step.name, fields)
    return [f"rc_q_conv_{form}(&{name}, {', '.join(at)});"]


def _described(c_type: str) -> IntegerCall:
    def call(step: Step, at: list[str], data: Data) -> list[str]:
        fields = {role: data.table(table) for role, table in step.tables.items()}
        name = data.descriptor(c_type, step.name, {**fields, **_sizes(step), **_integers(step)})
        return [f"rc_{step.kernel}(&{name}, {', '.join(at)});"]

    return call


def _plain(step: Step, at: list[str], data: Data) -> list[str]:
    """Pass input, output, sizes, integers and tables in the order of the C declaration."""
    words = [*at, *_sizes(step).values(), *_integers(step).values(), *map(data.table, step.tables.values())]
    return [f"rc_{step.kernel}({', '.join(words)});"]


def pool_descriptor(step: Step, data: Data) -> str:
    """Define the sizes of a pool; return their name."""
    return data.descriptor("rc_q_pool", step.name, _sizes(step))


def sum_descriptor(step: Step, data: Data) -> str:
    """Define what a sum takes; return its name."""
    return data.descriptor("rc_q_sum", step.name, _integers(step))


def _add(step: Step, at: list[str], data: Data) -> list[str]:
    return [f"rc_q_add(&{sum_descriptor(step, data)}, {', '.join(at)}, {step.sizes['n']}u);"]


def _concat(step: Step, at: list[str], _data: Data) -> list[str]:
    *inputs, output = at
    lines, shift = [], 0
    for name, part in zip(inputs, step.parts, strict=True):
        to = f"{output} + {shift}" if shift else output
        lines.append(f"rc_q_concat({name}, {to}, {step.sizes['blocks']}u, {part}u, {step.sizes['pitch']}u);")
        shift += part
    return lines


INTEGER_CALLS: dict[str, IntegerCall] = {
    "q_add": _add,
    "q_average_pool": _described("rc_q_pool"),
    "q_clamp": _plain,
    "q_concat": _concat,
    "q_conv_depthwise": _conv,
    "q_conv_pixels": _conv,
    "q_conv_points": _points,
    "q_conv_stream": _conv_stream,
    "q_gemm": _gemm,
    "q_gemm_fields": _gemm_fields,
    "q_gemm_stream": _gemm_stream,
    "q_global_mean": _described("rc_q_mean"),
    "q_max_pool": _described("rc_q_pool"),
    "q_pad": _described("rc_q_pad_sizes"),
    "q_softmax": _described("rc_q_softmax_sizes"),
    "q_table": _plain,
}

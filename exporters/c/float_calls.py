"""Calls of the kernels of float networks that only C has, and their descriptors."""

from __future__ import annotations

from exporters.c.integer_calls import IntegerCall as Call
from exporters.c.literals import float_literal
from exporters.c.tensors import Data
from exporters.program import Axes, Step, Tensor, form_name, form_of

# Headers that declare them: rc_FAMILY.h
FLOAT_FAMILIES = (
    *("broadcast", "conv_transpose", "elementwise", "gather"),
    *("layout", "matmul", "recurrent", "reduce"),
)


def _numbers(step: Step) -> dict[str, str]:
    found = {key: f"{value}u" for key, value in step.sizes.items()}
    found |= {key: str(value) for key, value in step.integers.items()}
    return found | {key: float_literal(value) for key, value in step.floats.items()}


def _order(axes: Axes) -> str:
    sizes, strides = ", ".join(f"{size}u" for size in axes.sizes), ", ".join(map(str, axes.strides))
    return f"{{{{{sizes}}}, {{{strides}}}}}"


def _plain(step: Step, at: list[str], _data: Data) -> list[str]:
    """Pass input, output and numbers in the order of the C declaration."""
    return [f"rc_{step.kernel}({', '.join([*at, *_numbers(step).values()])});"]


def _described(c_type: str) -> Call:
    def call(step: Step, at: list[str], data: Data) -> list[str]:
        fields = {role: data.table(table) for role, table in step.tables.items()}
        fields |= {role: data.array(tensor) for role, tensor in step.arrays.items()}
        fields |= {role: _order(axes) for role, axes in step.axes.items()} | _numbers(step)
        name = data.descriptor(c_type, step.name, fields)
        return [f"rc_{step.kernel}(&{name}, {', '.join(at)});"]

    return call


def _broadcast(step: Step, at: list[str], data: Data) -> list[str]:
    """Pass two inputs, or one and a constant."""
    kernel = step.kernel
    for role, constant in step.arrays.items():
        at.insert(0 if role == "a" else 1, data.array(constant))
        operator = kernel.removeprefix("broadcast_")
        kernel = f"broadcast_table_{operator}" if role == "a" else f"broadcast_{operator}_table"
    name = data.descriptor("rc_broadcast", step.name, {role: _order(axes) for role, axes in step.axes.items()})
    return [f"rc_{kernel}(&{name}, {', '.join(at)});"]


def _streamed(c_type: str) -> Call:
    def call(step: Step, at: list[str], data: Data) -> list[str]:
        if step.weight is None:
            raise TypeError(f"{step.name} streams no weight")
        fields = {"weights": f"&{data.weights(step.weight)}"}
        fields |= {role: data.array(tensor) for role, tensor in step.arrays.items()} | _numbers(step)
        name = data.descriptor(c_type, step.name, fields)
        return [f"rc_{step.kernel}_{form_name(form_of(step.weight.encoding))}(&{name}, {', '.join(at)});"]

    return call


def _product(role: str, weight: Tensor, bias: Tensor | None, data: Data, *, adds: bool) -> dict[str, str]:
    columns, rows = weight.encoding.shape
    fields = {"weights": f"&{data.weights(weight)}", "rows": f"{rows}u", "columns": f"{columns}u"}
    if bias is not None:
        fields["bias"] = data.array(bias)
    found = {f"{role}.{key}": value for key, value in fields.items()}
    kernel = "rc_gemm_add" if adds else "rc_gemm"
    return found | {f"multiply_{role}": f"{kernel}_{form_name(form_of(weight.encoding))}"}


def _recurrent(states: tuple[str, ...]) -> Call:
    def call(step: Step, at: list[str], data: Data) -> list[str]:
        biases = {"input": step.arrays.get("bias"), "state": step.arrays.get("recurrent_bias")}
        fields: dict[str, str] = {}
        for role, weight in step.weights.items():
            adds = role != "input" and step.kernel != "gru_reset_after"
            fields |= _product(role, weight, biases.get(role), data, adds=adds)
        fields |= {role: f"rc_{name}" for role, name in step.functions.items()} | _numbers(step)
        name = data.descriptor("rc_recurrent", step.name, fields)
        x, *inputs, y, scratch = at
        given = dict(zip(step.given, inputs, strict=True))
        optional = [given.get(role, "NULL") for role in ("mask", *states)]
        return [f"rc_{step.kernel}(&{name}, {', '.join([x, *optional, y, scratch])});"]

    return call


_ELEMENTWISE = (
    *("abs", "celu", "elu", "erf", "exp", "gelu", "gelu_tanh", "hard_sigmoid", "hard_swish", "leaky_relu", "log"),
    *("log_softmax", "mish", "not_equal", "reciprocal", "selu", "softplus", "softsign", "sqrt", "swish"),
    "thresholded_relu",
)
_REDUCED = (
    *("center", "reduce_max", "reduce_mean", "reduce_min", "reduce_sum"),
    *("root_mean_square", "unit_length"),
)

_BROADCAST = ("add", "div", "max", "min", "mul", "pow", "prelu", "sub")

FLOAT_CALLS: dict[str, Call] = {
    "arrange": _described("rc_arrangement"),
    **{f"broadcast_{name}": _broadcast for name in _BROADCAST},
    "conv_transpose": _streamed("rc_conv_transpose"),
    **dict.fromkeys(_ELEMENTWISE, _plain),
    "gather": _streamed("rc_gather"),
    "gru_reset_after": _recurrent(("state",)),
    "gru_reset_before": _recurrent(("state",)),
    "lstm": _recurrent(("state", "cell")),
    "multiply_matrices": _described("rc_matmul"),
    **dict.fromkeys(_REDUCED, _described("rc_rows")),
    "resize_linear": _described("rc_resize"),
    "resize_nearest": _described("rc_resize"),
    "rnn": _recurrent(("state",)),
}

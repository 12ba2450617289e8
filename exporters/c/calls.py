"""The straight line of kernel calls, and the descriptors of those kernels that take one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exporters.c.float_calls import FLOAT_CALLS
from exporters.c.integer_calls import INTEGER_CALLS
from exporters.c.literals import float_literal
from exporters.c.strip_calls import strips
from exporters.c.tensors import Data
from exporters.header import described
from exporters.memory_plan import MemoryPlan, Place
from exporters.program import Program, Step, form_name, form_of


@dataclass(frozen=True, slots=True)
class Buffers:
    """How the places of a memory plan are written in C."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __call__(self, place: Place, shift: int = 0) -> str:
        """Return an expression of type ``float *`` (``const float *`` for an input)."""
        if place.where == "arena":
            return _moved("ram", place.index + shift)
        names = self.inputs if place.where == "input" else self.outputs
        return _moved(names[place.index], shift)


def _moved(name: str, shift: int) -> str:
    return f"{name} + {shift}" if shift else name


CALLS = FLOAT_CALLS | INTEGER_CALLS


def kernels_of(program: Program) -> frozenset[str]:
    """Keys of the runtime's sources that a program needs."""
    return frozenset(kernel for step in program.steps for kernel in _kernels_of(step))


def _kernels_of(step: Step) -> tuple[str, ...]:
    products = [step.weight] if step.weight and step.kernel == "gemm" else [*step.weights.values()]
    plain = ["gemm" if form_of(weight.encoding) else "gemm_dense_float32" for weight in products]
    inside = [kernel for layer in step.layers for each in (layer.step, *layer.after) for kernel in _kernels_of(each)]
    return (*([] if step.kernel == "gemm" else [step.kernel]), *plain, *step.functions.values(), *inside)


@dataclass(frozen=True, slots=True)
class Call:
    """What runs a layer.

    Attributes
    ----------
    layer
        What a comment says of it.
    statements
        C statements.
    data_bytes
        Bytes of the tables that it is the first to need.

    """

    layer: str
    statements: tuple[str, ...]
    data_bytes: int


def calls(program: Program, plan: MemoryPlan, buffers: Buffers, data: Data) -> list[Call]:
    """Return the calls of the run function, one for each step of the program; descriptors go to the data.

    Examples
    --------
    >>> from exporters.identifiers import Namer
    >>> from exporters.memory_plan import plan
    >>> program = Program(("x",), ("y",), ("y",), {"x": 3, "y": 3}, (Step("relu", "r", ("x",), "y", {"n": 3}),))
    >>> calls(program, plan(program), Buffers(("input",), ("output",)), Data(Namer("net", []), 10))
    [Call(layer='r', statements=('rc_relu(input, output, 3u);',), data_bytes=0)]

    """
    found = []
    for step in program.steps:
        before = data.data_bytes
        places = [plan.places[name] for name in (*step.inputs, step.output)]
        if step.layers:
            at = [buffers(place) for place in (*places, plan.scratch[step.output])]
            statements = [strips(step, at, data, _elementwise, _float_descriptor)]
        elif step.kernel == "conv_pooled":
            at = [buffers(place) for place in (*places, plan.scratch[step.output])]
            statements = [_conv_pooled(step, at, data)]
        elif step.kernel in CALLS:
            at = [buffers(place) for place in places]
            if step.output in plan.scratch:
                at.append(buffers(plan.scratch[step.output]))
            statements = CALLS[step.kernel](step, at, data)
        else:
            statements = _CALLS[step.kernel](step, places[:-1], places[-1], buffers, data)
        layer = described(step.name, program.shapes.get(step.output))
        found.append(Call(layer, tuple(statements), data.data_bytes - before))
    return found


def copies(program: Program, plan: MemoryPlan, buffers: Buffers) -> list[str]:
    """Return the statements behind the last layer that bring activations to outputs they were not made in."""
    statements = []
    for source, index in plan.copies:
        size = program.elements[program.outputs[index]]
        target = buffers(Place("output", index))
        statements.append(f"(void)memcpy({target}, {buffers(source)}, {size}u * sizeof *{target});")
    return statements


def _sizes(step: Step) -> dict[str, str]:
    return {key: f"{value}u" for key, value in step.sizes.items()}


def _float_descriptor(step: Step, data: Data) -> str:
    """Define what a convolution or a pool takes; return its name."""
    return _conv_descriptor(step, data) if step.weight else data.descriptor("rc_pool", step.name, _sizes(step))


def _weight_fields(step: Step, data: Data) -> dict[str, str]:
    if step.weight is None:
        raise TypeError(f"{step.name} streams no weight")
    fields = {"weights": f"&{data.weights(step.weight)}"}
    if "bias" in step.arrays:
        fields["bias"] = data.array(step.arrays["bias"])
    return fields | _sizes(step)


def _conv_descriptor(step: Step, data: Data) -> str:
    family = "gemm" if step.kernel == "gemm" else "conv"
    return data.descriptor(f"rc_{family}", step.name, _weight_fields(step, data))


def _form(step: Step) -> str:
    return form_name(0 if step.weight is None else form_of(step.weight.encoding))


def _conv_pooled(step: Step, at: Sequence[str], data: Data) -> str:
    """Convolve and pool; the last place is that of the sums."""
    fields = {f"conv.{key}": value for key, value in _weight_fields(step, data).items()}
    fields |= {f"pool.{key}": f"{value}u" for key, value in step.pool.items()}
    fields |= {"relu": f"{step.integers['relu']}u"}
    name = data.descriptor("rc_conv_pooled", step.name, fields)
    return f"rc_conv_pooled_{_form(step)}(&{name}, {', '.join(at)});"


def _streamed(step: Step, inputs: list[Place], output: Place, buffers: Buffers, data: Data) -> list[str]:
    name = _conv_descriptor(step, data)
    family = "gemm" if step.kernel == "gemm" else "conv"
    suffix = _form(step)
    if step.kernel == "conv_pixels":
        suffix = "pixels_float32"
    return [f"rc_{family}_{suffix}(&{name}, {buffers(inputs[0])}, {buffers(output)});"]


def _described(c_type: str) -> Callable[[Step, list[Place], Place, Buffers, Data], list[str]]:
    def call(step: Step, inputs: list[Place], output: Place, buffers: Buffers, data: Data) -> list[str]:
        name = data.descriptor(c_type, step.name, _sizes(step))
        return [f"rc_{step.kernel}(&{name}, {buffers(inputs[0])}, {buffers(output)});"]

    return call


def _plain(step: Step, inputs: list[Place], output: Place, buffers: Buffers, data: Data) -> list[str]:
    """Pass inputs, output, sizes, floats and arrays in the order of the C declaration."""
    return [_elementwise(step, [buffers(place) for place in [*inputs, output]], data)]


def _elementwise(step: Step, at: Sequence[str], data: Data) -> str:
    words = [*at]
    words += [f"{value}u" for value in step.sizes.values()]
    words += [float_literal(value) for value in step.floats.values()]
    words += [data.array(tensor) for tensor in step.arrays.values()]
    return f"rc_{step.kernel}({', '.join(words)});"


def _concat(step: Step, inputs: list[Place], output: Place, buffers: Buffers, _data: Data) -> list[str]:
    lines, shift = [], 0
    for place, part in zip(inputs, step.parts, strict=True):
        sizes = f"{step.sizes['blocks']}u, {part}u, {step.sizes['pitch']}u"
        lines.append(f"rc_concat({buffers(place)}, {buffers(output, shift)}, {sizes});")
        shift += part
    return lines


_CALLS: dict[str, Callable[[Step, list[Place], Place, Buffers, Data], list[str]]] = {
    "add": _plain,
    "average_pool": _described("rc_pool"),
    "batch_norm": _plain,
    "clip": _plain,
    "concat": _concat,
    "conv": _streamed,
    "conv_pixels": _streamed,
    "gemm": _streamed,
    "max_pool": _described("rc_pool"),
    "pad": _described("rc_pad_sizes"),
    "relu": _plain,
    "sigmoid": _plain,
    "softmax": _plain,
    "tanh": _plain,
}

"""From a graph to a program: identities vanish, operators become kernels of the runtime."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from exporters.program import Program, Step, Tensor
from exporters.streams import real, single_streams
from refcompress import encodings, ops
from refcompress.encodings import Dense, Float32
from refcompress.encodings.values import Values, real_centroids
from refcompress.errors import ModelError
from refcompress.graph import Graph, Node, Shape
from refcompress.ops.batch_normalization import factor_and_offset
from refcompress.ops.conv import Conv

PIXELS_FROM = 4  # contiguous inputs of a dot product from which going pixel by pixel pays


@dataclass(frozen=True, slots=True, eq=False)
class _Context:
    """What a lowering rule may look at."""

    graph: Graph
    shapes: Mapping[str, Shape]
    roots: dict[str, str]  # identities removed: activation -> the one whose memory it is

    def inputs(self, node: Node) -> tuple[str, ...]:
        return tuple(self.roots[name] for name in node.inputs)

    def shape(self, node: Node, index: int = 0) -> Shape:
        return self.shapes[node.inputs[index]]

    def out_shape(self, node: Node) -> Shape:
        return self.shapes[node.output]

    def weight(self, node: Node) -> Tensor:
        name = node.params["weight"]
        return Tensor(name, f"{node.name} weight", real(single_streams(self.graph.params[name])))

    def arrays(self, node: Node, *roles: str) -> dict[str, Tensor]:
        found = {}
        for role in roles:
            if role in node.params:
                name = node.params[role]
                dense = encodings.encode(encodings.decode(self.graph.params[name]))
                found[role] = Tensor(name, f"{node.name} {role}", dense)
        return found


def lower(graph: Graph) -> Program:
    """Lower a network.

    Raises
    ------
    ModelError
        An operator has no kernel, shapes do not fit, or a parameter is not finite; the message names the node.

    Examples
    --------
    >>> from refcompress import Graph, Node, TensorSpec
    >>> nodes = (Node("Flatten", "f", ("x",), "h", attrs=ops.NoAttrs()), Node("Relu", "r", ("h",), "y",
    ...          attrs=ops.NoAttrs()))
    >>> [(step.kernel, step.inputs) for step in lower(Graph((TensorSpec("x", (2, 2)),), ("y",), nodes, {})).steps]
    [('relu', ('x',))]

    """
    for node in graph.nodes:
        if node.op not in _RULES:
            raise ModelError(f"node {node.name!r}: the runtime has no kernel for {node.op}; it has {', '.join(_RULES)}")
    shapes = ops.infer_shapes(graph)
    context = _Context(graph, shapes, {spec.name: spec.name for spec in graph.inputs})
    steps: list[Step] = []
    for node in graph.nodes:
        context.roots[node.output] = node.output
        made = list(_RULES[node.op](node, context))
        if not made:
            context.roots[node.output] = context.roots[node.inputs[0]]
        steps += made
    elements = {name: math.prod(shape) for name, shape in shapes.items()}
    elements |= {step.output: elements.get(step.output, step.sizes.get("n", 0)) for step in steps}
    _check_finite(steps)
    return Program(
        tuple(spec.name for spec in graph.inputs),
        tuple(context.roots[name] for name in graph.outputs),
        graph.outputs,
        elements,
        tuple(steps),
        shapes,
    )


def _check_finite(steps: list[Step]) -> None:
    for step in steps:
        tensors = [*step.arrays.values(), *([step.weight] if step.weight else [])]
        for tensor in tensors:
            numbers = _numbers(tensor.encoding.values)
            if not np.isfinite(numbers).all():
                raise ModelError(
                    f"node {step.name!r}: {tensor.label!r} holds infinities or NaNs; an export would compute with "
                    "them what nobody trained, so repair the checkpoint"
                )


def _numbers(values: Values) -> NDArray[np.float32]:
    if isinstance(values, Float32):
        return values.array
    if isinstance(values, encodings.Codebook):
        return values.centroids
    return values.scales if isinstance(values, encodings.Linear) else real_centroids(values)


def _gemm(node: Node, context: _Context) -> Iterator[Step]:
    *lead, columns = context.shape(node)
    rows, vectors = context.out_shape(node)[-1], math.prod(lead)
    if vectors > 1:
        yield _conv_step(node, context, geometry((1, vectors, columns), (1, vectors, rows), (1, 1)))
        return
    yield _gemm_step(node, context, rows, columns)


def _gemm_step(node: Node, context: _Context, rows: int, columns: int) -> Step:
    return Step(
        "gemm",
        node.name,
        context.inputs(node),
        node.output,
        sizes={"rows": rows, "columns": columns},
        weight=context.weight(node),
        arrays=context.arrays(node, "bias"),
    )


def _conv(node: Node, context: _Context) -> Iterator[Step]:
    attrs, shape, out = node.attrs, context.shape(node), context.out_shape(node)
    kernel = context.graph.params[node.params["weight"]].shape[:2]
    plain = attrs.group == 1 and not any(attrs.pads)
    if plain and kernel == shape[:2] and attrs.dilations == (1, 1):  # one window is the whole image
        yield _gemm_step(node, context, out[2], math.prod(shape))
    elif plain and kernel == (1, 1) and attrs.strides == (1, 1):  # the plane is one long row
        pixels = shape[0] * shape[1]
        yield _conv_step(node, context, geometry((1, pixels, shape[2]), (1, pixels, out[2]), (1, 1)))
    else:
        yield _conv_step(node, context, geometry(shape, out, kernel, attrs))


def _conv_step(node: Node, context: _Context, sizes: Mapping[str, int]) -> Step:
    weight = context.weight(node)
    run = sizes["in_channels"] // sizes["group"]
    if sizes["group"] == 1 and sizes["dilation_w"] == 1:
        run *= sizes["kernel_w"]
    pixels = isinstance(weight.encoding, Dense) and isinstance(weight.encoding.values, Float32)
    return Step(
        "conv_pixels" if pixels and run >= PIXELS_FROM else "conv",
        node.name,
        context.inputs(node),
        node.output,
        sizes=sizes,
        weight=weight,
        arrays=context.arrays(node, "bias"),
    )


def geometry(
    shape: tuple[int, ...], out: tuple[int, ...], kernel: tuple[int, ...], attrs: Conv | None = None
) -> dict[str, int]:
    """Return the sizes of a convolution, in the order of their declaration in C.

    Parameters
    ----------
    shape, out
        Of input and output.
    kernel
        Height and width.
    attrs
        None for one group without strides, padding and dilation.

    """
    attrs = attrs or Conv()
    return {
        **_pair("in", shape[:2]),
        "in_channels": shape[2],
        **_pair("out", out[:2]),
        "out_channels": out[2],
        **_pair("kernel", kernel),
        **_pair("stride", attrs.strides),
        "pad_top": attrs.pads[0],
        "pad_left": attrs.pads[1],
        **_pair("dilation", attrs.dilations),
        "group": attrs.group,
    }


def _pair(name: str, sizes: tuple[int, ...]) -> dict[str, int]:
    return {f"{name}_h": sizes[0], f"{name}_w": sizes[1]}


def _batch_normalization(node: Node, context: _Context) -> Iterator[Step]:
    params = {role: context.graph.params[name] for role, name in node.params.items()}
    parts = zip(("factor", "offset"), factor_and_offset(node.attrs, params), strict=True)
    channels = context.shape(node)[-1]
    arrays = {}
    for role, part in parts:
        with np.errstate(over="ignore"):
            dense = encodings.encode(np.broadcast_to(part, (channels,)).astype(np.float32))
        arrays[role] = Tensor(f"{node.name}\0{role}", f"{node.name} {role}", dense)
    sizes = {"pixels": math.prod(context.shape(node)[:-1]), "channels": channels}
    yield Step("batch_norm", node.name, context.inputs(node), node.output, sizes=sizes, arrays=arrays, overwrites=(0,))


def _elementwise(kernel: str) -> Callable[[Node, _Context], Iterator[Step]]:
    def rule(node: Node, context: _Context) -> Iterator[Step]:
        sizes = {"n": math.prod(context.shape(node))}
        yield Step(kernel, node.name, context.inputs(node), node.output, sizes=sizes, overwrites=(0,))

    return rule


def _clip(node: Node, context: _Context) -> Iterator[Step]:
    floats = {"least": node.attrs.min, "most": node.attrs.max}
    for step in _elementwise("clip")(node, context):
        yield replace(step, floats=floats)


def _softmax(node: Node, context: _Context) -> Iterator[Step]:
    *lead, n = context.shape(node)
    sizes = {"rows": math.prod(lead), "n": n}
    yield Step("softmax", node.name, context.inputs(node), node.output, sizes=sizes, overwrites=(0,))


def _pool_step(
    kernel: str, node: Node, context: _Context, window: tuple[int, int], strides: tuple[int, int], pads: Shape
) -> Step:
    shape, out = context.shape(node), context.out_shape(node)
    planes = out[:2] if len(out) == 3 else (1, 1)
    sizes = {
        **_pair("in", shape[:2]),
        "channels": shape[2],
        **_pair("out", planes),
        **_pair("kernel", window),
        **_pair("stride", strides),
        "pad_top": pads[0],
        "pad_left": pads[1],
        "count_padding": int(getattr(node.attrs, "count_include_pad", False)),
    }
    return Step(kernel, node.name, context.inputs(node), node.output, sizes=sizes)


def _pool(kernel: str) -> Callable[[Node, _Context], Iterator[Step]]:
    def rule(node: Node, context: _Context) -> Iterator[Step]:
        attrs = node.attrs
        yield _pool_step(kernel, node, context, attrs.kernel_shape, attrs.strides, attrs.pads)

    return rule


def _global_pool(kernel: str) -> Callable[[Node, _Context], Iterator[Step]]:
    def rule(node: Node, context: _Context) -> Iterator[Step]:
        height, width = context.shape(node)[:2]
        yield _pool_step(kernel, node, context, (height, width), (1, 1), (0, 0, 0, 0))

    return rule


def _pad(node: Node, context: _Context) -> Iterator[Step]:
    height, width, channels = context.shape(node)
    top, left, bottom, right = node.attrs.pads
    sizes = {
        "height": height,
        "row": width * channels,
        "top": top,
        "left": left * channels,
        "bottom": bottom,
        "right": right * channels,
    }
    yield Step("pad", node.name, context.inputs(node), node.output, sizes=sizes)


def _add(node: Node, context: _Context) -> Iterator[Step]:
    """Sum from left to right, two at a time."""
    shapes = [context.shapes[name] for name in node.inputs]
    if any(shape != shapes[0] for shape in shapes):
        raise ModelError(
            f"node {node.name!r}: an Add of inputs of shapes {shapes}; the runtime adds equal shapes only, "
            "and broadcasts nothing"
        )
    first, *rest = context.inputs(node)
    sizes = {"n": math.prod(context.shape(node))}
    for i, other in enumerate(rest, start=1):
        output = node.output if i == len(rest) else f"{node.output}\0{i}"
        yield Step("add", node.name, (first, other), output, sizes=sizes, overwrites=(0, 1))
        first = output


def _concat(node: Node, context: _Context) -> Iterator[Step]:
    axis = node.attrs.axis - 1
    shapes = [context.shapes[name] for name in node.inputs]
    parts = tuple(math.prod(shape[axis:]) for shape in shapes)
    sizes = {"blocks": math.prod(shapes[0][:axis]), "pitch": sum(parts)}
    yield Step("concat", node.name, context.inputs(node), node.output, sizes=sizes, parts=parts)


def _identity(_node: Node, _context: _Context) -> Iterator[Step]:
    return iter(())


_RULES: dict[str, Callable[[Node, _Context], Iterator[Step]]] = {
    "Add": _add,
    "AveragePool": _pool("average_pool"),
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Dropout": _identity,
    "Flatten": _identity,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool("average_pool"),
    "GlobalMaxPool": _global_pool("max_pool"),
    "MaxPool": _pool("max_pool"),
    "Pad": _pad,
    "Relu": _elementwise("relu"),
    "Reshape": _identity,
    "Sigmoid": _elementwise("sigmoid"),
    "Softmax": _softmax,
    "Tanh": _elementwise("tanh"),
}

"""Gemm, Conv and ConvTranspose."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from exporters.lowering.context import Context
from exporters.program import Step
from refcompress.encodings import Dense, Float32
from refcompress.graph import Node
from refcompress.ops.conv import Conv
from refcompress.ops.conv_transpose import ConvTranspose

PIXELS_FROM = 4  # contiguous inputs of a dot product from which going pixel by pixel pays


def gemm(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Gemm: over several vectors it is a convolution of one long row."""
    *lead, columns = context.shape(node)
    rows, vectors = context.out_shape(node)[-1], math.prod(lead)
    if vectors > 1:
        yield _conv_step(node, context, geometry((1, vectors, columns), (1, vectors, rows), (1, 1)))
        return
    yield _gemm_step(node, context, rows, columns)


def _gemm_step(node: Node, context: Context, rows: int, columns: int) -> Step:
    return Step(
        "gemm",
        node.name,
        context.inputs(node),
        node.output,
        sizes={"rows": rows, "columns": columns},
        weight=context.weight(node),
        arrays=context.arrays(node, "bias"),
    )


def conv(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Conv: over the whole image it is a Gemm."""
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


def _conv_step(node: Node, context: Context, sizes: Mapping[str, int]) -> Step:
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


def conv_transpose(node: Node, context: Context) -> Iterator[Step]:
    """Lower a ConvTranspose."""
    weight = context.weight(node)
    yield Step(
        "conv_transpose",
        node.name,
        context.inputs(node),
        node.output,
        sizes=geometry(context.shape(node), context.out_shape(node), weight.encoding.shape[:2], node.attrs),
        weight=weight,
        arrays=context.arrays(node, "bias"),
    )


def geometry(
    shape: tuple[int, ...], out: tuple[int, ...], kernel: tuple[int, ...], attrs: Conv | ConvTranspose | None = None
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
        **pair("in", shape[:2]),
        "in_channels": shape[2],
        **pair("out", out[:2]),
        "out_channels": out[2],
        **pair("kernel", kernel),
        **pair("stride", attrs.strides),
        "pad_top": attrs.pads[0],
        "pad_left": attrs.pads[1],
        **pair("dilation", attrs.dilations),
        "group": attrs.group,
    }


def pair(name: str, sizes: tuple[int, ...]) -> dict[str, int]:
    """Name a height and a width."""
    return {f"{name}_h": sizes[0], f"{name}_w": sizes[1]}

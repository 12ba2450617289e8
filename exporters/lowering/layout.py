"""Elements put elsewhere, repeated or left out; planes in another size; rows of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.lowering import orders
from exporters.lowering.context import Context, Rule
from exporters.program import Step, Table, Tensor, form_of
from refcompress import encodings
from refcompress.graph import Node, Shape
from refcompress.ops import sampling
from refcompress.ops.slice import taken

Bytes = NDArray[np.int8]


def pad(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Pad."""
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


def concat(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Concat: runs of each input, side by side."""
    axis = node.attrs.axis - 1
    shapes = [context.shapes[name] for name in node.inputs]
    parts = tuple(math.prod(shape[axis:]) for shape in shapes)
    sizes = {"blocks": math.prod(shapes[0][:axis]), "pitch": sum(parts)}
    yield Step("concat", node.name, context.inputs(node), node.output, sizes=sizes, parts=parts)


def arranged(view: Callable[[Any, Bytes, Shape], Bytes]) -> Rule:
    """Make the rule of an operator whose output is a view of its input.

    Parameters
    ----------
    view
        ``(attrs, x, shape of the output) -> view``, whose strides tell where each element comes from.

    """

    def rule(node: Node, context: Context) -> Iterator[Step]:
        shape, out = context.shape(node), context.out_shape(node)
        source = np.empty(shape, np.int8)  # one byte an element: strides count elements
        seen = view(node.attrs, source, out)
        first = seen.__array_interface__["data"][0] - source.__array_interface__["data"][0]
        (order,) = orders.axes(node.name, seen.shape, seen.strides)
        if first == 0 and order == orders.axes(node.name, shape, orders.contiguous(shape))[0]:
            return  # every element stays where it is
        yield Step(
            "arrange",
            node.name,
            context.inputs(node),
            node.output,
            integers={"first": first},
            axes={"axes": order},
        )

    return rule


def transposed(attrs: Any, x: Bytes, _out: Shape) -> Bytes:
    """View of a Transpose."""
    return x.transpose([axis - 1 for axis in attrs.perm[1:]])


def cut(attrs: Any, x: Bytes, _out: Shape) -> Bytes:
    """View of a Slice."""
    cuts = [slice(None)] * x.ndim
    for axis, start, end, step in zip(attrs.axes, attrs.starts, attrs.ends, attrs.steps, strict=True):
        indices = taken(x.shape[axis - 1], start, end, step)
        cuts[axis - 1] = slice(indices.start, indices.stop if indices.stop >= 0 else None, step)
    return x[tuple(cuts)]


def expanded(_attrs: Any, x: Bytes, out: Shape) -> Bytes:
    """View of an Expand."""
    return np.broadcast_to(x, out)


def depth_to_space(attrs: Any, x: Bytes, out: Shape) -> Bytes:
    """View of a DepthToSpace: lines, lines of a block, columns, columns of a block, channels."""
    block = attrs.blocksize
    if attrs.mode == "DCR":
        return x.reshape(*x.shape[:2], block, block, out[2]).transpose(0, 2, 1, 3, 4)
    return x.reshape(*x.shape[:2], out[2], block, block).transpose(0, 3, 1, 4, 2)


def space_to_depth(attrs: Any, x: Bytes, out: Shape) -> Bytes:
    """View of a SpaceToDepth: lines, columns, and of the block lines, columns and channels."""
    split = x.reshape(out[0], attrs.blocksize, out[1], attrs.blocksize, x.shape[2])
    return split.transpose((0, 2, 1, 3, 4) if attrs.mode == "DCR" else (0, 2, 4, 1, 3))


def resize(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Resize: which pixels stand for each line and each column."""
    (height, width, channels), attrs = context.shape(node), node.attrs
    tables, arrays = {}, {}
    for what, line, size, new in (
        ("lines", "line", height, attrs.size[0]),
        ("columns", "column", width, attrs.size[1]),
    ):
        there = sampling.places(size, new, attrs.coordinates)
        if attrs.mode == "nearest":
            found = {what: sampling.nearest(there, attrs.nearest)}
        else:
            before, behind, rest = sampling.neighbours(there)
            found = {what: before, f"{what}_behind": behind}
            weights = encodings.encode(rest.astype(np.float32) / np.float32(there.denominator))
            arrays[f"{line}_weights"] = Tensor(f"{node.name}\0{line}", f"{node.name} {line} weights", weights)
        for role, pixels in found.items():
            tables[role] = Table(f"{node.name}\0{role}", f"{node.name} {role}", pixels.astype(np.uint32))
    sizes = {"in_w": width, "channels": channels, "out_h": attrs.size[0], "out_w": attrs.size[1]}
    yield Step(
        f"resize_{attrs.mode}",
        node.name,
        context.inputs(node),
        node.output,
        sizes=sizes,
        arrays=arrays,
        tables=tables,
    )


def gather(node: Node, context: Context) -> Iterator[Step]:
    """Lower a Gather; a table that is a stream is decoded row by row into scratch memory."""
    weight = context.weight(node)
    columns, rows = weight.encoding.shape
    sizes = {"rows": rows, "columns": columns, "n": math.prod(context.shape(node))}
    yield Step(
        "gather",
        node.name,
        context.inputs(node),
        node.output,
        sizes=sizes,
        weight=weight,
        scratch_bytes=4 * columns if form_of(weight.encoding) else 0,
    )

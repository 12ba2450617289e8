"""Causes in weights: transposed, flipped, in the memory order of another framework, of another layer, rounded."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from refcompress.encodings import decode
from refcompress.graph import Graph, Node, Shape
from refcompress.ops import infer_shapes
from refcompress.verify.causes.site import Cause, Float32, Site, Variant, with_params
from refcompress.verify.precision import BFLOAT16, FLOAT16, PRODUCTS

KERNELS = frozenset({"Conv", "ConvTranspose"})
MATRICES = frozenset({"Gemm"})
_PASSING = frozenset({"Flatten", "Reshape", "Dropout", "Relu", "Clip", "BatchNormalization"})  # keep the order of rows


def bias(site: Site) -> Iterator[Variant]:
    """Try bias missing or added twice."""
    if "bias" in site.params:
        yield from with_params(site, "no bias", {"bias": None})
        yield from with_params(site, "the bias added twice", {"bias": 2 * site.params["bias"]})


def kernel(site: Site) -> Iterator[Variant]:
    """Try kernels (kh, kw, in, out) turned in one way or another."""
    weight = site.params["weight"]
    kh, kw, cin, cout = weight.shape
    if kh == kw > 1:
        yield from with_params(
            site, "the kernel's height and width transposed", {"weight": weight.transpose(1, 0, 2, 3)}
        )
    yield from with_params(site, "the kernel flipped (a true convolution)", {"weight": weight[::-1, ::-1]})
    yield from with_params(site, "the kernel flipped in height", {"weight": weight[::-1]})
    yield from with_params(site, "the kernel flipped in width", {"weight": weight[:, ::-1]})
    if cin == cout > 1:
        yield from with_params(site, "input and output channels transposed", {"weight": weight.transpose(0, 1, 3, 2)})
    yield from with_params(site, "the input's channels reversed (RGB and BGR)", {"weight": weight[:, :, ::-1]})
    yield from with_params(site, "the output's channels reversed", {"weight": weight[..., ::-1]})
    for text, order in (
        ("(out, in, height, width)", (cout, cin, kh, kw)),
        ("(in, out, height, width)", (cin, cout, kh, kw)),
    ):
        back = (2, 3, 1, 0) if order[0] == cout and order[1] == cin else (2, 3, 0, 1)
        yield from with_params(
            site, f"the kernel's memory read as {text}", {"weight": weight.reshape(order).transpose(back)}
        )
    group = getattr(site.node.attrs, "group", 1)
    if 1 < group < cout and cout % group == 0:
        mixed = weight.reshape(kh, kw, cin, group, cout // group).swapaxes(3, 4).reshape(weight.shape)
        yield from with_params(site, "channels and multipliers in the other order", {"weight": mixed})


def matrix(site: Site) -> Iterator[Variant]:
    """Try matrices (in, out) transposed or in another order of their memory."""
    weight = site.params["weight"]
    if weight.shape[0] == weight.shape[1]:
        yield from with_params(site, "the weight transposed", {"weight": weight.T})
    yield from with_params(
        site, "the weight's memory read as (out, in)", {"weight": weight.reshape(weight.shape[::-1]).T}
    )
    yield from with_params(site, "the input reversed", {"weight": weight[::-1]})
    yield from with_params(site, "the output reversed", {"weight": weight[:, ::-1]})


def flattened_order(site: Site) -> Iterator[Variant]:
    """Try rows in the order of an input that was flattened channels first."""
    weight = site.params["weight"]
    shape = _shape_before_flattening(site.graph, site.node, weight.shape[0])
    if shape is None:
        return
    *plane, channels = shape
    text = "the input flattened channels first"
    if len(plane) == 2:
        by_channel = weight.reshape(channels, *plane, -1).transpose(1, 2, 0, 3)
        yield from with_params(site, text, {"weight": by_channel.reshape(weight.shape)})
        back = weight.reshape(*plane, channels, -1).transpose(2, 0, 1, 3)
        yield from with_params(
            site, "the weight's rows in the order channels first", {"weight": back.reshape(weight.shape)}
        )
    elif len(plane) == 1:
        by_channel = weight.reshape(channels, plane[0], -1).transpose(1, 0, 2)
        yield from with_params(site, text, {"weight": by_channel.reshape(weight.shape)})


def _shape_before_flattening(graph: Graph, node: Node, rows: int) -> Shape | None:
    """Shape of the last activation before a node that has several axes and as many elements as it has rows."""
    makers, shapes, name = {maker.output: maker for maker in graph.nodes}, infer_shapes(graph), node.inputs[0]
    while True:
        shape = shapes[name]
        if math.prod(shape) != rows:
            return None
        if len(shape) > 1:
            return shape
        maker = makers.get(name)
        if maker is None or maker.op not in _PASSING:
            return None
        name = maker.inputs[0]


def of_another_layer(site: Site) -> Iterator[Variant]:
    """Try parameters of another node of the same shape."""
    for node, role, name in site.graph.weights():
        if role in site.params and node.name != site.node.name and node.op == site.node.op:
            array = decode(site.graph.params[name])
            if array.shape == site.params[role].shape:
                yield from with_params(site, f"the {role} of {node.name!r}", {role: array})


def rounded(site: Site) -> Iterator[Variant]:
    """Try weights rounded, arithmetic in float32."""
    for grid in (FLOAT16, BFLOAT16):
        arrays: dict[str, Float32] = {
            role: grid.rounded(array).astype(np.float32) for role, array in site.params.items()
        }
        if all(np.isfinite(array).all() for array in arrays.values()):
            yield from with_params(site, f"its {' and '.join(arrays)} rounded to {grid.name}", arrays)
    if "weight" in site.params:
        weight = site.params["weight"]
        axes = tuple(range(weight.ndim - 1))
        for text, scale in (
            ("one scale", np.abs(weight).max()),
            ("a scale for each output channel", np.abs(weight).max(axes)),
        ):
            step = np.where(scale > 0, scale / 127, 1)
            yield from with_params(
                site, f"weights rounded to int8 with {text}", {"weight": np.rint(weight / step) * step}
            )


CAUSES = (
    Cause("bias", KERNELS | MATRICES, bias),
    Cause("kernel", KERNELS, kernel),
    Cause("matrix", MATRICES, matrix),
    Cause("order of flattening", MATRICES, flattened_order),
    Cause("rounded weights", PRODUCTS | {"Gather"}, rounded),
    Cause("parameters of another layer", None, of_another_layer),
)

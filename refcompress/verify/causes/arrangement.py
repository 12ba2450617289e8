"""Causes in how arrays are put together and taken apart: merges, flattening, resizing, axes."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from refcompress.graph import Node
from refcompress.verify.causes.site import Cause, Site, Variant, attrs_of, led_by, with_attrs

MERGES = {
    "Add": "the sum",
    "Sub": "the difference",
    "Mul": "the product",
    "Div": "the quotient",
    "Max": "the maximum",
    "Min": "the minimum",
}
PAIRS_ONLY = frozenset({"Sub", "Div"})
MOST_INPUTS = 4  # orders of more inputs are not tried


def other_merge(site: Site) -> Iterator[Variant]:
    """Try another operation on the same inputs, or one of them missing."""
    node = site.node
    for op, text in MERGES.items():
        attrs = attrs_of(op)
        if op != node.op and attrs is not None and (op not in PAIRS_ONLY or len(node.inputs) == 2):
            yield Variant(text, (dataclasses.replace(node, op=op, attrs=attrs),))
    for name in node.inputs:
        attrs = attrs_of("Dropout", ratio=0.0)
        yield Variant(
            f"its input {name!r} alone", (dataclasses.replace(node, op="Dropout", inputs=(name,), attrs=attrs),)
        )
    if len(node.inputs) > 2:
        for left_out in node.inputs:
            rest = tuple(name for name in node.inputs if name != left_out)
            yield Variant(f"its input {left_out!r} left out", (dataclasses.replace(node, inputs=rest),))


def other_order(site: Site) -> Iterator[Variant]:
    """Try inputs in another order."""
    inputs = site.node.inputs
    if 2 <= len(inputs) <= MOST_INPUTS:
        for order in itertools.permutations(inputs):
            if order != inputs:
                text = f"its inputs in the order {', '.join(map(repr, order))}"
                yield Variant(text, (dataclasses.replace(site.node, inputs=order),))


def channels_first(site: Site) -> Iterator[Variant]:
    """Try elements in the order of an array that has its channels first."""
    rank = site.inputs[0].ndim
    if rank > 2:
        yield from led_by(site, "channels first", "Transpose", perm=(0, rank - 1, *range(1, rank - 1)))
        yield from led_by(site, "the elements in column-major order", "Transpose", perm=(0, *range(rank - 1, 0, -1)))


def reversed_channels(site: Site) -> Iterator[Variant]:
    """Try an input of the network whose channels are in the opposite order, of RGB and BGR."""
    rank = site.inputs[0].ndim
    fed = {spec.name for spec in site.graph.inputs}
    if rank > 2 and site.node.inputs[0] in fed and 1 < site.inputs[0].shape[-1] <= 4:
        size = site.inputs[0].shape[-1]
        yield from led_by(
            site,
            "the input's channels reversed (RGB and BGR)",
            "Slice",
            axes=(rank - 1,),
            starts=(size - 1,),
            ends=(-size - 1,),
            steps=(-1,),
        )


def resizing(site: Site) -> Iterator[Variant]:
    """Try other coordinates, another mode, another rounding."""
    for coordinates in ("half_pixel", "asymmetric", "align_corners"):
        yield from with_attrs(site, f"{coordinates} linear interpolation", mode="linear", coordinates=coordinates)
        for nearest in ("floor", "round_prefer_floor", "round_prefer_ceil", "ceil"):
            text = f"{coordinates} nearest neighbours ({nearest})"
            yield from with_attrs(site, text, mode="nearest", coordinates=coordinates, nearest=nearest)


def block_order(site: Site) -> Iterator[Variant]:
    """Try depth to space in the other of its two orders."""
    for mode in ("DCR", "CRD"):
        yield from with_attrs(site, f"the order {mode}", mode=mode)


def reduction(site: Site) -> Iterator[Variant]:
    """Try a sum, mean, maximum or minimum in place of each other."""
    for op, text in (
        ("ReduceMean", "the mean"),
        ("ReduceSum", "the sum"),
        ("ReduceMax", "the maximum"),
        ("ReduceMin", "the minimum"),
    ):
        attrs = attrs_of(op, axes=site.node.attrs.axes, keepdims=site.node.attrs.keepdims)
        if op != site.node.op and attrs is not None:
            yield Variant(text, (dataclasses.replace(site.node, op=op, attrs=attrs),))


def scaled(site: Site) -> Iterator[Variant]:
    """Try a factor too many: the layer's output is a multiple of what it should be."""
    if site.theirs is None or not site.inputs:
        return
    for text, factor in (
        ("doubled", 2.0),
        ("halved", 0.5),
        ("negated", -1.0),
        ("times 255", 255.0),
        ("by 255", 1 / 255),
    ):
        attrs = attrs_of("Affine")
        if attrs is not None:
            name = f"{site.node.name}?scale"
            between = f"{site.node.output}?before"
            after = Node("Affine", f"{site.node.name}?after", (between,), site.node.output, {"scale": name}, attrs)
            size = site.theirs.shape[-1:]
            array = np.full(size, factor, np.float32)
            yield Variant(f"its output {text}", (dataclasses.replace(site.node, output=between), after), {name: array})


CAUSES = (
    Cause("the merge", frozenset(MERGES), other_merge),
    Cause("order of the inputs", frozenset({"Concat", "Sub", "Div", "MatMul"}), other_order),
    Cause("channels first", frozenset({"Flatten", "Reshape"}), channels_first),
    Cause("reversed channels", None, reversed_channels),
    Cause("resizing", frozenset({"Resize"}), resizing),
    Cause("order of blocks", frozenset({"DepthToSpace"}), block_order),
    Cause("the reduction", frozenset({"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"}), reduction),
    Cause("a factor", None, scaled),
)

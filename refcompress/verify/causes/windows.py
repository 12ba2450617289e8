"""Causes in convolutions and pools: where windows begin, how far they step, what the padding counts as."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from refcompress.errors import ModelError
from refcompress.ops.windows import Pads, Pair, same_pads
from refcompress.verify.causes.site import Cause, Site, Variant, led_by, with_attrs, with_op

WINDOWS = frozenset({"Conv", "MaxPool", "AveragePool"})
TRANSPOSED = frozenset({"ConvTranspose"})
GLOBAL_POOLS = frozenset({"GlobalAveragePool", "GlobalMaxPool"})
LARGEST_STRIDE = 4


def _kernel(site: Site) -> Pair:
    """Height and width that a window reaches over."""
    size = site.params["weight"].shape[:2] if "weight" in site.params else site.node.attrs.kernel_shape
    dilations = getattr(site.node.attrs, "dilations", (1, 1))
    return (size[0] - 1) * dilations[0] + 1, (size[1] - 1) * dilations[1] + 1


def padding(site: Site) -> Iterator[Variant]:
    """Try padding on the other side, by another rule, or none."""
    top, left, bottom, right = site.node.attrs.pads
    kernel, strides, plane = _kernel(site), site.node.attrs.strides, site.inputs[0].shape[1:3]
    (above, below), (before, after) = (same_pads(plane[i], kernel[i], strides[i]) for i in (0, 1))
    half = [(size - 1) // 2 for size in kernel]
    choices: list[tuple[str, Pads]] = [
        ("SAME padding on the other side", (bottom, right, top, left)),
        ("SAME padding", (above, before, below, after)),
        ("SAME padding, the odd line and column first", (below, after, above, before)),
        ("padding of half the kernel on both sides", (half[0], half[1], half[0], half[1])),
        ("no padding", (0, 0, 0, 0)),
        ("padding of one pixel on all sides", (1, 1, 1, 1)),
        ("all padding at the top and the left", (top + bottom, left + right, 0, 0)),
        ("all padding at the bottom and the right", (0, 0, top + bottom, left + right)),
        ("padding of height and width exchanged", (left, top, right, bottom)),
    ]
    seen = set()
    for text, pads in choices:
        if pads not in seen:
            seen.add(pads)
            yield from with_attrs(site, text, pads=pads)


def beginning(site: Site) -> Iterator[Variant]:
    """Try windows that begin one pixel earlier or later."""
    for words, dy, dx in (
        ("one pixel later", 1, 1),
        ("one pixel earlier", -1, -1),
        ("one line later", 1, 0),
        ("one line earlier", -1, 0),
        ("one column later", 0, 1),
        ("one column earlier", 0, -1),
    ):
        yield from _shifted(site, f"windows that begin {words}", dy, dx)


def _shifted(site: Site, text: str, dy: int, dx: int) -> Iterator[Variant]:
    top, left, bottom, right = site.node.attrs.pads
    wanted = (top - dy, left - dx, bottom + dy, right + dx)
    pads = tuple(max(0, pad) for pad in wanted)
    try:
        attrs = dataclasses.replace(site.node.attrs, pads=pads)
    except ModelError:
        return
    height, width = site.inputs[0].shape[1:3]
    cropped = [min(0, pad) for pad in wanted]
    if not any(cropped):
        yield Variant(text, (dataclasses.replace(site.node, attrs=attrs),))
        return
    starts, ends = (-cropped[0], -cropped[1]), (height + cropped[2], width + cropped[3])
    yield from led_by(site, text, "Slice", {"attrs": attrs}, axes=(1, 2), starts=starts, ends=ends, steps=(1, 1))


def steps(site: Site) -> Iterator[Variant]:
    """Try other strides and dilations."""
    down, right = site.node.attrs.strides
    yield from with_attrs(site, "strides of height and width exchanged", strides=(right, down))
    for stride in range(1, LARGEST_STRIDE + 1):
        yield from with_attrs(site, f"strides of {stride}", strides=(stride, stride))
    if hasattr(site.node.attrs, "dilations"):
        yield from with_attrs(site, "dilations of 1", dilations=(1, 1))
        yield from with_attrs(site, "dilations of 2", dilations=(2, 2))
        yield from with_attrs(
            site, "dilations of height and width exchanged", dilations=tuple(site.node.attrs.dilations[::-1])
        )


def cropping(site: Site) -> Iterator[Variant]:
    """Try transposed convolutions that crop on the other side."""
    top, left, bottom, right = site.node.attrs.pads
    yield from with_attrs(site, "cropping on the other side", pads=(bottom, right, top, left))
    yield from with_attrs(site, "no cropping", pads=(0, 0, 0, 0))
    yield from with_attrs(site, "all cropping at the bottom and the right", pads=(0, 0, top + bottom, left + right))
    yield from with_attrs(site, "all cropping at the top and the left", pads=(top + bottom, left + right, 0, 0))
    yield from with_attrs(site, "no output padding", output_padding=(0, 0))


def padded_means(site: Site) -> Iterator[Variant]:
    """Try average pools that count the padding, or do not."""
    counted = not site.node.attrs.count_include_pad
    yield from with_attrs(site, f"padding {'counted' if counted else 'not counted'}", count_include_pad=counted)


def zeros_compete(site: Site) -> Iterator[Variant]:
    """Try maximum pools whose padding is zeros that may win."""
    pads = site.node.attrs.pads
    if any(pads):
        bare = dataclasses.replace(site.node.attrs, pads=(0, 0, 0, 0))
        yield from led_by(site, "padding by zeros that may win", "Pad", {"attrs": bare}, pads=pads)


def other_pool(site: Site) -> Iterator[Variant]:
    """Try maximum and mean mistaken for each other."""
    attrs = site.node.attrs
    if site.node.op in GLOBAL_POOLS:
        other = "GlobalMaxPool" if site.node.op == "GlobalAveragePool" else "GlobalAveragePool"
        yield from with_op(site, _kind(other), other, keepdims=attrs.keepdims)
        return
    other = "AveragePool" if site.node.op == "MaxPool" else "MaxPool"
    same = {"kernel_shape": attrs.kernel_shape, "strides": attrs.strides, "pads": attrs.pads}
    yield from with_op(site, _kind(other), other, **same)


def _kind(op: str) -> str:
    return "the maximum" if "Max" in op else "the mean"


CAUSES = (
    Cause("padding", WINDOWS, padding),
    Cause("beginning of the windows", WINDOWS, beginning),
    Cause("strides and dilations", WINDOWS | TRANSPOSED, steps),
    Cause("cropping", TRANSPOSED, cropping),
    Cause("counting the padding", frozenset({"AveragePool"}), padded_means),
    Cause("zeros that compete", frozenset({"MaxPool"}), zeros_compete),
    Cause("the other pool", frozenset({"MaxPool", "AveragePool"}) | GLOBAL_POOLS, other_pool),
)

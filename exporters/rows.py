"""Steps that can run row by row, and how many rows of the planes between them must be kept when they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from exporters.program import Program, RowLayer, Step

MIN_PIXELS = 4  # kernels that take two pixels at once lose too much in narrower rows
MAX_COUNT = 0xFFFE  # rows and layers that the runtime's table holds
STATE_BYTES = 8  # of each layer, at the begin of the memory

POOLS = ("q_max_pool", "q_average_pool", "max_pool", "average_pool")
WINDOWS = ("q_conv_pixels", "q_conv_depthwise", "conv_pixels", *POOLS)
POINTS = ("q_conv_points",)
IN_PLACE = ("q_clamp", "q_table", "batch_norm", "clip", "relu", "sigmoid", "tanh")
CONCAT = ("q_concat", "concat")
ELEMENTWISE = ("q_add", "add", *IN_PLACE)
GATHERING = ("q_conv_pixels", "q_conv_points")


@dataclass(frozen=True, slots=True)
class Plane:
    """An activation as rows.

    Attributes
    ----------
    height, width, channels
        Of the image.

    """

    height: int
    width: int
    channels: int


def plane_of(program: Program, name: str) -> Plane | None:
    """Return the plane that an activation of the network is, if its shape is known and one."""
    shape = program.shapes.get(name, ())
    return Plane(*shape) if len(shape) == 3 else None


def next_plane(step: Step, planes: Sequence[Plane | None]) -> Plane | None:
    """Return what a step makes of these inputs row by row; None if it cannot.

    Examples
    --------
    >>> next_plane(Step("relu", "r", ("x",), "y", {"n": 24}), [Plane(3, 4, 2)])
    Plane(height=3, width=4, channels=2)
    >>> next_plane(Step("softmax", "s", ("x",), "y", {"rows": 1, "n": 24}), [Plane(3, 4, 2)])

    """
    plane = planes[0]
    if plane is None or max(plane.height, plane.width) > MAX_COUNT:
        return None
    if step.kernel in CONCAT:
        return _joined(step, planes)
    if any(other != plane for other in planes):
        return None
    size = plane.height * plane.width * plane.channels
    if step.kernel in ELEMENTWISE:
        found = plane if plane.width * plane.channels % step.sizes.get("channels", 1) == 0 else None
    elif step.kernel in POINTS or _is_flat(step):
        sizes = step.sizes
        if sizes["in_w"] * sizes["in_channels"] != size or plane.channels != sizes["in_channels"]:
            return None
        found = Plane(plane.height, plane.width, sizes["out_channels"])
    elif step.kernel in WINDOWS:
        sizes = step.sizes
        channels = sizes.get("in_channels", sizes.get("channels", 0))
        if (sizes["in_h"], sizes["in_w"], channels) != (plane.height, plane.width, plane.channels):
            return None
        if not _meets_the_image(sizes):
            return None
        found = Plane(sizes["out_h"], sizes["out_w"], sizes.get("out_channels", channels))
    else:
        return None
    return None if found and step.kernel in GATHERING and found.width < MIN_PIXELS else found


def _joined(step: Step, planes: Sequence[Plane | None]) -> Plane | None:
    """Return the plane of a concatenation of channels."""
    known = [plane for plane in planes if plane is not None]
    height, width = known[0].height, known[0].width
    fits = len(known) == len(planes) and all((plane.height, plane.width) == (height, width) for plane in known)
    if not fits or step.parts != tuple(plane.channels for plane in known):
        return None
    return Plane(height, width, step.sizes["pitch"])


def _is_flat(step: Step) -> bool:
    """Whether a convolution with windows of one pixel was lowered to one row of pixels."""
    keys = ("in_h", "out_h", "kernel_h", "kernel_w", "stride_h", "stride_w")
    return step.kernel == "conv_pixels" and all(step.sizes[key] == 1 for key in keys)


def _span(sizes: Mapping[str, int]) -> int:
    """Rows that a window covers."""
    return (sizes["kernel_h"] - 1) * sizes.get("dilation_h", 1) + 1


def _meets_the_image(sizes: Mapping[str, int]) -> bool:
    """Whether every window has a row inside the image."""
    last = (sizes["out_h"] - 1) * sizes["stride_h"] - sizes["pad_top"]
    return sizes["pad_top"] < _span(sizes) <= MAX_COUNT and last < sizes["in_h"] and sizes["stride_h"] <= MAX_COUNT


def row_layer(step: Step, sources: Sequence[int], before: Plane, after: Plane, element_bytes: int) -> RowLayer:
    """Describe a step as a layer that runs row by row between these planes."""
    window = (1, 1, 0)
    if step.kernel in WINDOWS and not _is_flat(step):
        sizes = step.sizes
        window = (_span(sizes), sizes["stride_h"], sizes["pad_top"])
    if _is_flat(step):
        wide = {"in_h": before.height, "in_w": before.width, "out_h": after.height, "out_w": after.width}
        step = replace(step, sizes={**step.sizes, **wide})
    return RowLayer(
        step,
        tuple(sources),
        before.height,
        after.height,
        before.width * before.channels * element_bytes,
        after.width * after.channels * element_bytes,
        *window,
    )


def with_windows(layers: Sequence[RowLayer]) -> tuple[tuple[RowLayer, ...], int]:
    """Give each layer the rows that must be kept of it, and a place for them behind the states of all.

    The order is the runtime's (``rc_strips.c``): the last layer that can makes a row.

    Returns
    -------
    tuple of RowLayer, int
        The layers, and the bytes of the memory.

    Examples
    --------
    >>> conv = Step("q_conv_pixels", "c", ("x",), "h")
    >>> pool = Step("q_max_pool", "p", ("h",), "y")
    >>> layers = (RowLayer(conv, (-1,), 6, 6, 12, 8, 3, 1, 1), RowLayer(pool, (0,), 6, 3, 8, 4, 2, 2))
    >>> found, memory_bytes = with_windows(layers)
    >>> [layer.kept for layer in found], memory_bytes
    ([2, 0], 32)

    """
    kept = _rows_kept(layers)
    at, found = STATE_BYTES * len(layers), []
    for layer, rows in zip(layers, kept, strict=True):
        found.append(replace(layer, kept=rows, at=at))
        at += -(-rows * layer.out_row_bytes // 4) * 4
    return tuple(found), at


def _first_under(layer: RowLayer, row: int) -> int:
    return max(row * layer.stride_h - layer.pad_top, 0)


def _rows_kept(layers: Sequence[RowLayer]) -> list[int]:
    """Play all rows; of the last layer none are kept."""
    made, kept = [0] * len(layers), [0] * len(layers)
    readers = [[i for i, layer in enumerate(layers) if k in layer.sources] for k in range(len(layers))]

    def is_ready(i: int) -> bool:
        layer, row = layers[i], made[i]
        end = min(row * layer.stride_h + layer.kernel_h - layer.pad_top, layer.in_h)
        return row < layer.out_h and all(k < 0 or made[k] >= end for k in layer.sources)

    while made[-1] < layers[-1].out_h:
        i = next(i for i in reversed(range(len(layers))) if is_ready(i))
        needed = [_first_under(layers[k], made[k]) for k in readers[i] if made[k] < layers[k].out_h]
        kept[i] = max(kept[i], made[i] + 1 - min([made[i], *needed]))
        made[i] += 1
    kept[-1] = 0
    return kept


def least_rows(layer: RowLayer) -> int:
    """Rows of its input that a layer needs at once, at least."""
    ends = (
        min(row * layer.stride_h + layer.kernel_h - layer.pad_top, layer.in_h) - _first_under(layer, row)
        for row in range(min(layer.out_h, layer.pad_top + 2))
    )
    return max(ends)

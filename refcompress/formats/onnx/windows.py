"""ONNX's operators on planes: convolutions, pools, resizing, and blocks of pixels.

One-dimensional ones are planes of height 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from refcompress.errors import ModelError
from refcompress.formats.onnx.call import Call
from refcompress.formats.onnx.layout import Group, Tensor, fresh, leaves, size
from refcompress.formats.onnx.network import Value
from refcompress.formats.onnx.shapes import padded
from refcompress.ops.windows import Pads, Pair, output_size, same_pads

MAX_SCALE = 2.0**20  # of Resize


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """An input (batch, channels, height, width), or without the height.

    Attributes
    ----------
    tensor
        The input.
    groups
        The batch, height, width and channels.
    spatial
        How many of the two ONNX counts.

    """

    tensor: Tensor
    groups: list[Group]
    spatial: int

    @property
    def height_and_width(self) -> Pair:
        """Lengths of the two axes."""
        return size(self.groups[1]), size(self.groups[2])


def plane_of(call: Call, tensor: Tensor) -> Plane:
    """Return the axes of an input as those of planes."""
    axes = [leaves(group) for group in tensor.axes]
    if len(axes) not in {3, 4} or axes[0] != call.samples:
        raise ModelError(
            f"its input has the shape {tensor.shape}; it must be (batch, channels, height, width) or "
            "(batch, channels, width)"
        )
    spatial = [(), axes[2]] if len(axes) == 3 else axes[2:]
    return Plane(tensor, [(call.batch,), *spatial, axes[1]], len(axes) - 2)


def made_plane(call: Call, name: str, shape: Sequence[int], spatial: int) -> Tensor:
    """Return what an operator made of planes: (height, width, channels)."""
    height, width, channels = map(fresh, shape)
    axes = [call.samples, channels, *((height, width) if spatial == 2 else (width,))]
    return call.made(name, axes, [(call.batch,), height, width, channels])


def _pair(call: Call, name: str, spatial: int, default: int = 1) -> Pair:
    """Return an attribute with a number for each spatial axis."""
    given = call.integers(name) or [default] * spatial
    if len(given) != spatial:
        raise ModelError(f"its {name} are {given} for {spatial} spatial axes")
    return (given[0], given[1]) if spatial == 2 else (default, given[0])


def _given_pads(call: Call, spatial: int) -> Pads:
    given = call.integers("pads") or [0] * (2 * spatial)
    if len(given) != 2 * spatial or min(given) < 0:
        raise ModelError(f"its pads are {given} for {spatial} spatial axes; give two of at least 0 for each")
    return (given[0], given[1], given[2], given[3]) if spatial == 2 else (0, given[0], 0, given[1])


def _pads(call: Call, plane: Plane, kernel: Pair, strides: Pair, dilations: Pair) -> Pads:
    """Return the pads, those that auto_pad asks for worked out."""
    auto, given = call.text("auto_pad", "NOTSET"), _given_pads(call, plane.spatial)
    if auto == "NOTSET":
        return given
    if auto == "VALID":
        return 0, 0, 0, 0
    if auto not in {"SAME_UPPER", "SAME_LOWER"}:
        raise ModelError(f"its auto_pad is {auto!r}; supported are NOTSET, VALID, SAME_UPPER and SAME_LOWER")
    each = zip(plane.height_and_width, kernel, strides, dilations, strict=True)
    (top, bottom), (left, right) = (same_pads(*numbers)[:: 1 if auto == "SAME_UPPER" else -1] for numbers in each)
    return top, left, bottom, right


def _kernel_shape(call: Call, weight: tuple[int, ...], spatial: int) -> Pair:
    """Return height and width of the kernel of a weight; the attribute must agree."""
    if len(weight) != spatial + 2 or min(weight) < 1:
        raise ModelError(f"its weight has the shape {weight} for {spatial} spatial axes")
    given = call.integers("kernel_shape")
    if given is not None and tuple(given) != weight[2:]:
        raise ModelError(f"its kernel_shape is {given} and its weight has the shape {weight}")
    return (1, weight[2]) if spatial == 1 else (weight[2], weight[3])


def _check_strides(*pairs: Pair) -> None:
    if any(n < 1 for pair in pairs for n in pair):
        raise ModelError(f"its strides or dilations are {pairs}; they must be at least 1")


def conv(call: Call) -> list[Value]:
    """Operator Conv with a constant kernel."""
    plane, weight = plane_of(call, call.tensor()), call.array(1)
    kernel = _kernel_shape(call, weight.shape, plane.spatial)
    strides, dilations = (_pair(call, name, plane.spatial) for name in ("strides", "dilations"))
    _check_strides(strides, dilations)
    pads = _pads(call, plane, kernel, strides, dilations)
    # (cout, cin / group, height, width) to (height, width, cin / group, cout)
    turned = weight.reshape(*weight.shape[:2], *kernel).transpose(2, 3, 1, 0)
    params = {"weight": call.param("weight", turned, call.source(1))}
    if call.has(2):
        params["bias"] = call.param("bias", call.floats(2, weight.shape[:1]), call.source(2))
    attrs = {"strides": strides, "pads": pads, "dilations": dilations, "group": call.integer("group", 1)}
    name = call.emit("Conv", [call.arrange(plane.tensor, plane.groups)], attrs, params)
    return [made_plane(call, name, call.network.shapes[name], plane.spatial)]


def conv_transpose(call: Call) -> list[Value]:
    """Operator ConvTranspose with a constant kernel."""
    plane, weight, group = plane_of(call, call.tensor()), call.array(1), call.integer("group", 1)
    kernel = _kernel_shape(call, weight.shape, plane.spatial)
    strides, dilations = (_pair(call, name, plane.spatial) for name in ("strides", "dilations"))
    _check_strides(strides, dilations)
    extra = _pair(call, "output_padding", plane.spatial, 0)
    pads, extra = _cropping(call, plane, kernel, strides, dilations, extra)
    # (cin, cout / group, height, width) to (height, width, cin, cout / group)
    turned = weight.reshape(*weight.shape[:2], *kernel).transpose(2, 3, 0, 1)
    params = {"weight": call.param("weight", turned, call.source(1))}
    if call.has(2):
        params["bias"] = call.param("bias", call.floats(2, (weight.shape[1] * group,)), call.source(2))
    attrs = {"strides": strides, "pads": pads, "output_padding": extra, "dilations": dilations, "group": group}
    name = call.emit("ConvTranspose", [call.arrange(plane.tensor, plane.groups)], attrs, params)
    return [made_plane(call, name, call.network.shapes[name], plane.spatial)]


def _cropping(call: Call, plane: Plane, kernel: Pair, strides: Pair, dilations: Pair, extra: Pair) -> tuple[Pads, Pair]:
    """Return what a transposed convolution crops, and the zeros it adds at the end."""
    auto, given = call.text("auto_pad", "NOTSET"), _given_pads(call, plane.spatial)
    output = call.integers("output_shape")
    sizes = plane.height_and_width
    if output is not None:
        output = output[-plane.spatial :]
        wanted = (output[0], output[1]) if plane.spatial == 2 else (1, output[0])
    elif auto in {"SAME_UPPER", "SAME_LOWER"}:
        wanted = (sizes[0] * strides[0], sizes[1] * strides[1])
    else:
        return (0, 0, 0, 0) if auto == "VALID" else given, extra
    pairs, more = [], []
    for n, k, stride, dilation, add, want in zip(sizes, kernel, strides, dilations, extra, wanted, strict=True):
        total = stride * (n - 1) + add + (k - 1) * dilation + 1 - want
        more.append(add + max(0, -total))
        half = max(0, total) // 2
        pairs.append((half, max(0, total) - half) if auto == "SAME_UPPER" else (max(0, total) - half, half))
    (top, bottom), (left, right) = pairs
    return (top, left, bottom, right), (more[0], more[1])


def _window(call: Call, plane: Plane) -> tuple[Pair, Pair, Pads]:
    given = call.integers("kernel_shape")
    if given is None or len(given) != plane.spatial or min(given) < 1:
        raise ModelError(f"its kernel_shape is {given} for {plane.spatial} spatial axes")
    kernel = (given[0], given[1]) if plane.spatial == 2 else (1, given[0])
    strides = _pair(call, "strides", plane.spatial)
    _check_strides(strides)
    return kernel, strides, _pads(call, plane, kernel, strides, (1, 1))


def _ceiled(sizes: Pair, kernel: Pair, strides: Pair, pads: Pads) -> Pads:
    """Return how much more padding at the end lets a last, incomplete window in (ceil_mode); top and left are 0.

    A window that would begin in the padding at the end is left out, as PyTorch and ONNX Runtime have it.
    """
    more = []
    for i in range(2):
        before, after = pads[i], pads[i + 2]
        whole = output_size(sizes[i], kernel[i], strides[i], (before, after))
        covered = (whole - 1) * strides[i] + kernel[i]
        total = sizes[i] + before + after
        begins = whole * strides[i]
        more.append(covered + strides[i] - total if covered < total and begins < sizes[i] + before else 0)
    return 0, 0, more[0], more[1]


def _add_pads(a: Pads, b: Pads) -> Pads:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


def max_pool(call: Call) -> list[Value]:
    """Operator MaxPool without indices."""
    if call.wants(1):
        raise ModelError("its output of indices is used; supported are the maxima")
    plane = plane_of(call, call.tensor())
    kernel, strides, pads = _window(call, plane)
    call.ignore("storage_order")
    if _pair(call, "dilations", plane.spatial) != (1, 1):
        raise ModelError("its dilations are not 1; that is not supported")
    if call.integer("ceil_mode", 0):
        pads = _add_pads(pads, _ceiled(plane.height_and_width, kernel, strides, pads))
    attrs = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    name = call.emit("MaxPool", [call.arrange(plane.tensor, plane.groups)], attrs)
    return [made_plane(call, name, call.network.shapes[name], plane.spatial)]


def average_pool(call: Call) -> list[Value]:
    """Operator AveragePool; what ceil_mode adds at the end never counts."""
    plane = plane_of(call, call.tensor())
    kernel, strides, pads = _window(call, plane)
    if _pair(call, "dilations", plane.spatial) != (1, 1):
        raise ModelError("its dilations are not 1; that is not supported")
    counts = bool(call.integer("count_include_pad", 0))
    more: Pads = (0, 0, 0, 0)
    if call.integer("ceil_mode", 0):
        more = _ceiled(plane.height_and_width, kernel, strides, pads)
    if counts and any(pads) and any(more):
        spatial = [(2, pads[0], pads[2]), (3, pads[1], pads[3])] if plane.spatial == 2 else [(2, pads[1], pads[3])]
        plane = plane_of(call, padded(call, plane.tensor, spatial, part="pad"))
        pads, counts = (0, 0, 0, 0), False
    attrs = {
        "kernel_shape": kernel,
        "strides": strides,
        "pads": _add_pads(pads, more),
        "count_include_pad": counts and not any(more),
    }
    name = call.emit("AveragePool", [call.arrange(plane.tensor, plane.groups)], attrs)
    return [made_plane(call, name, call.network.shapes[name], plane.spatial)]


def global_pool(call: Call) -> list[Value]:
    """Operators GlobalAveragePool and GlobalMaxPool."""
    plane = plane_of(call, call.tensor())
    name = call.emit(call.op, [call.arrange(plane.tensor, plane.groups)], {"keepdims": True})
    axes = [call.samples, plane.groups[3], *[()] * plane.spatial]
    return [call.made(name, axes, [plane.groups[0], (), (), plane.groups[3]])]


def resize(call: Call) -> list[Value]:
    """Operators Resize and Upsample of height and width, nearest or linear."""
    call.ignore("cubic_coeff_a", "exclude_outside", "extrapolation_value")
    x = call.tensor()
    plane = plane_of(call, x)
    mode = call.text("mode", "nearest")
    old = call.op == "Upsample" or call.network.opset < 11
    coordinates = call.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    nearest = call.text("nearest_mode", "floor" if old else "round_prefer_floor")
    sizes = _new_sizes(call, x)
    if sizes[:2] != list(x.shape[:2]) or call.integer("antialias", 0):
        raise ModelError(
            f"it resizes {x.shape} to {tuple(sizes)}; supported are height and width, without antialiasing"
        )
    if coordinates == "pytorch_half_pixel" and (mode == "nearest" or all(n > 1 for n in sizes[2:])):
        coordinates = "half_pixel"
    if mode not in {"nearest", "linear"} or coordinates not in {"half_pixel", "asymmetric", "align_corners"}:
        raise ModelError(
            f"its mode is {mode!r} with coordinates {coordinates!r}; supported are nearest and linear with half_pixel, "
            "asymmetric and align_corners"
        )
    new = (1, *sizes[2:]) if plane.spatial == 1 else tuple(sizes[2:])
    attrs = {"size": new, "mode": mode, "coordinates": coordinates, "nearest": nearest}
    name = call.emit("Resize", [call.arrange(x, plane.groups)], attrs)
    made = made_plane(call, name, call.network.shapes[name], plane.spatial)
    return [made]


def _new_sizes(call: Call, x: Tensor) -> list[int]:
    """Return the shape that Resize makes; its scales must be what the sizes are to one another."""
    rank = len(x.axes)
    given = call.integers("axes")
    axes = [call.axis(axis, rank) for axis in given] if given is not None else list(range(rank))
    if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise ModelError("its keep_aspect_ratio_policy is not 'stretch'; that is not supported")
    result = list(x.shape)
    if call.has(3):
        new = call.integers_at(3)
        if len(new) != len(axes) or min(new) < 1:
            raise ModelError(f"its sizes are {new} for {len(axes)} axes")
        for axis, length in zip(axes, new, strict=True):
            result[axis] = length
        return result
    scales = _scales(call)
    if len(scales) != len(axes):
        raise ModelError(f"its scales are {scales} for {len(axes)} axes")
    for axis, scale in zip(axes, scales, strict=True):
        exact = x.shape[axis] * scale if 0 < scale < MAX_SCALE else 0.0
        result[axis] = math.floor(exact + 1e-4)
        if result[axis] < 1 or abs(exact - result[axis]) > 1e-4:
            raise ModelError(
                f"it scales an axis of {x.shape[axis]} by {scale}, which gives no whole number; give sizes"
            )
    return result


def _scales(call: Call) -> list[float]:
    index = 1 if call.op == "Upsample" or call.network.opset < 11 else 2
    if call.has(index):
        array = call.array(index)
    else:
        call.ignore("scales")
        array = np.array(call.attrs.get("scales", []))
    if array.ndim != 1 or array.size > 16 or array.dtype.kind != "f":
        raise ModelError(f"its scales are {array.dtype} of shape {array.shape}; give a list of floating-point numbers")
    return [float(n) for n in array]


def depth_to_space(call: Call) -> list[Value]:
    """Operators DepthToSpace and SpaceToDepth."""
    plane = plane_of(call, call.tensor())
    if plane.spatial != 2:
        raise ModelError("its input must be (batch, channels, height, width)")
    attrs: dict[str, int | str] = {"blocksize": call.integer("blocksize", 0), "mode": call.text("mode", "DCR")}
    name = call.emit(call.op, [call.arrange(plane.tensor, plane.groups)], attrs)
    return [made_plane(call, name, call.network.shapes[name], 2)]


WINDOWS: Mapping[str, Callable[[Call], list[Value]]] = MappingProxyType(
    {
        "AveragePool": average_pool,
        "Conv": conv,
        "ConvTranspose": conv_transpose,
        "DepthToSpace": depth_to_space,
        "GlobalAveragePool": global_pool,
        "GlobalMaxPool": global_pool,
        "MaxPool": max_pool,
        "Resize": resize,
        "SpaceToDepth": depth_to_space,
        "Upsample": resize,
    }
)

"""Lowering Conv and Gemm: bytes take the fast kernels, all else is decoded while it is multiplied."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.integer.context import Context
from exporters.integer.weights import (
    Output,
    conv_output,
    fits_int8,
    folded,
    gemm_output,
    interleaved,
    is_small,
    plain,
    taps,
)
from exporters.lowering.products import geometry
from exporters.overlap import ANYWHERE, lag
from exporters.program import Step, Table, Tensor
from exporters.streams import single_streams
from refcompress.encodings import Bits, Dense, Encoding, Linear
from refcompress.integer.step import Step as IntegerStep


def gemm(step: IntegerStep, context: Context) -> Iterator[Step]:
    """Multiply one vector, or several as the pixels of a row."""
    *lead, columns = context.shape(step)
    units, vectors = context.shapes[step.output][-1], math.prod(lead)
    output = gemm_output(step)
    if vectors > 1:
        yield _conv_step(step, context, output, geometry((1, vectors, columns), (1, vectors, units), (1, 1)))
    else:
        yield _gemm_step(step, context, output, units, columns)


def conv(step: IntegerStep, context: Context) -> Iterator[Step]:
    """Convolve; with one window for the whole image it is a product with one vector."""
    attrs, shape, out = step.attrs, context.shape(step), context.shapes[step.output]
    kernel = step.params["weight"].shape[:2]
    output = conv_output(step)
    simple = attrs.group == 1 and not any(attrs.pads)
    if simple and kernel == shape[:2] and attrs.dilations == (1, 1):  # one window is the whole image
        yield _gemm_step(step, context, output, out[2], math.prod(shape))
    elif simple and kernel == (1, 1) and attrs.strides == (1, 1):  # the plane is one long row
        pixels = shape[0] * shape[1]
        yield _conv_step(step, context, output, geometry((1, pixels, shape[2]), (1, pixels, out[2]), (1, 1)))
    else:
        yield _conv_step(step, context, output, geometry(shape, out, kernel, attrs))


def _is_plain(encoding: Encoding) -> bool:
    """Whether a weight is stored as a byte for each integer, with nothing to decode."""
    values = encoding.values
    dense = isinstance(encoding, Dense) and isinstance(values, Linear) and isinstance(values.integers, Bits)
    return dense and isinstance(values, Linear) and values.bits == 8 and fits_int8(encoding)


def _tables(step: IntegerStep, output: Output, weights: Table | None) -> dict[str, Table]:
    name = step.node.name
    parts: dict[str, NDArray[Any]] = {"bias": output.bias, "factors": output.factors, "shifts": output.shifts}
    found = {role: Table(f"{name}\0{role}", f"{name} {role}", values) for role, values in parts.items()}
    return found if weights is None else {"weights": weights, **found}


def _table(step: IntegerStep, layout: str, values: NDArray[np.int8]) -> Table:
    return Table(f"{step.node.params['weight']}\0{layout}", f"{step.node.name} weight", values, aligned=True)


def _decoded(step: IntegerStep) -> tuple[Tensor | None, Table | None]:
    """Return the weight as a stream, or as bytes row after row."""
    name, encoding = step.node.params["weight"], step.params["weight"]
    if _is_plain(encoding):
        return None, _table(step, "plain", plain(encoding))
    return Tensor(name, f"{step.node.name} weight", single_streams(encoding)), None


def _gemm_step(step: IntegerStep, context: Context, output: Output, units: int, columns: int) -> Step:
    names = step.node.name, context.inputs(step), step.output
    sizes = {"rows": units, "columns": columns}
    integers = {"zero_point": step.result.zero_point, "in_zero_point": step.inputs[0].zero_point}
    encoding = step.params["weight"]
    if _is_plain(encoding) and is_small(step, output):
        tables = _tables(step, output, _table(step, "rows", interleaved(encoding)))
        scratch_bytes = 2 * _fours(columns)
        return Step(
            "q_gemm", *names, sizes, integers=integers, tables=tables, scratch_bytes=scratch_bytes, lag=ANYWHERE
        )
    weight, table = _decoded(step)
    tables = _tables(step, folded(step, output), table)
    return Step("q_gemm_stream", *names, sizes, weight=weight, integers=integers, tables=tables)


def _fours(n: int) -> int:
    return -(-n // 4) * 4


def _conv_step(step: IntegerStep, context: Context, output: Output, sizes: Mapping[str, int]) -> Step:
    kernel = _pixel_kernel(sizes)
    if kernel and _is_plain(step.params["weight"]) and is_small(step, output):
        return _pixel_step(kernel, step, context, output, sizes)
    weight, table = _decoded(step)
    return Step(
        "q_conv_stream",
        step.node.name,
        context.inputs(step),
        step.output,
        sizes,
        weight=weight,
        integers={"zero_point": step.result.zero_point, "in_zero_point": step.inputs[0].zero_point},
        tables=_tables(step, output, table),
        scratch_bytes=4 * sizes["out_h"] * sizes["out_w"],
    )


def _pixel_step(kernel: str, step: IntegerStep, context: Context, output: Output, sizes: Mapping[str, int]) -> Step:
    encoding = step.params["weight"]
    gathers = kernel != "q_conv_depthwise"
    table = _table(step, "rows", interleaved(encoding)) if gathers else _table(step, "taps", taps(encoding))
    columns = sizes["kernel_h"] * sizes["kernel_w"] * sizes["in_channels"]
    at_once = 2 if gathers else 1
    return Step(
        kernel,
        step.node.name,
        context.inputs(step),
        step.output,
        sizes,
        integers={"zero_point": step.result.zero_point, "in_zero_point": step.inputs[0].zero_point},
        tables=_tables(step, output, table),
        scratch_bytes=4 * _fours(columns) if gathers else 0,
        lag=lag(sizes, sizes["in_channels"], sizes["out_channels"], pixels_at_once=at_once, gathers=gathers),
    )


def _pixel_kernel(sizes: Mapping[str, int]) -> str:
    """Name of the kernel that goes pixel by pixel; none if there is no such kernel for these sizes."""
    if sizes["group"] > 1:
        return "q_conv_depthwise" if sizes["group"] == sizes["in_channels"] == sizes["out_channels"] else ""
    if (sizes["dilation_h"], sizes["dilation_w"]) != (1, 1):
        return ""
    row = {sizes[key] for key in ("kernel_h", "kernel_w", "stride_w", "in_h", "out_h")} == {1}
    unpadded = sizes["in_w"] == sizes["out_w"] and not sizes["pad_top"] and not sizes["pad_left"]
    return "q_conv_points" if row and unpadded else "q_conv_pixels"

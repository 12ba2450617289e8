"""What a layer of an integer network costs as C: its bytes exactly, its instructions on a Cortex-M4 by a model.

The model counts what the inner loops do (products, entries, rows, outputs) and weighs each with the instructions that
it takes when GCC compiles with ``-O2``; ``tests/bench/form_costs.py`` compares it with what QEMU counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from exporters.c.integer_calls import INTEGER_CALLS
from exporters.c.tensors import Data
from exporters.decode_tables import DEFAULT_MAX_TABLE_BITS
from exporters.entries import Entries, has_entries, lay_out
from exporters.fields import BLOCK, field_bits, with_fields
from exporters.identifiers import Namer
from exporters.integer import lower_integer
from exporters.program import Step
from refcompress.encodings import Huffman
from refcompress.encodings.integers import rows_of
from refcompress.encodings.values import stream_of
from refcompress.integer import IntegerNetwork

# Text of a kernel and of what only it calls, -O2 on a Cortex-M4
CODE_BYTES = {
    "q_gemm": 760,
    "q_conv_pixels": 1500,
    "q_conv_points": 1200,
    "q_conv_depthwise": 800,
    "plane": 1250,
    "gemm fields 2": 400,
    "gemm fields 3": 650,
    "gemm fields 4": 320,
    "expand": 400,
    "gemm coded": 250,
    "gemm mixed": 230,
    "gemm bytes": 160,
    "gemm pairs": 160,
    "gemm dense": 200,
    "conv coded": 240,
    "conv mixed": 220,
    "conv bytes": 200,
    "conv pairs": 200,
    "conv dense": 300,
}
# Instructions of an entry with its product, in a Gemm; of reading one, and of making a convolution wait for it
PRODUCT = {"coded": 19, "mixed": 16, "bytes": 9, "pairs": 7}
READ = {"coded": 36, "mixed": 32, "bytes": 24, "pairs": 22}
ESCAPE = {"coded": 13, "mixed": 13, "bytes": 6, "pairs": 0}
DENSE_SYMBOL = {"bits": 11, "huffman": 15}
ROW = 62  # of a streamed Gemm
FIELD_PRODUCT = {2: 1.24, 3: 1.62, 4: 1.37}
FIELD_ROW, FIELD_COLUMN = 50, 7
TAP, FLUSH, PLANE_ROW = 72, 65, 13  # of a plane: going to another tap; four weights at a time, each of its rows
FOUR_PRODUCTS, SUM, OUTPUT = 14, 4, 36
POOLED_SUM, POOL_INPUT = 20, 11.2
# Bytes with the DSP extension: products and outputs, of one column of inputs and of two at a time; the columns
GEMM_PRODUCT, CONV_PRODUCT, DENSE_OUTPUT = 1.4, 1.08, 24
COLUMN_ELEMENT, COLUMN_ROW = 1.3, 90
DEPTHWISE_PRODUCT, DEPTHWISE_ROW, DEPTHWISE_OUTPUT = 2.9, 6.5, 13


@dataclass(frozen=True, slots=True)
class Cost:
    """What a layer costs.

    Attributes
    ----------
    flash_bytes
        Its tables and descriptors.
    instructions
        Of one run, estimated.
    kernels
        Keys of :data:`CODE_BYTES`.

    """

    flash_bytes: int
    instructions: int
    kernels: tuple[str, ...]


def layer_costs(network: IntegerNetwork, *, max_table_bits: int = DEFAULT_MAX_TABLE_BITS) -> dict[str, Cost]:
    """Return the cost of each layer that has a weight, by the name of the weight; layers that share one are summed."""
    weights = {step.node.name: step.node.params.get("weight", "") for step in network.steps}
    encodings = network.graph.params
    costs: dict[str, Cost] = {}
    makers: dict[str, str] = {}
    for step in with_fields(lower_integer(network)).steps:
        name = weights.get(step.name, "")
        if step.kernel == "q_max_pool" and step.inputs[0] in makers:  # which a streamed convolution does by itself
            name = makers[step.inputs[0]]
            pooled = POOL_INPUT * step.sizes["in_h"] * step.sizes["in_w"] * step.sizes["channels"]
            costs[name] = replace(costs[name], instructions=costs[name].instructions + round(pooled))
            continue
        if not name or step.kernel == "q_clamp":
            continue
        makers[step.output] = name
        data = Data(Namer("net", []), max_table_bits)
        INTEGER_CALLS[step.kernel](step, ["x", "y", "scratch"][: 3 if step.scratch_bytes else 2], data)
        entries = None
        if step.weight is not None and has_entries(step.weight.encoding):
            entries = lay_out(step.weight.encoding, max_table_bits=max_table_bits)
        instructions = round(_instructions(step, entries, rows_of(encodings[name])))
        before = costs.get(name, Cost(0, 0, ()))
        costs[name] = Cost(data.data_bytes, before.instructions + instructions, _kernels(step, entries))
    return costs


def _kernels(step: Step, entries: Entries | None) -> tuple[str, ...]:
    if step.kernel == "q_gemm_fields" and step.weight is not None:
        return (f"gemm fields {field_bits(step.weight.encoding)}", "expand")
    if step.kernel not in ("q_gemm_stream", "q_conv_stream"):
        return (step.kernel,)
    form = "dense" if entries is None else entries.form
    return (f"gemm {form}",) if step.kernel == "q_gemm_stream" else (f"conv {form}", "plane")


def _instructions(step: Step, entries: Entries | None, rows: NDArray[np.int32]) -> float:
    if step.kernel == "q_gemm_fields":
        return _fields(step, rows)
    if step.kernel == "q_gemm_stream":
        return _decoding(step, entries, rows, PRODUCT) + ROW * len(rows)
    if step.kernel == "q_conv_stream":
        return _decoding(step, entries, rows, READ) + _planes(step, rows, dense=entries is None)
    units, columns = (int(n) for n in rows.shape)
    padded = (units + units % 2) * 4 * math.ceil(columns / 4)
    if step.kernel == "q_gemm":
        return GEMM_PRODUCT * padded + DENSE_OUTPUT * units + COLUMN_ELEMENT * columns + COLUMN_ROW
    pixels = step.sizes["out_h"] * step.sizes["out_w"]
    if step.kernel == "q_conv_depthwise":
        each = DEPTHWISE_PRODUCT * columns + DEPTHWISE_ROW * step.sizes["kernel_h"] + DEPTHWISE_OUTPUT
        return pixels * units * each
    gathered = COLUMN_ELEMENT * columns + COLUMN_ROW * step.sizes["kernel_h"]
    return pixels * (CONV_PRODUCT * padded + DENSE_OUTPUT * units + gathered)


def _fields(step: Step, rows: NDArray[np.int32]) -> float:
    units, columns = (int(n) for n in rows.shape)
    bits = 0 if step.weight is None else field_bits(step.weight.encoding)
    padded = (units + units % 2) * BLOCK * math.ceil(columns / BLOCK)
    return FIELD_PRODUCT[bits] * padded + FIELD_ROW * units + FIELD_COLUMN * columns


def _decoding(step: Step, entries: Entries | None, rows: NDArray[np.int32], each: Mapping[str, int]) -> float:
    if entries is not None:
        return each[entries.form] * entries.n_entries + ESCAPE[entries.form] * entries.n_escapes
    stream = None if step.weight is None else stream_of(step.weight.encoding.values)
    symbol = DENSE_SYMBOL["huffman" if isinstance(stream, Huffman) else "bits"]
    return (symbol + each["pairs"] - PRODUCT["pairs"]) * rows.size


def _planes(step: Step, rows: NDArray[np.int32], *, dense: bool) -> float:
    """Return what applying the weights to the planes takes, and making the outputs."""
    sizes = step.sizes
    down, right = (_reached(sizes, axis) for axis in "hw")
    stored = np.ones(rows.shape, np.bool_) if dense else rows != 0
    of_tap = stored.reshape(len(rows), down.size * right.size, -1).sum(axis=2)
    heights, widths = np.repeat(down, right.size), np.tile(right, down.size)
    groups = np.ceil(of_tap / 4)
    if down.min() == down.max() and right.min() == right.max():  # weights of all taps wait together
        groups = of_tap / 4
    passes = groups * (FLUSH + heights * (PLANE_ROW + FOUR_PRODUCTS * widths))
    pixels = sizes["out_h"] * sizes["out_w"]
    outputs = len(rows) * pixels
    made = OUTPUT * outputs
    if step.pool:
        made = POOLED_SUM * outputs + OUTPUT * len(rows) * math.prod(step.pool[key] for key in ("out_h", "out_w"))
    return float(passes.sum() + TAP * np.count_nonzero(of_tap) + SUM * outputs + made)


def _reached(sizes: Mapping[str, int], axis: str) -> NDArray[np.int64]:
    """Return how many outputs along an axis each place of the kernel reaches."""
    pad = sizes["pad_top" if axis == "h" else "pad_left"]
    places = np.arange(sizes[f"kernel_{axis}"]) * sizes[f"dilation_{axis}"]
    at = places[:, None] + np.arange(sizes[f"out_{axis}"]) * sizes[f"stride_{axis}"] - pad
    inside: NDArray[np.bool_] = (at >= 0) & (at < sizes[f"in_{axis}"])
    counts: NDArray[np.int64] = np.sum(inside, axis=1, dtype=np.int64)
    return counts

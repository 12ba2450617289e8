"""Weights in every form that the runtime executes, and networks made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from refcompress import Graph, Node, TensorSpec, encodings, ops
from refcompress.encodings import (
    Bits,
    Codebook,
    Csr,
    Dense,
    Encoding,
    Float32,
    Huffman,
    IntegerCodebook,
    Joint,
    Linear,
    csr,
    huffman,
)
from refcompress.encodings.rows import matrix_shape


@dataclass(frozen=True)
class Form:
    """One way to store a weight.

    Attributes
    ----------
    sparse, kind, gaps, values
        Rows; ``float32``, ``codebook``, ``linear`` or ``shared`` (a codebook of integers); streams ``bits`` or
        ``huffman``, values also ``joint``.
    long_gap, gap_bits
        Of sparse rows.
    per_row
        Linear: a scale for each row.
    symmetric
        Linear: one zero point for all rows.
    n_streams
        Of Huffman codes in the graph; the export makes one of four.

    """

    sparse: bool
    kind: str
    gaps: str = ""
    values: str = ""
    long_gap: str = "filler"
    gap_bits: int = 3
    per_row: bool = False
    symmetric: bool = False
    n_streams: int = 1

    @property
    def name(self) -> str:
        """All of it as one word."""
        words = ["csr" if self.sparse else "dense", self.kind, self.values]
        if self.sparse:
            words += [self.gaps, self.long_gap, str(self.gap_bits)]
        words += ["rows" if self.per_row else "", "symmetric" if self.symmetric else ""]
        return "_".join([*filter(None, words), str(self.n_streams)])


def all_forms() -> Iterator[Form]:
    """Every combination of rows, values, streams and long gaps."""
    yield Form(sparse=False, kind="float32")
    for kind in ("codebook", "linear"):
        yield Form(sparse=False, kind=kind, values="bits")
        yield Form(sparse=False, kind=kind, values="huffman", n_streams=4, per_row=kind == "linear")
    yield Form(sparse=False, kind="linear", values="bits", per_row=True, symmetric=True)
    yield Form(sparse=True, kind="linear", gaps="huffman", values="huffman", per_row=True, symmetric=True)
    for long_gap in ("filler", "escape"):
        for gaps in ("bits", "huffman"):
            yield Form(sparse=True, kind="float32", gaps=gaps, long_gap=long_gap, gap_bits=2)
            for kind in ("codebook", "linear"):
                for values in ("bits", "huffman", "joint"):
                    yield Form(
                        sparse=True,
                        kind=kind,
                        gaps=gaps,
                        values=values,
                        long_gap=long_gap,
                        gap_bits=1 if values == "joint" and gaps == "bits" else 4,
                        per_row=kind == "linear" and gaps == "huffman",
                        n_streams=4 if long_gap == "escape" else 1,
                    )


def integer_forms() -> Iterator[Form]:
    """Those of integer networks."""
    for form in all_forms():
        if form.kind == "linear":
            yield form
        if form.kind == "codebook":
            yield replace(form, kind="shared")


def make_weight(rng: np.random.Generator, shape: tuple[int, ...], form: Form, *, density: float = 0.3) -> Encoding:
    """Store random numbers in a form; some rows and taps stay empty."""
    rows, columns = matrix_shape(shape)
    count = rows * columns
    where = np.arange(count)
    if form.sparse:
        kept = rng.random(count) < density
        kept[rng.integers(count) :][: columns + columns // 2] = False
        where = np.flatnonzero(kept)
        symbols, entry = csr.split_gaps(where, form.gap_bits, form.long_gap)
        carries = entry >= 0 if form.long_gap == "escape" else np.ones(entry.size, np.bool_)
    stored = int(carries.sum()) if form.sparse else count
    fillers = (entry < 0)[carries] if form.sparse else np.zeros(stored, np.bool_)
    if form.kind == "float32":
        values = rng.normal(size=stored).astype(np.float32)
        values[fillers] = 0
        if not form.sparse:
            return Dense(shape, Float32(values))
        return Csr(
            shape, _stream(symbols, form.gap_bits, form.gaps, form), form.gap_bits, form.long_gap, Float32(values)
        )
    width = 3
    integers = np.minimum(rng.geometric(0.4, stored) - 1, 6).astype(np.uint16)
    integers[fillers] = 5
    if form.sparse and form.values == "joint":
        joint = (symbols | csr.spread(integers, carries) << form.gap_bits).astype(np.uint16)
        values = _values(rng, form, Joint(integers, width), width, rows)
        gaps = _stream(joint, form.gap_bits + width, form.gaps, form)
        return Csr(shape, gaps, form.gap_bits, form.long_gap, values)
    values = _values(rng, form, _stream(integers, width, form.values, form), width, rows)
    if not form.sparse:
        return Dense(shape, values)
    return Csr(shape, _stream(symbols, form.gap_bits, form.gaps, form), form.gap_bits, form.long_gap, values)


def _stream(symbols: NDArray[np.uint16], width: int, how: str, form: Form) -> Bits | Huffman:
    array = np.asarray(symbols, np.uint16)
    return Bits(array, width) if how == "bits" else huffman.encode(array, n_streams=form.n_streams)


def _values(
    rng: np.random.Generator, form: Form, stream: Bits | Huffman | Joint, width: int, rows: int
) -> Codebook | Linear | IntegerCodebook:
    if form.kind == "codebook":
        centroids = rng.normal(size=7).astype(np.float32)
        centroids[5] = 0
        return Codebook(centroids, stream)
    if form.kind == "shared":
        integers = rng.integers(-128, 128, 7).astype(np.int8)
        integers[5] = 0
        return IntegerCodebook(integers, float(rng.uniform(0.01, 1)), stream)
    count = rows if form.per_row else 1
    scales = rng.uniform(0.01, 1, count).astype(np.float32)
    zero_points = rng.integers(0, 1 << width, 1 if form.symmetric else count).astype(np.uint16)
    return Linear(stream, width, scales, np.resize(zero_points, count))


def _transposed(**attrs: object) -> dict[str, object]:
    plain = {"strides": [1, 1], "pads": [0, 0, 0, 0], "output_padding": [0, 0], "dilations": [1, 1], "group": 1}
    return {**plain, **attrs}


# What weights are used for: input shape, operator, weight shape, attributes
USES: Mapping[str, tuple[tuple[int, ...], str, tuple[int, ...], Mapping[str, object]]] = {
    "gemm": ((37,), "Gemm", (37, 11), {}),
    "gemm_vectors": ((2, 3, 10), "Gemm", (10, 6), {}),
    "conv": (
        (7, 6, 5),
        "Conv",
        (3, 2, 5, 6),
        {"strides": [1, 1], "pads": [1, 0, 1, 1], "dilations": [1, 1], "group": 1},
    ),
    "conv_grouped": (
        (9, 8, 6),
        "Conv",
        (3, 3, 3, 8),
        {"strides": [2, 1], "pads": [2, 2, 1, 2], "dilations": [2, 1], "group": 2},
    ),
    "depthwise": (
        (6, 7, 4),
        "Conv",
        (3, 3, 1, 8),
        {"strides": [2, 2], "pads": [0, 1, 1, 1], "dilations": [1, 1], "group": 4},
    ),
    "pointwise": (
        (4, 5, 9),
        "Conv",
        (1, 1, 9, 7),
        {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1], "group": 1},
    ),
    "whole": (
        (3, 4, 2),
        "Conv",
        (3, 4, 2, 5),
        {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1], "group": 1},
    ),
}


# The same for what only C has kernels for
C_USES: Mapping[str, tuple[tuple[int, ...], str, tuple[int, ...], Mapping[str, object]]] = {
    "conv_transpose": ((4, 5, 3), "ConvTranspose", (3, 2, 3, 4), _transposed()),
    "conv_transpose_grouped": (
        (3, 4, 6),
        "ConvTranspose",
        (2, 3, 6, 2),
        _transposed(strides=[2, 3], pads=[1, 1, 2, 1], output_padding=[1, 0], dilations=[1, 2], group=3),
    ),
    "gather": ((5,), "Gather", (9, 7), {}),
}


def use_graph(rng: np.random.Generator, use: str, *, forms: list[Form] | None = None) -> Graph:
    """Build a network with one branch and one output for each form, every second one with a bias if it may have one."""
    shape, op, weight_shape, attrs = (USES | C_USES)[use]
    nodes, params = [], {}
    for i, form in enumerate(all_forms() if forms is None else forms):
        params[f"{form.name} w"] = make_weight(rng, weight_shape, form)
        roles = {"weight": f"{form.name} w"}
        if i % 2 and "bias" in ops.OPS[op].roles:
            units = weight_shape[-1] * (attrs["group"] if op == "ConvTranspose" else 1)
            params[f"{form.name} b"] = encodings.encode(rng.normal(size=units))
            roles["bias"] = f"{form.name} b"
        nodes.append(Node(op, form.name, ("x",), f"y {form.name}", roles, ops.make_attrs(op, attrs)))
    return Graph((TensorSpec("x", shape),), tuple(node.output for node in nodes), tuple(nodes), params)


def samples(rng: np.random.Generator, graph: Graph, count: int = 2) -> list[NDArray[np.float32]]:
    """Random inputs with some zeros of both signs."""
    found = []
    for spec in graph.inputs:
        x = rng.normal(size=(count, *spec.shape)).astype(np.float32)
        x[rng.random(x.shape) < 0.1] = 0.0
        x[rng.random(x.shape) < 0.1] = -0.0
        found.append(x)
    return found

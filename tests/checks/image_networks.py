"""Small networks for flash images: of one operator of each kind, or of one layer in a form."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from checks.forms import Form, all_forms, integer_forms, make_weight
from checks.integer_builder import IntegerBuilder

from refcompress import Graph, Node, TensorSpec, encodings, ops
from refcompress.encodings import Codebook, Dense, IntegerCodebook, huffman
from refcompress.integer import IntegerNetwork, Quantization

CONV = {"strides": [1, 1], "pads": [1, 1, 0, 0], "dilations": [1, 1], "group": 1}
CODED = Form(sparse=True, kind="codebook", gaps="huffman", values="huffman", long_gap="escape", gap_bits=2)
JOINT = Form(sparse=True, kind="linear", gaps="bits", values="joint", long_gap="escape", gap_bits=1)
LINEAR = Form(sparse=False, kind="linear", values="huffman", per_row=True)
SYMMETRIC = Form(sparse=False, kind="linear", values="bits", per_row=True, symmetric=True)
FLOATS = Form(sparse=True, kind="float32", gaps="bits", gap_bits=2)


def network(form: Form | None = None) -> Graph:
    """Build a small network of one operator of each kind, or of one layer in a form."""
    rng = np.random.default_rng(7)
    if form is not None:
        params = {"w": make_weight(rng, (20, 6), form)}
        node = Node("Gemm", "g", ("x",), "y", {"weight": "w"}, ops.NoAttrs())
        return Graph((TensorSpec("x", (20,)),), ("y",), (node,), params)
    params = {
        "c": make_weight(rng, (2, 2, 2, 3), CODED, density=0.6),
        "p": encodings.encode(rng.normal(size=(2, 2, 3, 3))),
        "g": make_weight(rng, (18, 4), JOINT),
        "b": encodings.encode(rng.normal(size=4)),
        "v": encodings.encode(rng.uniform(0.5, 1, 3)),
    }
    steps = [
        ("Conv", ("x",), {"weight": "c"}, CONV),
        ("BatchNormalization", ("0",), {"mean": "v", "var": "v"}, {"epsilon": 1e-3}),
        ("Conv", ("1",), {"weight": "p"}, CONV),
        ("Add", ("1", "2"), {}, {}),
        ("Pad", ("3",), {}, {"pads": [0, 1, 1, 0]}),
        ("MaxPool", ("4",), {}, {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
        ("Concat", ("5", "5"), {}, {"axis": 3}),
        (
            "AveragePool",
            ("6",),
            {},
            {"kernel_shape": [2, 2], "strides": [1, 1], "pads": [0, 0, 0, 0], "count_include_pad": False},
        ),
        ("Clip", ("7",), {}, {"min": 0.0, "max": 6.0}),
        ("Flatten", ("5",), {}, {}),
        ("Gemm", ("9",), {"weight": "g", "bias": "b"}, {}),
        ("Softmax", ("10",), {}, {}),
    ]
    nodes = tuple(
        Node(op, f"{i}", inputs, f"{i}", params_of, ops.make_attrs(op, attrs))
        for i, (op, inputs, params_of, attrs) in enumerate(steps)
    )
    shapes = ops.infer_shapes(Graph((TensorSpec("x", (3, 4, 2)),), (), nodes[:6], params))
    params["g"] = make_weight(rng, (int(np.prod(shapes["5"])), 4), JOINT)
    return Graph((TensorSpec("x", (3, 4, 2)),), ("11", "8", "x"), nodes, params)


SHARED_CODED = Form(
    sparse=True, kind="shared", gaps="huffman", values="huffman", long_gap="escape", gap_bits=2, n_streams=4
)
SHARED_JOINT = Form(sparse=True, kind="shared", gaps="huffman", values="joint", long_gap="filler", gap_bits=3)
SHARED = Form(sparse=False, kind="shared", values="bits")
INTEGER_FORMS = (SHARED_CODED, SHARED_JOINT, SHARED, JOINT, LINEAR, SYMMETRIC)
INTEGER_KERNELS = (
    *("q_gemm", "q_gemm_stream", "q_conv_pixels", "q_conv_points", "q_conv_depthwise", "q_conv_stream", "q_conv_pool"),
    *("q_max_pool", "q_average_pool", "q_global_mean", "q_table", "q_clamp", "q_softmax", "q_add", "q_concat", "q_pad"),
    "q_copy",
)


def integer_network(form: Form | None = None) -> tuple[IntegerBuilder, IntegerNetwork]:
    """Build a small integer network of every kernel, or of one layer in a form."""
    if form is not None:
        b = IntegerBuilder(8, x=(20,))
        return b, b.network(b("Gemm", "x", weight=make_weight(b.rng, (20, 6), form)))
    b = IntegerBuilder(7, x=(4, 5, 3))
    pads = {"pads": [1, 1, 0, 0]}
    first = b("Conv", "x", weight=(2, 2, 3, 5), **pads, function=("Relu", {}), result=Quantization(0.5, -3))
    point = b("Conv", first, weight=(1, 1, 5, 5))
    deep = b("Conv", point, weight=(2, 2, 1, 5), **pads, group=5)
    total = b("Add", point, deep)
    sparse = b("Conv", total, weight=make_weight(b.rng, (2, 2, 5, 4), SHARED_CODED, density=0.6), **pads)
    window = {"kernel_shape": [2, 2], "strides": [2, 1]}
    pooled = b("MaxPool", sparse, **window, pads=[0, 1, 0, 0])
    plain = b("Conv", pooled, weight=make_weight(b.rng, (1, 2, 4, 4), SHARED_JOINT), dilations=[1, 2])
    grouped = b("Conv", plain, weight=(1, 1, 2, 4), group=2)
    padded = b("Pad", grouped, pads=[0, 1, 1, 0])
    joined = b("Concat", padded, padded, axis=2)
    largest = b("MaxPool", joined, **window, pads=[0, 0, 0, 1])
    mean = b("AveragePool", largest, **window, pads=[1, 0, 0, 0], count_include_pad=False)
    vector = b("GlobalAveragePool", mean, keepdims=False)
    wide = b("Gemm", vector, weight=(4, 6))
    made = b("Gemm", b("Sigmoid", wide), weight=make_weight(b.rng, (6, 5), LINEAR))
    return b, b.network(b("Softmax", made), wide, "x")


def one_symbol_network(*, integers: bool) -> Graph | IntegerNetwork:
    """Build a dense layer whose weights are all the same: a Huffman code of one symbol, which has one bit."""
    b = IntegerBuilder(10, x=(20,))
    labels = huffman.encode(np.zeros(120, np.uint16))
    if integers:
        shared = IntegerCodebook(np.array([3], np.int8), 0.1, labels)
        return b.network(b("Gemm", "x", weight=Dense((20, 6), shared)))
    weight = Dense((20, 6), Codebook(np.array([3], np.float32), labels))
    return Graph(b.inputs, ("y",), (Node("Gemm", "g", ("x",), "y", {"weight": "w"}, ops.NoAttrs()),), {"w": weight})


def every_network(*, integers: bool) -> Iterator[Graph | IntegerNetwork]:
    """Networks that together reach every kernel in every form: a dense layer and a convolution of each."""
    if integers:
        yield integer_network()[1]
    else:
        yield network()
        names = ["x", "Relu", "Sigmoid", "Tanh"]
        nodes = tuple(Node(op, op, (x,), op, attrs=ops.NoAttrs()) for x, op in pairwise(names))
        yield Graph((TensorSpec("x", (9,)),), tuple(names[1:]), nodes, {})
    for form in integer_forms() if integers else all_forms():
        b = IntegerBuilder(9, x=(4, 4, 3))
        weights = [make_weight(b.rng, (48, 5), form), make_weight(b.rng, (2, 2, 3, 4), form)]
        attrs = {"strides": [1, 2], "pads": [1, 0, 0, 1]}
        if integers:
            yield b.network(b("Gemm", b("Flatten", "x"), weight=weights[0]), b("Conv", "x", weight=weights[1], **attrs))
            continue
        conv = ops.make_attrs("Conv", {**CONV, **attrs})
        nodes = (
            Node("Flatten", "f", ("x",), "h", attrs=ops.NoAttrs()),
            Node("Gemm", "g", ("h",), "y", {"weight": "w0"}, ops.NoAttrs()),
            Node("Conv", "c", ("x",), "z", {"weight": "w1"}, conv),
        )
        yield Graph(b.inputs, ("y", "z"), nodes, {"w0": weights[0], "w1": weights[1]})

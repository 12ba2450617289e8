"""Our networks written as Keras files, read back by the importer, which knows nothing of the writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import refcompress
from refcompress.encodings import decode
from refcompress.errors import ModelError
from refcompress.graph import Graph, TensorSpec
from refcompress.run import run
from reference_models import digits_cnn, lenet_5, lenet_300_100
from reference_models.keras_file import keras_file
from reference_models.layers import Layer, chain, conv, gemm, max_pool

X = TensorSpec("x", (8, 8, 1))


@pytest.mark.parametrize("model", [digits_cnn, lenet_5, lenet_300_100])
def test_what_is_written_is_read_as_the_same_network(model: object, tmp_path: Path) -> None:
    graph: Graph = model.build(np.random.default_rng(0))  # type: ignore[attr-defined]
    path = tmp_path / "net.h5"
    path.write_bytes(keras_file(graph, "net"))
    read = refcompress.load(path)
    assert [node.op for node in read.nodes] == [node.op for node in graph.nodes]
    written = [decode(graph.params[name]) for _, _, name in graph.weights()]
    for ours, theirs in zip(written, (decode(read.params[name]) for _, _, name in read.weights()), strict=True):
        assert np.array_equal(ours, theirs)
    x = np.random.default_rng(1).random((3, *graph.inputs[0].shape)).astype(np.float32)
    assert np.array_equal(run(graph, x)[0], run(read, x)[0])


def test_strides_and_dilations_are_written(tmp_path: Path) -> None:
    weight = np.random.default_rng(2).normal(size=(2, 3, 1, 4)).astype(np.float32)
    layers = [
        Layer("Conv", "strided", {"strides": (2, 1)}, {"weight": weight}),
        max_pool("pool", 2),
        Layer("Flatten", "flat"),
        gemm("last", np.ones((24, 2), np.float32)),
    ]
    graph = chain(X, layers)
    path = tmp_path / "net.h5"
    path.write_bytes(keras_file(graph, "net"))
    x = np.random.default_rng(3).random((2, 8, 8, 1)).astype(np.float32)
    assert np.array_equal(run(graph, x)[0], run(refcompress.load(path), x)[0])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Layer("Tanh", "t")], "'t' is a Tanh"),  # no such layer in the writer
        ([conv("c", np.ones((3, 3, 1, 1), np.float32), pad=2)], "pads"),  # more than SAME adds
        ([Layer("Relu", "r")], "'r' is a Relu"),  # an activation of nothing
    ],
)
def test_what_has_no_counterpart_is_refused(layers: list[Layer], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        keras_file(chain(X, layers), "net")

"""The adaptor of ONNX Runtime: all tensors as outputs, matched by name or by order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.frameworks import framework, onnx_model
from test_verify_torch import without_padded_mean

from refcompress.errors import DataError, FormatError
from refcompress.graph import Graph, TensorSpec
from refcompress.verify import compare, compare_layers
from refcompress.verify.adaptors import onnxruntime as adaptor
from refcompress.verify.adaptors import random_inputs

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def runtime() -> Any:
    framework("onnx")
    return framework("onnxruntime")


def options(runtime: Any, threads: int) -> Any:
    chosen = runtime.SessionOptions()
    chosen.intra_op_num_threads = threads
    return chosen


@pytest.mark.parametrize("threads", [1, 2])
def test_every_tensor_is_captured_and_within(runtime: Any, threads: int) -> None:
    graph = without_padded_mean()
    model = adaptor.Model(onnx_model(graph), options(runtime, threads))
    inputs = random_inputs(graph, 4)
    activations = adaptor.capture(model, inputs, graph)
    assert set(activations) == {"x", *(node.output for node in graph.nodes)}
    verdict = compare_layers(graph, activations)
    assert verdict.within, verdict.bad
    (y,) = adaptor.outputs(model, inputs, graph)
    assert compare(graph, {"x": inputs["x"], "y": y}).within


def test_tensors_of_other_names_are_matched_by_order(runtime: Any) -> None:
    graph = without_padded_mean()
    proto = onnx_model(graph)
    renamed = {node.output: f"tensor_{i}" for i, node in enumerate(graph.nodes)}
    for node in proto.graph.node:
        node.name = ""
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    proto.graph.output[0].name = renamed[graph.outputs[0]]
    activations = adaptor.capture(adaptor.Model(proto, options(runtime, 1)), random_inputs(graph, 3), graph)
    verdict = compare_layers(graph, activations)
    assert verdict.within, verdict.bad
    assert {"c1", "n1", "r1", "c2", "s", "p1", "d", "y"} <= set(activations)


def test_the_layer_that_differs_is_named_with_its_cause(runtime: Any, tmp_path: Path) -> None:
    onnx = framework("onnx")
    graph = without_padded_mean()
    proto = onnx_model(graph)
    conv = proto.graph.node[0]
    pads = next(attribute for attribute in conv.attribute if attribute.name == "pads")
    pads.ints[:] = [1, 1, 0, 0]
    onnx.save(proto, tmp_path / "model.onnx")
    assert runtime
    verdict = compare_layers(
        graph, adaptor.capture(adaptor.load(tmp_path / "model.onnx"), random_inputs(graph, 3), graph)
    )
    assert [(layer.name, layer.cause) for layer in verdict.bad] == [
        ("first", "with SAME padding on the other side it agrees")
    ]


def test_models_that_do_not_fit_are_refused(runtime: Any, tmp_path: Path) -> None:
    assert runtime
    graph = without_padded_mean()
    model = adaptor.Model(onnx_model(graph))
    two = Graph((TensorSpec("a", (3,)), TensorSpec("b", (3,))), ("a",), (), {})
    with pytest.raises(DataError, match="has 1 inputs; the network has 2"):
        adaptor.outputs(model, {"a": np.zeros((1, 3)), "b": np.zeros((1, 3))}, two)
    other = Graph((TensorSpec("x", (3,)),), ("x",), (), {})
    with pytest.raises(DataError, match="does not run the model"):
        adaptor.outputs(model, {"x": np.zeros((1, 3))}, other)
    (tmp_path / "model.onnx").write_bytes(b"nothing at all")
    with pytest.raises(FormatError, match="no ONNX model"):
        adaptor.load(tmp_path / "model.onnx")

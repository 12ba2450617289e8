"""The adaptor of ONNX Runtime: all tensors as outputs, matched by name or by order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.frameworks import framework, onnx_model
from test_verify_torch import without_padded_mean

from refcompress import formats
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


def saved_model(tmp_path: Path, nodes: list[Any], shape: tuple[Any, ...], **constants: Any) -> Path:
    of = pytest.importorskip("checks.onnx_files")
    arrays = {name: np.asarray(array, np.float32) for name, array in constants.items()}
    return Path(of.saved(of.model(nodes, {"x": shape}, ["y"], arrays), tmp_path))


def judged(path: Path, *, batched: bool = True) -> tuple[Any, Any]:
    """Verdicts on ONNX Runtime's outputs and on its layers."""
    graph = formats.load(path, batched=batched)
    model, inputs = adaptor.load(path), random_inputs(graph, 3)
    outputs = {f"y{i}": array for i, array in enumerate(adaptor.outputs(model, inputs, graph))}
    ends = compare(graph, {**{f"x{i}": array for i, array in enumerate(inputs.values())}, **outputs})
    return ends, compare_layers(graph, adaptor.capture(model, inputs, graph))


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("name", ["", "/fc/MatMul"])
def test_a_product_whose_bias_is_added_by_another_node_is_one_layer(name: str, tmp_path: Path) -> None:
    of = pytest.importorskip("checks.onnx_files")
    rng = np.random.default_rng(0)
    nodes = [
        of.node("MatMul", ["x", "w"], ["/fc/MatMul_output_0"], name=name),
        of.node("Add", ["/fc/MatMul_output_0", "b"], ["/fc/Add_output_0"], name=name and "/fc/Add"),
        of.node("Relu", ["/fc/Add_output_0"], ["y"], name=name and "/relu"),
    ]
    path = saved_model(tmp_path, nodes, ("N", 6), w=rng.normal(size=(6, 5)), b=rng.normal(size=5))
    ends, layers = judged(path)
    assert ends.within
    assert layers.within, layers.bad
    assert [tensor.ops for tensor in layers.tensors] == [("Gemm",), ("Relu",)]


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(("shape", "batched"), [((1, 3, 8, 8), True), ((3, 8, 8), False)])
def test_models_of_one_sample_are_run_sample_by_sample(shape: tuple[int, ...], batched: bool, tmp_path: Path) -> None:
    of = pytest.importorskip("checks.onnx_files")
    lost = [of.node("Squeeze", ["h", "first"], ["y"])] if batched else [of.node("Relu", ["h"], ["y"])]
    axes = [-1] if batched else [0]
    nodes = [of.node("Mul", ["x", "w"], ["m"]), of.node("ReduceMean", ["m"], ["h"], axes=axes, keepdims=0), *lost]
    proto = of.model(nodes, {"x": shape}, ["y"], {"w": np.full(8, 1.5, np.float32), "first": np.array([0])})
    ends, layers = judged(Path(of.saved(proto, tmp_path)), batched=batched)
    assert ends.within, ends.bad
    assert layers.within, layers.bad

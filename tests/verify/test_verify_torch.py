"""The PyTorch adaptor: hooks on modules, operations of exported programs, several thread counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.frameworks import framework, torch_module, torch_names
from test_verify_defects import image_network

from refcompress.encodings import encode
from refcompress.errors import DataError, FormatError, ModelError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import make_attrs
from refcompress.ops.batch_normalization import BatchNormalization
from refcompress.ops.conv import Conv
from refcompress.ops.max_pool import MaxPool
from refcompress.verify import compare, compare_layers
from refcompress.verify.adaptors import random_inputs
from refcompress.verify.adaptors import torch as adaptor

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def torch() -> Any:
    return framework("torch")


def network(torch: Any, *, epsilon: float = 1e-5, inplace: bool = False) -> tuple[Any, Graph]:
    """Return a small PyTorch model and the same network as a graph, its parameters taken from the state dict."""
    nn, functional = torch.nn, torch.nn.functional
    torch.manual_seed(0)

    class Net(nn.Module):
        """Two convolutions, a normalization, a shortcut, a pool and a dense layer."""

        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
            self.act = nn.ReLU(inplace=inplace)
            self.conv2, self.fc = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.Linear(128, 5)

        def forward(self, x: Any) -> Any:
            x = self.act(self.norm1(self.conv1(x)))
            x = functional.max_pool2d(self.conv2(x) + x, 2)
            return torch.softmax(self.fc(x.permute(0, 2, 3, 1).flatten(1)), -1)

    model = Net()
    with torch.no_grad():
        model(torch.randn(16, 3, 8, 8))  # moments that are not the initial ones
    model.eval()
    state = {name: array.numpy() for name, array in model.state_dict().items()}
    renamed = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    arrays = {f"norm1.{role}": state[f"norm1.{theirs}"] for role, theirs in renamed.items()}
    arrays |= {f"{name}.weight": state[f"{name}.weight"].transpose(2, 3, 1, 0) for name in ("conv1", "conv2")}
    arrays |= {"conv1.bias": state["conv1.bias"], "fc.weight": state["fc.weight"].T, "fc.bias": state["fc.bias"]}
    same, none = Conv(pads=(1, 1, 1, 1)), make_attrs("Relu", {})
    moments = {role: f"norm1.{role}" for role in renamed}
    nodes = (
        Node("Conv", "c1", ("x",), "c1", {"weight": "conv1.weight", "bias": "conv1.bias"}, same),
        Node("BatchNormalization", "n1", ("c1",), "n1", moments, BatchNormalization(epsilon)),
        Node("Relu", "r", ("n1",), "r", {}, none),
        Node("Conv", "c2", ("r",), "c2", {"weight": "conv2.weight"}, same),
        Node("Add", "add", ("c2", "r"), "add", {}, none),
        Node("MaxPool", "pool", ("add",), "pool", {}, MaxPool((2, 2), (2, 2))),
        Node("Flatten", "flat", ("pool",), "flat", {}, none),
        Node("Gemm", "fc", ("flat",), "fc", {"weight": "fc.weight", "bias": "fc.bias"}, none),
        Node("Softmax", "y", ("fc",), "y", {}, none),
    )
    graph = Graph((TensorSpec("x", (8, 8, 3)),), ("y",), nodes, {name: encode(array) for name, array in arrays.items()})
    return model, graph


@pytest.mark.parametrize("inplace", [False, True])
def test_modules_are_matched_with_nodes_and_within(torch: Any, inplace: bool) -> None:
    model, graph = network(torch, inplace=inplace)
    inputs = random_inputs(graph, 4)
    activations = adaptor.capture(model, inputs, graph)
    assert set(activations) == {"x", "c1", "n1", "r", "c2", "fc", "y"}
    assert compare_layers(graph, activations).within
    (y,) = adaptor.outputs(model, inputs, graph)
    assert compare(graph, {"x": inputs["x"], "y": y}).within


def test_explicit_names_are_followed(torch: Any) -> None:
    model, graph = network(torch)
    inputs = random_inputs(graph, 2)
    activations = adaptor.capture(model, inputs, graph, names={"conv2": "c2", "fc": "fc"})
    assert set(activations) == {"x", "c2", "fc", "y"}
    with pytest.raises(DataError, match="give names"):
        adaptor.capture(model, inputs, graph, names={"conv2": "nowhere"})


def test_operations_of_an_exported_program_are_captured(torch: Any, tmp_path: Path) -> None:
    model, graph = network(torch)
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(
        torch.export.export(model, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=dynamic), tmp_path / "m.pt2"
    )
    activations = adaptor.capture(adaptor.load(tmp_path / "m.pt2"), random_inputs(graph, 4), graph)
    assert set(activations) == {"x", "c1", "n1", "r", "c2", "add", "pool", "flat", "fc", "y"}
    assert compare_layers(graph, activations).within


def test_torchscript_shows_its_outputs_only(torch: Any, tmp_path: Path) -> None:
    model, graph = network(torch)
    torch.jit.save(torch.jit.trace(model, torch.zeros(2, 3, 8, 8)), tmp_path / "m.pt")
    loaded, inputs = adaptor.load(tmp_path / "m.pt"), random_inputs(graph, 2)
    (y,) = adaptor.outputs(loaded, inputs, graph)
    assert compare(graph, {"x": inputs["x"], "y": y}).within
    with pytest.raises(ModelError, match=r"torch\.export"):
        adaptor.capture(loaded, inputs, graph)


def test_the_layer_that_differs_is_named_with_its_cause(torch: Any) -> None:
    model, graph = network(torch, epsilon=1e-3)
    verdict = compare_layers(graph, adaptor.capture(model, random_inputs(graph, 4), graph))
    assert [(layer.name, layer.cause) for layer in verdict.bad] == [("n1", "with epsilon 1e-05 it agrees")]
    model, graph = network(torch)
    model.train()
    verdict = compare_layers(graph, adaptor.capture(model, random_inputs(graph, 4), graph))
    assert verdict.first_bad == "n1"
    assert "statistics of the batch" in verdict.bad[0].cause


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_autocast_is_named(torch: Any, kind: str) -> None:
    model, graph = network(torch)
    inputs = random_inputs(graph, 4)
    with torch.autocast("cpu", getattr(torch, kind)):
        activations = adaptor.capture(model, inputs, graph)
    verdict = compare_layers(graph, activations)
    assert {layer.precision for layer in verdict.bad} == {kind}
    assert {layer.state for layer in verdict.bad} == {"lower precision"}


def test_a_model_that_takes_other_inputs_is_refused(torch: Any) -> None:
    model, graph = network(torch)
    other = Graph((TensorSpec("x", (7,)),), ("x",), (), {})
    with pytest.raises(DataError, match="does not run on the inputs"):
        adaptor.outputs(model, {"x": np.zeros((2, 7))}, other)
    assert graph


def test_a_file_that_is_no_model_is_refused(torch: Any, tmp_path: Path) -> None:
    assert torch
    (tmp_path / "m.pt").write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"torch\.export\.save"):
        adaptor.load(tmp_path / "m.pt")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_network_built_again_is_within_layer_by_layer(torch: Any, threads: int) -> None:
    graph = without_padded_mean()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        activations = adaptor.capture(torch_module(graph), random_inputs(graph, 5), graph, names=torch_names(graph))
    finally:
        torch.set_num_threads(before)
    verdict = compare_layers(graph, activations)
    assert verdict.within, verdict.bad
    assert len(verdict.tensors) == len(graph.nodes)


def without_padded_mean() -> Graph:
    """Return the network of the defects without the one operator that PyTorch has no function for."""
    graph, _ = image_network()
    nodes = [
        replace(node, attrs=replace(node.attrs, pads=(0, 0, 0, 0))) if node.name == "mean" else node
        for node in graph.nodes
    ]
    smaller = encode(np.random.default_rng(0).normal(0, 0.2, (72, 5)))
    return replace(graph, nodes=tuple(nodes)).with_params({"w3": smaller})

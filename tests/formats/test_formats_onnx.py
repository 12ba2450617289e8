"""ONNX models: what is imported computes what ONNX says, and everything else is refused."""

from __future__ import annotations

import collections
import contextlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refcompress import formats
from refcompress.errors import FormatError, ModelError, OptionError, RefcompressError
from refcompress.formats import onnx, rcz
from refcompress.run import run, run_all, run_exact
from refcompress.verify.compare import compare

of = pytest.importorskip("checks.onnx_files", reason="needs the library onnx: pip install 'refcompress[onnx]'")
model, node, saved = of.model, of.node, of.saved

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

F = np.float32


def refusal(proto: Any, folder: Path, **options: Any) -> str:
    """Import a model and return the message of the ModelError."""
    with pytest.raises(ModelError) as caught:
        onnx.load(saved(proto, folder), **options)
    return str(caught.value)


def ones(*shape: int) -> Any:
    return np.ones(shape, F)


# The ONNX project's own tests


def test_the_node_tests_of_the_onnx_project_pass_or_are_refused_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from checks import onnx_node_tests

    outcomes = [onnx_node_tests.attempt(case, tmp_path) for case in onnx_node_tests.cases()]
    passed = [outcome for outcome in outcomes if outcome.ways]
    refused = [outcome for outcome in outcomes if not outcome.ways]
    wrong = [trouble for outcome in outcomes for trouble in outcome.wrong]
    reasons = collections.Counter(
        re.sub(r"[-\d.]+", "#", re.sub(r"'[^']*'|^.*?\): ", "", str(outcome.refusals[0])))[:90] for outcome in refused
    )
    with capsys.disabled():
        ways = sum(outcome.ways for outcome in passed)
        lines = [f"{len(passed)} node tests pass (in {ways} ways), {len(refused)} are refused, {len(wrong)} are wrong"]
        lines += [f"  {count:4} {reason}" for reason, count in reasons.most_common()]
        sys.stdout.write("\n".join(["", *lines, ""]))
    assert not wrong
    assert all(outcome.refusals and all(str(error) for error in outcome.refusals) for outcome in refused)
    assert len(passed) > 500


# ONNX Runtime


@pytest.mark.parametrize("seed", range(60))
def test_random_networks_agree_with_onnx_runtime(seed: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="compares with ONNX Runtime")
    from checks.onnx_random import random_model

    rng = np.random.default_rng(seed)
    proto = random_model(rng, (1, 3, "N")[seed % 3])
    imported = onnx.read(saved(proto, tmp_path))
    verdict = compare(imported.graph, of.compared(imported, proto, rng))
    assert verdict.within, verdict


@pytest.mark.parametrize("seed", range(100, 120))
def test_layouts_lead_from_every_tensor_of_onnx_runtime_to_its_activation(seed: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="compares with ONNX Runtime")
    from checks.onnx_random import random_model

    rng = np.random.default_rng(seed)
    proto = random_model(rng, (1, 3, "N")[seed % 3])
    imported = onnx.read(saved(proto, tmp_path))
    names = [name for made in proto.graph.node for name in made.output if name in imported.layouts]
    assert imported.outputs[0][0] in names
    given, made = of.computed(imported, proto, names, rng)
    ours = run_all(imported.graph, list(given.values()))
    for name in names:
        layout = imported.layouts[name]
        np.testing.assert_allclose(
            ours[layout.activation], layout.to_activation(made[name]), rtol=1e-3, atol=1e-4 * np.abs(made[name]).max()
        )


def recurrent(op: str, gates: int, direction: str, **attrs: Any) -> Any:
    rng = np.random.default_rng(gates)
    both = 2 if direction == "bidirectional" else 1
    weights = {
        "w": rng.normal(size=(both, gates * 3, 4)),
        "r": rng.normal(size=(both, gates * 3, 3)),
        "b": rng.normal(size=(both, 2 * gates * 3)),
    }
    inputs: dict[str, Any] = {"x": (5, "N", 4), "h": (both, "N", 3)}
    names = ["x", "w", "r", "b", "", "h"]
    outputs = ["Y", "Y_h"]
    if op == "LSTM":
        inputs["c"] = (both, "N", 3)
        names.append("c")
        outputs.append("Y_c")
    nodes = [node(op, names, outputs, hidden_size=3, direction=direction, **attrs)]
    return model(nodes, inputs, outputs, {name: array.astype(F) for name, array in weights.items()})


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(
    ("op", "gates", "attrs"), [("RNN", 1, {}), ("LSTM", 4, {}), ("GRU", 3, {}), ("GRU", 3, {"linear_before_reset": 1})]
)
def test_recurrences_with_initial_states_agree_with_onnx_runtime(
    op: str, gates: int, attrs: dict[str, int], direction: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="compares with ONNX Runtime")
    proto = recurrent(op, gates, direction, **attrs)
    imported = onnx.read(saved(proto, tmp_path))
    assert [place for _, place in imported.inputs] == [1] * len(imported.inputs)  # time stands first
    verdict = compare(imported.graph, of.compared(imported, proto, np.random.default_rng(1)))
    assert verdict.within, verdict


# PyTorch


def exported(module: Any, x: Any, path: Path, how: int | str, outputs: int = 1) -> Path:
    """Export a module by tracing, for a version of the operators, or by the newer exporter; its batch is open."""
    torch = pytest.importorskip("torch", reason="exports from PyTorch")
    module.eval()
    if how == "dynamo":
        pytest.importorskip("onnxscript", reason="PyTorch's newer exporter needs it")
        shapes = ({0: torch.export.Dim("batch")},)
        options = {"dynamo": True, "dynamic_shapes": shapes, "verbose": False, "external_data": False}
        torch.onnx.export(module, (x,), str(path), **options)
        return path
    names = {
        "input_names": ["x"],
        "output_names": [f"y{i}" for i in range(outputs)],
        "dynamic_axes": {"x": {0: "batch"}},
    }
    torch.onnx.export(module, (x,), str(path), dynamo=False, opset_version=how, **names)
    return path


def torch_networks() -> dict[str, Any]:
    torch = pytest.importorskip("torch", reason="exports from PyTorch")
    nn = torch.nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(5, 7, batch_first=True, bidirectional=True, num_layers=2)
            self.gru = nn.GRU(14, 6, batch_first=True)
            self.dense = nn.Linear(6, 3)

        def forward(self, x: Any) -> Any:
            return self.dense(self.gru(self.lstm(x)[0])[0][:, -1])

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
            self.first, self.second = nn.LayerNorm(16), nn.LayerNorm(16)
            self.wide, self.narrow = nn.Linear(16, 32), nn.Linear(32, 16)

        def forward(self, x: Any) -> Any:
            x = self.first(x + self.attention(x, x, x, need_weights=True)[0])
            return self.second(x + self.narrow(torch.relu(self.wide(x))))

    class Pictures(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 8, 3, padding=1, groups=2)
            self.norms = nn.Sequential(nn.GroupNorm(2, 8), nn.SiLU(), nn.InstanceNorm2d(8, affine=True))
            self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
            self.shuffle = nn.PixelShuffle(2)

        def forward(self, x: Any) -> Any:
            a = self.norms(self.conv(x))
            b = nn.functional.interpolate(a, scale_factor=2.0, mode="bilinear", align_corners=False)
            c = torch.cat([self.up(a), nn.functional.pad(b, (1, 0, 0, 1))[:, :4, :-1, 1:]], 1)
            return (c * c.mean((2, 3), keepdim=True).sigmoid()).amax(1).flatten(1), self.shuffle(c).permute(0, 2, 3, 1)

    conv = (
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 5),
    )
    mlp = (nn.Linear(10, 20), nn.GELU(), nn.Linear(20, 20), nn.LayerNorm(20), nn.Linear(20, 4), nn.Softmax(-1))
    return {
        "cnn": (nn.Sequential(*conv), (3, 8, 8), 1),
        "mlp": (nn.Sequential(*mlp), (10,), 1),
        "recurrent": (Recurrent(), (6, 5), 1),
        "encoder": (Encoder(), (6, 16), 1),
        "encoder layer": (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (6, 16), 1),
        "pictures": (Pictures(), (2, 6, 5), 2),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", [13, 17, "dynamo"])
@pytest.mark.parametrize("name", ["cnn", "mlp", "recurrent", "encoder", "encoder layer", "pictures"])
def test_networks_exported_by_pytorch_compute_what_pytorch_does(name: str, how: int | str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="exports from PyTorch")
    if name == "encoder layer" and how != "dynamo":
        pytest.skip("PyTorch's older exporter does not take its attention")
    torch.manual_seed(0)
    module, shape, outputs = torch_networks()[name]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        graph = onnx.load(exported(module, torch.randn(2, *shape), tmp_path / "model.onnx", how, outputs))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    x = torch.randn(4, *shape)
    with torch.no_grad():
        made = module(x)
    arrays = {f"y{i}": y.numpy() for i, y in enumerate(made if outputs > 1 else [made])}
    verdict = compare(graph, {"x": x.numpy(), **arrays})
    assert verdict.within, verdict
    exact = run_exact(graph, x.numpy())
    for ours, array in zip(exact, arrays.values(), strict=True):
        np.testing.assert_allclose(ours, array, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_an_imported_network_is_stored_and_read_back(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="exports from PyTorch")
    module, shape, outputs = torch_networks()["encoder"]
    graph = onnx.load(exported(module, torch.randn(2, *shape), tmp_path / "model.onnx", 17, outputs))
    rcz.save(graph, tmp_path / "model.rcz")
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(F)
    np.testing.assert_array_equal(run(rcz.load(tmp_path / "model.rcz"), x)[0], run(graph, x)[0])


# Published architectures, which ship with onnx without their weights


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "zfnet512"],
)
def test_published_architectures_with_random_weights_agree_with_onnx_runtime(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="compares with ONNX Runtime")
    folder = Path(of.onnx.__file__).parent / "backend" / "test" / "data" / "light"
    if not folder.is_dir():
        pytest.skip("this version of onnx ships without them")
    proto = of.with_random_weights(of.onnx.load(folder / f"light_{name}.onnx"), np.random.default_rng(0))
    imported = onnx.read(saved(proto, tmp_path))
    verdict = compare(imported.graph, of.compared(imported, proto, np.random.default_rng(1)))
    assert verdict.within, verdict
    assert all(tensor.max_bound < 0.1 * tensor.max_value for tensor in verdict.tensors)


# Orders of axes


def test_nodes_are_few_and_named_after_the_model(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("Flatten", ["r"], ["f"]),
        node("MatMul", ["f", "m"], ["p"], name="dense"),
        node("Add", ["p", "b"], ["y"]),
    ]
    rng = np.random.default_rng(0)
    constants = {"w": ones(4, 3, 3, 3), "m": rng.normal(size=(64, 5)).astype(F), "b": ones(5)}
    imported = onnx.read(saved(model(nodes, {"x": (1, 3, 4, 4)}, ["y"], constants), tmp_path))
    assert [(made.op, made.name, made.output) for made in imported.graph.nodes] == [
        ("Transpose", "x/transpose", "x/transpose"),
        ("Conv", "conv", "c"),
        ("Relu", "r", "r"),
        ("Flatten", "r/flatten", "r/flatten"),  # in our order: the rows of the matrix are brought into it
        ("Gemm", "dense", "y"),
    ]
    assert dict(imported.graph.nodes[-1].params) == {"weight": "m", "bias": "b"}
    assert sorted(imported.graph.params) == ["b", "m", "w"]


def test_layouts_say_how_activations_hold_the_tensors_of_the_model(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Reshape", ["c", "s"], ["r"]),
        node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        node("Relu", ["t"], ["y"]),
    ]
    constants = {"w": np.eye(4, dtype=F)[:, :, None, None], "s": np.array([0, 2, -1])}
    imported = onnx.read(saved(model(nodes, {"x": ("N", 4, 2, 3)}, ["y"], constants), tmp_path))
    x = np.random.default_rng(0).normal(size=(5, 4, 2, 3)).astype(F)
    made = run_all(imported.graph, x)
    tensors = {"c": x, "r": x.reshape(5, 2, 12), "t": x.reshape(5, 2, 12).swapaxes(1, 2)}
    for name, array in tensors.items():
        layout = imported.layouts[name]
        np.testing.assert_array_equal(layout.to_activation(array), made[layout.activation])


def test_the_same_initializer_is_one_parameter(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["b"]), node("MatMul", ["b", "w"], ["y"])]
    graph = onnx.load(saved(model(nodes, {"x": (2, 3)}, ["y"], {"w": ones(3, 3)}), tmp_path))
    assert list(graph.params) == ["w"]


def test_a_model_of_one_sample_may_do_anything_with_its_first_axis(tmp_path: Path) -> None:
    nodes = [node("Reshape", ["x", "s"], ["a"]), node("Softmax", ["a"], ["y"], axis=0)]
    proto = model(nodes, {"x": (1, 6)}, ["y"], {"s": np.array([2, 3])})
    imported = onnx.read(saved(proto, tmp_path))
    x = np.random.default_rng(0).normal(size=(4, 6))
    powers = np.exp(x.reshape(4, 2, 3))
    assert imported.outputs == (("y", -1),)
    np.testing.assert_allclose(run(imported.graph, x)[0], powers / powers.sum(1, keepdims=True), rtol=1e-5)


def test_without_a_batch_all_of_an_array_is_one_sample(tmp_path: Path) -> None:
    proto = model([node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=0)], {"x": (4, 3)}, ["y"])
    assert "it reduces the batch axis" in (message := refusal(proto, tmp_path))
    assert message.endswith("a model without a batch axis is read with batched=False (--no-batch)")
    graph = formats.load(saved(proto, tmp_path), batched=False)
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    np.testing.assert_allclose(run(graph, x)[0], x.mean(1), rtol=1e-5, atol=1e-6)


def test_open_sizes_are_given(tmp_path: Path) -> None:
    proto = model([node("GlobalAveragePool", ["x"], ["y"])], {"x": ("N", 3, "h", "w")}, ["y"])
    assert "input_shapes={name: shape without the batch}" in refusal(proto, tmp_path)
    graph = onnx.load(saved(proto, tmp_path), input_shapes={"x": (3, 5, 4)})
    assert graph.inputs[0].shape == (3, 5, 4)
    with pytest.raises(OptionError, match="does not fit"):
        onnx.load(saved(proto, tmp_path), input_shapes={"x": (4, 5, 4)})
    with pytest.raises(OptionError, match="there is no input 'z'"):
        onnx.load(saved(proto, tmp_path), input_shapes={"z": (3, 5, 4)})


def test_values_that_depend_on_the_size_of_the_batch_are_refused(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Cast", ["n"], ["f"], to=1),
        node("Div", ["x", "f"], ["y"]),
    ]
    message = refusal(model(nodes, {"x": ("N", 3)}, ["y"], {"zero": np.array(0)}), tmp_path)
    assert "a constant depends on the size of the batch" in message
    nodes[1] = node("Gather", ["s", "one"], ["n"])
    graph = onnx.load(saved(model(nodes, {"x": ("N", 4)}, ["y"], {"one": np.array(1)}), tmp_path))
    np.testing.assert_array_equal(run(graph, ones(2, 4))[0], 0.25 * ones(2, 4))


# What is refused

REFUSED: dict[str, tuple[Any, str]] = {
    "reshape": ([node("Reshape", ["x", "s"], ["y"])], r"node 'y' \(Reshape\): .* mixes the batch axis"),
    "softmax": ([node("Softmax", ["x"], ["y"], axis=0)], "it runs over the batch axis"),
    "concat": ([node("Concat", ["x", "x"], ["y"], axis=0)], "it joins tensors along the batch axis"),
    "slice": ([node("Slice", ["x", "zero", "one", "zero"], ["y"])], "it takes a part of the batch axis"),
    "transposed matmul": (
        [node("Transpose", ["x"], ["t"], perm=[1, 0]), node("MatMul", ["t", "x"], ["y"])],
        r"node 'y' \(MatMul\): it multiplies matrices along the batch axis",
    ),
    "constant of samples": ([node("Add", ["x", "rows"], ["y"])], "a constant differs from sample to sample"),
    "quantized": ([node("QuantizeLinear", ["x", "one"], ["y"])], r"give the floating-point model, .* as \.tflite"),
    "custom": ([node("Relu", ["x"], ["y"], domain="com.microsoft")], "it is of the domain 'com.microsoft'"),
    "unknown": ([node("Sinh", ["x"], ["y"])], "this operator is not supported"),
    "control": ([node("If", ["x"], ["y"])], "control flow is not supported"),
    "attribute": ([node("Relu", ["x"], ["y"], beta=1.0)], "attributes that are not supported: beta"),
    "attribute type": ([node("Elu", ["x"], ["y"], alpha=1)], "its attribute 'alpha' is a int; it must be a float"),
    "missing": ([node("Relu", ["nothing"], ["y"])], "it reads 'nothing', which no earlier node makes"),
    "order": ([node("Relu", ["a"], ["y"]), node("Relu", ["x"], ["a"])], "it reads 'a', which no earlier node makes"),
    "twice": ([node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])], "it makes 'y' a second time"),
    "no output": ([node("Relu", ["x"], ["a"])], "the output 'y' is made by no node"),
    "constant output": ([node("Neg", ["one"], ["y"])], "the output 'y' is a constant"),
    "cast": ([node("Cast", ["x"], ["y"], to=7)], "it casts activations to integers"),
    "weight": ([node("Gemm", ["x", "x"], ["y"])], "here it must be a constant"),
    "empty": ([node("Slice", ["x", "one", "one", "one"], ["y"])], "it takes nothing of axis 1"),
    "axis": ([node("Softmax", ["x"], ["y"], axis=7)], "its axis 7 is none of the 2 axes"),
    "rank": ([node("Conv", ["x", "rows"], ["y"])], r"it must be \(batch, channels, height, width\)"),
    "broadcast": ([node("Add", ["x", "rows4"], ["y"])], "do not broadcast"),
    "flattened batch": ([node("Flatten", ["x"], ["y"], axis=0)], "the output 'y' has the batch axis merged"),
    "huge": (
        [node("ConstantOfShape", ["big"], ["c"]), node("Add", ["x", "c"], ["y"])],
        "at most 2147483647 are allowed",
    ),
    "huge expand": ([node("Expand", ["x", "big"], ["y"])], "do not broadcast|elements"),
    "huge range": (
        [node("Range", ["zero0", "big0", "one0"], ["c"]), node("Add", ["x", "c"], ["y"])],
        "at most 16777216",
    ),
    "huge tile": ([node("Tile", ["rows", "big2"], ["c"]), node("Add", ["x", "c"], ["y"])], "at most 16777216"),
}

CONSTANTS = {
    "s": np.array([3, 2]),
    "zero": np.array([0]),
    "one": np.array([1]),
    "rows": np.arange(6, dtype=F).reshape(2, 3),
    "rows4": ones(2, 4),
    "big": np.array([2, 2**40]),
    "big2": np.array([2**20, 2**20]),
    "zero0": np.array(0),
    "one0": np.array(1),
    "big0": np.array(2**50),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_represented_is_refused_by_the_name_of_its_node(name: str, tmp_path: Path) -> None:
    nodes, message = REFUSED[name]
    assert re.search(message, refusal(model(nodes, {"x": (2, 3)}, ["y"], CONSTANTS), tmp_path))


def test_constants_that_double_stay_bounded(tmp_path: Path) -> None:
    nodes = [node("Concat", [f"c{i}"] * 8, [f"c{i + 1}"], axis=0) for i in range(40)]
    nodes.append(node("Add", ["x", "c40"], ["y"]))
    assert "at most 16777216" in refusal(model(nodes, {"x": (2, 3)}, ["y"], {"c0": ones(1000)}), tmp_path)


def test_activations_that_double_stay_bounded(tmp_path: Path) -> None:
    nodes = [node("Concat", [f"c{i}"] * 8, [f"c{i + 1}"], axis=1) for i in range(40)]
    proto = model([*nodes, node("Relu", ["c40"], ["y"])], {"c0": (2, 3)}, ["y"])
    assert "2147483647" in refusal(proto, tmp_path)


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    proto = adding()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = of.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    assert "stands in another file, and no other file is opened" in refusal(proto, tmp_path)


def adding() -> Any:
    return model([node("Add", ["x", "w"], ["y"])], {"x": (2, 3)}, ["y"], {"w": ones(3)})


def _weight(proto: Any) -> Any:
    return proto.graph.initializer[0]


def _given(proto: Any) -> Any:
    return proto.graph.input[0].type.tensor_type


SPOILED: dict[str, Callable[[Any], Any]] = {
    "fewer numbers": lambda proto: setattr(_weight(proto), "raw_data", bytes(8)),
    "half a number": lambda proto: setattr(_weight(proto), "raw_data", bytes(7)),
    "huge shape": lambda proto: _weight(proto).dims.extend([2**31 - 1] * 15),
    "too many axes": lambda proto: _weight(proto).dims.extend([1] * 100),
    "negative shape": lambda proto: _weight(proto).dims.append(-1),
    "type": lambda proto: setattr(_weight(proto), "data_type", 8),
    "same name": lambda proto: proto.graph.initializer.append(_weight(proto)),
    "no name": lambda proto: setattr(_weight(proto), "name", ""),
    "sparse": lambda proto: proto.graph.sparse_initializer.add(),
    "old operators": lambda proto: setattr(proto.opset_import[0], "version", 1),
    "operators of the future": lambda proto: setattr(proto.opset_import[0], "version", 1000),
    "no operators": lambda proto: proto.ClearField("opset_import"),
    "no graph": lambda proto: proto.ClearField("graph"),
    "no nodes": lambda proto: proto.graph.ClearField("node"),
    "no outputs": lambda proto: proto.graph.ClearField("output"),
    "no inputs": lambda proto: setattr(proto.graph.input[0], "name", "w"),
    "text input": lambda proto: setattr(_given(proto), "elem_type", 8),
    "scalar input": lambda proto: _given(proto).shape.ClearField("dim"),
    "empty input": lambda proto: setattr(_given(proto).shape.dim[1], "dim_value", 0),
    "input without a shape": lambda proto: _given(proto).ClearField("shape"),
    "input without a type": lambda proto: proto.graph.input[0].ClearField("type"),
}


@pytest.mark.parametrize("change", SPOILED)
def test_malformed_models_are_refused(change: str, tmp_path: Path) -> None:
    proto = adding()
    onnx.load(saved(proto, tmp_path))
    SPOILED[change](proto)
    with pytest.raises((FormatError, ModelError)):
        onnx.load(saved(proto, tmp_path))


def test_any_bytes_give_a_network_or_one_of_our_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(2, 2, 3, 3)).astype(F)
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        node("Shape", ["a"], ["s"]),
        node("Slice", ["s", "zero", "one"], ["t"]),
        node("Concat", ["t", "rest"], ["u"], axis=0),
        node("Reshape", ["a", "u"], ["c"]),
        node("Softmax", ["c"], ["y"], axis=1),
    ]
    constants = {"w": weight, "zero": np.array([0]), "one": np.array([1]), "rest": np.array([-1])}
    whole = model(nodes, {"x": ("N", 2, 3, 3)}, ["y"], constants).SerializeToString()
    for round_ in range(1500):
        data = bytearray(whole)
        if round_ % 3:
            for place in rng.integers(0, len(data), rng.integers(1, 4)):
                data[place] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        else:
            del data[rng.integers(len(data)) :]
        path = tmp_path / "model.onnx"
        path.write_bytes(data)
        with contextlib.suppress(RefcompressError):
            onnx.load(path)


def test_weird_names_are_made_printable_and_unique(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["a\n"], name="same"),
        node("Relu", ["a\n"], ["a_"], name="same"),
        node("Add", ["a_", "x"], ["z" * 5000]),
    ]
    graph = onnx.load(saved(model(nodes, {"x": (2, 3)}, ["z" * 5000]), tmp_path))
    assert [made.name for made in graph.nodes[:2]] == ["same", "same:2"]
    assert all(made.name.isprintable() and len(made.output) <= 220 for made in graph.nodes)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"nothing\.onnx cannot be read"):
        onnx.load(tmp_path / "nothing.onnx")


def test_models_are_recognised_by_their_first_bytes() -> None:
    data = adding().SerializeToString()
    assert onnx.looks_like(data[:64])
    assert not any(map(onnx.looks_like, (b"", b"\x08", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", bytes(64), b"RCZ\x01")))

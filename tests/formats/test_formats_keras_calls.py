"""How layers become nodes: custom classes, functions, cuDNN's layout, channels that stand first, masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import keras_files as kf
from checks.keras_files import functional, image_input, layer, normal, sequential

from refcompress import encodings, formats
from refcompress.errors import ModelError, OptionError
from refcompress.formats import keras
from refcompress.formats.keras import registry
from refcompress.graph import Graph
from refcompress.run import run

TOLERANCE64 = 1e-12


@pytest.fixture(autouse=True)
def _nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BUILDERS", {})


def imported(folder: Path, model: Any, weights: Any = None, version: str = "2.13.1") -> Graph:
    """Write a checkpoint and import it."""
    return keras.load(kf.write(folder / "model.h5", model, weights, keras_version=version))


def one(class_name: str, *shape: int, **options: Any) -> Any:
    """Describe a model of one layer "it"."""
    return sequential(image_input("x", *shape), layer(class_name, "it", **options))


def computed(graph: Graph, *inputs: Any) -> Any:
    """Run a network in float64 and return its only output."""
    (output,) = run(graph, list(inputs), dtype=np.float64)
    return output


# ---- custom classes


def test_a_custom_class_reads_weights_and_adds_constants(tmp_path: Path) -> None:
    def build(call: Any) -> str:
        scale = call.param("gain", ["gain"], (3,))
        bias = call.then(*call.inputs, part="shift").constant("by", call.layer.config["shift"])
        return str(call.emit("Affine", params={"scale": scale, "bias": bias}))

    formats.register_layer("my>Gain", build)
    gain = np.array([1.0, 2.0, 3.0], np.float32)
    graph = imported(tmp_path, one("my>Gain", 3, shift=0.5, of_no_interest=True), {"it": {"it/gain:0": gain}})
    assert set(graph.params) == {"it/gain", "it/shift/by"}
    np.testing.assert_array_equal(computed(graph, np.ones((1, 3))), [[1.5, 2.5, 3.5]])


def test_a_layer_by_name_goes_before_its_class_and_both_before_kerass_own(tmp_path: Path) -> None:
    formats.register_layer("Flatten", lambda call: call.emit("Relu"))
    formats.register_layer("Flatten", lambda call: call.emit("Tanh"), layer_name="it")
    model = sequential(image_input("x", 2, 2), layer("Flatten", "it"), layer("Flatten", "other"))
    assert [node.op for node in imported(tmp_path, model).nodes] == ["Tanh", "Relu"]


def test_a_custom_layer_may_return_several_activations(tmp_path: Path) -> None:
    formats.register_layer("Both", lambda call: (call.emit("Relu"), call.then(*call.inputs, part="t").emit("Tanh")))
    model = functional([image_input("x", 2), layer("Both", "it", ["x"])], ["x"], [("it", 0, 1), ("it", 0, 0)])
    graph = imported(tmp_path, model)
    assert graph.outputs == ("it/t", "it")


@pytest.mark.parametrize("made", [None, "nowhere", (), ["x"]])
def test_what_a_custom_layer_returns_is_checked(tmp_path: Path, made: Any) -> None:
    formats.register_layer("Mine", lambda _call: made)
    with pytest.raises(ModelError, match=r"layer 'it' \(Mine\): what was registered for it returned"):
        imported(tmp_path, one("Mine", 2))


def test_only_functions_are_registered() -> None:
    with pytest.raises(OptionError, match="give a function of a call"):
        formats.register_layer("Mine", "Relu")  # type: ignore[arg-type]


# ---- functions


def graph_layer(op: str, attributes: Any, constants: Any = None, *, as_text: bool = False) -> Any:
    """Describe a node of TensorFlow's graph as tf.keras 2.2 saved it."""
    node: Any = {"name": "n", "op": op, "input": ["x"], "attr": attributes}
    entry = layer("TensorFlowOpLayer", "it", node_def=json.dumps(node) if as_text else node, constants=constants or {})
    return functional([image_input("x", 2, 2, 4), {**entry, "inbound_nodes": [[["x", 0, 0, {}]]]}], ["x"], ["it"])


@pytest.mark.parametrize(
    ("op", "attributes", "constants", "expected"),
    [
        ("AddV2", {"T": {"type": "DT_FLOAT"}}, {"1": 2.0}, lambda x: x + 2),
        ("Sub", {}, {"0": [1.0, 2.0, 3.0, 4.0]}, lambda x: np.array([1.0, 2.0, 3.0, 4.0]) - x),
        ("RealDiv", {}, {"1": 4.0}, lambda x: x / 4),
        ("Pow", {}, {"1": 3.0}, lambda x: x * x * x),
        ("Pow", {}, {"0": [1.0, 2.0, 3.0, 0.5]}, lambda x: np.exp(x * np.log([1.0, 2.0, 3.0, 0.5]))),
        ("Relu6", {}, {}, lambda x: np.clip(x, 0, 6)),
        ("Mean", {"keep_dims": {"b": False}}, {"1": [1, 2]}, lambda x: x.mean((1, 2))),
        ("Max", {"keep_dims": {"b": True}}, {"1": -1}, lambda x: x.max(-1, keepdims=True)),
        ("Pad", {}, {"1": [[0, 0], [1, 0], [0, 2], [0, 0]]}, lambda x: np.pad(x, [(0, 0), (1, 0), (0, 2), (0, 0)])),
        ("Reshape", {}, {"1": [-1, 16]}, lambda x: x.reshape(-1, 16)),
        ("Transpose", {}, {"1": [0, 2, 1, 3]}, lambda x: x.transpose(0, 2, 1, 3)),
        ("ExpandDims", {}, {"1": 1}, lambda x: x[:, None]),
        ("Cast", {"DstT": {"type": "DT_FLOAT"}}, {}, lambda x: x),
        ("DepthToSpace", {"block_size": {"i": "2"}, "data_format": {"s": "TkhXQw=="}}, {},
         lambda x: x.reshape(-1, 2, 2, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 4, 4, 1)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("as_text", [False, True])
def test_a_node_of_tensorflows_graph_is_a_function(
    tmp_path: Path, op: str, attributes: Any, constants: Any, expected: Any, as_text: bool
) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 2, 4))
    graph = imported(tmp_path, graph_layer(op, attributes, constants, as_text=as_text))
    np.testing.assert_allclose(computed(graph, x), expected(x), atol=1e-6)


def function(name: str, kwargs: Any, class_name: str = "TFOpLambda") -> Any:
    """Describe a function of TensorFlow 2 of one input."""
    entry = {**layer(class_name, "it", function=name), "inbound_nodes": [["x", 0, 0, kwargs]]}
    return functional([image_input("x", 4, 3), entry], ["x"], ["it"])


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("math.lgamma", {}, "the function 'math.lgamma' cannot be represented"),
        ("math.reduce_mean", {"axis": 0}, "works along the axes"),
        ("math.reduce_sum", {}, "works on all axes, the batch included"),
        ("reshape", {"shape": [2, 6]}, "makes the shape"),
        ("compat.v1.transpose", {"perm": [1, 0, 2]}, "the batch axis"),
        ("math.add", {"y": "text"}, "is called with the constant 'text'"),
        ("math.add", {"y": [1.0, 2.0]}, "which do not fit"),
        ("math.truediv", {"y": [1.0, 0.0, 1.0]}, "divides by a constant 0"),
        ("math.pow", {"y": [1.0, 2.0]}, "which do not fit"),
        ("math.maximum", {"y": [0.0, 1.0, 2.0]}, "with a list of constants"),
        ("clip_by_value", {"clip_value_min": None, "clip_value_max": "6"}, "allowed is a finite number"),
        ("cast", {"dtype": "int32"}, "casts to int32"),
        ("image.resize", {"size": [2, 2], "method": "area"}, "has the method 'area'"),
        ("split", {"num_or_size_splits": 3, "axis": 1}, "cuts an axis of length 4 into 3"),
        ("tile", {"multiples": [2, 1, 1]}, "repeats [2, 1, 1] times"),
        ("nn.relu", {"invented": 3}, "with invented = 3, which is not known"),
        ("einsum", {"equation": "bij->bi"}, "allowed are two activations"),
    ],
)
def test_functions_beyond_reach_are_refused(tmp_path: Path, name: str, kwargs: Any, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        imported(tmp_path, function(name, kwargs))
    assert str(caught.value).startswith("layer 'it' (TFOpLambda): ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "spec", [[0], [{"start": 1, "stop": None, "step": None}], ["a"], [{"start": None, "stop": None, "step": None}, 9]]
)
def test_slices_of_the_batch_or_beyond_the_end_are_refused(tmp_path: Path, spec: Any) -> None:
    model = function("__operators__.getitem", {"slice_spec": spec}, "SlicingOpLambda")
    with pytest.raises(ModelError, match=r"layer 'it' \(SlicingOpLambda\): .*(batch|indexes)"):
        imported(tmp_path, model)


def keras3_call(class_name: str, *args: Any) -> Any:
    """Describe a model of one entry of Keras 3, called on arguments."""
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}
    given = [tensor if arg == "x" else [tensor, tensor] if arg == "xx" else arg for arg in args]
    entry = {**layer(class_name, "it"), "inbound_nodes": [{"args": given, "kwargs": {}}]}
    return functional([image_input("x", 2), entry], ["x"], ["it"])


def test_legacy_files_of_keras_3_tell_a_function_from_a_layer_by_its_arguments(tmp_path: Path) -> None:
    x = np.array([[1.0, 3.0]])
    array = {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], "dtype": "float32"}}
    for model, expected in (
        (keras3_call("Add", "xx"), 2 * x),
        (keras3_call("Add", "x", 1.0), x + 1),
        (keras3_call("Subtract", 1.0, "x"), 1 - x),
        (keras3_call("Multiply", array, "x"), x * [1.0, 2.0]),
        (keras3_call("Maximum", "x", 2.0), np.maximum(x, 2)),
    ):
        np.testing.assert_array_equal(computed(imported(tmp_path, model, version="3.8.0"), x), expected)


# ---- recurrent layers


def naive_lstm(x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """Last output of an LSTM, unit by unit, from the formula."""
    units = len(recurrent)
    h, c = np.zeros(units), np.zeros(units)
    for step in x:
        sums = [bias[j] + step @ kernel[:, j] + h @ recurrent[:, j] for j in range(4 * units)]
        i, f, g, o = (np.array(sums[gate * units : (gate + 1) * units]) for gate in range(4))
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    return h


def to_cudnn(array: Any, gates: int, *, recurrent: bool) -> Any:
    """Lay out a kernel as cuDNN has it: each gate's matrix transposed, in C order."""
    parts = [np.ascontiguousarray(array[:, g * (array.shape[1] // gates) :][:, : array.shape[1] // gates].T)
             for g in range(gates)]  # fmt: skip
    return np.hstack([part if recurrent else part.reshape(part.shape[::-1]) for part in parts])


@pytest.mark.parametrize("class_name", ["LSTM", "CuDNNLSTM"])
@pytest.mark.parametrize("cudnn", [False, True])
def test_an_lstm_reads_the_layout_of_cudnn(tmp_path: Path, class_name: str, cudnn: bool) -> None:
    rng = np.random.default_rng(0)
    kernel, recurrent, bias = normal(rng, 4, 12), normal(rng, 3, 12), normal(rng, 12)
    stored = {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}
    if cudnn:
        stored["kernel"] = to_cudnn(kernel, 4, recurrent=False)
        stored["recurrent_kernel"] = to_cudnn(recurrent, 4, recurrent=True)
        stored["bias"] = np.concatenate([bias / 4, bias * 3 / 4])
    options = {} if class_name == "CuDNNLSTM" else {"activation": "tanh", "recurrent_activation": "sigmoid"}
    model = one(class_name, 5, 4, units=3, **options)
    graph = imported(tmp_path, model, {"it": {f"it/{role}:0": array for role, array in stored.items()}})
    for name, array in (("it/kernel", kernel), ("it/recurrent_kernel", recurrent)):
        np.testing.assert_array_equal(encodings.decode(graph.params[name]), array)
    x = rng.normal(size=(2, 5, 4))
    whole = [np.float64(array) for array in (kernel, recurrent, encodings.decode(graph.params["it/bias"]))]
    expected = [naive_lstm(sample, *whole) for sample in x]
    np.testing.assert_allclose(computed(graph, x), expected, atol=TOLERANCE64)
    np.testing.assert_allclose(encodings.decode(graph.params["it/bias"]), bias, rtol=1e-6)


@pytest.mark.parametrize("class_name", ["GRU", "CuDNNGRU"])
@pytest.mark.parametrize("cudnn", [False, True])
def test_a_gru_reads_the_layout_of_cudnn(tmp_path: Path, class_name: str, cudnn: bool) -> None:
    rng = np.random.default_rng(1)
    kernel, recurrent, bias = normal(rng, 4, 9), normal(rng, 3, 9), normal(rng, 2, 9)
    stored = {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}
    if cudnn:
        stored["kernel"] = to_cudnn(kernel, 3, recurrent=False)
        stored["recurrent_kernel"] = to_cudnn(recurrent, 3, recurrent=True)
        stored["bias"] = bias.reshape(-1)
    options = {"reset_after": True, "recurrent_activation": "sigmoid"} if class_name == "GRU" else {}
    model = one(class_name, 5, 4, units=3, **options)
    graph = imported(tmp_path, model, {"it": {f"it/{role}:0": array for role, array in stored.items()}})
    for name, array in (
        ("kernel", kernel),
        ("recurrent_kernel", recurrent),
        ("bias", bias[0]),
        ("recurrent_bias", bias[1]),
    ):
        np.testing.assert_array_equal(encodings.decode(graph.params[f"it/{name}"]), array)
    assert len(graph.params) == 4


def test_states_that_nobody_reads_leave_no_node(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    weights = {
        "it/kernel:0": normal(rng, 2, 8),
        "it/recurrent_kernel:0": normal(rng, 2, 8),
        "it/bias:0": normal(rng, 8),
    }
    entry = layer("LSTM", "it", ["x"], units=2, return_state=True, return_sequences=True)
    for outputs, nodes in (
        (["it"], 1),
        ([("it", 0, 1)], 3),
        ([("it", 0, 2)], 1),
        (["it", ("it", 0, 1), ("it", 0, 2)], 4),
    ):
        graph = imported(tmp_path, functional([image_input("x", 3, 2), entry], ["x"], outputs), {"it": weights})
        assert len(graph.nodes) == nodes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_major": True}, "'time_major' is True; allowed is false; rebuild the model with the batch first"),
        ({"activation": "gelu"}, "'activation' is 'gelu'; allowed is one of elu"),
        ({"activation": {"class_name": "LeakyReLU", "config": {}}}, "'activation' is .*; allowed is one of"),
        ({"units": 0}, "'units' is 0"),
    ],
)
def test_recurrences_beyond_reach_are_refused(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(ModelError, match=rf"layer 'it' \(LSTM\): the option {message}"):
        imported(tmp_path, one("LSTM", 3, 2, **{"units": 2, **options}), {"it": {}})


# ---- images whose channels stand first


def test_layers_in_a_row_whose_channels_stand_first_need_two_transpositions(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    first = {"data_format": "channels_first"}
    conv = {"filters": 4, "kernel_size": [1, 1], "use_bias": False, **first}
    layers = [
        image_input("x", 3, 5, 6),
        layer("Conv2D", "a", ["x"], activation="tanh", **conv),
        layer("BatchNormalization", "n", ["a"], axis=1),
        layer("Activation", "act", ["n"], activation="relu"),
        layer("Conv2D", "b", ["act"], **conv),
        layer("Add", "sum", ["b", "act"]),
        layer("Concatenate", "both", ["sum", "b"], axis=1),
        layer("MaxPooling2D", "pool", ["both"], pool_size=[5, 6], **first),
    ]
    a, b = normal(rng, 1, 1, 3, 4), normal(rng, 1, 1, 4, 4)
    moments = {"gamma": normal(rng, 4), "beta": normal(rng, 4), "moving_mean": normal(rng, 4)}
    moments["moving_variance"] = normal(rng, 4) ** 2
    weights = {"a": {"a/kernel:0": a}, "b": {"b/kernel:0": b}, "n": {f"n/{k}:0": v for k, v in moments.items()}}
    graph = imported(tmp_path, functional(layers, ["x"], ["pool"]), weights)
    assert [node.op for node in graph.nodes] == [
        *("Transpose", "Conv", "Tanh", "BatchNormalization", "Relu", "Conv", "Add", "Concat", "MaxPool", "Transpose")
    ]
    x = rng.normal(size=(2, 3, 5, 6))
    y = np.tanh(np.einsum("bchw,cd->bdhw", x, np.float64(a[0, 0])))
    column = {name: np.float64(array)[:, None, None] for name, array in moments.items()}
    y = (y - column["moving_mean"]) / np.sqrt(column["moving_variance"] + 1e-3) * column["gamma"] + column["beta"]
    act = np.maximum(y, 0)
    conv_b = np.einsum("bchw,cd->bdhw", act, np.float64(b[0, 0]))
    expected = np.concatenate([conv_b + act, conv_b], 1).max((2, 3), keepdims=True)
    np.testing.assert_allclose(computed(graph, x), expected, atol=1e-10)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.2.4", [0, 1, 2, 2]),
        ("2.2.4-tf", [0, 0.5, 1.5, 2]),
        ("2.13.1", [0, 0.5, 1.5, 2]),
        ("3.8.0", [0, 0.5, 1.5, 2]),
    ],
)
def test_images_are_enlarged_as_the_generation_does(tmp_path: Path, version: str, expected: Any) -> None:
    model = one("UpSampling2D", 1, 2, 1, size=[1, 2], interpolation="bilinear")
    graph = imported(tmp_path, model, version=version)
    np.testing.assert_array_equal(computed(graph, np.array([0.0, 2.0]).reshape(1, 1, 2, 1)).ravel(), expected)


# ---- masks


def test_masked_steps_do_not_count(tmp_path: Path) -> None:
    table = normal(np.random.default_rng(4), 5, 3)
    layers = [layer("Embedding", "e", input_dim=5, output_dim=3, mask_zero=True), layer("GlobalAveragePooling1D", "it")]
    graph = imported(tmp_path, sequential(image_input("x", 4), *layers), {"e": {"e/embeddings:0": table}})
    steps = np.array([[1, 0, 3, 4], [2, 2, 0, 0]])
    expected = [np.mean([np.float64(table[i]) for i in row if i], axis=0) for row in steps]
    np.testing.assert_allclose(computed(graph, steps), expected, atol=TOLERANCE64)
    assert next(node.name for node in graph.nodes if node.op == "NotEqual") == "e/mask"


@pytest.mark.parametrize(("version", "either"), [("2.13.1", False), ("3.8.0", True)])
def test_masks_of_several_inputs_are_joined_as_the_generation_does(tmp_path: Path, version: str, either: bool) -> None:
    layers = [
        image_input("x", 3, 2),
        image_input("z", 3, 2),
        layer("Masking", "m", ["x"]),
        layer("Masking", "n", ["z"]),
        layer("Add", "sum", ["m", "n"]),
        layer("GlobalAveragePooling1D", "it", ["sum"]),
    ]
    graph = imported(tmp_path, functional(layers, ["x", "z"], ["it"]), version=version)
    x, z = np.ones((2, 1, 3, 2))
    x[0, 0], z[0, 1] = 0, 0
    # steps counted: 3 if any mask counts, 1 if all must
    expected = (1 + 1 + 2) / 3 if either else 2.0
    np.testing.assert_allclose(computed(graph, x, z), np.full((1, 2), expected), atol=1e-7)

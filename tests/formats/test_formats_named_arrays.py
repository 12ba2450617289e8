"""Arrays by name: our own layout, PyTorch's, three kinds of files, and files that nobody should trust."""

from __future__ import annotations

import io
import json
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from refcompress import encodings, formats
from refcompress.errors import FormatError, ModelError, OptionError
from refcompress.formats.named_arrays import files, load_weights
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import NoAttrs, make_attrs
from refcompress.ops.concat import Concat
from refcompress.ops.conv import Conv
from refcompress.run import run
from refcompress.verify.bounds import error_bounds
from reference_models import LENET_FILES, lenet_5
from reference_models.layers import Layer, chain

Arrays = Mapping[str, NDArray[Any]]
F = np.float32


def values(graph: Graph) -> dict[str, NDArray[np.float32]]:
    return {name: encodings.decode(encoding) for name, encoding in graph.params.items()}


def save_npz(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def save_compressed(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def save_hdf5(path: Path, arrays: Arrays) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def save_safetensors(path: Path, arrays: Arrays) -> None:
    """Write the format from its description."""
    kinds = {"<f2": "F16", "<f4": "F32", "<f8": "F64", "<i8": "I64"}
    header: dict[str, Any] = {"__metadata__": {"format": "np"}}
    offset = 0
    for name, array in arrays.items():
        span = [offset, offset := offset + array.nbytes]
        header[name] = {"dtype": kinds[array.dtype.str], "shape": list(array.shape), "data_offsets": span}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in arrays.values()))


SAVERS = [save_npz, save_compressed, save_hdf5, save_safetensors]


@pytest.fixture(scope="module")
def lenet() -> Graph:
    """LeNet-5 as we trained it."""
    return formats.load(LENET_FILES["lenet-5"].dense)


@pytest.mark.parametrize("save", SAVERS)
def test_lenet_takes_arrays_under_its_parameters_names(
    tmp_path: Path, lenet: Graph, save: Callable[[Path, Arrays], None]
) -> None:
    blank = lenet_5.build(np.random.default_rng(0))
    trained = dict(zip(blank.params, values(lenet).values(), strict=True))
    save(tmp_path / "weights", trained)
    loaded = values(load_weights(blank, tmp_path / "weights"))
    assert all(np.array_equal(loaded[name], trained[name]) for name in trained)


def test_lenet_takes_the_datasets_of_a_checkpoint_that_are_named(lenet: Graph) -> None:
    blank = lenet_5.build(np.random.default_rng(0))
    names = {
        f"{layer}/{role}": f"model_weights/{layer}/{layer}/{keras}:0"
        for layer in ("conv1", "conv2", "ip1", "ip2")
        for role, keras in (("weight", "kernel"), ("bias", "bias"))
    }
    loaded = load_weights(blank, LENET_FILES["lenet-5"].dense, names=names)
    x = np.random.default_rng(1).random((3, 28, 28, 1))
    np.testing.assert_array_equal(run(loaded, x)[0], run(lenet, x)[0])


def test_lenet_takes_a_checkpoint_of_keras(lenet: Graph) -> None:
    loaded = load_weights(lenet_5.build(np.random.default_rng(0)), LENET_FILES["lenet-5"].dense)
    for mine, theirs in zip(values(loaded).values(), values(lenet).values(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_depthwise_kernel_of_keras_has_another_shape() -> None:
    node = Node("Conv", "dw", ("x",), "y", {"weight": "dw/weight"}, Conv(group=3))
    graph = Graph(
        (TensorSpec("x", (5, 5, 3)),), ("y",), (node,), {"dw/weight": encodings.encode(np.zeros((2, 2, 1, 6)))}
    )
    kernel = np.arange(24.0).reshape(2, 2, 3, 2)
    loaded = load_weights(graph, {"dw/dw/depthwise_kernel:0": kernel, "optimizer_weights/Adam/m:0": np.zeros(3)})
    x = np.random.default_rng(0).standard_normal((1, 5, 5, 3))
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(1, 2))  # (n, y, x, channel, ky, kx)
    expected = np.einsum("nyxckl,klcm->nyxcm", windows, kernel).reshape(1, 4, 4, 6)
    np.testing.assert_allclose(run(loaded, x, dtype=np.float64)[0], expected, rtol=1e-12)


def test_two_arrays_that_keras_may_have_named_so_are_refused() -> None:
    graph = lenet_5.build(np.random.default_rng(0))
    arrays = {f"{group}/conv1/bias:0": np.zeros(20) for group in ("a", "b")}
    with pytest.raises(ModelError, match="'conv1/bias' may be any of 'a/conv1/bias:0', 'b/conv1/bias:0'"):
        load_weights(graph, arrays)


def torch_lenet(trained: Arrays) -> dict[str, NDArray[Any]]:
    """LeNet-5 as PyTorch would store it, entry by entry."""
    state = {}
    for layer in ("conv1", "conv2"):
        weight = trained[f"{layer}/weight"]
        kh, kw, cin, cout = weight.shape
        moved = np.empty((cout, cin, kh, kw), F)
        for y, x, i, o in np.ndindex(*weight.shape):
            moved[o, i, y, x] = weight[y, x, i, o]
        state[f"{layer}.weight"] = moved
    ip1 = np.empty((500, 800), F)
    for y, x, c in np.ndindex(4, 4, 50):
        ip1[:, c * 16 + y * 4 + x] = trained["ip1/weight"][(y * 4 + x) * 50 + c]
    state["ip1.weight"] = ip1
    state["ip2.weight"] = trained["ip2/weight"].T
    return state | {f"{layer}.bias": trained[f"{layer}/bias"] for layer in ("conv1", "conv2", "ip1", "ip2")}


def test_lenet_takes_a_state_dict_with_its_flattened_features_in_another_order(lenet: Graph) -> None:
    blank = lenet_5.build(np.random.default_rng(0))
    trained = dict(zip(blank.params, values(lenet).values(), strict=True))
    loaded = values(load_weights(blank, torch_lenet(trained)))
    assert all(np.array_equal(loaded[name], trained[name]) for name in trained)


def filled(shape: tuple[int, ...], start: int = 0) -> NDArray[np.float32]:
    return (np.arange(np.prod(shape)) + start).reshape(shape).astype(F)


def one(op: str, shape: tuple[int, ...], params: Arrays, **attrs: Any) -> Graph:
    return chain(TensorSpec("x", shape), [Layer(op, "a", attrs, params)])


def loaded_from(graph: Graph, arrays: Arrays, **how: Any) -> dict[str, NDArray[np.float32]]:
    return {name.removeprefix("a/"): value for name, value in values(load_weights(graph, arrays, **how)).items()}


def test_kernels_of_transposed_and_depthwise_convolutions() -> None:
    ours = filled((2, 3, 4, 5))
    graph = one("ConvTranspose", (6, 6, 4), {"weight": np.zeros_like(ours)})
    torch = np.empty((4, 5, 2, 3), F)
    for y, x, i, o in np.ndindex(*ours.shape):
        torch[i, o, y, x] = ours[y, x, i, o]
    np.testing.assert_array_equal(loaded_from(graph, {"a.weight": torch})["weight"], ours)
    depthwise = filled((3, 3, 1, 8))  # two outputs for each of four channels
    graph = one("Conv", (6, 6, 4), {"weight": np.zeros_like(depthwise)}, group=4)
    torch = np.empty((8, 1, 3, 3), F)
    for y, x, o in np.ndindex(3, 3, 8):
        torch[o, 0, y, x] = depthwise[y, x, 0, o]
    np.testing.assert_array_equal(loaded_from(graph, {"a.weight": torch})["weight"], depthwise)


@pytest.mark.parametrize("kernel", [(1, 3), (3, 1)])
def test_kernels_of_one_dimensional_convolutions(kernel: tuple[int, int]) -> None:
    graph = one("Conv", (5, 5, 2), {"weight": np.zeros((*kernel, 2, 4), F)})
    torch = filled((4, 2, 3))
    ours = loaded_from(graph, {"a.weight": torch})["weight"].reshape(3, 2, 4)
    assert all(ours[k, i, o] == torch[o, i, k] for k, i, o in np.ndindex(3, 2, 4))


def test_statistics_of_a_normalization_have_other_names_in_pytorch() -> None:
    params = {role: np.zeros(3, F) for role in ("scale", "bias", "mean", "var")}
    arrays = {name: filled((3,), k) for k, name in enumerate(["a.weight", "a.bias", "a.running_mean", "a.running_var"])}
    graph = one("BatchNormalization", (2, 2, 3), params)
    got = loaded_from(graph, {**arrays, "a.num_batches_tracked": np.int64(7)})
    assert [got[role][0] for role in ("scale", "bias", "mean", "var")] == [0, 1, 2, 3]


def test_embeddings_are_not_transposed() -> None:
    graph = one("Gather", (4,), {"weight": np.zeros((3, 3), F)})
    np.testing.assert_array_equal(loaded_from(graph, {"a.weight": filled((3, 3))})["weight"], filled((3, 3)))


def recurrent(op: str, gates: int, **attrs: Any) -> Graph:
    params = {"weight": np.zeros((3, gates * 2), F), "recurrent_weight": np.zeros((2, gates * 2), F)}
    params |= {"bias": np.zeros(gates * 2, F)}
    if op == "GRU" and attrs.get("linear_before_reset"):
        params["recurrent_bias"] = np.zeros(gates * 2, F)
    return one(op, (4, 3), params, **attrs)


def of_gates(gates: int, suffix: str = "_l0") -> dict[str, NDArray[np.float32]]:
    shapes = {
        "weight_ih": (gates * 2, 3),
        "weight_hh": (gates * 2, 2),
        "bias_ih": (gates * 2,),
        "bias_hh": (gates * 2,),
    }
    return {f"a.{name}{suffix}": filled(shape, 100 * k) for k, (name, shape) in enumerate(shapes.items())}


def test_the_two_biases_of_an_lstm_are_added() -> None:
    state = of_gates(4)
    got = loaded_from(recurrent("LSTM", 4), state)
    np.testing.assert_array_equal(got["weight"], state["a.weight_ih_l0"].T)
    np.testing.assert_array_equal(got["recurrent_weight"], state["a.weight_hh_l0"].T)
    np.testing.assert_array_equal(got["bias"], state["a.bias_ih_l0"] + state["a.bias_hh_l0"])


def test_the_gates_of_a_gru_change_places_and_keep_their_two_biases() -> None:
    state = of_gates(3, "")
    got = loaded_from(recurrent("GRU", 3, linear_before_reset=True), state)
    for role, name in {"weight": "weight_ih", "recurrent_weight": "weight_hh", "bias": "bias_ih"}.items():
        torch, ours = state[f"a.{name}"], got[role]
        for k, place in enumerate([1, 0, 2]):  # r, z, n of PyTorch stand there
            np.testing.assert_array_equal(ours[..., 2 * place : 2 * place + 2], torch[2 * k : 2 * k + 2].T)
    np.testing.assert_array_equal(got["recurrent_bias"], state["a.bias_hh"][[2, 3, 0, 1, 4, 5]])


def test_a_gru_that_resets_before_the_product_takes_nothing_from_pytorch() -> None:
    state = {name: array for name, array in of_gates(3).items() if name != "a.bias_hh_l0"}
    with pytest.raises(ModelError, match=r"node 'a' \(GRU\) resets the state before .* linear_before_reset=True"):
        load_weights(recurrent("GRU", 3), state)


def test_layers_and_directions_of_an_lstm_are_nodes() -> None:
    params = {"weight": np.zeros((3, 8), F), "recurrent_weight": np.zeros((2, 8), F)}
    deeper = {"weight": np.zeros((2, 8), F), "recurrent_weight": np.zeros((2, 8), F)}
    layers = [Layer("LSTM", "rnn/lstm_l0_reverse", {"reverse": True}, params), Layer("LSTM", "rnn/lstm_l1", {}, deeper)]
    state = {
        "rnn.lstm.weight_ih_l0_reverse": filled((8, 3)),
        "rnn.lstm.weight_hh_l0_reverse": filled((8, 2), 1),
        "rnn.lstm.weight_ih_l1": filled((8, 2), 2),
        "rnn.lstm.weight_hh_l1": filled((8, 2), 3),
    }
    got = values(load_weights(chain(TensorSpec("x", (4, 3)), layers), state))
    assert [value[0, 0] for value in got.values()] == [0, 1, 2, 3]


def test_features_keep_their_order_through_activations_and_concatenations() -> None:
    """Two flattened branches, normalized and joined: each entry of the weight is followed to its pixel."""
    params = {f"bn/{role}": encodings.encode(np.zeros(12)) for role in ("mean", "var")}
    params["fc/weight"] = encodings.encode(np.zeros((12 + 6, 1)))
    normalization = make_attrs("BatchNormalization", {"epsilon": 1e-3})
    graph = Graph(
        (TensorSpec("p", (2, 2, 3)), TensorSpec("q", (3, 1, 2))),
        ("y",),
        (
            Node("Flatten", "f", ("p",), "pf", attrs=NoAttrs()),
            Node("Flatten", "g", ("q",), "qf", attrs=NoAttrs()),
            Node("BatchNormalization", "bn", ("pf",), "pn", {"mean": "bn/mean", "var": "bn/var"}, normalization),
            Node("Relu", "r", ("pn",), "pr", attrs=NoAttrs()),
            Node("Concat", "c", ("pr", "qf"), "pq", attrs=Concat(1)),
            Node("Gemm", "fc", ("pq",), "y", {"weight": "fc/weight"}, NoAttrs()),
        ),
        params,
    )  # fmt: skip
    state = {"bn.running_mean": filled((12,)), "bn.running_var": filled((12,), 1), "fc.weight": filled((1, 18))}
    got = values(load_weights(graph, state))
    for y, x, c in np.ndindex(2, 2, 3):
        assert got["bn/mean"][(y * 2 + x) * 3 + c] == c * 4 + y * 2 + x
        assert got["fc/weight"][(y * 2 + x) * 3 + c, 0] == c * 4 + y * 2 + x
    for y, c in np.ndindex(3, 2):
        assert got["fc/weight"][12 + y * 2 + c, 0] == 12 + c * 3 + y


def test_features_that_become_an_image_are_reordered_too() -> None:
    layers = [
        Layer("Gemm", "fc", {}, {"weight": np.zeros((2, 12), F), "bias": np.zeros(12, F)}),
        Layer("Relu", "relu"),
        Layer("Reshape", "image", {"shape": (2, 2, 3)}),
    ]
    got = values(
        load_weights(chain(TensorSpec("x", (2,)), layers), {"fc.weight": filled((12, 2)), "fc.bias": filled((12,))})
    )
    for y, x, c in np.ndindex(2, 2, 3):
        assert got["fc/bias"][(y * 2 + x) * 3 + c] == c * 4 + y * 2 + x
        assert got["fc/weight"][0, (y * 2 + x) * 3 + c] == 2 * (c * 4 + y * 2 + x)


@pytest.mark.parametrize(
    "rearrange", [Layer("Reshape", "r", {"shape": (2, 6)}), Layer("Transpose", "r", {"perm": (0, 3, 1, 2)})]
)
def test_features_in_an_order_that_cannot_be_known_are_refused(rearrange: Layer) -> None:
    layers = [rearrange, Layer("Flatten", "f"), Layer("Gemm", "fc", {}, {"weight": np.zeros((12, 1), F)})]
    graph = chain(TensorSpec("x", (2, 2, 3)), layers)
    with pytest.raises(ModelError, match=r"node 'fc' \(Gemm\) reads features that were rearranged"):
        load_weights(graph, {"fc.weight": filled((1, 12))})
    assert values(load_weights(graph, {"fc/weight": filled((12, 1))}))["fc/weight"][3] == 3


def test_a_parameter_with_a_dotted_name_has_pytorchs_layout() -> None:
    node = Node("Gemm", "/fc/MatMul", ("x",), "y", {"weight": "fc.weight"}, NoAttrs())
    graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"fc.weight": encodings.encode(np.zeros((2, 3)))})
    assert values(load_weights(graph, {"fc.weight": filled((3, 2))}))["fc.weight"].tolist() == [[0, 2, 4], [1, 3, 5]]


def test_names_say_what_is_read_and_the_rest_is_ignored() -> None:
    graph = one("Gemm", (2,), {"weight": np.zeros((2, 3), F), "bias": np.zeros(3, F)})
    arrays = {
        "other.weight": filled((3, 2)),
        "b": filled((3,), 5),
        "optimizer": filled((7,)),
        "a/weight": filled((2, 3)),
    }
    got = loaded_from(graph, arrays, names={"a/weight": "other.weight", "a/bias": "b"})
    assert got["weight"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert got["bias"].tolist() == [5, 6, 7]
    lstm = {name.replace("a.", "x."): value for name, value in of_gates(4).items()}
    names = {"a/weight": "x.weight_ih_l0", "a/recurrent_weight": "x.weight_hh_l0", "a/bias": "x.bias_ih_l0"}
    assert loaded_from(recurrent("LSTM", 4), lstm, names=names)["bias"][0] == 200 + 300


DENSE = {"weight": np.zeros((2, 3), F), "bias": np.zeros(3, F)}


@pytest.mark.parametrize(
    ("arrays", "names", "message"),
    [
        ({"a/weight": (2, 3)}, None, "no array for the parameters 'a/bias'; say which"),
        ({"a/weight": (2, 3), "a/bias": (3,), "c": (1,)}, None, "no parameter for the arrays 'c'"),
        ({"a/weight": (2, 3), "a.weight": (3, 2), "a/bias": (3,)}, None, "may be any of 'a/weight', 'a.weight'"),
        ({"a/weight": (3, 2), "a/bias": (3,)}, None, r"the shape \(3, 2\); .* takes \(2, 3\) in its own layout"),
        ({"a.weight": (2, 3), "a.bias": (3,)}, None, r"has the shape \(2, 3\); .* takes \(3, 2\) in PyTorch's layout"),
        ({}, None, "no array for the parameters 'a/weight', 'a/bias'"),
        ({"w": (2, 3), "a/bias": (3,)}, {"a/wieght": "w"}, r"no parameter 'a/wieght' \(did you mean 'a/weight'\?\)"),
        ({"w": (2, 3), "a/bias": (3,)}, {"a/weight": "v"}, "no array 'v' for the parameter 'a/weight'"),
        ({"n.running_mean": (2, 3)}, {"a/weight": "n.running_mean"}, r"weight of 'a' \(Gemm\), in PyTorch's layout"),
    ],
)  # fmt: skip
def test_what_does_not_match_is_named(
    arrays: dict[str, tuple[int, ...]], names: dict[str, str] | None, message: str
) -> None:
    graph = one("Gemm", (2,), DENSE)
    with pytest.raises(ModelError, match=message):
        load_weights(graph, {name: filled(shape) for name, shape in arrays.items()}, names=names)


def test_one_array_for_two_parameters_is_refused() -> None:
    layers = [Layer("Gemm", name, {}, {"weight": np.zeros((2, 2), F)}) for name in ("m/a", "m.a")]
    with pytest.raises(ModelError, match=r"the array 'm.a.weight' may be the parameter 'm/a/weight' or 'm.a/weight'"):
        load_weights(chain(TensorSpec("x", (2,)), layers), {"m.a.weight": filled((2, 2))})


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("save", SAVERS)
def test_numbers_of_all_precisions_are_read(tmp_path: Path, dtype: Any, save: Callable[[Path, Arrays], None]) -> None:
    weight = (np.random.default_rng(0).standard_normal((2, 3)) * 1.1).astype(dtype)
    save(tmp_path / "w", {"a/weight": weight, "a/bias": np.zeros(3, dtype)})
    got = values(load_weights(one("Gemm", (2,), DENSE), tmp_path / "w"))["a/weight"]
    assert got.dtype == F
    np.testing.assert_array_equal(got, weight.astype(F))


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    weight = (np.random.default_rng(0).standard_normal((2, 3)).astype(F).view(np.uint32) >> 16).astype(np.uint16)
    text = json.dumps({"a/weight": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}).encode()
    (tmp_path / "w").write_bytes(struct.pack("<Q", len(text)) + text + weight.tobytes())
    got = values(load_weights(one("Gemm", (2,), {"weight": DENSE["weight"]}), tmp_path / "w"))["a/weight"]
    np.testing.assert_array_equal(got.view(np.uint32) >> 16, weight)
    assert not (got.view(np.uint32) & 0xFFFF).any()


def test_arrays_in_fortran_order_are_read(tmp_path: Path) -> None:
    save_npz(tmp_path / "w", {"a/weight": np.asfortranarray(filled((2, 3))), "a/bias": filled((3,))})
    np.testing.assert_array_equal(
        values(load_weights(one("Gemm", (2,), DENSE), tmp_path / "w"))["a/weight"], filled((2, 3))
    )


# --- files that nobody should trust ---

WEIGHT = {"weight": DENSE["weight"]}


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), data)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def tensors(entry: Any, data: bytes = bytes(24), *, name: str = "a/weight") -> bytes:
    text = entry if isinstance(entry, bytes) else json.dumps({name: entry}).encode()
    return struct.pack("<Q", len(text)) + text + data


GOOD = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
LYING = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }"

HOSTILE: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "is empty"),
    ("text", b"some other file", "begins with b'some oth'"),
    ("a pickle", pickle.dumps({"a/weight": 1}), "arrays are read from HDF5, .npz and .safetensors"),
    ("a PyTorch file", zipped(archive__data_DOT_pkl=b"x"), "which is no .npy array; a PyTorch file"),
    ("an object array", zipped(a__weight_DOT_npy=npy(np.array([None] * 6).reshape(2, 3))), "cannot be read"),
    ("a zip cut off", zipped(a__weight_DOT_npy=npy(filled((2, 3))))[:-10], "the zip archive cannot be read"),
    ("an npy of no bytes", zipped(a__weight_DOT_npy=b""), "cannot be read"),
    ("an npy that lies", zipped(a__weight_DOT_npy=header(LYING % "2, 3")), "declares 24 bytes of numbers and holds 0"),
    ("an npy of code", zipped(a__weight_DOT_npy=header("__import__('os').getcwd()")), "cannot be read"),
    ("a huge npy", zipped(a__weight_DOT_npy=header(LYING % "2000000000, 2000000000")), r"has the shape \(2000000000"),
    ("a negative npy", zipped(a__weight_DOT_npy=header(LYING % "-2, -3")), "cannot be read"),
    ("too many axes", zipped(a__weight_DOT_npy=header(LYING % ("1," * 60))), "cannot be read"),
    ("a long header", zipped(a__weight_DOT_npy=b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31)), "cannot be read"),
    ("integers", zipped(a__weight_DOT_npy=npy(np.zeros((2, 3), int))), "is of type int64"),
    ("NaN", zipped(a__weight_DOT_npy=npy(np.full((2, 3), np.nan))), "holds NaN or infinity"),
    ("beyond float32", zipped(a__weight_DOT_npy=npy(np.full((2, 3), 1e300))), "beyond the range of float32"),
    ("tensors without header", tensors(b""), "begins with"),
    ("a header without end", struct.pack("<Q", 2**62) + b"{" + bytes(20), "a header of 4611686018427387904 bytes"),
    ("a header that is no JSON", tensors(b"{'a'}"), "is no JSON"),
    ("a deep header", tensors(b'{"a":' * 50_000), "is no JSON"),
    ("a name twice", tensors(b'{"a": 1, "a": 2}'), "a name stands twice"),
    ("an entry that is a number", tensors(1), "in a way that safetensors does not"),
    ("a shape of booleans", tensors({**GOOD, "shape": [True, True]}), "in a way that safetensors does not"),
    ("a negative shape", tensors({**GOOD, "shape": [-2, -3]}), "in a way that safetensors does not"),
    ("offsets backwards", tensors({**GOOD, "data_offsets": [24, 0]}), "in a way that safetensors does not"),
    ("too few bytes", tensors({**GOOD, "data_offsets": [0, 20]}), "in a way that safetensors does not"),
    ("a huge tensor", tensors({**GOOD, "shape": [2**31, 2**31]}), "in a way that safetensors does not"),
    ("bytes beyond the file", tensors(GOOD, bytes(20)), "end at byte"),
    ("bytes that nobody owns", tensors(GOOD, bytes(30)), "end at byte"),
    ("a gap", tensors({**GOOD, "data_offsets": [4, 28]}, bytes(28)), "leave a gap or overlap"),
    ("a type that is no float", tensors({**GOOD, "dtype": "I32"}), "is of type I32; allowed are F64, F32, F16, BF16"),
]


@pytest.mark.parametrize(("data", "message"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_a_hostile_file_gives_one_error(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "w").write_bytes(data)
    with pytest.raises((FormatError, ModelError)) as caught:
        load_weights(one("Gemm", (2,), WEIGHT), tmp_path / "w")
    assert re.search(message, str(caught.value))


HDF5: list[tuple[str, Callable[[h5py.File], Any], str]] = [
    ("a link to elsewhere", lambda f: f.__setitem__("a/weight", h5py.ExternalLink("o", "w")), "no array for"),
    ("integers", lambda f: f.create_dataset("a/weight", data=np.zeros((2, 3), int)), "is of type int64"),
    ("NaN", lambda f: f.create_dataset("a/weight", data=np.full((2, 3), np.nan)), "holds NaN"),
    ("never written", lambda f: f.create_dataset("a/weight", (2, 3), "f4"), "of which 0 are stored"),
    ("huge", lambda f: f.create_dataset("a/weight", (2**40,), "f4", chunks=(8,)), "has the shape"),
    ("other files", lambda f: f.create_dataset("a/weight", (2, 3), "f4", external=[("o", 0, 24)]), "in other files"),
    ("no values", lambda f: f.create_dataset("a/weight", data=h5py.Empty("f4")), "has no values"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), [case[1:] for case in HDF5], ids=[case[0] for case in HDF5])
def test_a_hostile_hdf5_file_gives_one_error(tmp_path: Path, spoil: Callable[[h5py.File], Any], message: str) -> None:
    with h5py.File(tmp_path / "w", "w") as file:
        spoil(file)
    with pytest.raises((FormatError, ModelError), match=message):
        load_weights(one("Gemm", (2,), WEIGHT), tmp_path / "w")


@pytest.mark.parametrize("save", SAVERS)
def test_any_byte_may_be_wrong(tmp_path: Path, save: Callable[[Path, Arrays], None]) -> None:
    save(tmp_path / "good", {"a/weight": filled((2, 3))})
    good = (tmp_path / "good").read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(len(good), min(len(good), 120), replace=False):
        bad = bytearray(good)
        bad[place] ^= int(rng.integers(1, 256))
        (tmp_path / "bad").write_bytes(bad)
        try:
            load_weights(one("Gemm", (2,), WEIGHT), tmp_path / "bad")
        except (FormatError, ModelError):
            continue
    for length in range(0, len(good), max(1, len(good) // 60)):
        (tmp_path / "bad").write_bytes(good[:length])
        with pytest.raises((FormatError, ModelError)):
            load_weights(one("Gemm", (2,), WEIGHT), tmp_path / "bad")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="No such file"):
        load_weights(one("Gemm", (2,), WEIGHT), tmp_path / "w")


def test_what_is_no_array_is_refused() -> None:
    with pytest.raises(ModelError, match=r"cannot be read|is of type"):
        load_weights(one("Gemm", (2,), WEIGHT), {"a/weight": [[1.0], [2.0, 3.0]]})


def test_an_array_that_nobody_wants_is_not_read(tmp_path: Path) -> None:
    save_npz(tmp_path / "w", {"a/weight": filled((2, 3)), "other": np.full(4, np.nan)})
    load_weights(one("Gemm", (2,), WEIGHT), tmp_path / "w", names={"a/weight": "a/weight"})
    with files.open_arrays(tmp_path / "w") as arrays:
        assert arrays["other"].shape == (4,)


# --- the real thing ---


def library(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed; real state dicts are read where it is")


def images() -> tuple[Any, Graph, list[NDArray[Any]], Callable[[Any], Any]]:
    """Return grouped, depthwise and transposed convolutions, normalization, an image made of features, and back."""
    nn = library("torch").nn
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, groups=1),
        nn.BatchNorm2d(8),
        nn.PReLU(8),
        nn.Conv2d(8, 16, 3, groups=8, bias=False),
        nn.Conv2d(16, 6, (1, 3), groups=2),
        nn.ConvTranspose2d(6, 4, (3, 2), stride=2),
        nn.Flatten(),
        nn.Linear(4 * 13 * 8, 24),
        nn.ReLU(),
        nn.Unflatten(1, (6, 2, 2)),
        nn.Conv2d(6, 5, 1),
        nn.Flatten(),
        nn.BatchNorm1d(20),
        nn.Linear(20, 4),
    )
    zeros = lambda *shape: np.zeros(shape, F)  # noqa: E731
    normal = lambda n: {role: zeros(n) for role in ("scale", "bias", "mean", "var")}  # noqa: E731
    layers = [
        Layer("Conv", "0", {"pads": (1, 1, 1, 1)}, {"weight": zeros(3, 3, 3, 8), "bias": zeros(8)}),
        Layer("BatchNormalization", "1", {"epsilon": 1e-5}, normal(8)),
        Layer("PRelu", "2", {}, {"slope": zeros(1, 1, 8)}),
        Layer("Conv", "3", {"group": 8}, {"weight": zeros(3, 3, 1, 16)}),
        Layer("Conv", "4", {"group": 2}, {"weight": zeros(1, 3, 8, 6), "bias": zeros(6)}),
        Layer("ConvTranspose", "5", {"strides": (2, 2)}, {"weight": zeros(3, 2, 6, 4), "bias": zeros(4)}),
        Layer("Flatten", "6"),
        Layer("Gemm", "7", {}, {"weight": zeros(416, 24), "bias": zeros(24)}),
        Layer("Relu", "8"),
        Layer("Reshape", "9", {"shape": (2, 2, 6)}),
        Layer("Conv", "10", {}, {"weight": zeros(1, 1, 6, 5), "bias": zeros(5)}),
        Layer("Flatten", "11"),
        Layer("BatchNormalization", "12", {"epsilon": 1e-5}, normal(20)),
        Layer("Gemm", "13", {}, {"weight": zeros(20, 4), "bias": zeros(4)}),
    ]
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(F)
    return net, chain(TensorSpec("x", (8, 8, 3)), layers), [x], lambda net: net(_tensor(x.transpose(0, 3, 1, 2)))


def sequences() -> tuple[Any, Graph, list[NDArray[Any]], Callable[[Any], Any]]:
    """Return an embedding, two layers of LSTM, a GRU, and a Linear of its last state."""
    torch = library("torch")
    net = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(9, 3),
            "lstm": torch.nn.LSTM(3, 4, num_layers=2, batch_first=True),
            "gru": torch.nn.GRU(4, 5, batch_first=True),
            "fc": torch.nn.Linear(5, 2),
        }
    )
    zeros = lambda *shape: np.zeros(shape, F)  # noqa: E731
    gru = {"weight": zeros(4, 15), "recurrent_weight": zeros(5, 15), "bias": zeros(15), "recurrent_bias": zeros(15)}
    layers = [
        Layer("Gather", "embedding", {}, {"weight": zeros(9, 3)}),
        Layer("LSTM", "lstm", {}, {"weight": zeros(3, 16), "recurrent_weight": zeros(4, 16), "bias": zeros(16)}),
        Layer("LSTM", "lstm_l1", {}, {"weight": zeros(4, 16), "recurrent_weight": zeros(4, 16), "bias": zeros(16)}),
        Layer("GRU", "gru", {"linear_before_reset": True, "output": "last"}, gru),
        Layer("Gemm", "fc", {}, {"weight": zeros(5, 2), "bias": zeros(2)}),
    ]
    x = np.random.default_rng(0).integers(0, 9, (3, 7))

    def apply(net: Any) -> Any:
        hidden = net["lstm"](net["embedding"](_tensor(x)))[0]
        return net["fc"](net["gru"](hidden)[0][:, -1])

    return net, chain(TensorSpec("x", (7,)), layers), [x.astype(F)], apply


def _tensor(array: NDArray[Any]) -> Any:
    return library("torch").tensor(np.ascontiguousarray(array))


@pytest.mark.parametrize("kind", ["hdf5", "npz", "safetensors", "mapping"])
@pytest.mark.parametrize("network", [images, sequences])
def test_a_real_state_dict_gives_what_pytorch_computes(tmp_path: Path, kind: str, network: Callable[[], Any]) -> None:
    torch = library("torch")
    torch.manual_seed(0)
    net, graph, inputs, apply = network()
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point():  # statistics that are not 0 and 1
                value.copy_(torch.rand_like(value) + 0.5 if "var" in name else torch.randn_like(value) * 0.3)
        wanted = apply(net.eval()).numpy()
    state = net.state_dict()
    arrays = {name: value.numpy() for name, value in state.items()}
    path: Any = tmp_path / "weights"
    if kind == "safetensors":
        library("safetensors.torch").save_file(state, path)
    elif kind == "mapping":
        path = state
    else:
        {"hdf5": save_hdf5, "npz": save_npz}[kind](path, arrays)
    loaded = load_weights(graph, path)
    reference, bounds = error_bounds(loaded, inputs)
    output = graph.outputs[0]
    assert (np.abs(wanted - reference[output]) <= bounds[output]).all()
    assert bounds[output].max() < 1e-2


def test_bfloat16_state_dicts_are_read(tmp_path: Path) -> None:
    torch, safetensors = library("torch"), library("safetensors.torch")
    weight = torch.randn(3, 2).to(torch.bfloat16)
    safetensors.save_file({"a.weight": weight}, tmp_path / "w")
    got = values(load_weights(one("Gemm", (2,), WEIGHT), tmp_path / "w"))["a/weight"]
    np.testing.assert_array_equal(got, weight.float().numpy().T)

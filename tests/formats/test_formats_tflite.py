"""Full-integer ``.tflite`` files: what is read, what is refused, and that no bytes crash or hang the reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tflite", reason="needs the extra tflite")

from checks import tflite_networks as networks
from checks.tflite_files import FileOperator, FileTensor, activation, constant, write

from refcompress.encodings import Linear, decode
from refcompress.errors import FormatError, MissingToolError, ModelError, OptionError
from refcompress.formats import tflite
from refcompress.integer import Quantization, run_integer
from refcompress.run import run

RNG = np.random.default_rng(5)
X, Y = activation("x", (1, 3), 0.5, 2), activation("y", (1, 2), 0.25, -1)
W = constant("w", np.array([[1, -2, 3], [-127, 0, 127]], np.int8), [0.5, 0.125])
B = constant("b", np.array([100, -(2**30)], np.int32), [0.25, 0.0625])
GEMM = FileOperator(networks.GEMM, (0, 2, 3), (1,), "FullyConnectedOptions", version=4)
IMAGE = activation("x", (1, 4, 4, 2), 0.5, 2)
PLANES = activation("y", (1, 4, 4, 3), 0.5, 2)
KERNEL = constant("w", np.ones((3, 1, 1, 2), np.int8), [0.5, 0.5, 0.25])
CONV_FIELDS = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
CONV = FileOperator(networks.CONV, (0, 2, -1), (1,), "Conv2DOptions", CONV_FIELDS, version=3)


def _gemm(**changed: Any) -> bytes:
    return write([X, Y, W, B], [replace(GEMM, **changed)])


def test_a_matrix_product_is_read_to_the_last_bit() -> None:
    network = tflite.read(_gemm(fields={"FusedActivationFunction": 3}))
    gemm, relu6 = network.graph.nodes
    assert (gemm.op, gemm.name, gemm.inputs, gemm.output) == ("Gemm", "y", ("x",), "y/linear")
    assert (relu6.op, relu6.name, relu6.output, relu6.attrs.max) == ("Clip", "y/clip", "y", 6.0)
    assert network.quantizations == {"x": Quantization(0.5, 2), "y": Quantization(0.25, -1)}
    weight = network.graph.params["y/weight"]
    assert isinstance(weight.values, Linear)
    assert decode(weight).tolist() == [[0.5, -15.875], [-1.0, 0.0], [1.5, 15.875]]
    assert network.biases["y/bias"].tolist() == [100, -(2**30)]
    assert decode(network.graph.params["y/bias"]).tolist() == [25.0, -(2.0**26)]


def test_a_kernel_is_read_channels_last() -> None:
    kernel = RNG.integers(-127, 128, (3, 2, 1, 2)).astype(np.int8)
    w = constant("w", kernel, [0.5, 0.25, 0.125])
    operator = replace(CONV, fields={**CONV_FIELDS, "Padding": 0})
    network = tflite.read(write([IMAGE, PLANES, w], [operator]))
    conv = network.graph.nodes[0]
    assert (conv.attrs.pads, conv.attrs.group) == ((0, 0, 1, 0), 1)
    scales = np.array([0.5, 0.25, 0.125])
    assert decode(network.graph.params["y/weight"]).tolist() == (kernel.transpose(1, 2, 3, 0) * scales).tolist()


def test_a_file_is_loaded_by_its_path_and_known_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "network.bin"
    path.write_bytes(_gemm())
    assert tflite.looks_like(path.read_bytes()[:64])
    assert not tflite.looks_like(b"\x89HDF\r\n\x1a\n")
    assert tflite.load(path).graph.outputs == ("y",)
    with pytest.raises(OptionError, match="cannot be read"):
        tflite.load(tmp_path / "nothing")


def test_conversions_at_the_boundary_are_left_to_the_caller() -> None:
    outer = [FileTensor("in", (1, 3), type="float32"), FileTensor("out", (1, 2), type="float32")]
    enter = FileOperator(networks.QUANTIZE, (4,), (0,))
    leave = FileOperator(6, (1,), (5,))
    network = tflite.read(write([X, Y, W, B, *outer], [enter, GEMM, leave], inputs=(4,)))
    assert [spec.name for spec in network.graph.inputs] == ["in"]
    assert network.quantizations == {"in": Quantization(0.5, 2), "y": Quantization(0.25, -1)}
    plain = tflite.read(_gemm())
    x = RNG.integers(-128, 128, (5, 3))
    assert run_integer(network, x)[0].tolist() == run_integer(plain, x)[0].tolist()


def test_uint8_at_the_boundary_is_int8_plus_128() -> None:
    outer = replace(X, name="in", type="uint8", zero_points=(130,))
    enter = FileOperator(networks.QUANTIZE, (4,), (0,))
    network = tflite.read(write([X, Y, W, B, outer], [enter, GEMM], inputs=(4,)))
    assert network.quantizations["in"] == Quantization(0.5, 2)
    with pytest.raises(ModelError, match="at the boundary is neither float32 nor"):
        tflite.read(write([X, Y, W, B, replace(outer, zero_points=(7,))], [enter, GEMM], inputs=(4,)))


def test_weights_of_two_operators_stay_one_parameter() -> None:
    z = activation("y", (1, 2), 0.5, 0)
    both = [GEMM, replace(GEMM, outputs=(4,))]
    network = tflite.read(write([X, Y, W, B, z], both, outputs=(1, 4)))
    assert [node.params["weight"] for node in network.graph.nodes] == ["y/weight", "y/weight"]
    assert network.graph.outputs == ("y", "y:2")


def test_planes_are_flattened_before_a_matrix_product() -> None:
    x = activation("x", (1, 1, 3), 0.5, 2)
    network = tflite.read(write([x, Y, W, B], [GEMM]))
    assert [node.op for node in network.graph.nodes] == ["Flatten", "Gemm"]
    flat = tflite.read(_gemm())
    values = RNG.integers(-128, 128, (5, 3))
    assert run_integer(network, values[:, None])[0].tolist() == run_integer(flat, values)[0].tolist()


@pytest.mark.parametrize("operator", networks.MAKERS)
def test_the_graph_is_the_network_in_real_numbers(operator: str) -> None:
    rng = np.random.default_rng(1)
    network = tflite.read(networks.MAKERS[operator](rng))
    integers = [rng.integers(-128, 128, (3, *spec.shape)) for spec in network.graph.inputs]
    quantizations = [network.quantizations[spec.name] for spec in network.graph.inputs]
    real = run(network.graph, [q.scale * (x - q.zero_point) for x, q in zip(integers, quantizations, strict=True)])[0]
    result = network.quantizations[network.graph.outputs[0]]
    steps = np.clip(real / result.scale + result.zero_point, -128, 127)
    assert np.abs(run_integer(network, integers)[0] - steps).max() <= 0.55


def _planes(**changed: Any) -> bytes:
    return write([IMAGE, PLANES, KERNEL], [replace(CONV, **changed)])


def _pool(y: tuple[int, ...], **fields: int) -> bytes:
    options = {"StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 2, "Padding": 1, **fields}
    operator = FileOperator(networks.MAX_POOL, (0,), (1,), "Pool2DOptions", options)
    return write([IMAGE, activation("y", y, 0.5, 2)], [operator])


def _shared_bytes() -> bytes:
    """Return a file in which 40 operators read one large kernel, each in its own tensor."""
    columns = 5000
    x, kernel = activation("x", (1, columns), 0.5, 0), constant("w", np.ones((1, columns), np.int8), [0.5])
    tensors: list[FileTensor] = [x, kernel]
    operators = []
    for index in range(40):
        tensors.append(activation(f"y{index}", (1, 1), 0.5, 0))
        operators.append(replace(GEMM, inputs=(0, 1, -1), outputs=(index + 2,)))
    return write(tensors, operators)


MODEL_ERRORS: dict[str, tuple[Callable[[], bytes], str]] = {
    "an operator that is not read": (
        lambda: write([X, Y], [FileOperator(39, (0,), (1,))]),
        r"operator 0 is TRANSPOSE; those that are read are ADD,",
    ),
    "an operator of a newer schema": (
        lambda: write([X, Y], [FileOperator(9999, (0,), (1,))]),
        "operator 0 is number 9999, which this version",
    ),
    "a newer version": (lambda: _gemm(version=99), r"operator 0 \(FULLY_CONNECTED\) is of version 99; versions 1 to"),
    "a fused function": (
        lambda: _gemm(fields={"FusedActivationFunction": 4}),
        r"operator 0 \(FULLY_CONNECTED\): a fused activation function 4",
    ),
    "shuffled weights": (lambda: _gemm(fields={"WeightsFormat": 1}), "in format 1; plain matrices"),
    "a float network": (
        lambda: write([FileTensor("x", (1, 3), type="float32"), Y, W, B], [GEMM]),
        "'x' is not an int8 activation .* converter.optimizations",
    ),
    "an int16 network": (
        lambda: write([replace(X, type="int16"), Y, W, B], [GEMM]),
        "'x' is not an int8 activation .*TensorType 7",
    ),
    "an activation with two scales": (
        lambda: write([replace(X, scales=(1, 2), zero_points=(0, 0)), Y, W, B], [GEMM]),
        "1 scales|2 scales",
    ),
    "a scale of zero": (lambda: write([replace(X, scales=(0,)), Y, W, B], [GEMM]), "positive float32 number"),
    "a zero point out of range": (
        lambda: write([replace(X, zero_points=(400,)), Y, W, B], [GEMM]),
        "within -128 and 127",
    ),
    "float weights": (
        lambda: write([X, Y, constant("w", np.ones((2, 3), np.float32)), B], [GEMM]),
        "no plain constant of the expected type",
    ),
    "weights that are computed": (
        lambda: write([X, Y, activation("w", (2, 3), 1, 0), B], [GEMM]),
        "no plain constant",
    ),
    "asymmetric kernels": (
        lambda: write([IMAGE, PLANES, replace(KERNEL, zero_points=(0, 1, 0))], [CONV]),
        "a zero point other than 0",
    ),
    "scales for something else": (
        lambda: write([X, Y, replace(W, scales=(1, 1, 1), zero_points=(0, 0, 0)), B], [GEMM]),
        "3 scales; they must have 1, or 2",
    ),
    "an int64 bias": (
        lambda: write([X, Y, W, constant("b", np.array([1, 2], np.int64))], [GEMM]),
        r"TensorType 2, found 4",
    ),
    "a batch of two": (lambda: write([replace(X, shape=(2, 3)), Y, W, B], [GEMM]), "a batch axis of 1"),
    "no batch axis": (lambda: write([replace(X, shape=(3,)), Y, W, B], [GEMM]), "a batch axis of 1"),
    "a softmax with a factor": (
        lambda: write([X, X], [FileOperator(25, (0,), (1,), "SoftmaxOptions", {"Beta": 2.0})]),
        r"operator 0 \(SOFTMAX\): beta 2.0; it must be 1",
    ),
    "a softmax of another scale": (
        lambda: write([X, X], [FileOperator(25, (0,), (1,), "SoftmaxOptions", {"Beta": 1.0})]),
        "it must have Quantization",
    ),
    "a sum with a constant": (
        lambda: write(
            [X, X, replace(X, values=np.ones((1, 3), np.int8))], [FileOperator(0, (0, 2), (1,), "AddOptions")]
        ),
        "is a constant; it must be an activation",
    ),
    "a sum that broadcasts": (
        lambda: write(
            [X, X, activation("b", (1, 1), 1, 0)], [FileOperator(0, (0, 2), (1,), "AddOptions")], inputs=(0, 2)
        ),
        "sums of equal shapes are read",
    ),
    "a rescaling relu6": (
        lambda: write([X, replace(X, scales=(0.25,))], [FileOperator(21, (0,), (1,))]),
        "runtimes differ on whether it rescales",
    ),
    "a mean over channels": (
        lambda: write(
            [IMAGE, PLANES, constant("axes", np.array([1, 3], np.int32))],
            [FileOperator(40, (0, 2), (1,), "ReducerOptions")],
        ),
        r"over the axes \[1, 3\]; planes are averaged",
    ),
    "padded channels": (
        lambda: write(
            [IMAGE, PLANES, constant("pads", np.array([[0, 0], [0, 0], [0, 0], [0, 1]], np.int32))],
            [FileOperator(34, (0, 2), (1,))],
        ),
        "neither batches nor channels",
    ),
    "a window larger than the plane": (lambda: _pool((1, 1, 1, 2), FilterHeight=9), "larger than the input"),
    "an output that nothing makes": (
        lambda: write([X, Y, W, B, X], [GEMM], outputs=(4,)),
        "made by no operator that is read",
    ),
}

FORMAT_ERRORS: dict[str, tuple[Callable[[], bytes], str]] = {
    "another kind of file": (lambda: b"\x1c\0\0\0TFL2" + bytes(64), r"bytes 4 to 8 are b'TFL2'"),
    "another version of the schema": (lambda: write([X, Y, W, B], [GEMM], version=2), "version 2 of the schema"),
    "a tensor out of range": (lambda: write([X, Y, W], [GEMM]), "tensor 3 of 3"),
    "a negative tensor": (lambda: _gemm(inputs=(0, -7, 3)), "tensor -7 of 4"),
    "inputs left out": (lambda: _gemm(inputs=(0,)), "1 inputs and 1 outputs"),
    "two outputs": (lambda: _gemm(outputs=(1, 1)), "3 inputs and 2 outputs"),
    "options of another operator": (
        lambda: _gemm(options="SoftmaxOptions", fields={"Beta": 1.0}),
        "options of the class 'SoftmaxOptions'",
    ),
    "no options": (lambda: _gemm(options="", fields={}), "options of the class 'NONE'"),
    "a shape that is not that of its bytes": (
        lambda: write([X, Y, replace(W, shape=(2, 4)), B], [GEMM]),
        r"of shape \(2, 4\) has 6 bytes",
    ),
    "a negative shape": (lambda: write([X, Y, replace(W, shape=(-2, -3)), B], [GEMM]), "has 6 bytes"),
    "a bias of another length": (
        lambda: write([X, Y, W, constant("b", np.array([1], np.int32))], [GEMM]),
        "a bias of 1 for 2 output units",
    ),
    "scales along another axis": (
        lambda: write([X, Y, replace(W, axis=1), B], [GEMM]),
        "scales along axis 1; they belong to axis 0",
    ),
    "a weight's scale that is not a number": (
        lambda: write([X, Y, replace(W, scales=(np.nan, 1)), B], [GEMM]),
        "not a positive number",
    ),
    "an output of another shape": (
        lambda: write([X, activation("y", (1, 5), 1, 0), W, B], [GEMM]),
        r"'y' is \(5,\) in the file; its operator makes \(2,\)",
    ),
    "an activation made twice": (lambda: write([X, Y, W, B], [GEMM, GEMM]), "made twice"),
    "strides of zero": (lambda: _planes(fields={**CONV_FIELDS, "StrideW": 0}), "strides"),
    "padding that does not exist": (lambda: _planes(fields={**CONV_FIELDS, "Padding": 2}), "SAME or VALID"),
    "channels that do not divide": (
        lambda: write([activation("x", (1, 4, 4, 3), 1, 0), PLANES, KERNEL], [CONV]),
        "3 channels and a kernel of 2",
    ),
    "no inputs": (lambda: write([X, Y, W, B], [GEMM], inputs=()), "0 inputs and 1 outputs"),
    "a shape of nine axes": (lambda: write([replace(X, shape=(1,) * 9), Y, W, B], [GEMM]), "9 axes"),
    "bytes shared over and over": (_shared_bytes, "share the bytes of constants over and over"),
}


@pytest.mark.parametrize("case", MODEL_ERRORS)
def test_what_is_not_read_is_refused_with_its_name(case: str) -> None:
    make, message = MODEL_ERRORS[case]
    with pytest.raises(ModelError, match=message):
        tflite.read(make())


@pytest.mark.parametrize("case", FORMAT_ERRORS)
def test_malformed_files_are_refused(case: str) -> None:
    make, message = FORMAT_ERRORS[case]
    with pytest.raises(FormatError, match=message):
        tflite.read(make())


def _tried(data: bytes) -> None:
    try:
        tflite.read(data)
    except (FormatError, ModelError):
        return


@pytest.mark.parametrize("operator", ["conv", "gemm", "add", "mean"])
def test_every_start_of_a_file_is_a_network_or_our_error(operator: str) -> None:
    data = networks.MAKERS[operator](np.random.default_rng(0))
    for size in range(len(data)):
        _tried(data[:size])


@pytest.mark.parametrize("operator", ["conv", "gemm", "softmax", "pad"])
def test_every_damaged_file_is_a_network_or_our_error(operator: str) -> None:
    rng = np.random.default_rng(0)
    data = networks.MAKERS[operator](rng)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= int(rng.integers(1, 256))
        _tried(bytes(damaged))
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 4):
            damaged[place] = int(rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))]))
        _tried(bytes(damaged))


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _gemm()
    monkeypatch.setitem(__import__("sys").modules, "tflite", None)
    with pytest.raises(MissingToolError, match=r"pip install 'refcompress\[tflite\]'"):
        tflite.read(data)

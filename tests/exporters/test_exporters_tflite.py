"""Exported ``.tflite`` files: what is imported again computes the same, and so do LiteRT and TensorFlow Lite Micro."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.small_networks import classifier
from checks.tflite_networks import MAKERS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import exporters.tflite
import refcompress
from exporters.tflite import decode
from refcompress.encodings import encode
from refcompress.errors import ModelError, OptionError
from refcompress.formats import tflite
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.integer import IntegerNetwork, Quantization, run_integer
from refcompress.ops import make_attrs

pytest.importorskip("tflite", reason="needs the extra tflite")

NAMES = ("ad01", "resnet8", "str_ww", "vww96")
EXPORTS = [exporters.tflite.export, exporters.tflite.export_decoded]


def _inputs(network: IntegerNetwork, rng: np.random.Generator, samples: int = 3) -> list[NDArray[np.int8]]:
    return [rng.integers(-128, 128, (samples, *spec.shape)).astype(np.int8) for spec in network.graph.inputs]


def _real(shared_data: Path, name: str) -> tuple[IntegerNetwork, NDArray[np.int8], NDArray[np.int8]]:
    folder = shared_data / "tflite"
    if not folder.is_dir():
        pytest.skip("needs the int8 networks of the shared data")
    with np.load(folder / f"{name}_int8_io.npz") as file:
        return tflite.load(folder / f"{name}_int8.tflite"), file["x"], file["y_tflm"]


def _shared_digits() -> IntegerNetwork:
    """Quantize a network with eight values a layer, most of them 0."""
    graph = classifier(inputs=64, seed=3)
    weights = {name: graph.params[name] for name in ("fc1/kernel", "fc2/kernel")}
    rng = np.random.default_rng(5)
    small = {}
    for name, encoding in weights.items():
        values = np.where(rng.random(encoding.shape) < 0.8, 0, rng.choice(np.linspace(-1, 1, 7), encoding.shape))
        small[name] = encode(values.astype(np.float32))
    return refcompress.quantize_network(graph.with_params(small), rng.normal(size=(64, 64)).astype(np.float32))


@pytest.mark.parametrize("operator", MAKERS)
def test_an_imported_file_is_written_with_the_same_meaning(operator: str) -> None:
    rng = np.random.default_rng(sum(operator.encode()))
    for _ in range(3):
        network = tflite.read(MAKERS[operator](rng))
        again = tflite.read(exporters.tflite.export(network, prefix="net")["net.tflite"])
        inputs = _inputs(network, rng)
        for runtime in ("tflite", "tflm"):
            for y, z in zip(
                run_integer(network, inputs, runtime=runtime), run_integer(again, inputs, runtime=runtime), strict=True
            ):
                np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize("name", NAMES)
def test_real_networks_are_written_and_read_again(shared_data: Path, name: str) -> None:
    network, x, y = _real(shared_data, name)
    again = tflite.read(exporters.tflite.export(network, prefix="net")["net.tflite"])
    np.testing.assert_array_equal(run_integer(again, x[:2], runtime="tflm")[0], y[:2])


@pytest.mark.parametrize("export", EXPORTS, ids=["plain", "decode"])
@pytest.mark.parametrize("name", NAMES)
def test_tflite_micro_computes_the_same(shared_data: Path, name: str, export: Any) -> None:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="needs tflite-micro")
    network, x, y = _real(shared_data, name)
    interpreter = runtime.Interpreter.from_bytes(export(network, prefix="net")["net.tflite"], arena_size=2_000_000)
    for sample, expected in zip(x[:3], y[:3], strict=True):
        interpreter.set_input(sample[None], 0)
        interpreter.invoke()
        np.testing.assert_array_equal(interpreter.get_output(0)[0], expected)


def test_tflite_micro_decodes_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="needs tflite-micro")
    network = _shared_digits()
    x = np.random.default_rng(7).integers(-128, 128, (3, 64)).astype(np.int8)
    expected = run_integer(network, [x], runtime="tflm")[0]
    for kind in (decode.lut, decode.prune, decode.huffman):
        monkeypatch.setattr(decode, "smallest", kind)
        data = exporters.tflite.export_decoded(network, prefix="net")["net.tflite"]
        interpreter = runtime.Interpreter.from_bytes(data, arena_size=100_000)
        for sample, y in zip(x, expected, strict=True):
            interpreter.set_input(sample[None], 0)
            interpreter.invoke()
            np.testing.assert_array_equal(interpreter.get_output(0)[0], y)


@pytest.mark.parametrize("name", NAMES)
def test_litert_computes_the_same(shared_data: Path, name: str) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra litert")
    network, x, _ = _real(shared_data, name)
    data = exporters.tflite.export(network, prefix="net")["net.tflite"]
    resolver = litert.OpResolverType.BUILTIN_REF
    interpreter = litert.Interpreter(model_content=data, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x[:1])
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(found, run_integer(network, x[:1], runtime="tflite")[0])


def test_decoding_pays_for_sparse_and_shared_weights() -> None:
    network = _shared_digits()
    plain, small = (export(network, prefix="net")["net.tflite"] for export in EXPORTS)
    assert len(small) < len(plain) - 1000
    assert b"TFLM_DECODE" in small
    assert b"TFLM_DECODE" not in plain


def _bit(data: bytes, index: int) -> int:
    return data[index >> 3] >> (7 - index % 8) & 1


def _number(data: bytes, at: int, bits: int) -> int:
    return sum(_bit(data, at + i) << (bits - 1 - i) for i in range(bits))


def _lut(encoded: decode.Encoded, count: int) -> list[int]:
    bits, table = encoded.ancillary[5] & 7, np.frombuffer(encoded.ancillary[16:], np.int8)
    return [int(table[_number(encoded.data, i * bits, bits)]) for i in range(count)]


def _prune(encoded: decode.Encoded, count: int) -> list[int]:
    values = iter(np.frombuffer(encoded.ancillary[16:], np.int8).tolist())
    return [next(values) if _bit(encoded.data, i) else 0 for i in range(count)]


def _huffman(encoded: decode.Encoded, count: int) -> list[int]:
    """Read table after table: an entry holds a symbol and the bits it takes, or the way to a further table."""
    table, first_bits = np.frombuffer(encoded.ancillary[16:], "<u2").tolist(), (encoded.ancillary[5] >> 4) + 1
    padded, at, found = encoded.data + bytes(4), 0, []
    for _ in range(count):
        bits = first_bits
        index = _number(padded, at, bits)
        while not table[index] & 0x8000:
            at += bits
            bits = (table[index] >> 11 & 15) + 1
            index += (table[index] & 0x7FF) + _number(padded, at, bits)
        at += table[index] >> 11 & 15
        found.append(int(np.uint8(table[index] & 255).view(np.int8)))
    return found


@given(hnp.arrays(np.int8, st.integers(1, 300), elements=st.integers(-128, 127)))
def test_every_encoding_is_read_again_bit_by_bit(values: NDArray[np.int8]) -> None:
    for write, read in ((decode.lut, _lut), (decode.prune, _prune), (decode.huffman, _huffman)):
        encoded = write(values)
        if encoded is None:
            assert write is decode.lut
            assert len(np.unique(values)) > 128
        else:
            assert read(encoded, len(values)) == values.tolist()


def test_codes_far_longer_than_the_first_table_are_reached() -> None:
    counts = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987]  # lengths up to 15
    values = np.repeat(np.arange(len(counts)), counts).astype(np.int8)
    encoded = decode.huffman(values)
    assert encoded is not None
    assert _huffman(encoded, len(values)) == values.tolist()
    assert len(encoded.ancillary) < 1000  # one table would take 65,536 bytes


def _one(op: str, attrs: dict[str, Any], shape: tuple[int, ...], result: Quantization) -> IntegerNetwork:
    node = Node(op, "node", ("x",), "y", attrs=make_attrs(op, attrs))
    return IntegerNetwork(
        Graph((TensorSpec("x", shape),), ("y",), (node,), {}), {"x": Quantization(0.1, 3), "y": result}
    )


def test_what_tflite_cannot_say_is_refused_by_name() -> None:
    cases = [
        (_one("Clip", {"min": 0.0, "max": 5.0}, (4,), Quantization(0.1, 3)), "'node' .*a Clip from 0.0 to 5.0"),
        (_one("Relu", {}, (4,), Quantization(0.5, 0, 4)), "activations of 4 bits"),
        (
            _one(
                "MaxPool",
                {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (1, 0, 0, 0)},
                (4, 4, 1),
                Quantization(0.1, 3),
            ),
            "not those of SAME",
        ),
    ]
    for network, message in cases:
        with pytest.raises(ModelError, match=message):
            exporters.tflite.export(network, prefix="net")
    with pytest.raises(ModelError, match="quantize it first"):
        exporters.tflite.export(classifier(), prefix="net")
    with pytest.raises(OptionError, match="prefix"):
        exporters.tflite.export(_shared_digits(), prefix="9")

"""The TFLite interpreter on int8 models: every tensor captured, and its default kernels within the bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tflite", reason="needs the extra tflite")

from checks.frameworks import framework
from checks.tflite_files import FileOperator, FileTensor, activation, write
from checks.tflite_networks import MAKERS, QUANTIZE, RELU

from refcompress.errors import DataError
from refcompress.formats import tflite
from refcompress.integer import IntegerNetwork, run_integer
from refcompress.verify import compare_integer_layers, compare_integers
from refcompress.verify.adaptors import tflite_integer as adaptor

pytestmark = pytest.mark.filterwarnings("ignore")

NETWORKS = ["ad01", "str_ww", "resnet8", "vww96"]


@pytest.mark.parametrize("name", NETWORKS)
def test_default_kernels_of_the_interpreter_are_within(name: str, shared_data: Path) -> None:
    framework("ai_edge_litert")
    path = shared_data / "tflite" / f"{name}_int8.tflite"
    network, content = tflite.load(path), path.read_bytes()
    for seed in range(2):
        inputs = adaptor.random_integers(network, 2, seed=seed)
        activations = adaptor.capture(content, inputs, network)
        assert set(network.quantizations) == set(activations)
        verdict = compare_integer_layers(network, activations)
        assert verdict.within, verdict.bad
        assert verdict.unseen == ()
        outputs = adaptor.outputs(content, inputs, network)
        assert (outputs[0] == activations[network.graph.outputs[0]]).all()
        made = compare_integers(network, inputs, {"y": outputs[0]})
        assert made.tensors[0].state in {"within", "not comparable"}


@pytest.mark.parametrize("operator", MAKERS)
def test_default_kernels_are_within_for_random_operators(operator: str) -> None:
    framework("ai_edge_litert")
    for seed in range(15):
        rng = np.random.default_rng(seed)
        content = MAKERS[operator](rng)
        network = tflite.read(content)
        inputs = adaptor.random_integers(network, 4, seed=seed)
        if next(iter(inputs.values())).shape[1:] == (256,):
            next(iter(inputs.values()))[0] = np.arange(-128, 128)
        verdict = compare_integer_layers(network, adaptor.capture(content, inputs, network))
        assert verdict.within, (seed, verdict.bad)


def _with_ends(kind: str) -> tuple[bytes, IntegerNetwork]:
    """Return a Relu between conversions from and to another type."""
    outer: dict[str, Any] = {"type": kind}
    if kind == "uint8":
        outer |= {"scales": (0.5,), "zero_points": (128 - 3,)}
    x, y = FileTensor("in", (1, 6), **outer), FileTensor("out", (1, 6), **outer)
    inner = [activation("a", (1, 6), 0.5, -3), activation("b", (1, 6), 0.5, -3)]
    last = QUANTIZE if kind == "uint8" else 6  # DEQUANTIZE
    operators = [
        FileOperator(QUANTIZE, (0,), (1,)),
        FileOperator(RELU, (1,), (2,), version=2),
        FileOperator(last, (2,), (3,), version=2 if last == 6 else 1),
    ]
    content = write([x, *inner, y], operators, inputs=(0,), outputs=(3,))
    return content, tflite.read(content)


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_models_that_convert_their_ends_are_fed_and_read_in_integers(kind: str) -> None:
    framework("ai_edge_litert")
    content, network = _with_ends(kind)
    (name,) = (spec.name for spec in network.graph.inputs)
    inputs = {name: np.array([[-128, -4, -3, 0, 5, 127]], np.int8)}
    (y,) = adaptor.outputs(content, inputs, network)
    assert y.tolist() == run_integer(network, inputs)[0].tolist()
    assert compare_integer_layers(network, adaptor.capture(content, inputs, network)).within


def test_models_of_another_network_are_one_error(shared_data: Path) -> None:
    framework("ai_edge_litert")
    network = tflite.load(shared_data / "tflite" / "ad01_int8.tflite")
    other = (shared_data / "tflite" / "str_ww_int8.tflite").read_bytes()
    with pytest.raises(DataError, match="does not take the inputs"):
        adaptor.outputs(other, adaptor.random_integers(network, 1), network)
    two = MAKERS["add"](np.random.default_rng(0))
    with pytest.raises(DataError, match="2 inputs and 1 outputs"):
        adaptor.outputs(two, adaptor.random_integers(network, 1), network)
    with pytest.raises(DataError, match="does not run"):
        adaptor.outputs(b"\x1c\0\0\0TFL3" + bytes(60), adaptor.random_integers(network, 1), network)

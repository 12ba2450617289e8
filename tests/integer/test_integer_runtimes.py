"""Random operators run by TensorFlow Lite and by TensorFlow Lite Micro themselves: equal to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tflite", reason="needs the extra tflite")

from checks.tflite_networks import MAKERS

from refcompress.formats import tflite
from refcompress.integer import run_integer

SEEDS = range(15)


def _lite(data: bytes, inputs: list[np.ndarray]) -> np.ndarray:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    interpreter = litert.Interpreter(
        model_content=data, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    result = interpreter.get_output_details()[0]["index"]
    indices = [detail["index"] for detail in interpreter.get_input_details()]
    return _each(interpreter.set_tensor, interpreter, lambda: interpreter.get_tensor(result), indices, inputs)


def _micro(data: bytes, inputs: list[np.ndarray]) -> np.ndarray:
    micro = pytest.importorskip("tflite_micro", reason="needs tflite-micro")
    interpreter = micro.runtime.Interpreter.from_bytes(data)
    places = range(len(inputs))
    return _each(
        lambda i, x: interpreter.set_input(x, i), interpreter, lambda: interpreter.get_output(0), places, inputs
    )


def _each(
    put: Callable[[int, np.ndarray], Any],
    interpreter: Any,
    get: Callable[[], np.ndarray],
    places: Any,
    inputs: list[np.ndarray],
) -> np.ndarray:
    outputs = []
    for samples in zip(*inputs, strict=True):
        for place, sample in zip(places, samples, strict=True):
            put(place, sample[None])
        interpreter.invoke()
        outputs.append(get()[0].copy())
    return np.stack(outputs)


@pytest.mark.parametrize("operator", MAKERS)
@pytest.mark.parametrize(("runtime", "execute"), [("tflite", _lite), ("tflm", _micro)])
def test_an_operator_is_that_of_the_runtime(
    operator: str, runtime: str, execute: Callable[[bytes, list[np.ndarray]], np.ndarray]
) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        data = MAKERS[operator](rng)
        network = tflite.read(data)
        inputs = [rng.integers(-128, 128, (4, *spec.shape)).astype(np.int8) for spec in network.graph.inputs]
        if inputs[0].shape[1:] == (256,):
            inputs[0][0] = np.arange(-128, 128)
        expected = execute(data, inputs)
        found = run_integer(network, inputs, runtime=runtime)[0]
        assert found.tolist() == expected.tolist(), f"seed {seed}"

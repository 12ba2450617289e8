"""Layers and outputs of int8 networks: runtimes recognized, other roundings within, defects named with their cause."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.integer_builder import IntegerBuilder, grow
from checks.integer_defects import INTEGER_DEFECTS, OTHER_DEFECTS, compute, injected_integers, layer_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.errors import DataError
from refcompress.integer import RUNTIMES, IntegerNetwork, Quantization, run_integer, run_integer_all
from refcompress.integer.operators import INTEGER_OPS
from refcompress.verify import compare_integer_layers, compare_integers, integer_bounds, report

# what may explain each kind; defects that look alike in some layer explain each other
EXPLAINED = {
    "padding on the other side": "other side",
    "padding by 0": "padding by the integer 0",
    "kernel flipped": "flipped|transposed",
    "kernel transposed": "height and width transposed",
    "channels transposed": "transposed",
    "input channels reversed": "reversed",
    "output channels reversed": "reversed",
    "bias dropped": "no bias",
    "bias twice": "added twice",
    "activation dropped": "no activation|ReLU",
    "input zero point ignored": "zero point of the input ignored",
    "output zero point left out": "zero point of the output left out",
    "one scale for all channels": "first channel|largest",
    "largest scale for all channels": "largest|first channel",
    "saturation missing": "no saturation|no activation",
    "rounded down": "rounded down|truncated",
    "truncated": "truncated|rounded down",
    "factor twice as large": "twice as large",
    "factor half as large": "half as large",
    "factors of 8 bits": "^factors of 8 bits$",
    "ReLU for no activation": "ReLU",
    "input read as uint8": "read as uint8",
    "scales of a sum exchanged": "quantizations of its inputs exchanged",
    "zero points of a sum ignored": "zero point of",
    "shortcut left out": "alone",
    "mean rounded down": "rounded down|truncated",
    "maximum for mean": "the maximum",
    "reshaped channels first": "channels first",
}


def image_network() -> tuple[IntegerNetwork, list[NDArray[np.int8]]]:
    """Return convolutions, a sum, a mean and matrix products, so that every kind of defect has a place."""
    b, relu = IntegerBuilder(11, x=(12, 12, 6)), ("Relu", {})
    b.quantizations["x"] = Quantization(0.02, -9)

    def conv(source: str, shape: tuple[int, ...], scale: float, zero_point: int, **more: Any) -> str:
        return b("Conv", source, weight=shape, result=Quantization(scale, zero_point), **more)

    first = conv("x", (3, 3, 6, 6), 0.3, -100, pads=[1, 1, 1, 1], function=relu)
    second = conv(first, (3, 3, 6, 6), 4.0, 5, pads=[1, 1, 1, 1])
    total = b("Add", first, second, result=Quantization(4.0, -20))
    deep = conv(total, (3, 3, 1, 6), 30.0, -60, group=6, strides=[2, 2], pads=[0, 0, 1, 1])
    mean = b("AveragePool", deep, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0], count_include_pad=False)
    size = 3 * 3 * 6
    flat = b("Reshape", mean, shape=[size])
    hidden = b("Gemm", flat, weight=(size, 16), result=Quantization(400.0, -90), function=relu)
    logits = b("Gemm", hidden, weight=(16, 10))
    return b.network(b("Softmax", logits)), b.samples(4)


def check(network: IntegerNetwork, inputs: Any, *, seed: int, runtime: str = "tflm") -> dict[str, bool]:
    """Inject every defect that fits; the layer is always right. Return the kinds, and whether they were explained."""
    found = {}
    for defect in injected_integers(network, inputs, seed=seed, runtime=runtime):
        verdict = compare_integer_layers(network, defect.activations)
        assert [tensor.name for tensor in verdict.bad] == [defect.node], defect.kind
        bad = verdict.bad[0]
        found[defect.kind] = bool(re.search(EXPLAINED[defect.kind], bad.cause or bad.precision))
    return found


def test_every_kind_of_defect_is_found_and_explained() -> None:
    assert EXPLAINED.keys() == INTEGER_DEFECTS.keys() | OTHER_DEFECTS.keys()
    network, inputs = image_network()
    found: dict[str, bool] = {}
    for seed in range(3):
        here = check(network, inputs, seed=seed)
        found = {kind: found.get(kind, True) and here.get(kind, True) for kind in found.keys() | here.keys()}
    assert EXPLAINED.keys() - found.keys() == set()
    assert [kind for kind, explained in found.items() if not explained] == []


def test_injected_layers_are_right_but_for_the_defect() -> None:
    network, inputs = image_network()
    made = run_integer_all(network, inputs)
    for step in network.steps:
        if step.node.op in {"Conv", "Gemm"}:
            again = compute(layer_of(step, made[step.node.inputs[0]])).reshape(made[step.output].shape)
            assert np.abs(again - made[step.output]).max() <= 1


@pytest.mark.parametrize(
    "name",
    ["ad01", "str_ww", pytest.param("resnet8", marks=pytest.mark.slow), pytest.param("vww96", marks=pytest.mark.slow)],
)
def test_defects_of_published_networks_are_found(name: str, shared_data: Path) -> None:
    network, pairs = _published(shared_data, name)
    for seed, runtime in ((0, "tflm"), (1, "tflite")):
        kinds = check(network, pairs["x"][:3], seed=seed, runtime=runtime)
        assert len(kinds) >= 16
        assert all(kinds.values()), [kind for kind, explained in kinds.items() if not explained]


def _published(shared_data: Path, name: str) -> tuple[IntegerNetwork, dict[str, np.ndarray]]:
    pytest.importorskip("tflite", reason="reads .tflite files")
    from refcompress.formats import tflite

    with np.load(shared_data / "tflite" / f"{name}_int8_io.npz") as file:
        return tflite.load(shared_data / "tflite" / f"{name}_int8.tflite"), dict(file)


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(RUNTIMES)))
@settings(max_examples=40)
def test_layers_of_every_runtime_are_recognized(seed: int, runtime: str) -> None:
    rng = np.random.default_rng(seed)
    b = IntegerBuilder(seed, x=(5, 6, 3))
    made = [grow(b, rng) for _ in range(5)]
    network, inputs = b.network(made[-1]), b.samples(2)
    activations = run_integer_all(network, inputs, runtime=runtime)
    verdict = compare_integer_layers(network, activations)
    assert verdict.within
    assert all(runtime in tensor.follows for tensor in verdict.tensors)
    rest = {name: array for name, array in activations.items() if rng.random() < 0.5}
    part = compare_integer_layers(network, {**rest, "x": activations["x"]})
    assert part.within
    assert all(runtime in tensor.follows for tensor in part.tensors)


def test_roundings_of_no_known_runtime_are_within() -> None:
    """Some samples rounded as one runtime does, the others as another."""
    network, inputs = image_network()
    first, step = network.steps[:2]
    made = run_integer_all(network, inputs, runtime="tflm")
    other = INTEGER_OPS["Conv"].forward(step, [made[first.output]], RUNTIMES["tflm_single_rounding"])
    kept = {name: made[name] for name in ("x", first.output)}
    verdict = compare_integer_layers(network, {**kept, step.output: np.concatenate([made[step.output][:2], other[2:]])})
    assert verdict.within
    assert [bool(tensor.follows) for tensor in verdict.tensors] == [True, False]
    assert "1 of 2 exactly what a known runtime computes" in report.summary(verdict)
    assert verdict.unseen
    verdict = compare_integer_layers(network, {**kept, step.output: other})
    assert verdict.tensors[1].follows == ("tflm_single_rounding",)
    if "tflm_single_rounding" not in verdict.tensors[0].follows:
        assert "no single one" in report.summary(verdict)


def test_outputs_are_exact_within_wrong_or_too_deep_to_tell() -> None:
    b = IntegerBuilder(5, x=(30,))
    network = b.network(b("Gemm", b("Gemm", "x", weight=(30, 20), bias=False), weight=(20, 12), bias=False))
    (x,) = b.samples(5)
    y = run_integer(network, x, runtime="tflm")[0]
    near, far = y.astype(np.int64), y.astype(np.int64)
    near[1, 2] += 1 if near[1, 2] < 0 else -1
    far[1, 2] += 60 if far[1, 2] < 0 else -60
    arrays = {"y_exact": y, "y_near": near, "y_far": far}
    verdict = compare_integers(network, x, arrays)
    assert {tensor.array: tensor.state for tensor in verdict.tensors} == {
        "y_exact": "within",
        "y_near": "within",
        "y_far": "wrong",
    }
    assert verdict.model == "probed"
    assert {tensor.array: tensor.worst for tensor in verdict.tensors}["y_far"] == (1, 2)
    assert compare_integers(network, x, arrays, reference="exact").model == "deterministic"
    name = "x"
    for _ in range(14):
        name = b("Gemm", name, weight=(30, 30), bias=False)
    deep = b.network(name)
    wrong = run_integer(deep, x)[0].astype(np.int64)
    _, bounds = integer_bounds(deep, x)
    place = np.unravel_index(bounds[name].argmax(), wrong.shape)
    wrong[place] += 1 if wrong[place] < 0 else -1
    (tensor,) = compare_integers(deep, x, {"y": wrong}, model="deterministic").tensors
    assert tensor.state == "not comparable"
    assert "compare its layers" in tensor.cause


def test_what_does_not_fit_is_one_error() -> None:
    network, inputs = image_network()
    made = run_integer_all(network, inputs)
    output = network.graph.outputs[0]
    for changed, message in (
        ({"nothing": made["x"]}, "no quantized activation"),
        ({output: made[output].astype(np.float32)}, "holds float32"),
        ({output: made[output][:, :3]}, "has the shape"),
        ({output: made[output][:2]}, "2 samples"),
        ({output: made[output].astype(np.int16) + 200}, "int8 from -128"),
    ):
        with pytest.raises(DataError, match=message):
            compare_integer_layers(network, {"x": made["x"], **changed})
    with pytest.raises(DataError, match="'x' is missing"):
        compare_integer_layers(network, {output: made[output]})
    for arrays, message in (({}, "no integer outputs"), ({"y": made[output][:1]}, "1 samples and the inputs 4")):
        with pytest.raises(DataError, match=message):
            compare_integers(network, inputs, arrays)


def test_reports_tell_the_runtimes() -> None:
    network, inputs = image_network()
    defect = next(iter(injected_integers(network, inputs, seed=0)))
    verdict = compare_integer_layers(network, defect.activations)
    found = report.document(verdict, {"model": "m.tflite"})
    text = report.render(found, "r.md")
    assert "| exactly as |" in text
    right = compare_integer_layers(network, run_integer_all(network, inputs))
    assert "All layers are exactly what tflite, tflm" in report.render(report.document(right), "r.md")
    assert "tflm, cmsis\\_nn" in text
    page = report.render(found, "r.html")
    assert "<th>exactly as</th>" in page
    data = json.loads(report.render(found, "r.json"))
    first = data["tensors"][0]
    assert {"tflm", "cmsis_nn"} <= set(data["tensors"][-1]["follows"])
    assert first["agreements"]["tflm"]["total"] == first["agreements"]["tflite"]["total"] > 0
    assert (data["precision"], data["first_bad"]) == ("int8", defect.node)

"""Integer networks: what fits together, fused activation functions, dequantization, whose rounding it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from checks.integer_networks import linear_weight, single
from hypothesis import given
from hypothesis import strategies as st

from refcompress.encodings import encode
from refcompress.errors import DataError, ModelError, OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.integer import (
    Agreement,
    IntegerNetwork,
    Quantization,
    compare_runtimes,
    dequantize,
    dequantized,
    quantize,
    run_integer,
    run_integer_all,
    which_runtime,
)
from refcompress.ops import make_attrs
from refcompress.run import run

SOURCE, RESULT = Quantization(0.1, 3), Quantization(0.2, -40)


def _layer(function: tuple[str, dict[str, Any]] | None = None) -> IntegerNetwork:
    rng = np.random.default_rng(1)
    weight = linear_weight(rng.integers(-127, 128, (20, 8)), [0.01 + 0.003 * unit for unit in range(8)])
    bias = rng.integers(-900, 900, 8).astype(np.int32)
    return single("Gemm", {}, [((20,), SOURCE)], RESULT, weight=weight, bias=bias, function=function)


def _inputs(samples: int = 64) -> np.ndarray:
    return np.random.default_rng(2).integers(-128, 128, (samples, 20)).astype(np.int8)


@pytest.mark.parametrize(
    "function", [("Relu", {}), ("Clip", {"min": 0.0, "max": 6.0}), ("Clip", {"min": -1.0, "max": 1.0})]
)
def test_a_fused_function_only_clamps(function: tuple[str, dict[str, Any]]) -> None:
    free, clamped = (run_integer(_layer(kind), _inputs())[0] for kind in (None, function))
    name, bounds = function
    low = RESULT.zero_point + round(bounds.get("min", 0.0) / RESULT.scale)
    high = 127 if name == "Relu" else RESULT.zero_point + round(bounds["max"] / RESULT.scale)
    assert clamped.tolist() == np.clip(free, low, high).tolist()
    assert len(np.unique(clamped)) > 5


def test_the_batch_size_changes_nothing() -> None:
    network, x = _layer(), _inputs()
    assert run_integer(network, x, batch_size=7)[0].tolist() == run_integer(network, x)[0].tolist()
    assert run_integer(network, x[:0])[0].shape == (0, 8)


def test_all_quantized_activations_are_there() -> None:
    found = run_integer_all(_layer(("Relu", {})), _inputs())
    assert set(found) == {"x0", "y"}
    assert all(array.dtype == np.int8 for array in found.values())


@pytest.mark.parametrize("function", [None, ("Relu", {}), ("Clip", {"min": -1.0, "max": 1.0})])
@pytest.mark.parametrize("runtime", ["tflite", "tflm"])
def test_integers_are_within_their_roundings_of_the_dequantized_network(
    function: tuple[str, dict[str, Any]] | None, runtime: str
) -> None:
    network, x = _layer(function), _inputs()
    real = run(dequantized(network), dequantize(x, SOURCE), dtype=np.float64)[0]
    found = dequantize(run_integer(network, x, runtime=runtime)[0], RESULT)
    # half a step, and half a unit of the first of two roundings: 2^-shift / 2 of a step more
    assert np.abs(found - real).max() <= RESULT.scale * (0.5 + 2.0**-4)


def test_the_dequantized_network_saturates_as_its_integers_do() -> None:
    network = _layer()
    real = run(dequantized(network), np.full((1, 20), 1e3))[0]
    assert real.min() >= (-128 + 40) * RESULT.scale * (1 + 1e-6)
    assert real.max() <= (127 + 40) * RESULT.scale * (1 + 1e-6)
    assert [node.op for node in dequantized(_layer(("Relu", {}))).nodes] == ["Gemm", "Clip"]


@given(st.floats(-50, 50, width=32))
def test_dequantized_integers_are_within_half_a_step(value: float) -> None:
    inside = float(np.clip(value, (-128 - 3) * SOURCE.scale, (127 - 3) * SOURCE.scale))
    assert abs(float(dequantize(quantize(value, SOURCE), SOURCE)) - inside) <= SOURCE.scale * 0.500001


def test_quantized_values_saturate_and_refuse_nan() -> None:
    assert quantize([np.inf, -np.inf, 0.0], SOURCE).tolist() == [127, -128, 3]
    with pytest.raises(DataError, match="NaN"):
        quantize([np.nan], SOURCE)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((0.0, 0), "positive float32"),
        ((np.nan, 0), "positive float32"),
        ((1e60, 0), "positive float32"),
        ((0.1, 128), "within -128 and 127"),
        ((0.1, 8, 4), "within -8 and 7"),
        ((0.1, 0, 9), "allowed are 2 to 8"),
    ],
)
def test_a_wrong_quantization_is_refused(fields: tuple[Any, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Quantization(*fields)


def test_four_bit_activations_saturate_at_their_ends() -> None:
    narrow = Quantization(0.5, 0, 4)
    network = single("Clip", {"min": -100.0, "max": 100.0}, [((256,), Quantization(0.1, 0))], narrow)
    found = run_integer(network, np.arange(-128, 128).reshape(1, 256))[0]
    assert (found.min(), found.max()) == (-8, 7)


def test_parts_that_do_not_fit_are_refused() -> None:
    network = _layer()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"biases": {}}, r"node 'node' \(Gemm\): its bias 'b' has no integers"),
        ({"biases": {"b": np.zeros(7, np.int32)}}, r"must be int32 \(8,\)"),
        ({"biases": {"b": np.zeros(8, np.int64)}}, r"must be int32 \(8,\)"),
        ({"quantizations": {"x0": SOURCE}}, "'y' has no quantization; inputs and outputs"),
        ({"quantizations": {"x0": SOURCE, "y": RESULT, "z": RESULT}}, "'z', which is no activation"),
    ]
    for changed, message in cases:
        fields = {"quantizations": network.quantizations, "biases": network.biases, **changed}
        with pytest.raises(ModelError, match=message):
            IntegerNetwork(network.graph, **fields)
    with pytest.raises(ModelError, match="stored as Float32; integers are Linear values"):
        IntegerNetwork(
            network.graph.with_params({"w": encode(np.ones((20, 8)))}), network.quantizations, network.biases
        )


def _chain(*ops: str) -> Graph:
    nodes = []
    for index, op in enumerate(ops):
        attrs = {"Clip": {"min": 0, "max": 6}}.get(op, {})
        nodes.append(Node(op, f"n{index}", (f"a{index}",), f"a{index + 1}", attrs=make_attrs(op, attrs)))
    return Graph((TensorSpec("a0", (4,)),), (f"a{len(ops)}",), tuple(nodes), {})


def test_only_what_a_single_clamp_reads_may_have_no_quantization() -> None:
    ends = {"a0": SOURCE, "a2": SOURCE}
    with pytest.raises(ModelError, match=r"node 'n0' \(Flatten\): its output 'a1' has no quantization"):
        IntegerNetwork(_chain("Flatten", "Relu"), ends)
    with pytest.raises(ModelError, match=r"node 'n0' \(Relu\): its output 'a1' has no quantization"):
        IntegerNetwork(_chain("Relu", "Flatten"), ends)


def test_an_operator_without_integer_form_is_refused() -> None:
    rng = np.random.default_rng(0)
    params = {role: encode(rng.random(4)) for role in ("mean", "var")}
    roles = {role: role for role in params}
    node = Node("BatchNormalization", "bn", ("x",), "y", roles, make_attrs("BatchNormalization", {"epsilon": 0.1}))
    graph = Graph((TensorSpec("x", (4,)),), ("y",), (node,), params)
    with pytest.raises(ModelError, match=r"node 'bn' \(BatchNormalization\): no integer form; .* Conv, "):
        IntegerNetwork(graph, {"x": SOURCE, "y": SOURCE})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((1, 20), np.float32), r"must hold integers: refcompress.integer.quantize"),
        (np.full((1, 20), 128), "its integers lie within -128 and 127"),
        (np.zeros((1, 19), np.int8), r"must be \(samples, 20\)"),
    ],
)
def test_wrong_inputs_are_refused(inputs: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run_integer(_layer(), inputs)


def test_a_wrong_option_is_refused() -> None:
    with pytest.raises(OptionError, match=r"no runtime is named 'tfmicro'.*there are tflite, tflm"):
        run_integer(_layer(), _inputs(), runtime="tfmicro")
    with pytest.raises(OptionError, match="at least 1"):
        run_integer(_layer(), _inputs(), batch_size=0)


def test_outputs_are_recognized_by_their_rounding() -> None:
    network, x = _layer(), _inputs(4000)
    outputs = {name: run_integer(network, x, runtime=name)[0] for name in ("tflite", "tflm", "tflm_single_rounding")}
    assert which_runtime(network, x, outputs["tflm"]) == ("tflm", "cmsis_nn")
    assert "tflm" not in which_runtime(network, x, outputs["tflite"])
    assert which_runtime(network, x, {"y": outputs["tflm"] + 1}) == ()
    wrong = outputs["tflm"].copy()
    wrong[0, 0] ^= 4
    assert compare_runtimes(network, x, wrong)["tflm"] == Agreement(wrong.size - 1, wrong.size, 4)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (np.zeros((64, 7), np.int8), r"of the shape \(64, 8\)"),
        (np.zeros((64, 8)), "must hold integers"),
        ({"z": np.zeros((64, 8), np.int8)}, r"outputs named \['z'\]"),
        ([np.zeros((64, 8), np.int8)] * 2, r"it must hold integers of the shape"),
    ],
)
def test_wrong_outputs_are_refused(outputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        which_runtime(_layer(), _inputs(), outputs)


def test_tables_beside_the_graph_cannot_be_changed() -> None:
    network = _layer()
    with pytest.raises(TypeError):
        network.quantizations["y"] = SOURCE  # type: ignore[index]
    assert replace(network).steps[0].output == "y"

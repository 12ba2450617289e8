"""Verdicts on outputs of others: right, wrong, missing, mis-shaped, and of several generations."""

from __future__ import annotations

import contextlib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import decode, encode
from refcompress.errors import DataError
from refcompress.formats import load
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import NoAttrs
from refcompress.run import run
from refcompress.verify import compare

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(6, 4)).astype(np.float32)
SHARED_NETWORKS = (
    "mlperf_ad01.h5",
    "mlperf_pretrainedResnet.h5",
    "mlperf_vww_96.h5",
    "mlperf_str_ww_ref_model.h5",
    "fer_emotion_model.hdf5",
)


def network() -> Graph:
    node = Node("Gemm", "dense", ("in",), "out", {"weight": "w"}, NoAttrs())
    return Graph((TensorSpec("in", (6,)),), ("out",), (node,), {"w": encode(WEIGHT)})


def two_by_two() -> Graph:
    """Two inputs, their sum and their concatenation's positive part."""
    nodes = (
        Node("Add", "add", ("a", "b"), "sum", {}, NoAttrs()),
        Node("Relu", "relu", ("b",), "positive", {}, NoAttrs()),
    )
    return Graph((TensorSpec("a", (3,)), TensorSpec("b", (3,))), ("sum", "positive"), nodes, {})


def data(samples: int = 5) -> dict[str, NDArray[Any]]:
    x = np.random.default_rng(1).normal(size=(samples, 6)).astype(np.float32)
    return {"x": x, "y": x @ WEIGHT}


def test_outputs_of_float32_arithmetic_are_within() -> None:
    verdict = compare(network(), data())
    assert verdict.within
    assert verdict.first_bad is None
    (output,) = verdict.tensors
    assert (output.name, output.array) == ("out", "y")
    assert 0 < output.max_ratio <= 1
    assert output.max_difference <= output.max_bound < 1e-4 * output.max_value


def test_verdict_is_what_its_definition_says() -> None:
    arrays = data()
    arrays["y"][3, 2] += 0.01
    verdict = compare(network(), arrays, model="deterministic")
    (output,) = verdict.tensors
    exact = arrays["x"].astype(np.float64) @ WEIGHT.astype(np.float64)
    assert not verdict.within
    assert verdict.first_bad == "out"
    assert output.worst == (3, 2)
    assert output.max_difference == pytest.approx(np.abs(arrays["y"] - exact).max(), rel=1e-9)
    n = 7
    bound = n * 2.0**-24 / (1 - n * 2.0**-24) * (np.abs(arrays["x"]).astype(np.float64) @ np.abs(WEIGHT))
    assert output.max_ratio == pytest.approx((np.abs(arrays["y"] - exact) / bound).max(), rel=1e-5)
    assert output.max_value == pytest.approx(np.abs(exact).max())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite_is_bad_and_no_crash(value: float) -> None:
    arrays = data()
    arrays["y"][1, 0] = value
    verdict = compare(network(), arrays)
    assert not verdict.within
    assert verdict.tensors[0].worst == (1, 0)
    assert verdict.tensors[0].max_ratio == verdict.tensors[0].max_difference == np.inf


def test_first_bad_output_is_named() -> None:
    a, b = np.array([[1.0, 2.0, 3.0]]), np.array([[-1.0, 0.5, 0.0]])
    arrays = {"x0": a, "x1": b, "y0": a + b, "y1": np.maximum(b, 0)}
    assert compare(two_by_two(), arrays).within
    arrays["y1"] = b
    verdict = compare(two_by_two(), arrays)
    assert [output.within for output in verdict.tensors] == [True, False]
    assert verdict.first_bad == "positive"
    assert verdict.tensors[1].worst == (0, 0)


def test_samples_are_told_apart_across_the_pieces_they_are_computed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    # three samples of ten elements; the module, not the function of its name
    monkeypatch.setattr(import_module("refcompress.verify.bounds"), "ELEMENTS_AT_ONCE", 31)
    arrays = data(8)
    assert compare(network(), arrays).within
    arrays["y"][5, 1] += 1
    assert compare(network(), arrays).tensors[0].worst == (5, 1)


def test_an_output_that_is_an_input_must_be_equal() -> None:
    graph = Graph((TensorSpec("in", (2,)),), ("in",), (), {})
    x = np.array([[1.0, 2.0]], np.float32)
    assert compare(graph, {"x": x, "y": x}).within
    verdict = compare(graph, {"x": x, "y": np.nextafter(x, np.float32(3))})
    assert not verdict.within
    assert verdict.tensors[0].max_ratio == np.inf


def generations() -> dict[str, NDArray[Any]]:
    arrays = data()
    right = arrays.pop("y")
    return {**arrays, "y0_k2": right, "y0_k3": right + 1}


def test_reference_asked_for_counts() -> None:
    assert compare(network(), generations(), reference="k2").within
    assert compare(network(), generations(), reference="_k2").reference == "k2"
    verdict = compare(network(), generations(), reference="k3")
    assert not verdict.within
    assert verdict.tensors[0].array == "y0_k3"


def test_outputs_without_suffix_count_first() -> None:
    arrays = {**generations(), "y": generations()["y0_k2"]}
    verdict = compare(network(), arrays)
    assert verdict.within
    assert verdict.reference == ""


def test_references_that_disagree_need_a_choice() -> None:
    with pytest.raises(DataError, match=r"'k2' is within, 'k3' is outside.*which one counts"):
        compare(network(), generations())


def test_references_that_agree_need_no_choice() -> None:
    arrays = generations()
    arrays["y0_k3"] = arrays["y0_k2"]
    assert compare(network(), arrays).within
    arrays["y0_k2"] = arrays["y0_k3"] = arrays["y0_k2"] + 1
    assert not compare(network(), arrays).within


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": None}, "no array 'x0' for the input 'in'"),
        ({"y": None}, "no output y or y0"),
        ({"x": np.zeros((5, 7))}, r"\(5, 7\); the input 'in' takes \(samples, 6\)"),
        ({"x": np.zeros((0, 6)), "y": np.zeros((0, 4))}, "at least one sample"),
        ({"x": np.float32(0)}, "takes"),
        ({"y": np.zeros((5, 3))}, r"\(5, 3\); the output 'out' has \(5, 4\)"),
        ({"y": np.zeros((4, 4))}, r"\(4, 4\); the output 'out' has \(5, 4\)"),
        ({"x": np.full((5, 6), np.nan)}, r"holds nan at \(0, 0\); inputs must be finite"),
        ({"y": np.zeros((5, 4), np.complex64)}, "real numbers"),
        ({"x": np.full((5, 6), "a")}, "real numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    arrays = {name: array for name, array in {**data(), **changes}.items() if array is not None}
    with pytest.raises(DataError, match=message):
        compare(network(), arrays)


def test_missing_pieces_of_several_are_named() -> None:
    a = np.zeros((2, 3))
    with pytest.raises(DataError, match="'x1' for the input 'b'"):
        compare(two_by_two(), {"x0": a, "y0": a, "y1": a})
    with pytest.raises(DataError, match="'y1' for the output 'positive'"):
        compare(two_by_two(), {"x0": a, "x1": a, "y0": a})
    with pytest.raises(DataError, match="must agree"):
        compare(two_by_two(), {"x0": a, "x1": a[:1], "y0": a, "y1": a})
    with pytest.raises(DataError, match="no reference 'k9'"):
        compare(two_by_two(), {"x0": a, "x1": a, "y0": a, "y1": a}, reference="k9")


@given(st.dictionaries(st.sampled_from(["x", "x0", "y", "y0", "y0_k2", "y_", "y0_", "z"]), st.integers(0, 3)))
def test_any_names_give_a_verdict_or_our_error(names: dict[str, int]) -> None:
    kinds = [data()["x"], data()["y"], np.zeros((5, 4), np.int8), np.array(None)]
    arrays = {name: kinds[kind] for name, kind in names.items()}
    with contextlib.suppress(DataError):
        compare(network(), arrays)


@pytest.mark.parametrize("name", SHARED_NETWORKS)
def test_outputs_of_keras_are_within_bounds_that_mean_something(name: str, shared_data: Path) -> None:
    graph, arrays = real(shared_data, name)
    verdict = compare(graph, arrays)  # of both generations, where there are two
    assert verdict.within
    assert verdict.tensors[0].max_bound < 3e-3 * verdict.tensors[0].max_value


def test_progress_goes_to_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("refcompress.verify.bounds"), "ELEMENTS_AT_ONCE", 20)
    shares: list[float] = []
    compare(network(), data(5), progress=shares.append)
    assert shares == [0.4, 0.8, 1.0]


@pytest.mark.parametrize("name", ["mlperf_ad01.h5", "mlperf_str_ww_ref_model.h5"])
def test_weights_rounded_to_eight_bits_are_seen(name: str, shared_data: Path) -> None:
    graph, arrays = real(shared_data, name)
    y = run(_with_rounded_weights(graph), arrays["x0"])[0]
    assert not compare(graph, {"x": arrays["x0"], "y": y}).within


def real(shared_data: Path, name: str) -> tuple[Graph, dict[str, NDArray[Any]]]:
    """Load a network and one sample of its references."""
    arrays = np.load(shared_data / "h5_ref" / f"{name}.npz")
    return load(shared_data / "h5" / name), {key: arrays[key][:1] for key in arrays.files}


def _with_rounded_weights(graph: Graph) -> Graph:
    """Give the network weights of 8 significant bits, as bfloat16 has them."""
    rounded = {}
    for _, _, name in graph.weights():
        bits = decode(graph.params[name]).view(np.uint32)
        rounded[name] = encode(((bits + np.uint32(0x8000)) & np.uint32(0xFFFF0000)).view(np.float32))
    return graph.with_params(rounded)

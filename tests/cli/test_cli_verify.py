"""``refcompress verify``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from checks.frameworks import framework
from checks.small_networks import classifier, saved, two_ended

from refcompress.cli import main
from refcompress.cli.verify import keras_version, own_reference
from refcompress.integer import IntegerNetwork, dequantize, run_integer_all
from refcompress.run import run, run_all

X = np.random.default_rng(3).normal(size=(4, 12)).astype(np.float32)


def _reference(directory: Path, **arrays: np.ndarray) -> str:
    np.savez(directory / "ref.npz", **arrays)
    return str(directory / "ref.npz")


@pytest.mark.parametrize("bound", ["deterministic", "probabilistic"])
def test_right_outputs_exit_with_0(bound: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    reference = _reference(tmp_path, x=X, y=run(classifier(), X)[0])
    assert main(["verify", model, reference, "--bound", bound]) == 0
    assert f"all outputs are within their {bound} bounds" in capsys.readouterr().out


def test_the_first_wrong_output_is_named_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(two_ended(), tmp_path / "m.rcz")
    a = b = np.ones((2, 3), np.float32)
    right, wrong = a + b, a + b
    wrong[1, 2] += 0.25
    reference = _reference(tmp_path, x0=a, x1=b, y0=a, y1=wrong)
    assert main(["verify", model, reference]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "output 'second' is NOT within" in out
    assert "at [1, 2]" in out
    assert main(["verify", model, reference, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["within"], document["first_bad"]) == (False, "second")
    assert [output["within"] for output in document["tensors"]] == [True, False]
    assert document["tensors"][1]["worst"] == [1, 2]
    assert document["tensors"][1]["max_difference"] == 0.25
    assert main(["verify", model, _reference(tmp_path, x0=a, x1=b, y0=a, y1=right)]) == 0


def test_not_a_number_is_a_wrong_output_and_still_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    reference = _reference(tmp_path, x=X, y=np.full((4, 4), np.nan, np.float32))
    assert main(["verify", model, reference, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["tensors"][0]["max_ratio"] is None


def test_of_several_references_one_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    (y,) = run(classifier(), X)
    reference = _reference(tmp_path, x=X, y_k2=y, y_k3=y + 1)
    assert main(["verify", model, reference]) == 1
    assert "different verdicts" in capsys.readouterr().err
    assert main(["verify", model, reference, "--reference", "k2"]) == 0
    assert main(["verify", model, reference, "--reference", "k3"]) == 1
    assert main(["verify", model, reference, "--reference", "k9"]) == 1
    assert "k9" in capsys.readouterr().err


def test_missing_arrays_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    assert main(["verify", model, _reference(tmp_path, x=X)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("refcompress: error: ")
    assert err.count("\n") == 1


def test_our_container_names_no_generation_of_keras(tmp_path: Path) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    assert keras_version(model) == ""
    assert own_reference(model, ["x0", "y0_k2", "y0_k3"]) is None


@pytest.mark.parametrize("name", ["mlperf_pretrainedResnet.h5", "mlperf_ad01.h5"])
def test_published_networks_are_verified_by_their_own_generation(
    name: str, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, reference = shared_data / "h5" / name, shared_data / "h5_ref" / f"{name}.npz"
    assert own_reference(str(model), ["y0_k2", "y0_k3"]) == "k2"
    assert main(["verify", str(model), str(reference), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reference"] == "k2"


def _layers(directory: Path, **changes: np.ndarray) -> tuple[str, str]:
    """Save a classifier, and its activations under the names of its nodes, some of them changed."""
    graph = classifier()
    activations = run_all(graph, X)
    named = {node.name: activations[node.output] for node in graph.nodes}
    return saved(graph, directory / "m.rcz"), _reference(directory, x=X, **{**named, **changes})


def test_layers_of_a_right_run_are_within(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, arrays = _layers(tmp_path)
    assert main(["verify", model, arrays, "--layers"]) == 0
    out = capsys.readouterr().out
    assert "all layers are within their probed bounds" in out
    assert all(name in out for name in ("fc1", "relu", "fc2", "softmax"))


def test_the_first_wrong_layer_is_named_with_its_cause(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hidden = run_all(classifier(), X)["h"]
    model, arrays = _layers(tmp_path, relu=np.where(hidden > 0, hidden, np.float32(0.1) * hidden))
    assert main(["verify", model, arrays, "--layers"]) == 1
    out = capsys.readouterr().out
    assert "relu differs; with a leaky ReLU of slope 0.1 it agrees" in out
    assert "layer 'relu' is NOT within its probed bound" in out
    assert main(["verify", model, arrays, "--layers", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["first_bad"] == "relu"
    # what comes after it was fed what was right
    assert [layer["state"] for layer in document["tensors"]] == ["within", "wrong", "wrong", "within"]


def test_layers_take_inputs_and_outputs_by_their_short_names(tmp_path: Path) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    activations = run_all(classifier(), X)
    np.savez(tmp_path / "x.npz", x=X)
    arrays = _reference(tmp_path, h=activations["h"], y=activations["y"], unrelated=X)
    assert main(["verify", model, arrays, "--layers", "--inputs", str(tmp_path / "x.npz")]) == 0
    assert main(["verify", model, _reference(tmp_path, x=X, other=X), "--layers"]) == 1


def test_a_lower_precision_is_named_and_can_be_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(two_ended(), tmp_path / "m.rcz")
    a = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float16).astype(np.float32)
    total = (a + a[::-1]).astype(np.float16).astype(np.float32)
    arrays = _reference(tmp_path, x0=a, x1=a[::-1], y0=np.maximum(a, 0), y1=total)
    assert main(["verify", model, arrays]) == 1
    assert "float16 weights and activations, float32 sums" in capsys.readouterr().out
    assert main(["verify", model, arrays, "--precision", "float16"]) == 0
    assert main(["verify", model, arrays, "--precision", "float17"]) == 1
    assert "there are float32, tf32, float16" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["md", "html", "json"])
def test_reports_are_written(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, arrays = _layers(tmp_path)
    report = tmp_path / f"report.{ending}"
    assert main(["verify", model, arrays, "--layers", "--report", str(report)]) == 0
    verdict = (
        "all layers are within their probed bounds" if ending == "json" else "All 4 layers are within their bounds"
    )
    assert verdict in report.read_text(encoding="utf-8")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "give either OUTPUTS.npz"),
        (["ARRAYS", "--framework", "keras"], 2, "give either OUTPUTS.npz"),
        (["ARRAYS", "--framework-model", "m.h5"], 1, "goes with --framework"),
        (["ARRAYS", "--layers", "--reference", "k2"], 1, "chooses among outputs of a file"),
        (["ARRAYS", "--report", "report.pdf"], 1, ".md, .html or .json"),
        (["ARRAYS", "--report", "ARRAYS"], 1, "is also read"),
        (["--framework", "keras", "--samples", "0"], 1, "at least 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, arrays = _layers(tmp_path)
    assert main(["verify", model, *(arrays if option == "ARRAYS" else option for option in options)]) == code
    assert message in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layers", [[], ["--layers"]])
def test_a_framework_is_run(layers: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    framework("tensorflow")
    keras = framework("keras")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2, "softmax")])
    model.save(tmp_path / "m.keras")
    options = ["--framework", "keras", "--samples", "3", "--seed", "7", "--json", *layers]
    assert main(["verify", str(tmp_path / "m.keras"), *options]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["inputs"] == "3 random samples of seed 7"
    assert document["layers"] == bool(layers)
    assert len(document["tensors"]) == (2 if layers else 1)


def _integer_run(shared_data: Path, name: str, samples: int = 3) -> tuple[str, IntegerNetwork, dict[str, np.ndarray]]:
    """Return an int8 model, its network, and inputs with the outputs of two runtimes."""
    pytest.importorskip("tflite", reason="reads .tflite files")
    from refcompress.formats import tflite

    path = shared_data / "tflite" / f"{name}_int8.tflite"
    with np.load(shared_data / "tflite" / f"{name}_int8_io.npz") as file:
        return str(path), tflite.load(path), {key: file[key][:samples] for key in ("x", "y", "y_tflm")}


@pytest.mark.parametrize("name", ["ad01", "resnet8"])
def test_integer_outputs_are_told_apart_by_runtime(
    name: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, _, arrays = _integer_run(shared_data, name)
    assert main(["verify", model, _reference(tmp_path, **arrays)]) == 0
    out = capsys.readouterr().out
    assert "all outputs are exactly what" in out
    right = arrays["y"]
    arrays["y"] = right.astype(np.int16) + np.where(right < 0, 100, -100)
    assert main(["verify", model, _reference(tmp_path, **arrays), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    found = {tensor["array"]: tensor for tensor in document["tensors"]}
    assert found["y"]["state"] in {"wrong", "not comparable"}
    assert found["y"]["follows"] == []
    assert found["y"]["agreements"]["tflite"]["largest_difference"] == 100
    assert "tflm" in found["y_tflm"]["follows"]
    assert main(["verify", model, _reference(tmp_path, **arrays), "--reference", "tflm"]) == 0
    assert main(["verify", model, _reference(tmp_path, x=arrays["x"])]) == 1
    assert "no integer outputs" in capsys.readouterr().err
    assert main(["verify", model, _reference(tmp_path, **arrays), "--precision", "float16"]) == 1
    assert main(["verify", model, "--framework", "keras"]) == 1
    assert "run by tflite" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["md", "html", "json"])
def test_layers_of_integer_models_are_compared_and_reported(
    ending: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, network, arrays = _integer_run(shared_data, "str_ww")
    made = run_integer_all(network, arrays["x"], runtime="tflm")
    made.pop(network.graph.inputs[0].name)
    options = [model, _reference(tmp_path, x=arrays["x"], **made), "--layers"]
    assert main(["verify", *options]) == 0
    assert "all layers are exactly what tflite, tflm, cmsis_nn computes" in capsys.readouterr().out
    second = network.steps[1].output
    made[second] = np.where(made[second] == -128, 127, made[second] - 1).astype(np.int8)
    np.savez(tmp_path / "x.npz", x=dequantize(arrays["x"], network.quantizations[network.graph.inputs[0].name]))
    report = tmp_path / f"report.{ending}"
    options = [model, _reference(tmp_path, **made), "--layers", "--inputs", str(tmp_path / "x.npz")]
    assert main(["verify", *options, "--report", str(report)]) == 1
    assert f"layer {network.steps[1].node.name!r} is NOT within" in capsys.readouterr().out
    assert "exactly as" in report.read_text(encoding="utf-8") or ending == "json"


def test_the_integer_interpreter_is_run(shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    framework("ai_edge_litert")
    model, _, arrays = _integer_run(shared_data, "resnet8", samples=2)
    options = ["verify", model, "--framework", "tflite", "--json"]
    np.savez(tmp_path / "x.npz", x=arrays["x"])
    assert main([*options, "--samples", "2", "--seed", "5"]) == 0
    assert json.loads(capfd.readouterr().out)["inputs"] == "2 random samples of seed 5"
    assert main([*options, "--layers", "--inputs", str(tmp_path / "x.npz")]) == 0
    document = json.loads(capfd.readouterr().out)
    assert (document["layers"], document["precision"], document["unseen"]) == (True, "int8", [])
    assert len(document["tensors"]) == 16


def test_a_model_without_a_batch_axis_is_told_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of = pytest.importorskip("checks.onnx_files", reason="needs the library onnx")
    nodes = [of.node("MatMul", ["x", "w"], ["h"]), of.node("Softmax", ["h"], ["y"], axis=0)]
    path = of.saved(of.model(nodes, {"x": (3,)}, ["y"], {"w": np.eye(3, dtype=np.float32)}), tmp_path)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.savez(tmp_path / "y.npz", x=x, y=np.exp(x) / np.exp(x).sum(1, keepdims=True))
    assert main(["verify", str(path), str(tmp_path / "y.npz")]) == 1
    assert "--no-batch" in capsys.readouterr().err
    assert main(["verify", str(path), str(tmp_path / "y.npz"), "--no-batch"]) == 0
    assert "all outputs are within" in capsys.readouterr().out

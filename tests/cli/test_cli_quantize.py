"""``refcompress quantize``, and what the other commands make of the integer network it writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from checks.small_networks import classifier, saved

import exporters.c
import refcompress
from refcompress.analysis import accuracy
from refcompress.cli import main
from refcompress.formats.rcz import integer
from refcompress.integer import IntegerNetwork, dequantize, quantize, run_dequantized, run_integer, smallest
from refcompress.post_training import quantize_network

X = np.random.default_rng(2).normal(size=(40, 12)).astype(np.float32)
Y = np.arange(40) % 4


def _paths(directory: Path) -> tuple[str, str, str]:
    np.savez(directory / "xy.npz", x=X, y=Y)
    return saved(classifier(), directory / "m.rcz"), str(directory / "o.rcz"), str(directory / "xy.npz")


def _quantized(directory: Path) -> tuple[str, IntegerNetwork]:
    path = directory / "int8.rcz"
    network = quantize_network(classifier(), X)
    refcompress.save(network, path)
    return str(path), network


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--ranges", "percentile", "--percentile", "99"], {"ranges": "percentile", "percentile": 99.0}),
        (
            ["--ranges", "mse", "--bits", "4", "--weight-ranges", "mse"],
            {"ranges": "mse", "weight_bits": 4, "weight_ranges": "mse"},
        ),
    ],
)
def test_the_file_is_that_of_quantize_network_and_the_document_tells_its_bytes(
    arguments: list[str], options: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output, data = _paths(tmp_path)
    argv = ["quantize", model, "--calibration", data, "-o", output, "--data", data, "--json", *arguments]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    network = smallest(quantize_network(classifier(), X, **options))
    assert err == ""
    assert Path(output).read_bytes() == integer.to_bytes(network)
    assert document["file_bytes"] == Path(output).stat().st_size
    assert document["dense_bytes"] == 4 * (12 * 32 + 32 + 32 * 4)
    for key, each in (("accuracy_before", classifier()), ("accuracy_after", network)):
        expected = accuracy(each, X, Y)
        assert document[key] == {"correct": expected.correct, "total": 40, "share": expected.share}
    (right,) = run_integer(network, quantize(X, network.quantizations["x"]))
    assert document["accuracy_after"]["correct"] == np.count_nonzero(right.argmax(1) == Y)


def test_the_table_has_the_widths_of_weights_and_biases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, output, data = _paths(tmp_path)
    assert main(["quantize", model, "--calibration", data, "-o", output, "--data", data]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("linear8 per row", "dense int16", "accuracy after: ", f"wrote {output}"))
    assert f"file: {Path(output).stat().st_size:,} bytes" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--bits", "9"], 1, "weight_bits is 9"),
        (["--ranges", "percentile", "--percentile", "20"], 1, "percentile is 20"),
        (["--percentile", "99"], 2, "--percentile needs --ranges percentile"),
    ],
)
def test_bad_options_write_nothing(
    arguments: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output, data = _paths(tmp_path)
    assert main(["quantize", model, "--calibration", data, "-o", output, *arguments]) == code
    assert words in capsys.readouterr().err
    assert not Path(output).exists()


def test_the_network_is_quantized_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, output, data = _paths(tmp_path)
    model, _ = _quantized(tmp_path)
    assert main(["quantize", model, "--calibration", data, "-o", output]) == 1
    assert "an integer network" in capsys.readouterr().err


def test_info_tells_the_quantization_of_each_activation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, network = _quantized(tmp_path)
    assert main(["info", model, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = {layer["output"]: layer["quantization"] for layer in document["layers"]}
    assert found["h"] is None
    assert found["y"] == {"scale": 1 / 256, "zero_point": -128, "bits": 8}
    assert document["inputs"][0]["quantization"]["scale"] == network.quantizations["x"].scale
    assert document["file_bytes"] == document["model_bytes"] == Path(model).stat().st_size
    assert main(["info", model]) == 0
    out = capsys.readouterr().out
    assert all(words in out for words in ("clamped in the next", "0.003906 * (int8 + 128)"))


def _made(argv: list[str], path: Path) -> dict[str, np.ndarray]:
    assert main([*argv, "-o", str(path)]) == 0
    with np.load(path) as archive:
        return dict(archive)


def test_run_writes_real_numbers_or_integers(tmp_path: Path) -> None:
    model, network = _quantized(tmp_path)
    known, made = network.quantizations, tmp_path / "y.npz"
    np.save(tmp_path / "x.npy", X)
    taken = quantize(X, known["x"])
    np.save(tmp_path / "i.npy", taken)
    (integers,) = run_integer(network, taken)
    real = _made(["run", model, "--input", str(tmp_path / "x.npy")], made)
    assert np.array_equal(real["y"], run_dequantized(network, X)[0])
    assert np.array_equal(real["y"], dequantize(integers, known["y"]))
    for file in ("x.npy", "i.npy"):
        found = _made(["run", model, "--input", str(tmp_path / file), "--integers"], made)
        assert found["y"].dtype == np.int8
        assert np.array_equal(found["y"], integers)
    every = _made(["run", model, "--input", str(tmp_path / "x.npy"), "--integers", "--all"], made)
    assert set(every) == set(known)
    assert np.array_equal(every["x"], taken)


@pytest.mark.parametrize("option", [["--exact"], ["--dtype", "float64"], ["--architecture", "lenet-5"]])
def test_options_of_real_numbers_are_refused(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, _ = _quantized(tmp_path)
    _, output, data = _paths(tmp_path)
    assert main(["run", model, "--input", data, "-o", output, *option]) == 1
    assert "is an integer network" in capsys.readouterr().err


def test_integers_of_a_network_of_real_numbers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, output, data = _paths(tmp_path)
    assert main(["run", model, "--input", data, "-o", output, "--integers"]) == 1
    assert "--integers is for integer networks" in capsys.readouterr().err


def test_it_becomes_c_and_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, network = _quantized(tmp_path)
    assert main(["export", model, "--to", "c", "--prefix", "net", "-o", str(tmp_path / "out")]) == 0
    files = exporters.c.export(network, prefix="net")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files
    taken = quantize(X, network.quantizations["x"])
    np.savez(tmp_path / "xy.npz", x=taken, y=run_integer(network, taken)[0])
    capsys.readouterr()
    assert main(["verify", model, str(tmp_path / "xy.npz")]) == 0
    assert "all outputs are exactly what tflm" in capsys.readouterr().out


@pytest.mark.parametrize("last", ["quantize_network", "train.quantize_aware"])
def test_a_recipe_that_trains_ends_in_integers(last: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, output, data = _paths(tmp_path)
    np.savez(tmp_path / "train.npz", x=X, y=Y, x_val=X, y_val=Y)
    epochs = "epochs = 2\n" if last.startswith("train") else ""
    text = f'[[pass]]\nname = "train.fine_tune"\nepochs = 2\n[[pass]]\nname = "{last}"\n{epochs}weight_bits = 4'
    (tmp_path / "r.toml").write_text(text, "utf-8")
    argv = ["compress", model, "--recipe", str(tmp_path / "r.toml"), "--train", str(tmp_path / "train.npz")]
    assert main([*argv, "-o", output, "--data", data, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    network = refcompress.load_integer(output)
    assert document["file_bytes"] == Path(output).stat().st_size
    assert document["accuracy_after"]["correct"] == accuracy(network, X, Y).correct
    assert [stage["name"] for stage in document["stages"]] == ["as given", "train.fine_tune", last, "encoded"]
    assert document["stages"][-1]["validation"] == pytest.approx(1 - accuracy(network, X, Y).share, abs=2 / 40)
    widths = {p["name"]: p["value_bits"] for p in document["parameters"]}
    assert widths["fc1/kernel"] == 4

"""``refcompress verify``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from checks.small_networks import classifier, saved, two_ended

from refcompress.cli import main
from refcompress.cli.verify import keras_version, own_reference
from refcompress.run import run

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
    assert [output["within"] for output in document["outputs"]] == [True, False]
    assert document["outputs"][1]["worst"] == [1, 2]
    assert document["outputs"][1]["max_difference"] == 0.25
    assert main(["verify", model, _reference(tmp_path, x0=a, x1=b, y0=a, y1=right)]) == 0


def test_not_a_number_is_a_wrong_output_and_still_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    reference = _reference(tmp_path, x=X, y=np.full((4, 4), np.nan, np.float32))
    assert main(["verify", model, reference, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outputs"][0]["max_ratio"] is None


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

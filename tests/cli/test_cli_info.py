"""``refcompress info``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checks.small_networks import classifier, saved, two_ended

from refcompress.cli import main
from refcompress.formats import rcz


def test_the_json_document_says_what_is_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    assert main(["info", model, "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert err == ""
    assert document["model_bytes"] == (tmp_path / "m.rcz").stat().st_size == len(rcz.to_bytes(classifier()))
    assert document["inputs"] == [{"name": "x", "shape": [12]}]
    assert document["outputs"] == [{"name": "y", "shape": [4]}]
    assert [layer["op"] for layer in document["layers"]] == ["Gemm", "Relu", "Gemm", "Softmax"]
    assert document["layers"][0]["parameters"] == {"weight": "fc1/kernel", "bias": "fc1/bias"}
    assert document["layers"][0]["macs"] == 12 * 32
    assert document["macs"] == 12 * 32 + 32 * 4
    assert document["parameter_count"] == 12 * 32 + 32 + 32 * 4


def test_the_table_names_every_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", saved(classifier(), tmp_path / "m.rcz")]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("fc1", "relu", "fc2", "softmax", "inputs: x (12)", "544 parameters"))


def test_a_network_without_parameters_has_a_table_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", saved(two_ended(), tmp_path / "m.rcz")]) == 0
    assert "inputs: a (3), b (3)" in capsys.readouterr().out

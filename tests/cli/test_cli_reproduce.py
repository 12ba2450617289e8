"""``refcompress reproduce``, for real on small data: the UCI digits as files of MNIST."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checks.enlarged_digits import write_digits

import refcompress
from refcompress.analysis import accuracy
from refcompress.cli import main
from reference_models.data import read

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

TRAINING = """\
[[pass]]
name = "train.fine_tune"
epochs = 4
seed = 3
"""
COMPRESSION = """\
[[pass]]
name = "train.prune_gradually"
sparsity = 0.9
epochs = 4
every = 5
keep = "last"

[[pass]]
name = "remove_dead_units"

[[pass]]
name = "share_weights.kmeans"
bits = 3

[[pass]]
name = "train.fine_tune"
epochs = 1
distill_weight = 0.5
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reproduce")
    write_digits(place / "data")
    (place / "training.toml").write_text(TRAINING, "utf-8")
    (place / "compression.toml").write_text(COMPRESSION, "utf-8")
    return place


def argv(folder: Path, output: str) -> list[str]:
    recipes = ["--training", str(folder / "training.toml"), "--recipe", str(folder / "compression.toml")]
    return ["reproduce", "lenet-300-100", "--data", f"mnist:{folder / 'data'}", "-o", str(folder / output), *recipes]


def test_figures_are_those_of_the_files_and_a_second_run_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv(folder, "out"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    written = folder / "out" / "lenet_300_100.rcz"
    small, dense = refcompress.load(written), refcompress.load(folder / "out" / "lenet_300_100.h5")
    test = read(f"mnist:{folder / 'data'}").test
    assert document["error_after"] == pytest.approx(1 - accuracy(small, test.x, test.y).share)
    assert document["error_before"] == pytest.approx(1 - accuracy(dense, test.x, test.y).share)
    assert document["error_after"] < 0.15
    assert document["total"]["bytes_coded"] == written.stat().st_size < 40_000
    assert json.loads((folder / "out" / "report.json").read_text("utf-8")) == document
    before = written.read_bytes()
    checkpoints = {path: path.stat().st_mtime_ns for path in (folder / "out" / "work").rglob("*.npz")}
    assert checkpoints
    assert main(argv(folder, "out")) == 0  # everything is in the checkpoints: nothing is trained again
    assert written.read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in checkpoints} == checkpoints
    shown = capsys.readouterr().out
    for text in ("ip1, paper", "ip1, ours", "total, ours", "4.4", "1,070,000", "2.32 %"):
        assert text in shown


def test_what_is_missing_is_said_before_anything_is_trained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "lenet-5", "--data", f"mnist:{folder}", "-o", str(folder / "no")]) == 1
    assert "train-images-idx3-ubyte" in capsys.readouterr().err
    assert main(["reproduce", "lenet-6", "-o", str(folder / "no")]) == 2
    assert not (folder / "no").exists()

"""Deep compression: training and passes by one recipe, its report, and going on after an interruption."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.digit_networks import dataset, untrained
from checks.small_networks import classifier

from refcompress import recipe
from refcompress.analysis import Report, accuracy
from refcompress.cli import main
from refcompress.cli.training import read_material
from refcompress.compress import compress
from refcompress.deep_compression import deep_compression
from refcompress.encodings import decode, pack
from refcompress.errors import DataError, OptionError
from refcompress.formats import rcz
from refcompress.graph import Graph
from refcompress.run import run
from refcompress.train import Dataset
from refcompress.train.scoring import logits_graph
from reference_models import digits_cnn
from reference_models.data import digits

RECIPE = """
[[pass]]
name = "train.fine_tune"          # from random weights
epochs = 10
rate = 0.003
schedule = "cosine"
teacher = true

[[pass]]
name = "train.prune_gradually"
epochs = 20
rate = 0.003
schedule = "cosine"
hold = 0.5
sparsity = 0.85
every = 5
end = 0.6
distill_weight = 0.5

[[pass.layers]]
match = "conv1"
sparsity = 0.5

[[pass]]
name = "share_weights.kmeans"
bits = 3
biases = true

[[pass]]
name = "train.fine_tune"
epochs = 3
rate = 0.0005
"""
DENSE = RECIPE.replace('"conv1"', '"fc2"').replace("0.003", "0.01").replace("0.85", "0.6")

needs_digits = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="needs scikit-learn: pip install 'refcompress[demo]'"
)


@functools.cache
def deeply_compressed() -> tuple[Graph, Report]:
    return deep_compression(digits_cnn.build(np.random.default_rng(0)), dataset(), recipe.parse(RECIPE))


@needs_digits
def test_the_digits_are_read_by_a_file_25_times_smaller_than_the_weights(tmp_path: Path) -> None:
    small, report = deeply_compressed()
    path = tmp_path / "digits.rcz"
    rcz.save(small, path)
    assert path.stat().st_size == report.file_bytes < 119_656 / 25
    assert (report.dense_bytes, report.ratio) == (119_656, 119_656 / report.file_bytes)
    test = digits().test
    # seen: 350 of 360; another BLAS rounds otherwise, and a standard deviation of such a count is 3
    assert accuracy(rcz.load(path), test.x, test.y).correct > 340


@needs_digits
def test_the_numbers_of_the_report_are_those_of_the_file() -> None:
    small, report = deeply_compressed()
    loaded = rcz.from_bytes(rcz.to_bytes(small))
    assert report.file_bytes == len(rcz.to_bytes(small))
    for parameter in report.parameters:
        array = decode(loaded.params[parameter.name])
        assert parameter.density == np.count_nonzero(array) / array.size
        assert parameter.stream_bytes == len(pack(loaded.params[parameter.name]))
    kernels = [decode(loaded.params[f"{name}/weight"]) for name in ("conv1", "conv2", "dense1", "dense2")]
    last = report.stages[-1]
    assert last.name == "encoded"
    assert last.nonzero == sum(map(np.count_nonzero, kernels))
    assert last.weights == sum(kernel.size for kernel in kernels)
    assert last.density == last.nonzero / last.weights
    answers = accuracy(loaded, *map(np.asarray, dataset().validation))
    assert last.validation == (answers.total - answers.correct) / answers.total


@needs_digits
def test_each_step_leaves_a_stage() -> None:
    _, report = deeply_compressed()
    given, trained, pruned, shared, tuned, encoded = report.stages
    assert [stage.name for stage in report.stages[1:-1]] == [step.name for step in recipe.parse(RECIPE).steps]
    assert {stage.measure for stage in report.stages} == {"error rate"}
    assert given.validation > 0.5
    assert trained.validation < 0.06
    assert (trained.epochs, pruned.epochs, shared.epochs) == (10, 20, 0)
    assert pruned.nonzero == 72 + sum(size - round(0.85 * size) for size in (4608, 24576, 480))
    assert pruned.best_epoch >= 12  # the end of pruning
    assert pruned.nonzero == shared.nonzero == tuned.nonzero == encoded.nonzero
    assert tuned.validation == encoded.validation < 0.06
    document = json.loads(json.dumps(report.to_dict()))
    assert [stage["nonzero"] for stage in document["stages"]] == [stage.nonzero for stage in report.stages]


@needs_digits
def test_shared_weights_and_biases_stay_shared_while_they_learn() -> None:
    tuned, _ = deep_compression(untrained(), dataset(), recipe.parse(DENSE))
    shared, _ = deep_compression(untrained(), dataset(), recipe.parse(DENSE.rpartition("[[pass]]")[0]))
    for name in ("fc1/weight", "fc2/weight", "fc1/bias"):
        one, other = decode(shared.params[name]), decode(tuned.params[name])
        assert len(np.unique(other)) == len(np.unique(one)) <= 9, name
        assert not np.array_equal(one, other), name
        assert np.array_equal(one == 0, other == 0), name


class _StoppedError(Exception):
    """What a test stops a training with."""


@needs_digits
@pytest.mark.parametrize("stop_at", ["1/4 train.fine_tune: epoch 3", "2/4 train.prune_gradually: ep"])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, stop_at: str) -> None:
    made = recipe.parse(DENSE)
    said: list[str] = []

    def stop(what: str, share: float) -> None:
        if what.startswith(stop_at) and share > 0.3:  # beyond the end of an epoch
            raise _StoppedError

    def go(progress: Any = lambda what, _share: said.append(what)) -> tuple[Graph, Report]:
        said.clear()
        return deep_compression(untrained(), dataset(), made, directory=tmp_path, progress=progress)

    whole, report = deep_compression(untrained(), dataset(), made)
    with pytest.raises(_StoppedError):
        go(stop if "2/4" in stop_at else lambda what, _share: stop(what, 1))
    again, report_again = go()
    assert rcz.to_bytes(again) == rcz.to_bytes(whole)
    assert report_again.to_dict() == report.to_dict()
    # what was done is not done again
    assert not any("fine_tune: epoch 1/" in what for what in said if what.startswith("1/4"))
    assert rcz.to_bytes(go()[0]) == rcz.to_bytes(whole)
    assert not any("epoch" in what for what in said)


SMALL = """
[[pass]]
name = "train.fine_tune"
epochs = 2
{}

[[pass]]
name = "train.prune_iteratively"
epochs = 1
sparsities = [0.25, 0.5]
{}
"""


@functools.cache
def few() -> Dataset:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 12)).astype(np.float32)
    y = x[:, :4].argmax(axis=1)
    return Dataset(x[:40], y[:40], x[40:], y[40:])


def run_small(first: str = "", second: str = "", **options: Any) -> tuple[Graph, Report]:
    return deep_compression(classifier(), few(), recipe.parse(SMALL.format(first, second)), **options)


def test_a_changed_step_starts_anew_and_steps_before_it_do_not(tmp_path: Path) -> None:
    run_small(directory=tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    assert {name[:2] for name in before} == {"01", "02"}
    again, _ = run_small(second="rate = 0.01", directory=tmp_path)
    added = {path.name for path in tmp_path.iterdir()} - before
    assert [name[:2] for name in added] == ["02"]
    assert rcz.to_bytes(again) == rcz.to_bytes(run_small(second="rate = 0.01")[0])
    run_small("rate = 0.01", directory=tmp_path)
    assert sorted(path.name[:2] for path in tmp_path.iterdir()) == ["01", "01", "02", "02", "02"]


def test_checkpoints_of_other_data_are_refused(tmp_path: Path) -> None:
    run_small(directory=tmp_path)
    other = Dataset(few().inputs[::-1], few().targets, few().validation_inputs, few().validation_targets)
    with pytest.raises(DataError, match=r"pass 1 \(train\.fine_tune\): .*delete it to start anew"):
        deep_compression(classifier(), other, recipe.parse(SMALL.format("", "")), directory=tmp_path)


def test_without_training_steps_it_is_compress_with_stages() -> None:
    made = recipe.from_options(sparsity=0.5, bits=3)
    small, report = deep_compression(classifier(), few(), made)
    other, plain = compress(classifier(), made)
    assert rcz.to_bytes(small) == rcz.to_bytes(other)
    assert {**report.to_dict(), "stages": []} == plain.to_dict()
    assert [stage.density for stage in report.stages] == [1, 0.5, 0.5, 0.5]


def test_training_samples_calibrate_unless_others_are_given() -> None:
    made = recipe.parse('[[pass]]\nname = "quantize.calibrated"\nrate = 1e-3')
    x = few().inputs
    ours = [deep_compression(classifier(), few(), made, inputs=inputs)[0] for inputs in (None, {"x": x}, {"x": x[:9]})]
    first, second, third = map(rcz.to_bytes, ours)
    assert first == second != third
    assert first == rcz.to_bytes(compress(classifier(), made, inputs={"x": x})[0])


def test_a_network_teaches_the_steps_after_it_or_one_that_is_given() -> None:
    plain, taught = run_small("teacher = true")[0], run_small("teacher = true", "distill_weight = 0.9")[0]
    assert rcz.to_bytes(plain) == rcz.to_bytes(run_small()[0]) != rcz.to_bytes(taught)
    first = deep_compression(classifier(), few(), recipe.parse(SMALL.format("", "").rpartition("[[pass]]")[0]))[0]
    given = run_small(second="distill_weight = 0.9", teacher=first)[0]
    assert rcz.to_bytes(given) == rcz.to_bytes(taught)


def test_the_network_as_given_teaches_if_there_is_no_other_teacher() -> None:
    own, given, other = (
        rcz.to_bytes(run_small("distill_weight = 0.9", "distill_weight = 0.9", teacher=teacher)[0])
        for teacher in (None, classifier(), run_small()[0])
    )
    assert own == given != other
    assert own != rcz.to_bytes(run_small()[0])
    # until a step says that its network teaches, even if that step was taught itself
    assert own != rcz.to_bytes(run_small("distill_weight = 0.9\nteacher = true", "distill_weight = 0.9")[0])


def test_progress_tells_epoch_loss_and_validation() -> None:
    said: list[tuple[str, float]] = []
    run_small(progress=lambda *args: said.append(args))
    texts = [what for what, _ in said]
    assert texts[0].startswith("1/2 train.fine_tune: epoch 1/2, error ")
    assert re.fullmatch(r"1/2 train\.fine_tune: epoch 2/2, error \d+\.\d\d %, loss [0-9.]+", texts[1])
    assert any(what.startswith("2/2 train.prune_iteratively: epoch 2/2") for what in texts)
    assert texts[-1].startswith("encode ")
    assert [share for what, share in said if what.startswith("1/2")] == [0.5, 1.0]
    assert [share for what, share in said if what.startswith("2/2")] == [0.5, 1.0]


def test_targets_that_are_no_classes_are_judged_by_the_loss() -> None:
    soft = np.eye(4, dtype=np.float32)[few().targets]
    held = np.eye(4, dtype=np.float32)[few().validation_targets]
    samples = Dataset(few().inputs, soft, few().validation_inputs, held)
    _, report = deep_compression(classifier(), samples, recipe.parse(SMALL.format("", "")))
    assert {stage.measure for stage in report.stages} == {"loss"}
    z = run(logits_graph(classifier()), few().validation_inputs, dtype=np.float64)[0]
    wanted = -np.mean(np.sum(held * (z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))), axis=1))
    assert report.stages[0].validation == pytest.approx(wanted, rel=1e-5)  # of logits in float32


BAD: Mapping[str, tuple[str, str, str]] = {
    # what is wrong: options of the first and of the second step, and words of the message
    "a rate below nothing": ("rate = -1", "", r"pass 1 \(train\.fine_tune\): rate is -1"),
    "a second step that is wrong": ("", "batch_size = 0", r"pass 2 \(train\.prune_iteratively\): batch_size is 0"),
    "a level beyond one": ("", "scope = 'global'\n[[pass.layers]]\nmatch = 'fc1'\nsparsities = [1, 2]", "pass 2"),
    "a rule that matches nothing": ("", "[[pass.layers]]\nmatch = 'conv'\nskip = true", "'conv' matches no layer"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_options_are_errors_that_name_the_step(case: str) -> None:
    first, second, message = BAD[case]
    with pytest.raises(OptionError, match=message):
        run_small(first, second)


def test_wrong_plans_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        run_small("", "batch_size = 0", directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_compress_refuses_to_train() -> None:
    message = r"r\.toml, pass 1 \(train\.fine_tune\) trains the network, .*call deep_compression, or give --train"
    with pytest.raises(OptionError, match=message):
        compress(classifier(), recipe.parse(SMALL.format("", ""), "r.toml"))


def _files(directory: Path) -> tuple[str, str, str]:
    model, text, samples = directory / "m.rcz", directory / "r.toml", directory / "xy.npz"
    rcz.save(classifier(), model)
    text.write_text(SMALL.format("", ""), "utf-8")
    np.savez(samples, x=few().inputs, y=few().targets, x_val=few().validation_inputs, y_val=few().validation_targets)
    return str(model), str(text), str(samples)


@needs_digits
def test_the_command_line_trains_on_a_file_and_goes_on_after_it_was_killed(tmp_path: Path) -> None:
    splits = digits()
    np.savez(tmp_path / "digits.npz", x=splits.train.x, y=splits.train.y)
    np.savez(tmp_path / "test.npz", x=splits.test.x, y=splits.test.y)
    rcz.save(untrained(), tmp_path / "m.rcz")
    (tmp_path / "r.toml").write_text(DENSE, "utf-8")
    samples = ["--train", "digits.npz", "--data", "test.npz", "--work", "work"]
    command = [sys.executable, "-m", "refcompress", "compress", "m.rcz", "--recipe", "r.toml", *samples, "--json", "-o"]
    with subprocess.Popen([*command, "o.rcz"], cwd=tmp_path, stdout=subprocess.DEVNULL) as first:
        while first.poll() is None and not list(tmp_path.glob("work/*/round-1.npz")):
            time.sleep(0.01)
        first.kill()
    assert not (tmp_path / "o.rcz").exists()
    done = [
        subprocess.run([*command, name], cwd=tmp_path, capture_output=True, text=True, check=True)
        for name in ("o.rcz", "again.rcz")
    ]
    assert (tmp_path / "o.rcz").read_bytes() == (tmp_path / "again.rcz").read_bytes()
    document, other = (json.loads(each.stdout) for each in done)
    assert {**document, "output": ""} == {**other, "output": ""}
    assert [each.stderr for each in done] == ["", ""]
    assert document["file_bytes"] == (tmp_path / "o.rcz").stat().st_size
    assert [stage["name"] for stage in document["stages"]][-2:] == ["train.fine_tune", "encoded"]
    assert document["accuracy_before"]["share"] < 0.5
    assert document["accuracy_after"]["share"] > 0.9


def test_the_command_line_does_what_deep_compression_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, text, samples = _files(tmp_path)
    output = tmp_path / "o.rcz"
    assert main(["compress", model, "--recipe", text, "--train", samples, "-o", str(output)]) == 0
    assert output.read_bytes() == rcz.to_bytes(run_small()[0])
    out = capsys.readouterr().out
    assert all(word in out for word in ("validation error rate", "as given", "train.prune_iteratively", "256", "512"))


def test_a_tenth_is_set_aside_by_the_seed_where_a_file_has_no_validation_samples(tmp_path: Path) -> None:
    x = np.arange(240, dtype=np.float32).reshape(20, 12)
    np.savez(tmp_path / "xy.npz", x=x, y=np.arange(20) % 4)
    parts = [read_material(str(tmp_path / "xy.npz"), classifier(), seed).data for seed in (0, 0, 1)]
    kept = [next(iter(part.validation_inputs.values())) for part in parts]
    learnt = next(iter(parts[0].inputs.values()))
    assert len(kept[0]) == 2
    assert sorted([*learnt[:, 0], *kept[0][:, 0]]) == x[:, 0].tolist()
    assert np.array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[0], kept[2])


@needs_digits
def test_a_data_set_by_name_is_measured_on_its_test_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rcz.save(untrained(), tmp_path / "m.rcz")
    (tmp_path / "r.toml").write_text('[[pass]]\nname = "train.fine_tune"\nepochs = 1', "utf-8")
    argv = ["compress", str(tmp_path / "m.rcz"), "--recipe", str(tmp_path / "r.toml"), "--train", "digits", "--json"]
    assert main([*argv, "-o", str(tmp_path / "o.rcz")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["accuracy_after"]["total"] == 360
    answers = accuracy(untrained(), *map(np.asarray, dataset().validation))
    assert document["stages"][0]["validation"] == (answers.total - answers.correct) / answers.total


def test_wrong_use_of_the_command_line_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, text, samples = _files(tmp_path)
    np.savez(tmp_path / "half.npz", x=few().inputs, y=few().targets, x_val=few().inputs)
    output = str(tmp_path / "o.rcz")
    cases = {
        "or give --train": ["--recipe", text],
        "give x_val and y_val, or none": ["--recipe", text, "--train", str(tmp_path / "half.npz")],
        "did you mean 'digits'": ["--recipe", text, "--train", "digit"],
        "none.npz: No such file": ["--recipe", text, "--train", str(tmp_path / "none.npz")],
        "is also read": ["--recipe", text, "--train", samples, "-o", samples],
    }
    for words, arguments in cases.items():
        assert main(["compress", model, "-o", output, *arguments]) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1), words
        assert words in err
    for words, arguments in {
        "--train needs --recipe": ["--train", samples],
        "--work needs --train": ["--recipe", text, "--work", str(tmp_path)],
    }.items():
        assert main(["compress", model, "-o", output, *arguments]) == 2
        assert words in capsys.readouterr().err
    assert not Path(output).exists()

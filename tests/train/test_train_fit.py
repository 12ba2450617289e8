"""The training loop: deterministic, resumed exactly after a kill, right in every step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.small_networks import classifier
from numpy.typing import NDArray

from refcompress.encodings import Codebook, decode, encode
from refcompress.errors import DataError, FormatError, OptionError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import make_attrs
from refcompress.run import run
from refcompress.train import (
    Adam,
    AdamW,
    GradualMasks,
    Masks,
    Plan,
    Progress,
    Sgd,
    Splicing,
    TiedCentroids,
    error_rate,
    fit,
    losses,
    masks_of,
    schedules,
)
from refcompress.train.scoring import logits_graph

ROOT = Path(__file__).parent.parent.parent
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 12)).astype(np.float32)
LABELS = np.argmax(X[:, :4] + X[:, 4:8], axis=1)


def weights(graph: Graph) -> dict[str, NDArray[np.float32]]:
    return {name: decode(encoding) for name, encoding in graph.params.items()}


def as_bytes(graph: Graph) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in weights(graph).items()}


def noisy(batch: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    return batch + rng.normal(size=batch.shape).astype(np.float32) * np.float32(0.1)


def everything() -> tuple[Graph, Plan]:
    """Return a network with dropout and normalization, and a plan that uses every kind of state and of chance."""
    graph = classifier()
    fc1, relu, fc2, softmax = graph.nodes
    roles = {"scale": "bn/s", "bias": "bn/b", "mean": "bn/m", "var": "bn/v"}
    nodes = (
        fc1,
        Node("BatchNormalization", "bn", ("h",), "n", roles, make_attrs("BatchNormalization", {"epsilon": 1e-3})),
        replace(relu, inputs=("n",)),
        Node("Dropout", "drop", ("a",), "d", attrs=make_attrs("Dropout", {"ratio": 0.25})),
        replace(fc2, inputs=("d",)),
        softmax,
    )
    start = {"bn/s": np.ones(32), "bn/b": np.zeros(32), "bn/m": np.zeros(32), "bn/v": np.ones(32)}
    params = {**graph.params, **{name: encode(array) for name, array in start.items()}}
    kernel = decode(graph.params["fc2/kernel"]).round()
    params["fc2/kernel"] = encode(kernel)
    plan = Plan(
        epochs=6,
        batch_size=16,
        optimizer=AdamW(),
        rate=schedules.one_cycle(0.02, 24),
        constraints=(
            GradualMasks(("fc1/kernel",), schedules.agp(0.7, begin=4, steps=12, every=4)),
            TiedCentroids(("fc2/kernel",), reassign_every=5),
        ),
        clip_norm=1.0,
        augment=noisy,
        validation=0.1,
        score=error_rate,
        keep_from=4,
        seed=3,
    )
    return Graph(graph.inputs, graph.outputs, nodes, params), plan


def test_a_network_learns() -> None:
    trained = fit(classifier(), X, LABELS, Plan(epochs=60, batch_size=16, rate=0.01))
    (probabilities,) = run(trained.graph, X)
    assert error_rate(probabilities, LABELS) == 0.0
    assert np.allclose(probabilities.sum(1), 1, atol=1e-6)  # the softmax is back
    assert trained.history[-1].loss < 0.1 * trained.history[0].loss
    assert trained.steps == 60 * 4
    assert trained.best_epoch == 60


def test_the_same_arguments_give_the_same_bytes_and_another_seed_gives_others() -> None:
    graph, plan = everything()
    first, second = (fit(graph, X, LABELS, plan) for _ in range(2))
    assert as_bytes(first.graph) == as_bytes(second.graph)
    assert first.history == second.history
    assert as_bytes(fit(graph, X, LABELS, replace(plan, seed=4)).graph) != as_bytes(first.graph)


def test_nothing_given_is_written_to() -> None:
    graph, plan = everything()
    before = as_bytes(graph)
    data = X.copy()
    fit(graph, X, LABELS, plan)
    assert as_bytes(graph) == before
    assert np.array_equal(X, data)


def test_a_step_is_that_of_a_loop_written_by_hand() -> None:
    rng = np.random.default_rng(1)
    w, x, y = rng.normal(size=(3, 2)), rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, make_attrs("Gemm", {}))
    graph = Graph((TensorSpec("x", (3,)),), ("y",), (node,), {"w": encode(w)})
    rates = [0.1, 0.2, 0.05]
    plan = Plan(
        epochs=3,
        batch_size=6,
        optimizer=Sgd(momentum=0.5, weight_decay=0.1),
        rate=lambda count: rates[count],
        loss=losses.mean_squared_error,
        clip_norm=0.3,
    )
    velocity = np.zeros_like(w)
    for rate in rates:
        grad = 2 * x.T @ (x @ w - y) / y.size
        grad *= min(1.0, 0.3 / np.sqrt((grad**2).sum()))
        velocity = 0.5 * velocity + grad + 0.1 * w
        w = w - rate * velocity
    # float32 throughout, some fifty roundings of numbers below 8
    assert np.abs(weights(fit(graph, x, y, plan).graph)["w"] - w).max() < 50 * 8 * 2.0**-24


@pytest.mark.parametrize(
    "optimizer", [Sgd(momentum=0.9, weight_decay=0.1), Adam(weight_decay=0.1), AdamW(weight_decay=0.1)]
)
def test_constraints_hold_in_the_trained_network(optimizer: Any) -> None:
    graph = classifier()
    kernel = decode(graph.params["fc1/kernel"])
    kernel[np.abs(kernel) < 0.7] = 0
    shared = np.round(decode(graph.params["fc2/kernel"]))
    graph = graph.with_params({"fc1/kernel": encode(kernel), "fc2/kernel": encode(shared)})
    held = (Masks(masks_of({"fc1/kernel": kernel})), TiedCentroids(("fc2/kernel",)))
    plan = Plan(epochs=3, batch_size=16, optimizer=optimizer, rate=0.01, constraints=held)
    trained = fit(graph, X, LABELS, plan).graph
    after = weights(trained)
    assert not after["fc1/kernel"].view(np.uint32)[kernel == 0].any()
    assert (after["fc1/kernel"] != kernel)[kernel != 0].any()
    assert not after["fc2/kernel"].view(np.uint32)[shared == 0].any()
    values = trained.params["fc2/kernel"].values
    assert isinstance(values, Codebook)
    assert len(values.centroids) == len(np.unique(shared))
    for value in np.unique(shared):
        assert len(np.unique(after["fc2/kernel"][shared == value])) == 1


def test_surgery_runs_in_the_loop_and_leaves_zeros() -> None:
    held = (Splicing({"fc1/kernel": (0.4, 0.5)}),)
    after = weights(fit(classifier(), X, LABELS, Plan(epochs=3, constraints=held)).graph)["fc1/kernel"]
    assert 0.2 < np.mean(after == 0) < 0.6
    assert np.abs(after[after != 0]).min() >= 0.4


def test_frozen_parameters_stay() -> None:
    graph, plan = everything()
    plan = replace(plan, frozen=("fc1/*", "bn/s"), constraints=(), moment_memory=1.0)
    before, after = weights(graph), weights(fit(graph, X, LABELS, plan).graph)
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert same == {"fc1/kernel", "fc1/bias", "bn/s", "bn/m", "bn/v"}


def test_the_best_weights_are_kept_and_patience_ends_the_training() -> None:
    scores = iter([0.5, 0.1, 0.3, 0.2, 0.4, 0.0])
    seen: list[Progress] = []
    plan = Plan(epochs=6, score=lambda *_: next(scores), patience=3, rate=0.01)
    trained = fit(classifier(), X, LABELS, plan, validation=(X[:5], LABELS[:5]), progress=seen.append)
    assert trained.best_epoch == 2
    assert [epoch.score for epoch in trained.history] == [0.5, 0.1, 0.3, 0.2, 0.4]
    stopped = fit(classifier(), X, LABELS, Plan(epochs=2, rate=0.01))
    assert as_bytes(trained.graph) == as_bytes(stopped.graph)
    assert [each.step for each in seen] == [1, 2, 3, 4, 5]


def test_epochs_before_keep_from_are_never_the_best_and_the_last_may_be_wanted() -> None:
    for keep, best in (("best", 4), ("last", 4)):
        scores = iter([0.0, 0.1, 0.3, 0.2])
        plan = Plan(epochs=4, score=lambda *_, given=scores: next(given), keep_from=3, keep=keep)  # type: ignore[arg-type]
        assert fit(classifier(), X, LABELS, plan, validation=(X, LABELS)).best_epoch == best


def test_a_validation_split_takes_its_share_and_trains_on_the_rest() -> None:
    seen: list[NDArray[Any]] = []
    counted: list[int] = []

    def spy(batch: NDArray[Any], _rng: np.random.Generator) -> NDArray[Any]:
        seen.append(batch)
        return batch

    def score(output: NDArray[Any], *_: object) -> float:
        counted.append(len(output))
        return 0.0

    fit(classifier(), X, LABELS, Plan(epochs=2, batch_size=7, validation=0.25, augment=spy, score=score))
    assert counted == [15, 15]
    for epoch in (np.concatenate(seen[:7]), np.concatenate(seen[7:])):
        assert len(epoch) == len(np.unique(epoch, axis=0)) == 45  # each once an epoch
    assert not np.array_equal(np.concatenate(seen[:7]), np.concatenate(seen[7:]))


def test_progress_tells_step_epoch_rate_and_time_left() -> None:
    seen: list[Progress] = []
    plan = Plan(epochs=3, batch_size=20, rate=lambda count: 0.001 * (count + 1))
    trained = fit(classifier(), X, LABELS, plan, progress=seen.append)
    assert [(each.step, each.epoch) for each in seen] == [(n, 1 + (n - 1) // 3) for n in range(1, 10)]
    assert [each.rate for each in seen] == [0.001 * n for n in range(1, 10)]
    assert [each.finished for each in seen if each.finished] == list(trained.history)
    assert seen[2].loss == trained.history[0].loss
    assert all(each.seconds_left > 0 and each.samples_per_second > 0 for each in seen[:-1])
    assert seen[-1].seconds_left == 0


def test_a_teacher_sees_the_batch_and_the_loss_its_answer() -> None:
    teacher = fit(classifier(), X, LABELS, Plan(epochs=20, rate=0.01)).graph
    plan = Plan(
        epochs=40,
        rate=0.01,
        loss=losses.distillation,
        augment=noisy,
        teacher=lambda batch: run(logits_graph(teacher), batch)[0],
        score=error_rate,
    )
    trained = fit(classifier(seed=5), X, LABELS, plan, validation=(X, LABELS))
    assert trained.history[-1].loss < 0.2 * trained.history[0].loss


class KilledError(Exception):
    """Stands for the end of a process."""


@pytest.mark.parametrize("kill_at", [1, 3, 4, 11, 23])
def test_a_training_that_ends_anywhere_goes_on_to_the_same_bytes(tmp_path: Path, kill_at: int) -> None:
    graph, plan = everything()
    whole = fit(graph, X, LABELS, plan)
    path = tmp_path / "run.npz"

    def kill(now: Progress) -> None:
        if now.step == kill_at:
            raise KilledError

    with pytest.raises(KilledError):
        fit(graph, X, LABELS, plan, checkpoint=path, checkpoint_seconds=0, progress=kill)
    seen: list[Progress] = []
    resumed = fit(graph, X, LABELS, plan, checkpoint=path, progress=seen.append)
    assert seen[0].step == kill_at + 1
    assert as_bytes(resumed.graph) == as_bytes(whole.graph)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    again = fit(graph, X, LABELS, plan, checkpoint=path)  # nothing is left to do
    assert as_bytes(again.graph) == as_bytes(whole.graph)


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}, {here!r}]
import test_train_fit as t
graph, plan = t.everything()
done = t.fit(graph, t.X, t.LABELS, plan, checkpoint={path!r}, checkpoint_seconds=0,
             progress=lambda now: print(now.step, flush=True))
t.np.savez({out!r}, **t.weights(done.graph))
"""


def test_a_process_killed_with_signal_9_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    path, out = tmp_path / "run.npz", tmp_path / "weights.npz"
    places = {"root": str(ROOT), "tests": str(ROOT / "tests"), "here": str(Path(__file__).parent)}
    script = textwrap.dedent(SCRIPT).format(**places, path=str(path), out=str(out))
    command = [sys.executable, "-c", script]
    for kill_after in (2, 9, 17):  # three kills, each where the run before had come to
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) >= kill_after:
                    os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
                    break
        assert process.returncode != 0
        assert not out.exists()
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    graph, plan = everything()
    with np.load(out) as ended:
        assert {name: ended[name].tobytes() for name in ended} == as_bytes(fit(graph, X, LABELS, plan).graph)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    plan = Plan(epochs=1)
    fit(classifier(), X, LABELS, plan, checkpoint=path)
    calls: list[tuple[Graph, NDArray[Any], NDArray[Any], Plan]] = [
        (classifier(seed=1), X, LABELS, plan),
        (classifier(), X + 1, LABELS, plan),
        (classifier(), X, 3 - LABELS, plan),
        (classifier(), X, LABELS, replace(plan, seed=1)),
        (classifier(), X, LABELS, replace(plan, rate=0.5)),
        (classifier(), X, LABELS, replace(plan, optimizer=Sgd())),
        (classifier(), X, LABELS, replace(plan, constraints=(TiedCentroids(("fc2/kernel",)),))),
    ]
    for call in calls:
        with pytest.raises(DataError, match="another network, other data or other options"):
            fit(*call, checkpoint=path)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    fit(classifier(), X, LABELS, Plan(epochs=1), checkpoint=path)
    data = path.read_bytes()
    for damaged in (b"", b"no archive", data[: len(data) // 2], data[:200] + b"\xff" + data[201:]):
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match="no checkpoint of a training, or damaged"):
            fit(classifier(), X, LABELS, Plan(epochs=1), checkpoint=path)


def test_any_byte_changed_in_a_checkpoint_is_an_error_of_ours_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, make_attrs("Gemm", {}))
    tiny = Graph((TensorSpec("x", (1,)),), ("y",), (node,), {"w": encode([[1.0, 2.0]])})
    data, labels = np.ones((2, 1)), np.array([0, 1])
    done = fit(tiny, data, labels, Plan(epochs=1), checkpoint=path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :])
        try:
            again = fit(tiny, data, labels, Plan(epochs=1), checkpoint=path)
        except (FormatError, DataError):
            continue
        assert as_bytes(again.graph) == as_bytes(done.graph)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Plan(epochs=0), OptionError, "epochs = 0"),
        (lambda: Plan(epochs=1, patience=0), OptionError, "patience = 0"),
        (lambda: Plan(epochs=1, validation=1.0), OptionError, "validation share of 1.0"),
        (lambda: Plan(epochs=1, keep="first"), OptionError, "keep = 'first'"),  # type: ignore[arg-type]
        (lambda: Plan(epochs=1, rate=-1.0), OptionError, "rate of -1.0"),
        (lambda: Plan(epochs=1, moment_memory=2.0), OptionError, "memory of 2.0"),
        (lambda: fit(classifier(), X, LABELS[:5], Plan(epochs=1)), DataError, "for 60 samples"),
        (lambda: fit(classifier(), X[:0], LABELS[:0], Plan(epochs=1)), DataError, "no samples"),
        (lambda: fit(classifier(), X[:2], LABELS[:2], Plan(epochs=1, validation=0.1)), DataError, "both parts"),
        (lambda: fit(classifier(), X, LABELS, Plan(epochs=1, frozen=("x*",))), OptionError, "no parameter is named"),
        (lambda: fit(classifier(), X * np.inf, LABELS, Plan(epochs=1)), DataError, "the loss is nan at step 1"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message), np.errstate(invalid="ignore"):
        call()

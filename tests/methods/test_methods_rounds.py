"""Every method: the same bytes again, also after it was killed in any round; directories of other calls are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from checks.digit_networks import as_bytes, dataset, trained

from refcompress.errors import DataError
from refcompress.graph import Graph
from refcompress.methods import METHODS
from refcompress.passes import LayerRule
from refcompress.train import AdamW, Fitted, Plan, Progress, error_rate

PLAN = Plan(epochs=2, batch_size=50, rate=0.005, score=error_rate, optimizer=AdamW(), seed=3)
OPTIONS: dict[str, dict[str, Any]] = {
    "train.fine_tune": {},
    "train.prune_gradually": {"sparsity": 0.6, "every": 1},
    "train.prune_iteratively": {"sparsities": (0.3, 0.5, 0.7)},
    "train.quantize_aware": {"weight_bits": 4},
    "train.raise_threshold": {"start": 0.5, "step": 0.3, "budget": 0.05, "max_rounds": 3},
    "train.surgery": {"rate": 0.3},
}


def run(name: str, graph: Graph | None = None, plan: Plan = PLAN, **more: Any) -> Fitted:
    return METHODS[name](graph or trained(), dataset(200), plan, **{**OPTIONS[name], **more})


def same(first: Fitted, second: Fitted) -> bool:
    mine, other = ((each.history, each.best_epoch, each.steps, each.graph.nodes) for each in (first, second))
    return as_bytes(first.graph) == as_bytes(second.graph) and mine == other


class KilledError(Exception):
    """Stands for the end of a process."""


def killer(step: int) -> Callable[[Progress], None]:
    left = iter(range(step - 1))

    def kill(_now: Progress) -> None:
        if next(left, None) is None:
            raise KilledError

    return kill


def test_every_method_is_tried_here() -> None:
    assert set(OPTIONS) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_call_gives_the_same_bytes_and_another_seed_gives_others(name: str) -> None:
    first = run(name)
    assert same(first, run(name))
    assert not same(first, run(name, plan=replace(PLAN, seed=4)))


@pytest.mark.parametrize("name", METHODS)
# an epoch has 4 steps, a round 8
@pytest.mark.parametrize("place", [4, 5, 8, 10, 12])
def test_a_method_that_was_killed_goes_on_to_the_same_bytes(name: str, place: int, tmp_path: Path) -> None:
    whole = run(name)
    directory = tmp_path / "made" / "when missing"
    killed = place <= whole.steps
    assert killed or name in {"train.fine_tune", "train.prune_gradually", "train.quantize_aware", "train.surgery"}
    if killed:
        with pytest.raises(KilledError):
            run(name, directory=directory, progress=killer(place))
    seen: list[Progress] = []
    assert same(run(name, directory=directory, progress=seen.append), whole)
    kept = place // 4 * 4 if killed else 0  # what ended with an epoch is on the disk
    assert len(seen) == whole.steps - kept
    # nothing is left to do, and the answer is still the same
    assert same(run(name, directory=directory, progress=killer(1)), whole)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("train.fine_tune", {"gradient": "mean"}),
        ("train.prune_gradually", {"sparsity": 0.7}),
        ("train.prune_gradually", {"layers": [LayerRule("fc1", {"sparsity": 0.7})]}),
        ("train.prune_iteratively", {"sparsities": (0.3, 0.5, 0.8)}),
        ("train.quantize_aware", {"range_memory": 0.9}),
        ("train.quantize_aware", {"layers": [LayerRule("fc1", {"weight_bits": 3})]}),
        ("train.raise_threshold", {"budget": 0.04}),
        ("train.surgery", {"gamma": 0.0}),
    ],
)
def test_a_directory_of_another_call_is_refused(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    run(name, directory=tmp_path)
    with pytest.raises(DataError, match="holds the rounds of another call"):
        run(name, directory=tmp_path, **options)
    other = next(each for each in METHODS if each != name)
    with pytest.raises(DataError, match="holds the rounds of another call"):
        run(other, directory=tmp_path)
    with pytest.raises(DataError, match="another network, other data or other options"):
        run(name, directory=tmp_path, plan=replace(PLAN, rate=0.1))


def test_rounds_have_a_file_each(tmp_path: Path) -> None:
    run("train.prune_iteratively", directory=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["method.json", *(f"round-{n}.npz" for n in (1, 2, 3))]

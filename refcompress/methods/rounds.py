"""Rounds: the fits a method consists of, each with its checkpoint, its seed and its share of the progress."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from refcompress.errors import DataError
from refcompress.files import write_file
from refcompress.graph import Graph
from refcompress.passes.rules import LayerRule
from refcompress.train.dataset import Dataset
from refcompress.train.fit import fit
from refcompress.train.plan import Epoch, Fitted, Plan, Progress
from refcompress.train.samples import samples_of

Directory = str | os.PathLike[str] | None
Report = Callable[[Progress], None] | None

_RECORD = "method.json"


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """What the rounds of a method have in common.

    Attributes
    ----------
    data, plan
        As the method got them.
    directory
        Where ``round-1.npz``, ``round-2.npz``, ... are kept; None for nowhere.
    progress
        Called after each step.
    count
        Rounds there will be; None if nobody knows: then progress is that of each round.

    """

    data: Dataset
    plan: Plan
    directory: Path | None
    progress: Report
    count: int | None = 1

    def fit(self, graph: Graph, number: int, plan: Plan | None = None) -> Fitted:
        """Train a network as the round of this number, from 1; a finished round is read from its checkpoint.

        Parameters
        ----------
        graph
            The network this round begins with.
        number
            Of the round.
        plan
            The plan with this round's constraints; None for that of all rounds.

        """
        own = replace(plan or self.plan, seed=seed_of(self.plan.seed, number))
        return fit(
            graph,
            self.data.inputs,
            self.data.targets,
            own,
            validation=self.data.validation,
            checkpoint=None if self.directory is None else self.directory / f"round-{number}.npz",
            progress=None if self.progress is None else self._reporter(graph, self.progress, number),
        )

    def _reporter(self, graph: Graph, progress: Callable[[Progress], None], number: int) -> Callable[[Progress], None]:
        count = self.count
        if count is None or count == 1:
            return progress
        samples = len(samples_of(graph, self.data.inputs, self.data.targets))

        def report(now: Progress) -> None:
            epochs = (number - 1) * now.epochs
            step, steps = (number - 1) * now.steps + now.step, count * now.steps
            steps_per_second = now.samples_per_second * (now.steps // now.epochs) / samples
            progress(
                replace(
                    now,
                    step=step,
                    steps=steps,
                    epoch=epochs + now.epoch,
                    epochs=count * now.epochs,
                    seconds_left=(steps - step) / steps_per_second,
                    finished=None if now.finished is None else replace(now.finished, number=epochs + now.epoch),
                )
            )

        return report


def start(
    method: str,
    options: Mapping[str, Any],
    data: Dataset,
    plan: Plan,
    directory: Directory,
    progress: Report,
    *,
    count: int | None = 1,
) -> Rounds:
    """Begin the rounds of a method, or take up those in its directory.

    Parameters
    ----------
    method, options
        What the rounds are of: kept in the directory's ``method.json``, so that no other call goes on with them. What
        the plan says is compared by each round's checkpoint.
    data, plan, directory, progress, count
        As :class:`Rounds` has them; the directory is made if it is missing.

    Raises
    ------
    DataError
        The directory holds the rounds of another call.
    OSError
        The system refuses.

    """
    if directory is None:
        return Rounds(data, plan, None, progress, count)
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    record = place / _RECORD
    wanted = json.dumps({"method": method, **options}, default=_plain, sort_keys=True) + "\n"
    if not record.exists():
        write_file(record, wanted.encode())
    elif (found := record.read_bytes()) != wanted.encode():
        raise DataError(
            f"{place} holds the rounds of another call, {found.decode(errors='replace').strip()}; "
            f"this one is {wanted.strip()}: give another directory, or delete it to start anew"
        )
    return Rounds(data, plan, place, progress, count)


def seed_of(seed: int, number: int) -> int:
    """Seed of a round: the plan's for the first, numbers drawn from it for the others.

    Examples
    --------
    >>> seed_of(7, 1), seed_of(7, 2) == seed_of(7, 3)
    (7, False)

    """
    return seed if number == 1 else int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def steps_per_epoch(graph: Graph, data: Dataset, plan: Plan) -> int:
    """Return the steps of each epoch."""
    return math.ceil(len(samples_of(graph, data.inputs, data.targets)) / plan.batch_size)


def from_epoch_of(plan: Plan, step: int, per_epoch: int) -> Plan:
    """Return the plan in which no epoch that ends before this step can be the best.

    Examples
    --------
    >>> from_epoch_of(Plan(epochs=5), 21, 10).keep_from
    3

    """
    return replace(plan, keep_from=max(plan.keep_from, math.ceil(step / per_epoch)))


def score_after(fitted: Fitted) -> float:
    """Return the validation score of the weights that a round returned; infinite without one."""
    score = fitted.history[fitted.best_epoch - 1].score
    return math.inf if score is None else score


def joined(rounds: Sequence[Fitted], graph: Graph, chosen: int | None) -> Fitted:
    """Return what all rounds gave as one training, epochs counted through.

    Parameters
    ----------
    rounds
        What each round returned.
    graph
        The network to return.
    chosen
        Index of the round it is of; None if it is the network that the method was given, whose best epoch is 0.

    """
    history: list[Epoch] = []
    starts = []
    for each in rounds:
        starts.append(len(history))
        history += [replace(epoch, number=len(history) + epoch.number) for epoch in each.history]
    best = 0 if chosen is None else starts[chosen] + rounds[chosen].best_epoch
    return Fitted(graph, tuple(history), best, sum(each.steps for each in rounds))


def _plain(value: object) -> object:
    if isinstance(value, LayerRule):
        return [value.match, dict(value.options)]
    return str(value)

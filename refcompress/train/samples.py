"""Samples of a training: checked, split, ordered and augmented; what is random in it, and on what it depends."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcompress.errors import DataError
from refcompress.graph import Graph
from refcompress.run import Inputs, check_inputs
from refcompress.train.plan import Plan

Targets = ArrayLike | tuple[ArrayLike, ...]
_CALIBRATING = 1024  # samples at most
# what random numbers are for: each purpose has streams of its own
_SPLIT, _ORDER, _AUGMENT, _DROPOUT = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Inputs and targets, sample by sample.

    Attributes
    ----------
    inputs
        Name of the input to array (samples, *shape).
    targets
        Arrays (samples, ...).

    """

    inputs: Mapping[str, NDArray[Any]]
    targets: tuple[NDArray[Any], ...]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def __getitem__(self, which: NDArray[np.intp]) -> Samples:
        return Samples({name: a[which] for name, a in self.inputs.items()}, tuple(a[which] for a in self.targets))


def calibration_samples(graph: Graph, inputs: Inputs) -> dict[str, NDArray[Any]]:
    """Return up to 1024 samples, evenly spaced: where they are sorted by class, all classes are among them.

    Parameters
    ----------
    graph, inputs
        A network and what it takes.

    Raises
    ------
    DataError
        The inputs do not fit the network.

    """
    arrays = check_inputs(graph, inputs)
    every = max(1, math.ceil(len(next(iter(arrays.values()), ())) / _CALIBRATING))
    return {name: array[::every] for name, array in arrays.items()}


def samples_of(graph: Graph, inputs: Inputs, targets: Targets) -> Samples:
    """Match inputs and targets with a network.

    Raises
    ------
    DataError
        They do not fit the network or each other, or there are none.

    """
    arrays = check_inputs(graph, inputs)
    wanted = tuple(np.asarray(each) for each in (targets if isinstance(targets, tuple) else (targets,)))
    samples = Samples(arrays, wanted)
    if not arrays or len(samples) == 0:
        raise DataError("no samples; training needs at least one")
    for each in wanted:
        if each.ndim == 0 or len(each) != len(samples):
            raise DataError(f"targets of shape {each.shape} for {len(samples)} samples; there must be one for each")
    return samples


def split(plan: Plan, samples: Samples) -> tuple[Samples, Samples]:
    """Set a share of the samples aside for validation, chosen by the seed; both parts keep their order.

    Raises
    ------
    DataError
        A part would be empty.

    """
    order = _random(plan, _SPLIT).permutation(len(samples))
    count = round(plan.validation * len(samples))
    if not 0 < count < len(samples):
        raise DataError(f"{plan.validation} of {len(samples)} samples for validation; both parts need samples")
    return samples[np.sort(order[count:])], samples[np.sort(order[:count])]


def all_targets(plan: Plan, samples: Samples) -> tuple[NDArray[Any], ...]:
    """Return what the loss gets after the output: the targets, and what the teacher says if there is one."""
    return samples.targets if plan.teacher is None else (*samples.targets, plan.teacher(samples.inputs))


def augmented(plan: Plan, batch: Samples, count: int) -> Samples:
    """Return the batch of the step after ``count`` others as the network sees it."""
    if plan.augment is None:
        return batch
    rng = _random(plan, _AUGMENT, count)
    return replace(batch, inputs={name: plan.augment(array, rng) for name, array in batch.inputs.items()})


def order_of(plan: Plan, epoch: int, samples: int) -> NDArray[np.intp]:
    """Return the order of the samples in an epoch, counted from 0."""
    return _permutation(plan.seed, epoch, samples)


@functools.lru_cache(maxsize=1)
def _permutation(seed: int, epoch: int, samples: int) -> NDArray[np.intp]:
    order = np.random.default_rng([seed, _ORDER, epoch]).permutation(samples)
    order.flags.writeable = False  # every step of the epoch gets this array
    return order


def dropout_random(plan: Plan, count: int) -> np.random.Generator:
    """Return the generator of dropout for the step after ``count`` others."""
    return _random(plan, _DROPOUT, count)


def _random(plan: Plan, purpose: int, number: int = 0) -> np.random.Generator:
    return np.random.default_rng([plan.seed, purpose, number])

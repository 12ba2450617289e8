"""What a training is to do, what it tells on its way, and what it returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.integer import Quantization
from refcompress.train import losses
from refcompress.train.constraints import Array, Constraint
from refcompress.train.optimizers import Adam, Optimizer
from refcompress.train.schedules import Schedule
from refcompress.train.simulated_activations import SimulatedActivations

Loss = Callable[..., tuple[float, Array]]
Score = Callable[..., float]
Augment = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]
Teacher = Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Options of :func:`refcompress.train.fit.fit`.

    Attributes
    ----------
    epochs
        How often every sample is seen, at least 1.
    batch_size
        Samples of a step; the last batch of an epoch may be smaller.
    optimizer, rate
        How parameters move; the rate is a number or a schedule, asked with the number of steps taken.
    loss
        ``(output, *targets) -> (value, gradient by the output)``, the mean over the samples.
    from_logits
        Whether the loss takes logits: then a Softmax or Sigmoid that makes the network's output is left out in
        training and validation. Say False for :func:`refcompress.train.losses.mean_squared_error` of probabilities.
    score
        ``(output, *targets) -> number``, the smaller the better, of all validation samples; None for the loss.
    constraints
        Masks, surgery, tied centroids: each holds parameters of its own.
    activations
        Those that are rounded to integers in training and validation, gradients passing straight through; None for
        real numbers.
    frozen
        Names or globs of parameters that do not move.
    clip_norm
        Greatest length of all gradients together; None for no limit.
    augment
        ``(inputs, rng) -> inputs``, for networks with one input; never used in validation.
    teacher
        ``{input: batch} -> array`` that the loss and the score get after the targets: a teacher sees the batch as it
        is after augmentation.
    batch_moments, moment_memory
        Whether batch normalizations train on the moments of each batch, and how slowly those kept for inference
        follow (Keras's momentum).
    validation
        Share of the samples set aside, 0 <= share < 1, chosen by the seed; without effect if validation data is given.
    patience
        Epochs without a better score after which to stop; None for no end before the last epoch.
    keep
        ``"best"``: the weights of the epoch with the best score (the last epoch's without validation);
        ``"last"``: those of the last one.
    keep_from
        First epoch, from 1, that can be the best and that counts for patience: where a gradual pruning ends.
    seed
        Of the order of samples, augmentation, dropout and the validation split, 0 or more.

    Raises
    ------
    OptionError
        An option is out of range.

    Examples
    --------
    >>> Plan(epochs=3).batch_size
    64

    """

    epochs: int
    batch_size: int = 64
    optimizer: Optimizer = field(default_factory=Adam)
    rate: float | Schedule = 1e-3
    loss: Loss = losses.softmax_cross_entropy
    from_logits: bool = True
    score: Score | None = None
    constraints: tuple[Constraint, ...] = ()
    activations: SimulatedActivations | None = None
    frozen: tuple[str, ...] = ()
    clip_norm: float | None = None
    augment: Augment | None = None
    teacher: Teacher | None = None
    batch_moments: bool = True
    moment_memory: float = 0.99
    validation: float = 0.0
    patience: int | None = None
    keep: Literal["best", "last"] = "best"
    keep_from: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for what, value, least in (
            ("epochs", self.epochs, 1),
            ("batch_size", self.batch_size, 1),
            ("keep_from", self.keep_from, 1),
            ("patience", 1 if self.patience is None else self.patience, 1),
            ("seed", self.seed, 0),
        ):
            if value < least:
                raise OptionError(f"{what} = {value}; it must be at least {least}")
        if not 0 <= self.validation < 1:
            raise OptionError(f"a validation share of {self.validation}; allowed is 0 <= share < 1")
        if not 0 <= self.moment_memory <= 1:
            raise OptionError(f"a moment memory of {self.moment_memory}; it must be from 0 to 1")
        if self.keep not in {"best", "last"}:
            raise OptionError(f"keep = {self.keep!r}; it must be 'best' or 'last'")
        if not callable(self.rate) and not (math.isfinite(self.rate) and self.rate >= 0):
            raise OptionError(f"a rate of {self.rate}; it must be finite and at least 0")

    def rate_at(self, count: int) -> float:
        """Return the rate after so many steps."""
        return self.rate(count) if callable(self.rate) else self.rate


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch gave.

    Attributes
    ----------
    number
        From 1.
    loss
        Mean loss of its training batches while the weights moved.
    score
        Of the validation samples after it; None without any.
    rate
        Of its last step.

    """

    number: int
    loss: float
    score: float | None
    rate: float


@dataclass(frozen=True, slots=True)
class Progress:
    """What is reported after each step.

    Attributes
    ----------
    step, steps
        Steps taken, and steps in all if no early stopping ends them.
    epoch, epochs
        The epoch of this step, from 1, and how many there are.
    loss
        Mean loss of the epoch so far.
    rate
        Learning rate of the step.
    samples_per_second
        Since this run began or resumed, validation included.
    seconds_left
        At this pace, to the last step.
    finished
        The epoch that this step finished, or None.

    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    rate: float
    samples_per_second: float
    seconds_left: float
    finished: Epoch | None


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A trained network.

    Attributes
    ----------
    graph
        The network with its new parameters: tied weights as codebooks, quantized ones as integers, all others as
        float32.
    history
        What each epoch gave.
    best_epoch
        The epoch, from 1, whose weights these are; 0 if they are those from before the training.
    steps
        Steps taken.
    quantizations
        Of the activations that were simulated: with them :func:`refcompress.quantize_network` makes the integer network
        that was trained. Empty if none were.

    """

    graph: Graph
    history: tuple[Epoch, ...]
    best_epoch: int
    steps: int
    quantizations: Mapping[str, Quantization] = field(default_factory=dict)


def error_rate(output: Array, labels: NDArray[Any], *_others: object) -> float:
    """Share of samples whose largest output is not that of the label: a score for classification.

    Parameters
    ----------
    output
        (samples, ..., classes).
    labels
        Integers (samples, ...), or probabilities of the shape of the output.

    Examples
    --------
    >>> error_rate(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5

    """
    wanted = labels.argmax(-1) if labels.shape == output.shape else labels
    return float(np.mean(output.argmax(-1) != wanted))

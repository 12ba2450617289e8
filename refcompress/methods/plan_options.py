"""From the options of a training step, as a recipe has them, to a plan."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.kinds import FLAG, NUMBER, WHOLE, Kind
from refcompress.passes.rules import check_choice, check_number, check_whole
from refcompress.run import run
from refcompress.train import augment, losses, schedules
from refcompress.train.optimizers import Adam, AdamW, Optimizer, Sgd
from refcompress.train.plan import Augment, Loss, Plan, Score, Teacher, error_rate
from refcompress.train.schedules import Schedule
from refcompress.train.scoring import logits_graph

PLAN_OPTIONS: Mapping[str, Kind] = MappingProxyType(
    {
        "epochs": WHOLE,
        "batch_size": WHOLE,
        "loss": ("cross_entropy", "binary_cross_entropy", "squared_error"),
        "optimizer": ("adam", "adamw", "sgd"),
        "momentum": NUMBER,
        "nesterov": FLAG,
        "weight_decay": NUMBER,
        "rate": NUMBER,
        "schedule": ("constant", "cosine", "one_cycle"),
        "hold": NUMBER,
        "warm_up": NUMBER,
        "clip_norm": NUMBER,
        "label_smoothing": NUMBER,
        "seed": WHOLE,
        "keep": ("best", "last"),
        "patience": WHOLE,
        "shift_pixels": WHOLE,
        "rotate_degrees": NUMBER,
        "elastic_alpha": NUMBER,
        "elastic_sigma": NUMBER,
        "distill_weight": NUMBER,
        "distill_temperature": NUMBER,
        "batch_moments": FLAG,
    }
)
"""What every training step takes: name to kind. The epochs must be given."""

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "batch_size": 64,
        "loss": "cross_entropy",
        "optimizer": "adam",
        "momentum": 0.0,
        "nesterov": False,
        "rate": 1e-3,
        "schedule": "constant",
        "hold": 0.0,
        "warm_up": 0.0,
        "label_smoothing": 0.0,
        "seed": 0,
        "keep": "best",
        "shift_pixels": 0,
        "rotate_degrees": 0.0,
        "elastic_alpha": 0.0,
        "elastic_sigma": 4.0,
        "distill_weight": 0.0,
        "distill_temperature": 4.0,
        "batch_moments": True,
    }
)
"""What an option is where a recipe does not name it; those that are missing here are then off."""

_LOSSES: Mapping[str, Loss] = {
    "cross_entropy": losses.softmax_cross_entropy,
    "binary_cross_entropy": losses.binary_cross_entropy,
    "squared_error": losses.mean_squared_error,
}
# an option that would do nothing is refused: it is of use only with these values of another one
_NEEDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "momentum": ("optimizer", ("sgd",)),
    "nesterov": ("optimizer", ("sgd",)),
    "hold": ("schedule", ("cosine",)),
    "warm_up": ("schedule", ("constant", "cosine")),
    "label_smoothing": ("loss", ("cross_entropy",)),
    "distill_weight": ("loss", ("cross_entropy",)),
}
# least and greatest value of numbers that the plan and its parts do not check by themselves, or only while training
_RANGES: Mapping[str, tuple[float, float]] = {
    "rate": (0, math.inf),
    "weight_decay": (0, math.inf),
    "hold": (0, 1),
    "warm_up": (0, 1),
    "clip_norm": (np.finfo(np.float64).tiny, math.inf),
    "label_smoothing": (0, 1),
    "rotate_degrees": (0, math.inf),
    "elastic_alpha": (0, math.inf),
    "elastic_sigma": (np.finfo(np.float64).tiny, math.inf),
    "distill_weight": (0, 1),
    "distill_temperature": (np.finfo(np.float64).tiny, math.inf),
}


def make_plan(options: Mapping[str, Any], *, samples: int, teacher: Graph | None = None) -> Plan:
    """Make the plan of a training step.

    Parameters
    ----------
    options
        Those of :data:`PLAN_OPTIONS` that the recipe names, of their kinds.
    samples
        How many samples it trains on: schedules are stretched over the steps that come of it.
    teacher
        The network that teaches this one where ``distill_weight`` is above 0; it takes the same inputs.

    Returns
    -------
    Plan
        Its score is the error rate where targets are integers (with the cross-entropy), and the loss otherwise.

    Raises
    ------
    OptionError
        An option is out of range or would do nothing, or there is no teacher.

    Examples
    --------
    >>> plan = make_plan({"epochs": 3, "rate": 0.1, "schedule": "cosine", "hold": 0.5}, samples=640)
    >>> [round(plan.rate_at(step), 3) for step in (0, 15, 22, 30)]
    [0.1, 0.1, 0.055, 0.0]

    """
    chosen = {**DEFAULTS, **options}
    _check(options, chosen)
    steps = chosen["epochs"] * math.ceil(samples / chosen["batch_size"])
    return Plan(
        epochs=chosen["epochs"],
        batch_size=chosen["batch_size"],
        optimizer=_optimizer(chosen),
        rate=_rate(chosen, steps),
        loss=_loss(chosen),
        from_logits=chosen["loss"] != "squared_error",
        score=score_of(chosen["loss"]),
        clip_norm=chosen.get("clip_norm"),
        augment=_augment(chosen),
        teacher=_teacher(teacher) if chosen["distill_weight"] > 0 else None,
        patience=chosen.get("patience"),
        batch_moments=chosen["batch_moments"],
        keep=chosen["keep"],
        seed=chosen["seed"],
    )


def score_of(loss: str) -> Score:
    """Return the score that goes with a loss: the error rate where targets are classes, else the loss itself.

    Parameters
    ----------
    loss
        As the option says it.

    Examples
    --------
    >>> score_of("cross_entropy")(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([1, 1]))
    0.5

    """

    def score(output: NDArray[Any], targets: NDArray[Any], *_others: object) -> float:
        if scores_errors(loss, targets):
            return error_rate(output, targets)
        return _LOSSES[loss](output, targets)[0]

    return score


def scores_errors(loss: str, targets: NDArray[Any]) -> bool:
    """Whether the score is an error rate.

    Examples
    --------
    >>> scores_errors("cross_entropy", np.array([3])), scores_errors("squared_error", np.array([3]))
    (True, False)

    """
    return loss == "cross_entropy" and np.asarray(targets).dtype.kind in "biu"


def _check(options: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    check_whole("epochs", chosen.get("epochs"), 1, 1 << 30)
    check_whole("batch_size", chosen["batch_size"], 1, 1 << 30)
    check_whole("shift_pixels", chosen["shift_pixels"], 0, 1 << 15)
    for name, kind in PLAN_OPTIONS.items():
        if isinstance(kind, tuple):
            check_choice(name, chosen[name], kind)
    for name, (least, most) in _RANGES.items():
        if name in chosen:
            check_number(name, chosen[name], least, most)
    for name, (other, useful) in _NEEDS.items():
        if name in options and chosen[other] not in useful:
            raise OptionError(
                f"{name} does nothing where {other} is {chosen[other]!r}; leave it out, or take {' or '.join(useful)}"
            )
    for name, other in (("elastic_sigma", "elastic_alpha"), ("distill_temperature", "distill_weight")):
        if name in options and not chosen[other] > 0:
            raise OptionError(f"{name} does nothing without {other}; give both, or neither")


def _optimizer(chosen: Mapping[str, Any]) -> Optimizer:
    decay = {"weight_decay": chosen["weight_decay"]} if "weight_decay" in chosen else {}
    if chosen["optimizer"] == "sgd":
        return Sgd(momentum=chosen["momentum"], nesterov=chosen["nesterov"], **decay)
    return AdamW(**decay) if chosen["optimizer"] == "adamw" else Adam(**decay)


def _rate(chosen: Mapping[str, Any], steps: int) -> Schedule:
    rate, warm = chosen["rate"], round(chosen["warm_up"] * steps)
    if chosen["schedule"] == "one_cycle":
        return schedules.one_cycle(rate, steps)
    if warm >= steps:
        raise OptionError(f"a warm_up of {chosen['warm_up']} leaves no step of {steps} at the full rate; give less")
    schedule = schedules.constant(rate)
    if chosen["schedule"] == "cosine":
        held = max(round(chosen["hold"] * steps) - warm, 0)
        if held >= steps - warm:
            raise OptionError(f"a hold of {chosen['hold']} leaves the cosine no step of {steps}; give less")
        schedule = schedules.cosine(rate, steps - warm, begin=held)
    return schedules.warm_up(schedule, warm)


def _loss(chosen: Mapping[str, Any]) -> Loss:
    smoothing, weight = chosen["label_smoothing"], chosen["distill_weight"]
    if weight > 0:
        return functools.partial(
            losses.distillation,
            temperature=chosen["distill_temperature"],
            hard_weight=1 - weight,
            label_smoothing=smoothing,
        )
    loss = _LOSSES[chosen["loss"]]
    return functools.partial(loss, label_smoothing=smoothing) if smoothing > 0 else loss


def _augment(chosen: Mapping[str, Any]) -> Augment | None:
    changes: list[Callable[..., NDArray[Any]]] = []
    if chosen["elastic_alpha"] > 0:
        alpha, sigma = chosen["elastic_alpha"], chosen["elastic_sigma"]
        changes.append(functools.partial(augment.elastic, alpha=alpha, sigma=sigma))
    if chosen["rotate_degrees"] > 0:
        changes.append(functools.partial(augment.rotate, degrees=chosen["rotate_degrees"]))
    if chosen["shift_pixels"] > 0:
        changes.append(functools.partial(augment.shift, pixels=chosen["shift_pixels"]))
    if not changes:
        return None

    def change(inputs: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        for each in changes:
            inputs = each(inputs, rng)
        return inputs

    return change


def _teacher(teacher: Graph | None) -> Teacher:
    if teacher is None:
        raise OptionError("distill_weight without a teacher; give the network that is to teach, or leave it out")
    logits = logits_graph(teacher)
    names = [spec.name for spec in logits.inputs]

    def answers(inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        return run(logits, dict(zip(names, inputs.values(), strict=True)))[0]

    return answers

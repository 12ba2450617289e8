"""Splicing: masked weights keep learning and may return (dynamic network surgery)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding
from refcompress.errors import OptionError
from refcompress.train.constraints import Array, Arrays, ConstraintState, as_float32, check_names, zeroed

Thresholds = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Splicing:
    """Dynamic network surgery (Guo, Yao & Chen, NeurIPS 2016).

    The network runs with ``W * T``. The gradient of ``W * T`` moves all of W, masked weights too (equation 4), and the
    masks T follow the magnitudes with two thresholds a < b (equation 3): a weight is pruned below a, returns from b on,
    and stays what it is in between.

    Masks are updated after each step with the probability ``(1 + gamma n)^-power``, n the steps taken before it, and no
    more after step ``until`` (the paper's non-increasing trigger, section 3.2, in the form of the authors' program).

    Attributes
    ----------
    thresholds
        Name of a weight to (a, b), 0 <= a <= b; see :func:`thresholds_from`.
    gamma, power
        At least 0. With a gamma of 0 masks are updated at every step.
    until
        Last step that may update masks; None for no end.
    seed
        Of the random trigger. Whether a step updates depends on the seed and its number alone, so that a resumed
        training goes the same way.

    Raises
    ------
    OptionError
        An option is out of range.

    Examples
    --------
    >>> surgery = Splicing({"w": (1.0, 2.0)})
    >>> latents, state = surgery.start({"w": np.array([0.5, 1.5, 3.0])})
    >>> surgery.effective(latents, state)["w"]
    array([0. , 1.5, 3. ])
    >>> latents, state = surgery.follow({"w": np.array([1.5, 1.5, 0.5])}, state, 1)
    >>> surgery.effective(latents, state)["w"]
    array([0. , 1.5, 0. ])

    """

    thresholds: Thresholds
    gamma: float = 0.0
    power: float = 1.0
    until: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in self.thresholds.items():
            if not (0 <= low <= high and math.isfinite(high)):
                raise OptionError(f"the thresholds {(low, high)} of {name!r}; allowed is 0 <= a <= b")
        for what, value in (("gamma", self.gamma), ("power", self.power), ("seed", self.seed)):
            if not (math.isfinite(value) and value >= 0):
                raise OptionError(f"{what} = {value}; it must be finite and at least 0")
        object.__setattr__(self, "thresholds", MappingProxyType(dict(self.thresholds)))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the weights under surgery."""
        return tuple(self.thresholds)

    def start(self, params: Arrays) -> tuple[dict[str, Array], ConstraintState]:
        """Return the weights as they are, and masks without zeros and what is below the lower threshold."""
        check_names(self.names, params, "parameters")
        masks = {
            name: np.logical_and(params[name] != 0, _above(params[name], self.thresholds[name][0]))
            for name in self.names
        }
        return dict(params), masks

    def effective(self, latents: Arrays, state: ConstraintState) -> dict[str, Array]:
        """Return ``W * T``, with +0.0 where T is 0."""
        return {name: zeroed(array, state[name]) for name, array in latents.items()}

    def support(self, _state: ConstraintState) -> dict[str, NDArray[np.bool_]]:
        """Return nothing: masked weights learn too."""
        return {}

    def pull(self, grads: Arrays, _state: ConstraintState) -> dict[str, Array]:
        """Return the gradients as they are: masked weights learn too."""
        return dict(grads)

    def follow(self, latents: Arrays, state: ConstraintState, count: int) -> tuple[dict[str, Array], ConstraintState]:
        """Update the masks, if this step is one that does."""
        if not self.updates(count):
            return dict(latents), state
        masks = {}
        for name, array in latents.items():
            low, high = self.thresholds[name]
            masks[name] = np.where(state[name], _above(array, low), _above(array, high))
        return dict(latents), masks

    def encoded(self, latents: Arrays, state: ConstraintState) -> dict[str, Encoding]:
        """Return the effective parameters as float32."""
        return as_float32(self.effective(latents, state))

    def updates(self, count: int) -> bool:
        """Whether step number ``count``, counted from 1, updates the masks.

        Examples
        --------
        >>> Splicing({}, until=5).updates(6)
        False

        """
        if self.until is not None and count > self.until:
            return False
        chance = (1 + self.gamma * (count - 1)) ** -self.power
        return bool(np.random.default_rng([self.seed, count]).random() < chance)


def thresholds_from(
    weights: Arrays, rate: float | Mapping[str, float], *, margin: float = 0.1
) -> dict[str, tuple[float, float]]:
    """Return the two thresholds of each weight from the magnitudes it starts with, as the authors' program does.

    ``t = max(mean|w| + rate std|w|, 0)`` over the weights that are not zero; ``a = (1 - margin) t``,
    ``b = (1 + margin) t``.

    Parameters
    ----------
    weights
        Name to array.
    rate
        How many standard deviations above the mean to prune: one number or one for each name; may be negative.
    margin
        Half of the relative distance between the thresholds, 0 to 1.

    Raises
    ------
    OptionError
        An option is out of range, or a name has no rate.

    Examples
    --------
    >>> thresholds_from({"w": np.array([1.0, -3.0, 0.0])}, 1.0)
    {'w': (2.7, 3.3000000000000003)}

    """
    if not 0 <= margin <= 1:
        raise OptionError(f"a margin of {margin}; it must be from 0 to 1")
    found = {}
    for name, array in weights.items():
        chosen = rate.get(name, math.nan) if isinstance(rate, Mapping) else rate
        if not math.isfinite(chosen):
            raise OptionError(f"the rate of {name!r} is missing or not finite; give a number for each weight")
        magnitudes = np.abs(array[array != 0], dtype=np.float64)
        spread = magnitudes.mean() + chosen * magnitudes.std() if magnitudes.size else 0.0
        middle = max(float(spread), 0.0)
        found[name] = ((1 - margin) * middle, (1 + margin) * middle)
    return found


def _above(array: Array, threshold: float) -> NDArray[np.bool_]:
    # compared as float64: the threshold is not rounded to float32
    return np.asarray(np.abs(array, dtype=np.float64) >= threshold)

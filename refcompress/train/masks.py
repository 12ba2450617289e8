"""Masks: pruned weights that stay exactly zero while the others learn, fixed or computed anew on a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding
from refcompress.errors import DataError, OptionError
from refcompress.train.constraints import Array, Arrays, ConstraintState, as_float32, check_names, zeroed
from refcompress.train.schedules import Schedule

Mask = NDArray[np.bool_]
Scope = Literal["layer", "global", "scaled"]


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Weights outside the masks are exactly +0.0 at every step, whatever momentum and weight decay do.

    The gradient is masked before the optimizer's step and the weight after it: in between the optimizer could move a
    weight that is masked in the course of training by what its momentum remembers.

    Attributes
    ----------
    masks
        Name of a parameter to a boolean array of its shape, True where the weight survives.

    Raises
    ------
    OptionError
        A mask is no boolean array.

    Examples
    --------
    >>> masks = Masks({"w": np.array([True, False])})
    >>> latents, state = masks.start({"w": np.array([1.0, -2.0])})
    >>> latents
    {'w': array([1., 0.])}
    >>> masks.pull({"w": np.array([0.5, 0.5])}, state)
    {'w': array([0.5, 0. ])}

    """

    masks: Mapping[str, Mask]

    def __post_init__(self) -> None:
        for name, mask in self.masks.items():
            if np.asarray(mask).dtype != np.bool_:
                raise OptionError(f"the mask of {name!r} is of dtype {np.asarray(mask).dtype}; it must be bool")
        copies = {name: np.array(mask) for name, mask in self.masks.items()}
        object.__setattr__(self, "masks", MappingProxyType(copies))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the masked parameters."""
        return tuple(self.masks)

    def start(self, params: Arrays) -> tuple[dict[str, Array], ConstraintState]:
        """Return the masked parameters, and the masks as state."""
        check_names(self.names, params, "parameters")
        for name, mask in self.masks.items():
            if mask.shape != params[name].shape:
                raise DataError(f"the mask of {name!r} has the shape {mask.shape}, the weight {params[name].shape}")
        return _masked(params, self.masks), dict(self.masks)

    def effective(self, latents: Arrays, _state: ConstraintState) -> dict[str, Array]:
        """Return the latents: they are masked already."""
        return dict(latents)

    def support(self, state: ConstraintState) -> dict[str, Mask]:
        """Return the masks."""
        return dict(state)

    def pull(self, grads: Arrays, state: ConstraintState) -> dict[str, Array]:
        """Return the gradients of the surviving weights, zero for the others."""
        return _masked(grads, state)

    def follow(self, latents: Arrays, state: ConstraintState, _count: int) -> tuple[dict[str, Array], ConstraintState]:
        """Set pruned weights back to zero."""
        return _masked(latents, state), state

    def encoded(self, latents: Arrays, state: ConstraintState) -> dict[str, Encoding]:
        """Return the effective parameters as float32."""
        return as_float32(self.effective(latents, state))


@dataclass(frozen=True, slots=True)
class GradualMasks:
    """Masks that shrink on a schedule: at each change of the sparsity the smallest weights are pruned.

    With :func:`refcompress.train.schedules.agp` this is automated gradual pruning (Zhu & Gupta 2017). Between two
    prunings the masks hold. Weights that are zero before the first step count as pruned.

    Attributes
    ----------
    names
        The weights that are pruned.
    sparsity
        From the number of steps taken to the share of zeros, 0 to 1, not falling.
    scope
        How magnitudes of different weights compare; see :func:`magnitude_masks`.
    returning
        Whether pruned weights may return. If not, they are zero for good, as in :class:`Masks`. If so, they go on
        learning from the gradient of the masked network, and each pruning compares them with the others again (dynamic
        pruning with feedback, Lin et al. 2020, algorithm 1).

    Examples
    --------
    >>> pruning = GradualMasks(("w",), lambda count: 0.5 if count >= 2 else 0.0)
    >>> latents, state = pruning.start({"w": np.array([1.0, -2.0, 3.0, 0.5])})
    >>> for count in (1, 2):
    ...     latents, state = pruning.follow(latents, state, count)
    ...     print(latents["w"])
    [ 1.  -2.   3.   0.5]
    [ 0. -2.  3.  0.]

    """

    names: tuple[str, ...]
    sparsity: Schedule
    scope: Scope = "layer"
    returning: bool = False

    def start(self, params: Arrays) -> tuple[dict[str, Array], ConstraintState]:
        """Prune to the sparsity before the first step."""
        check_names(self.names, params, "parameters")
        masks = magnitude_masks(params, self.sparsity(0), scope=self.scope)
        if self.returning:
            return dict(params), masks
        kept = {name: np.logical_and(masks[name], params[name] != 0) for name in self.names}
        return _masked(params, kept), kept

    def effective(self, latents: Arrays, state: ConstraintState) -> dict[str, Array]:
        """Return the weights under their masks."""
        return _masked(latents, state) if self.returning else dict(latents)

    def support(self, state: ConstraintState) -> dict[str, Mask]:
        """Return the masks, if what is pruned stays pruned."""
        return {} if self.returning else dict(state)

    def pull(self, grads: Arrays, state: ConstraintState) -> dict[str, Array]:
        """Return the gradients: zero for weights that are pruned for good."""
        return dict(grads) if self.returning else _masked(grads, state)

    def follow(self, latents: Arrays, state: ConstraintState, count: int) -> tuple[dict[str, Array], ConstraintState]:
        """Hold the masks, and prune anew where the schedule says so."""
        held = dict(latents) if self.returning else _masked(latents, state)
        target = self.sparsity(count)
        if target == self.sparsity(count - 1):
            return held, state
        masks = magnitude_masks(held, target, scope=self.scope)
        if self.returning:
            return held, masks
        kept = {name: np.logical_and(masks[name], state[name]) for name in self.names}
        return _masked(held, kept), kept

    def encoded(self, latents: Arrays, state: ConstraintState) -> dict[str, Encoding]:
        """Return the effective parameters as float32."""
        return as_float32(self.effective(latents, state))


@dataclass(frozen=True, slots=True)
class RecomputedMasks:
    """Masks computed anew after every step, as some tools prune: the smallest weights are set to zero, and that is all.

    Nothing else keeps a weight at zero: the next step moves it from there, by its gradient and by what momentum
    remembers, and it stays if that has made it larger than others. A schedule says how many are zero.

    Attributes
    ----------
    names
        The weights that are pruned.
    sparsity
        From the number of steps taken to the share of zeros, 0 to 1.
    scope
        How magnitudes of different weights compare; see :func:`magnitude_masks`.

    Examples
    --------
    >>> pruning = RecomputedMasks(("w",), lambda count: 0.5)
    >>> latents, state = pruning.start({"w": np.array([1.0, -2.0])})
    >>> latents
    {'w': array([ 0., -2.])}
    >>> pruning.follow({"w": np.array([3.0, -2.0])}, state, 1)[0]
    {'w': array([3., 0.])}

    """

    names: tuple[str, ...]
    sparsity: Schedule
    scope: Scope = "layer"

    def start(self, params: Arrays) -> tuple[dict[str, Array], ConstraintState]:
        """Prune to the sparsity before the first step; there is no state."""
        check_names(self.names, params, "parameters")
        return self._pruned(params, 0), {}

    def effective(self, latents: Arrays, _state: ConstraintState) -> dict[str, Array]:
        """Return the latents: they are pruned already."""
        return dict(latents)

    def support(self, _state: ConstraintState) -> dict[str, Mask]:
        """Return nothing: zeros learn too."""
        return {}

    def pull(self, grads: Arrays, _state: ConstraintState) -> dict[str, Array]:
        """Return the gradients as they are: zeros learn too."""
        return dict(grads)

    def follow(self, latents: Arrays, state: ConstraintState, count: int) -> tuple[dict[str, Array], ConstraintState]:
        """Prune the smallest weights of now."""
        return self._pruned(latents, count), state

    def encoded(self, latents: Arrays, state: ConstraintState) -> dict[str, Encoding]:
        """Return the effective parameters as float32."""
        return as_float32(self.effective(latents, state))

    def _pruned(self, arrays: Arrays, count: int) -> dict[str, Array]:
        return _masked(arrays, magnitude_masks(arrays, self.sparsity(count), scope=self.scope))


def magnitude_masks(weights: Arrays, sparsity: float, *, scope: Scope = "layer") -> dict[str, Mask]:
    """Masks without the smallest magnitudes: exactly ``round(sparsity * size)`` of them.

    Parameters
    ----------
    weights
        Name to array; zeros count as the smallest weights.
    sparsity
        Share of zeros, 0 to 1.
    scope
        - ``"layer"``: each array has this sparsity;
        - ``"global"``: all arrays together do, magnitudes compared as they are;
        - ``"scaled"``: all together, each magnitude divided by the root of the mean square of its array's weights that
          are not zero, so that a layer of large weights is not spared for its scale.

    Returns
    -------
    dict
        Name to boolean array, True where the weight survives. Among equal magnitudes the first are pruned.

    Raises
    ------
    OptionError
        The sparsity or the scope is not allowed.

    Examples
    --------
    >>> magnitude_masks({"w": np.array([3.0, -1.0, 1.0, 2.0])}, 0.25)
    {'w': array([ True, False,  True,  True])}

    """
    if not (math.isfinite(sparsity) and 0 <= sparsity <= 1):
        raise OptionError(f"a sparsity of {sparsity}; it must be from 0 to 1")
    if scope not in get_args(Scope):
        raise OptionError(f"the scope {scope!r}; there are {', '.join(get_args(Scope))}")
    if scope == "layer":
        return {
            name: _largest(np.abs(array).reshape(-1), sparsity).reshape(array.shape) for name, array in weights.items()
        }
    score: Callable[[Array], Array] = _scaled if scope == "scaled" else np.abs
    scores = [np.asarray(score(array), np.float64).reshape(-1) for array in weights.values()]
    kept = _largest(np.concatenate([*scores, np.zeros(0)]), sparsity)
    ends = np.cumsum([each.size for each in scores])
    parts = np.split(kept, ends[:-1]) if scores else []
    return {name: part.reshape(array.shape) for (name, array), part in zip(weights.items(), parts, strict=True)}


def masks_of(weights: Arrays) -> dict[str, Mask]:
    """Masks of weights that are pruned already: True where a weight is not zero.

    Examples
    --------
    >>> masks_of({"w": np.array([1.0, 0.0])})
    {'w': array([ True, False])}

    """
    return {name: np.asarray(array != 0) for name, array in weights.items()}


def _largest(scores: NDArray[Any], sparsity: float) -> Mask:
    keep = np.ones(scores.size, np.bool_)
    keep[np.argsort(scores, kind="stable")[: round(sparsity * scores.size)]] = False
    return keep


def _scaled(array: Array) -> Array:
    magnitudes = np.abs(array, dtype=np.float64)
    count = np.count_nonzero(magnitudes)
    spread = math.sqrt(float(np.square(magnitudes).sum()) / count) if count else 1.0
    return np.asarray(magnitudes / spread)


def _masked(arrays: Arrays, masks: ConstraintState) -> dict[str, Array]:
    return {name: zeroed(array, masks[name]) for name, array in arrays.items()}

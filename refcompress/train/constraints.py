"""Constraints as part of the training step: what is trained, what the network runs with, and how the two are tied.

The optimizer moves **latent** arrays; the network runs with **effective** parameters made from them. A constraint says
how, for the parameters it holds, in six functions:

- ``start(params)``: the first latents, and a state (labels, masks);
- ``effective(latents, state)``: the parameters the network runs with;
- ``support(state)``: where parameters can be other than zero, as far as gradients elsewhere are not asked for;
- ``pull(grads, state)``: gradients of the latents from those of the effective parameters;
- ``follow(latents, state, count)``: latents and state after the optimizer's step number ``count``;
- ``encoded(latents, state)``: the effective parameters as the trained network stores them.

Parameters that no constraint holds are their own latents. The functions of this module do the same for several
constraints, each holding parameters of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, encode
from refcompress.errors import DataError, OptionError
from refcompress.ops.elementwise import pass_where

Array = NDArray[np.floating[Any]]
Arrays = Mapping[str, Array]
ConstraintState = Mapping[str, NDArray[Any]]


class Constraint(Protocol):
    """What the training loop asks of a constraint; every mapping holds its own names only."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters it holds."""
        ...

    def start(self, params: Arrays) -> tuple[dict[str, Array], ConstraintState]:
        """Return the first latents and the first state."""
        ...

    def effective(self, latents: Arrays, state: ConstraintState) -> dict[str, Array]:
        """Return the parameters the network runs with."""
        ...

    def support(self, state: ConstraintState) -> dict[str, NDArray[np.bool_]]:
        """Return, for some parameters, where they can be other than zero: ``pull`` ignores gradients elsewhere."""
        ...

    def pull(self, grads: Arrays, state: ConstraintState) -> dict[str, Array]:
        """Return the gradients of the latents."""
        ...

    def follow(self, latents: Arrays, state: ConstraintState, count: int) -> tuple[dict[str, Array], ConstraintState]:
        """Return latents and state after the optimizer's step number ``count``, counted from 1."""
        ...

    def encoded(self, latents: Arrays, state: ConstraintState) -> dict[str, Encoding]:
        """Return the effective parameters in an encoding."""
        ...


def start(constraints: Sequence[Constraint], params: Arrays) -> tuple[dict[str, Array], tuple[ConstraintState, ...]]:
    """Return all latents, and the state of each constraint.

    Parameters
    ----------
    constraints
        Each holds other parameters.
    params
        All parameters that are trained.

    Raises
    ------
    OptionError
        Two constraints hold the same parameter, or one that is not trained.

    Examples
    --------
    >>> start([], {"w": np.array([1.0])})
    ({'w': array([1.])}, ())

    """
    held = [name for each in constraints for name in each.names]
    twice = sorted({name for name in held if held.count(name) > 1})
    if twice:
        raise OptionError(f"two constraints hold {twice}; give each parameter to one")
    unknown = sorted(set(held) - set(params))
    if unknown:
        raise OptionError(f"constraints hold {unknown}, which are not trained; there are {sorted(params)}")
    latents = {name: array for name, array in params.items() if name not in set(held)}
    states = []
    for each in constraints:
        own, state = each.start({name: params[name] for name in each.names})
        taken = sorted(own.keys() & latents.keys())
        if taken:
            raise OptionError(f"the latent names {taken} are those of parameters; rename the parameters")
        latents.update(own)
        states.append(state)
    return latents, tuple(states)


def effective(
    constraints: Sequence[Constraint], latents: Arrays, states: Sequence[ConstraintState]
) -> dict[str, Array]:
    """Return all parameters the network runs with."""
    params = dict(latents)
    for each, state in zip(constraints, states, strict=True):
        own = _own(each, latents)
        for name in own:
            del params[name]
        params.update(each.effective(own, state))
    return params


def support(constraints: Sequence[Constraint], states: Sequence[ConstraintState]) -> dict[str, NDArray[np.bool_]]:
    """Return where parameters can be other than zero, for those whose gradients elsewhere nobody asks for."""
    found: dict[str, NDArray[np.bool_]] = {}
    for each, state in zip(constraints, states, strict=True):
        found.update(each.support(state))
    return found


def pull(constraints: Sequence[Constraint], grads: Arrays, states: Sequence[ConstraintState]) -> dict[str, Array]:
    """Return the gradients of all latents from those of all effective parameters."""
    pulled = dict(grads)
    for each, state in zip(constraints, states, strict=True):
        own = {name: pulled.pop(name) for name in each.names}
        pulled.update(each.pull(own, state))
    return pulled


def follow(
    constraints: Sequence[Constraint], latents: Arrays, states: Sequence[ConstraintState], count: int
) -> tuple[dict[str, Array], tuple[ConstraintState, ...]]:
    """Return all latents and states after the optimizer's step number ``count``, counted from 1."""
    moved = dict(latents)
    after = []
    for each, state in zip(constraints, states, strict=True):
        own, next_state = each.follow(_own(each, latents), state, count)
        moved.update(own)
        after.append(next_state)
    return moved, tuple(after)


def encoded(
    constraints: Sequence[Constraint], latents: Arrays, states: Sequence[ConstraintState]
) -> dict[str, Encoding]:
    """Return all effective parameters in encodings: float32 for those that no constraint holds."""
    held = {name for each in constraints for name in _own(each, latents)}
    found: dict[str, Encoding] = {name: encode(array) for name, array in latents.items() if name not in held}
    for each, state in zip(constraints, states, strict=True):
        found.update(each.encoded(_own(each, latents), state))
    return found


def as_float32(params: Arrays) -> dict[str, Encoding]:
    """Return parameters as plain numbers, for constraints that ask for no other encoding."""
    return {name: encode(array) for name, array in params.items()}


def latent_name(name: str, part: str) -> str:
    """Name of a latent array that is not of its parameter's shape.

    Examples
    --------
    >>> latent_name("fc1/kernel", "centroids")
    'fc1/kernel:centroids'

    """
    return f"{name}:{part}"


def check_names(names: Iterable[str], arrays: Mapping[str, NDArray[Any]], what: str) -> None:
    """Refuse arrays that are missing.

    Raises
    ------
    DataError
        A name has no array.

    """
    missing = sorted(set(names) - set(arrays))
    if missing:
        raise DataError(f"{what} of {missing} are missing; there are {sorted(arrays)}")


def zeroed(array: Array, keep: NDArray[np.bool_]) -> Array:
    """Return a copy with +0.0 where nothing is kept (a product with the mask would leave -0.0 and NaN).

    Examples
    --------
    >>> zeroed(np.array([-1.0, np.nan, 2.0]), np.array([False, False, True]))
    array([0., 0., 2.])

    """
    return pass_where(keep, array)


def _own(constraint: Constraint, latents: Arrays) -> dict[str, Array]:
    """Latents of a constraint: those named as its parameters, and the parts of these."""
    names = constraint.names
    parts = tuple(latent_name(name, "") for name in names)
    return {name: array for name, array in latents.items() if name in names or name.startswith(parts)}

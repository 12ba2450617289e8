"""Quantized weights: real numbers that learn, integers that the network runs with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Encoding, integers
from refcompress.encodings.rows import matrix_shape, to_rows
from refcompress.errors import DataError, OptionError
from refcompress.integer.quantization import round_half_away
from refcompress.train.constraints import Array, Arrays, ConstraintState, check_names, latent_name, zeroed

Scales = Literal["channel", "tensor"]

_INSIDE = "inside"


@dataclass(frozen=True, slots=True, eq=False)
class WeightGrid:
    """The integers of a weight.

    Attributes
    ----------
    bits
        2 to 8; integers run from -(2^(bits - 1) - 1) to 2^(bits - 1) - 1.
    scales
        One scale for each output unit (``"channel"``), or one for the ``"tensor"``.
    held
        These scales, float32, if they stay; None if they follow the largest weight.

    Raises
    ------
    OptionError
        An attribute is out of range.

    """

    bits: int = 8
    scales: Scales = "channel"
    held: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise OptionError(f"weights of {self.bits} bits; allowed are 2 to 8")
        if self.scales not in get_args(Scales):
            raise OptionError(f"the scales {self.scales!r}; there are {', '.join(get_args(Scales))}")
        if self.held is not None and not (np.isfinite(self.held) & (self.held > 0)).all():
            raise OptionError("a held scale that is not positive and finite")

    @property
    def most(self) -> int:
        """The largest integer."""
        return (1 << (self.bits - 1)) - 1

    def scales_of(self, weight: Array) -> NDArray[np.float32]:
        """Return the scales of now: one, or one for each output unit, which is the last axis of a weight."""
        if self.held is not None:
            return self.held
        axes = tuple(range(weight.ndim - 1)) if self.scales == "channel" else None
        largest = np.abs(weight).max(axis=axes, initial=0).reshape(-1)
        scales = np.maximum(largest / self.most, np.finfo(np.float32).tiny)
        return np.where(largest > 0, scales, 1).astype(np.float32)

    def steps_of(self, weight: Array) -> NDArray[np.float32]:
        """Return the weight in steps of its scales, rounded; what lies beyond the integers is still there."""
        return np.asarray(round_half_away(weight / self.scales_of(weight)), np.float32)

    def integers_of(self, weight: Array) -> NDArray[np.float32]:
        """Return the integers, as whole numbers of float32."""
        return self.steps_of(weight).clip(-self.most, self.most)


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedWeights:
    """The network runs with ``scale * round(weight / scale)``; the weights themselves learn.

    The gradient of a rounded weight moves the weight it was made of (a straight-through estimate: Bengio et al. 2013,
    section 4), but not where it saturates, which it can if the scale is held. A scale that is not held follows the
    largest weight of its unit at every step (Jacob et al. 2018, section 3.1). A weight that is zero when training
    starts stays exactly +0.0.

    Attributes
    ----------
    grids
        Name of a weight to its integers.

    Examples
    --------
    >>> quantized = QuantizedWeights({"w": WeightGrid(bits=2, scales="tensor")})
    >>> latents, state = quantized.start({"w": np.array([[0.0, 0.7], [-0.4, -1.0]], np.float32)})
    >>> quantized.effective(latents, state)["w"]
    array([[ 0.,  1.],
           [ 0., -1.]], dtype=float32)
    >>> quantized.pull({"w": np.ones((2, 2), np.float32)}, state)["w"]
    array([[0., 1.],
           [1., 1.]], dtype=float32)

    """

    grids: Mapping[str, WeightGrid]

    def __post_init__(self) -> None:
        object.__setattr__(self, "grids", MappingProxyType(dict(self.grids)))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantized weights."""
        return tuple(self.grids)

    def start(self, params: Arrays) -> tuple[dict[str, Array], ConstraintState]:
        """Return the weights as they are; the state holds where they are not pruned, and where none saturates.

        Raises
        ------
        DataError
            A weight is not finite, or held scales do not fit.

        """
        check_names(self.names, params, "parameters")
        kept: dict[str, NDArray[np.bool_]] = {}
        for name, grid in self.grids.items():
            weight = params[name]
            if not np.isfinite(weight).all():
                raise DataError(f"the weight {name!r} holds NaN or infinity; repair the checkpoint")
            wanted = weight.shape[-1] if grid.scales == "channel" else 1
            if grid.held is not None and grid.held.shape != (wanted,):
                raise DataError(f"{grid.held.size} held scales of the weight {name!r}; it takes {wanted}")
            if not weight.all():
                kept[name] = weight != 0
        return dict(params), {**kept, **self._inside(params)}

    def effective(self, latents: Arrays, _state: ConstraintState) -> dict[str, Array]:
        """Return what the integers stand for."""
        return {
            name: np.asarray(grid.integers_of(latents[name]) * grid.scales_of(latents[name]) + np.float32(0))
            for name, grid in self.grids.items()
        }

    def support(self, state: ConstraintState) -> dict[str, NDArray[np.bool_]]:
        """Return where weights are not pruned, for those that are."""
        return {name: state[name] for name in self.names if name in state}

    def pull(self, grads: Arrays, state: ConstraintState) -> dict[str, Array]:
        """Return the gradients, zero for weights that are pruned or saturate."""
        return {name: _passed(grad, state, name, latent_name(name, _INSIDE)) for name, grad in grads.items()}

    def follow(self, latents: Arrays, state: ConstraintState, _count: int) -> tuple[dict[str, Array], ConstraintState]:
        """Set pruned weights back to zero, and note which saturate."""
        moved = {name: _passed(latents[name], state, name) for name in self.names}
        return moved, {**state, **self._inside(moved)}

    def encoded(self, latents: Arrays, _state: ConstraintState) -> dict[str, Encoding]:
        """Return the integers."""
        found: dict[str, Encoding] = {}
        for name, grid in self.grids.items():
            rows = to_rows(grid.integers_of(latents[name])).reshape(matrix_shape(latents[name].shape))
            scales = grid.scales_of(latents[name])
            found[name] = integers.from_rows(rows.astype(np.int32), latents[name].shape, scales, grid.bits)
        return found

    def _inside(self, latents: Arrays) -> dict[str, NDArray[np.bool_]]:
        """Say where weights do not saturate; those whose scale follows the largest never do."""
        return {
            latent_name(name, _INSIDE): np.abs(grid.steps_of(latents[name])) <= grid.most
            for name, grid in self.grids.items()
            if grid.held is not None
        }


def _passed(array: Array, state: ConstraintState, *masks: str) -> Array:
    for mask in masks:
        if mask in state:
            array = zeroed(array, state[mask])
    return array

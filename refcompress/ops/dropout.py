"""Dropout: drops units while a network is trained; at inference it passes everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from refcompress.errors import ModelError
from refcompress.ops.base import Array, Op, Params
from refcompress.ops.elementwise import identity, identity_exact, identity_vjp, no_macs, same_shape


@dataclass(frozen=True, slots=True)
class Dropout:
    """Attributes of Dropout.

    Attributes
    ----------
    ratio
        Share of the units that are dropped in training, 0 <= ratio < 1.

    Raises
    ------
    ModelError
        The ratio is out of range.

    """

    ratio: float

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            raise ModelError(f"ratio {self.ratio}; allowed is 0 <= ratio < 1")


def error_bound(
    _attrs: Dropout,
    _inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """Errors pass."""
    return errors[0]


OP = Op("Dropout", Dropout, same_shape, identity, identity_exact, identity_vjp, error_bound, no_macs)

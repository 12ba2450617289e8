"""Pad: zeros around each plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.ops.base import Array, Cotangents, Op, Params, Shape
from refcompress.ops.elementwise import no_macs
from refcompress.ops.windows import Pads, check_pads, crop_plane, pad_plane


@dataclass(frozen=True, slots=True)
class Pad:
    """Attributes of Pad.

    Attributes
    ----------
    pads
        Zeros to put (top, left, bottom, right).

    Raises
    ------
    ModelError
        They are not four integers of at least 0.

    """

    pads: Pads

    def __post_init__(self) -> None:
        check_pads(self.pads)


def infer_shape(attrs: Pad, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return (height, width, channels) with the padding added."""
    if len(input_shapes[0]) != 3:
        raise ModelError(f"an input of shape {input_shapes[0]}; it must have the three axes (height, width, channels)")
    top, left, bottom, right = attrs.pads
    height, width, channels = input_shapes[0]
    return top + height + bottom, left + width + right, channels


def forward(attrs: Pad, inputs: Sequence[Array], _params: Params) -> Array:
    """Return x (batch, height, width, channels) with zeros around its planes.

    Examples
    --------
    >>> forward(Pad((0, 1, 0, 2)), [np.ones((1, 1, 1, 1))], {})[0, 0, :, 0]
    array([0., 1., 0., 0.])

    """
    return pad_plane(inputs[0], attrs.pads)


def exact(attrs: Pad, inputs: Sequence[NDArray[np.float32]], _params: Params) -> NDArray[np.float32]:
    """Return the same elements and +0."""
    return pad_plane(inputs[0], attrs.pads)


def vjp(
    attrs: Pad,
    _inputs: Sequence[Array],
    _params: Params,
    _output: Array,
    cotangent: Array,
) -> Cotangents:
    """Return the inside of the cotangent: nothing flows into the zeros."""
    return (crop_plane(cotangent, attrs.pads),), {}


def error_bound(
    attrs: Pad,
    _inputs: Sequence[Array],
    errors: Sequence[Array],
    _params: Params,
    _output: Array,
    _gamma: Callable[[int], float],
) -> Array:
    """Errors move with their elements; the zeros have none."""
    return pad_plane(errors[0], attrs.pads)


OP = Op("Pad", Pad, infer_shape, forward, exact, vjp, error_bound, no_macs)

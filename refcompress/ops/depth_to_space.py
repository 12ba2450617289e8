"""DepthToSpace: channels of a pixel spread over a block of pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refcompress.errors import ModelError
from refcompress.ops.arrangement import arrangement
from refcompress.ops.base import Array, Shape

MODES = ("DCR", "CRD")


def check_block(blocksize: int, mode: str) -> None:
    """Refuse a blocksize or a mode that is none.

    Raises
    ------
    ModelError
        With what is allowed.

    """
    if blocksize < 1:
        raise ModelError(f"blocksize {blocksize}; it must be at least 1")
    if mode not in MODES:
        raise ModelError(f"mode {mode!r}; it must be one of {', '.join(MODES)}")


@dataclass(frozen=True, slots=True)
class DepthToSpace:
    """Attributes of DepthToSpace.

    Attributes
    ----------
    blocksize
        Height and width of the block of pixels that one pixel becomes.
    mode
        Which input channel goes to line by and column bx of the block as output channel c of C: ``"DCR"`` has
        (by * blocksize + bx) * C + c, as TensorFlow; ``"CRD"`` c * blocksize**2 + by * blocksize + bx, as PyTorch's
        PixelShuffle.

    Raises
    ------
    ModelError
        The blocksize is below 1, or there is no such mode.

    """

    blocksize: int
    mode: str = "DCR"

    def __post_init__(self) -> None:
        check_block(self.blocksize, self.mode)


def infer_shape(attrs: DepthToSpace, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return (height * blocksize, width * blocksize, channels / blocksize**2)."""
    shape, block = input_shapes[0], attrs.blocksize
    if len(shape) != 3 or shape[2] % block**2:
        raise ModelError(
            f"an input of shape {shape}; it must be (height, width, channels) with channels that {block**2} divides"
        )
    return shape[0] * block, shape[1] * block, shape[2] // block**2


def move(attrs: DepthToSpace, x: Array) -> Array:
    """Return x with its channels spread.

    Examples
    --------
    >>> move(DepthToSpace(2), np.arange(4.0).reshape(1, 1, 1, 4))[0, :, :, 0]
    array([[0., 1.],
           [2., 3.]])

    """
    block = attrs.blocksize
    batch, height, width, depth = x.shape
    channels = depth // block**2
    if attrs.mode == "DCR":
        split = x.reshape(batch, height, width, block, block, channels).transpose(0, 1, 3, 2, 4, 5)
    else:
        split = x.reshape(batch, height, width, channels, block, block).transpose(0, 1, 4, 2, 5, 3)
    return split.reshape(batch, height * block, width * block, channels)


def adjoint(attrs: DepthToSpace, cotangent: Array, shape: tuple[int, ...]) -> Array:
    """Gather the blocks into channels."""
    block = attrs.blocksize
    batch, height, width, depth = shape
    split = cotangent.reshape(batch, height, block, width, block, depth // block**2)
    order = (0, 1, 3, 2, 4, 5) if attrs.mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return np.ascontiguousarray(split.transpose(order)).reshape(shape)


OP = arrangement("DepthToSpace", DepthToSpace, infer_shape, move, adjoint)

"""SpaceToDepth: blocks of pixels gathered into the channels of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refcompress.errors import ModelError
from refcompress.ops import depth_to_space
from refcompress.ops.arrangement import arrangement
from refcompress.ops.base import Array, Shape
from refcompress.ops.depth_to_space import DepthToSpace, check_block


@dataclass(frozen=True, slots=True)
class SpaceToDepth:
    """Attributes of SpaceToDepth.

    Attributes
    ----------
    blocksize
        Height and width of the blocks.
    mode
        Which channel the channel c of C at line by and column bx of a block becomes: ``"DCR"`` makes it
        (by * blocksize + bx) * C + c, as TensorFlow; ``"CRD"`` c * blocksize**2 + by * blocksize + bx, as PyTorch's
        PixelUnshuffle.

    Raises
    ------
    ModelError
        The blocksize is below 1, or there is no such mode.

    """

    blocksize: int
    mode: str = "DCR"

    def __post_init__(self) -> None:
        check_block(self.blocksize, self.mode)


def infer_shape(attrs: SpaceToDepth, input_shapes: Sequence[Shape], _param_shapes: Mapping[str, Shape]) -> Shape:
    """Return (height / blocksize, width / blocksize, channels * blocksize**2)."""
    shape, block = input_shapes[0], attrs.blocksize
    if len(shape) != 3 or shape[0] % block or shape[1] % block:
        raise ModelError(
            f"an input of shape {shape}; it must be (height, width, channels) with a height and a width that "
            f"{block} divides"
        )
    return shape[0] // block, shape[1] // block, shape[2] * block**2


def move(attrs: SpaceToDepth, x: Array) -> Array:
    """Return x with its blocks gathered: the adjoint of DepthToSpace, which is its inverse too.

    Examples
    --------
    >>> import numpy as np
    >>> move(SpaceToDepth(2), np.array([[[[0.0], [1.0]], [[2.0], [3.0]]]])).ravel()
    array([0., 1., 2., 3.])

    """
    shape = (len(x), *infer_shape(attrs, [x.shape[1:]], {}))
    return depth_to_space.adjoint(DepthToSpace(attrs.blocksize, attrs.mode), x, shape)


def adjoint(attrs: SpaceToDepth, cotangent: Array, _shape: tuple[int, ...]) -> Array:
    """Spread the channels again."""
    return depth_to_space.move(DepthToSpace(attrs.blocksize, attrs.mode), cotangent)


OP = arrangement("SpaceToDepth", SpaceToDepth, infer_shape, move, adjoint)

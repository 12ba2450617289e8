"""Names that Keras gives to weights in HDF5 files, and where its layout is not ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from refcompress.graph import Node, Shape

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "weight": ("kernel", "depthwise_kernel", "embeddings"),
        "recurrent_weight": ("recurrent_kernel",),
        "bias": ("bias", "beta"),
        "scale": ("gamma", "scale"),
        "mean": ("moving_mean",),
        "var": ("moving_variance",),
        "slope": ("alpha",),
    }
)
"""Role of a parameter to what Keras calls it."""

_NAMED = re.compile(r"(?:.*/)?([^/]+)/([a-z_]+):[0-9]+")


def keras_name(name: str) -> tuple[str, str] | None:
    """Layer and kind of a weight, if the name is one of Keras's.

    Examples
    --------
    >>> keras_name("model_weights/conv1/conv1/kernel:0")
    ('conv1', 'kernel')
    >>> keras_name("conv1/weight") is None
    True

    """
    found = _NAMED.fullmatch(name)
    return (found[1], found[2]) if found else None


def shapes(node: Node, role: str, shape: Shape) -> tuple[Shape, ...]:
    """Return the shapes that a parameter of the given shape may have in the file; the numbers stand in the same order.

    A depthwise kernel is (kh, kw, channels, multiplier) there and (kh, kw, 1, channels * multiplier) here.

    Examples
    --------
    >>> from refcompress.ops.conv import Conv
    >>> shapes(Node("Conv", "dw", ("x",), "y", {}, Conv(group=4)), "weight", (3, 3, 1, 8))
    ((3, 3, 1, 8), (3, 3, 4, 2))

    """
    if node.op == "Conv" and role == "weight" and shape[2] == 1 < node.attrs.group:
        return shape, (*shape[:2], node.attrs.group, shape[3] // node.attrs.group)
    return (shape,)

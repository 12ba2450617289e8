"""ReduceMin: the minimum over some axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcompress.ops.axes import ordered_max
from refcompress.ops.reduce_max import extreme
from refcompress.ops.reductions import Reduction


@dataclass(frozen=True, slots=True)
class ReduceMin(Reduction):
    """Attributes of ReduceMin: see :class:`refcompress.ops.reductions.Reduction`.

    Examples
    --------
    >>> ReduceMin((1, 2)).keepdims
    False

    """


OP = extreme("ReduceMin", ReduceMin, np.min, lambda rows: -ordered_max(-rows))

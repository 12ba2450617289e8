"""Sparse encodings made entry by entry, for tests of what reads them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Bits, Csr, Float32


def sparse_encoding(array: NDArray[np.float32], *, gap_bits: int = 3) -> Csr:
    """Encode an array as sparse rows of float32 with fillers, one entry after another."""
    rows = array.reshape(-1, array.shape[-1]).T.ravel()
    gaps, values, gap = [], [], 0
    for value in rows:
        if value.view(np.uint32) or gap == (1 << gap_bits) - 1:
            gaps.append(gap)
            values.append(value)
            gap = 0
        else:
            gap += 1
    return Csr(
        array.shape,
        Bits(np.array(gaps, np.uint16), gap_bits),
        gap_bits,
        "filler",
        Float32(np.array(values, np.float32)),
    )

"""Words of 64 bits read from and written to bytes, lowest byte first.

They are spelled out byte by byte: LLVM makes one unaligned load or store of each, and the same lines run as plain
Python. Indices are uint64, which spares the check for negative ones.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

U64 = np.uint64
WORD_BYTES = 8


@njit(cache=True)
def load_word(raw: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Load the 8 bytes from ``at`` on; all of them must exist."""
    low = (
        U64(raw[at])
        | U64(raw[at + U64(1)]) << U64(8)
        | U64(raw[at + U64(2)]) << U64(16)
        | U64(raw[at + U64(3)]) << U64(24)
    )
    high = (
        U64(raw[at + U64(4)]) << U64(32)
        | U64(raw[at + U64(5)]) << U64(40)
        | U64(raw[at + U64(6)]) << U64(48)
        | U64(raw[at + U64(7)]) << U64(56)
    )
    return low | high


@njit(cache=True)
def load_end(raw: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Load up to 8 bytes from ``at`` on; those past the end are zero."""
    word = U64(0)
    for i in range(WORD_BYTES):
        if at + U64(i) < U64(raw.size):
            word |= U64(raw[at + U64(i)]) << U64(8 * i)
    return word


@njit(cache=True)
def store_word(out: NDArray[np.uint8], at: np.uint64, word: np.uint64) -> None:
    """Store 8 bytes from ``at`` on."""
    low = U64(255)
    out[at] = np.uint8(word & low)
    out[at + U64(1)] = np.uint8(word >> U64(8) & low)
    out[at + U64(2)] = np.uint8(word >> U64(16) & low)
    out[at + U64(3)] = np.uint8(word >> U64(24) & low)
    out[at + U64(4)] = np.uint8(word >> U64(32) & low)
    out[at + U64(5)] = np.uint8(word >> U64(40) & low)
    out[at + U64(6)] = np.uint8(word >> U64(48) & low)
    out[at + U64(7)] = np.uint8(word >> U64(56))


@njit(cache=True)
def store_four(out: NDArray[np.uint16], at: np.uint64, group: np.uint64) -> None:
    """Store four integers of 16 bits from ``at`` on."""
    low = U64(0xFFFF)
    out[at] = np.uint16(group & low)
    out[at + U64(1)] = np.uint16(group >> U64(16) & low)
    out[at + U64(2)] = np.uint16(group >> U64(32) & low)
    out[at + U64(3)] = np.uint16(group >> U64(48))

"""Integers of k bits each, to and from bytes."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from refcompress.kernels.words import U64, load_end, load_word, store_word

STORE_BYTES = 8  # `pack` may write so many bytes past the last one that counts


@njit(cache=True)
def pack(symbols: NDArray[np.uint16], width_bits: np.uint64, out: NDArray[np.uint8]) -> None:
    """Write each integer in ``width_bits`` bits, the first one in the lowest bits of the first byte."""
    window, bits, at = U64(0), U64(0), U64(0)
    for i in range(0, symbols.size - 1, 2):
        pair = U64(symbols[i]) | U64(symbols[i + 1]) << width_bits
        window |= pair << bits
        store_word(out, at, window)
        bits += width_bits + width_bits
        at += bits >> U64(3)
        window >>= bits & U64(56)
        bits &= U64(7)
    if symbols.size & 1:
        window |= U64(symbols[symbols.size - 1]) << bits
    store_word(out, at, window)


@njit(cache=True)
def unpack(raw: NDArray[np.uint8], width_bits: np.uint64, symbols: NDArray[np.uint16]) -> None:
    """Fill ``symbols`` from exactly their bytes."""
    mask = (U64(1) << width_bits) - U64(1)
    whole = 0  # integers whose 8 bytes from the first on exist
    if raw.size >= 8:
        whole = min(symbols.size, 8 * (raw.size - 8) // int(width_bits))
    for i in range(whole):
        bit = U64(i) * width_bits
        symbols[i] = np.uint16(load_word(raw, bit >> U64(3)) >> (bit & U64(7)) & mask)
    for i in range(whole, symbols.size):
        bit = U64(i) * width_bits
        symbols[i] = np.uint16(load_end(raw, bit >> U64(3)) >> (bit & U64(7)) & mask)

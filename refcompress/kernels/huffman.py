"""Huffman coding loops: package-merge, encoding, decoding."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from refcompress.kernels.words import U64, load_end, load_word, store_four, store_word

GROUP_BITS = 12  # bits looked up at once by the fast decoder; longer codes take the other one
GROUP_SYMBOLS = 4  # symbols an entry holds at most: as many as 16 bits fit into one store
STORE_BYTES = 8  # `encode` may write so many bytes past the last one that counts

_MASK = U64((1 << GROUP_BITS) - 1)
# One load of 64 bits, of which up to 7 are passed over, feeds four lookups of at most 12 bits.
_LOAD_BITS = U64(64)
_ROUND_SYMBOLS = U64(4 * GROUP_SYMBOLS)


@njit(cache=True)
def package_merge(weights: NDArray[np.int64], limit_bits: int) -> NDArray[np.uint8]:
    """Code lengths of at least two symbols whose weights increase.

    Level by level the leaves are merged with the packages (pairs) of the level before. A symbol's length is the
    number of levels on which it is among the items of the solution: the 2n - 2 cheapest of the last level, and on
    each level before it those that make up the packages chosen after it (Larmore & Hirschberg 1990, section 3).
    """
    n = weights.size
    packages = np.zeros(0, np.int64)
    is_leaf = np.zeros((limit_bits, 2 * n), np.bool_)
    for level in range(limit_bits):
        merged = np.empty(n + packages.size, np.int64)
        leaf = package = 0
        for i in range(merged.size):
            take_leaf = package >= packages.size or (leaf < n and weights[leaf] <= packages[package])
            is_leaf[level, i] = take_leaf
            if take_leaf:
                merged[i] = weights[leaf]
                leaf += 1
            else:
                merged[i] = packages[package]
                package += 1
        packages = np.empty(merged.size // 2, np.int64)
        for i in range(packages.size):
            packages[i] = merged[2 * i] + merged[2 * i + 1]
    lengths = np.zeros(n, np.uint8)
    wanted = 2 * n - 2
    for level in range(limit_bits - 1, -1, -1):
        leaves = 0
        for i in range(wanted):
            if is_leaf[level, i]:
                leaves += 1
        lengths[:leaves] += np.uint8(1)
        wanted = 2 * (wanted - leaves)
    return lengths


@njit(cache=True)
def all_coded(symbols: NDArray[np.uint16], lengths: NDArray[np.uint8]) -> bool:
    """Whether every symbol, all of them below the size of the alphabet, has a code."""
    missing = 0
    for i in range(symbols.size):
        missing += lengths[U64(symbols[i])] == 0
    return missing == 0


@njit(cache=True)
def encode(symbols: NDArray[np.uint16], table: NDArray[np.uint32], longest_bits: int, out: NDArray[np.uint8]) -> int:
    """Write the code of each symbol, the first one in the lowest bits of the first byte.

    Parameters
    ----------
    symbols
        What to write.
    table
        ``code << 4 | length`` of each symbol of the alphabet.
    longest_bits
        Longest code in the table.
    out
        Room for all codes and STORE_BYTES more.

    Returns
    -------
    int
        The bytes that count.

    """
    length_mask, four = U64(15), U64(4)
    window, bits, at = U64(0), U64(0), U64(0)
    i, count = U64(0), U64(symbols.size)
    # four codes of 14 bits and the 7 bits left over before them fit into a word
    stop = count if longest_bits <= 14 else U64(0)
    while i + four <= stop:
        a, b = U64(table[symbols[i]]), U64(table[symbols[i + U64(1)]])
        c, d = U64(table[symbols[i + U64(2)]]), U64(table[symbols[i + U64(3)]])
        ab_bits = (a & length_mask) + (b & length_mask)
        ab = a >> four | (b >> four) << (a & length_mask)
        cd = c >> four | (d >> four) << (c & length_mask)
        window |= (ab | cd << ab_bits) << bits
        bits += ab_bits + (c & length_mask) + (d & length_mask)
        store_word(out, at, window)
        at += bits >> U64(3)
        window >>= bits & U64(56)
        bits &= U64(7)
        i += four
    while i < count:
        entry = U64(table[symbols[i]])
        window |= (entry >> four) << bits
        bits += entry & length_mask
        store_word(out, at, window)
        at += bits >> U64(3)
        window >>= bits & U64(56)
        bits &= U64(7)
        i += U64(1)
    return int(at + U64(bits > U64(0)))


@njit(cache=True)
def group_tables(table: NDArray[np.uint16]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Build the tables that decode up to four symbols at a time.

    Parameters
    ----------
    table
        ``symbol << 4 | length`` for every pattern of as many bits as the longest code, at most GROUP_BITS; complete.

    Returns
    -------
    groups
        For each pattern of GROUP_BITS bits the symbols whose codes lie in it, 16 bits each, first one lowest.
    steps
        For each pattern ``count << 4 | bits``: how many symbols, and how long their codes are together.

    """
    groups = np.zeros(1 << GROUP_BITS, np.uint64)
    steps = np.zeros(1 << GROUP_BITS, np.uint8)
    for pattern in range(1 << GROUP_BITS):
        rest, bits, count, group = pattern, 0, 0, U64(0)
        while count < GROUP_SYMBOLS:
            entry = int(table[rest & (table.size - 1)])
            if bits + (entry & 15) > GROUP_BITS:
                break
            group |= U64(entry >> 4) << U64(16 * count)
            bits += entry & 15
            rest >>= entry & 15
            count += 1
        groups[pattern] = group
        steps[pattern] = count << 4 | bits
    return groups, steps


@njit(cache=True)
def decode(
    raw: NDArray[np.uint8],
    spans: NDArray[np.uint64],
    symbols: NDArray[np.uint16],
    table: NDArray[np.uint16],
    groups: NDArray[np.uint64],
    steps: NDArray[np.uint8],
) -> int:
    """Decode one stream, or several at a time.

    Parameters
    ----------
    raw
        The bytes of all streams.
    spans
        (streams, 4): first bit in ``raw``, end of the bits, first place in ``symbols``, end of the places. The
        first bit and the first place move to where decoding stopped.
    symbols
        Filled.
    table
        ``symbol << 4 | length`` for every pattern of as many bits as the longest code; 0 where no code fits.
    groups, steps
        Of :func:`group_tables`; empty to do without.

    Returns
    -------
    int
        The first stream that ends early or holds no code where it stopped; as many as there are if all are sound.

    """
    if groups.size and len(spans) == 4:
        _decode_four(raw, spans, symbols, groups, steps)
    for i in range(len(spans)):
        if groups.size:
            _decode_groups(raw, spans[i], symbols, groups, steps)
        if not _decode_rest(raw, spans[i], symbols, table):
            return i
    return len(spans)


@njit(cache=True)
def _step(
    window: np.uint64,
    symbols: NDArray[np.uint16],
    at: np.uint64,
    groups: NDArray[np.uint64],
    steps: NDArray[np.uint8],
) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Decode one group; return the window, the place after the symbols and the bits taken."""
    pattern = window & _MASK
    store_four(symbols, at, groups[pattern])
    step = U64(steps[pattern])
    bits = step & U64(15)
    return window >> bits, at + (step >> U64(4)), bits


@njit(cache=True)
def _decode_four(
    raw: NDArray[np.uint8],
    spans: NDArray[np.uint64],
    symbols: NDArray[np.uint16],
    groups: NDArray[np.uint64],
    steps: NDArray[np.uint8],
) -> None:
    """Advance four streams together, so that none waits for its own lookups, until one of them nears its end."""
    bit0, bit1, bit2, bit3 = spans[0, 0], spans[1, 0], spans[2, 0], spans[3, 0]
    end0, end1, end2, end3 = spans[0, 1], spans[1, 1], spans[2, 1], spans[3, 1]
    at0, at1, at2, at3 = spans[0, 2], spans[1, 2], spans[2, 2], spans[3, 2]
    stop0, stop1, stop2, stop3 = spans[0, 3], spans[1, 3], spans[2, 3], spans[3, 3]
    three, seven = U64(3), U64(7)
    while (
        _has_round(bit0, end0, at0, stop0)
        and _has_round(bit1, end1, at1, stop1)
        and _has_round(bit2, end2, at2, stop2)
        and _has_round(bit3, end3, at3, stop3)
    ):
        window0 = load_word(raw, bit0 >> three) >> (bit0 & seven)
        window1 = load_word(raw, bit1 >> three) >> (bit1 & seven)
        window2 = load_word(raw, bit2 >> three) >> (bit2 & seven)
        window3 = load_word(raw, bit3 >> three) >> (bit3 & seven)
        for _ in range(4):
            window0, at0, bits = _step(window0, symbols, at0, groups, steps)
            bit0 += bits
            window1, at1, bits = _step(window1, symbols, at1, groups, steps)
            bit1 += bits
            window2, at2, bits = _step(window2, symbols, at2, groups, steps)
            bit2 += bits
            window3, at3, bits = _step(window3, symbols, at3, groups, steps)
            bit3 += bits
    spans[0, 0], spans[1, 0], spans[2, 0], spans[3, 0] = bit0, bit1, bit2, bit3
    spans[0, 2], spans[1, 2], spans[2, 2], spans[3, 2] = at0, at1, at2, at3


@njit(cache=True)
def _has_round(bit: np.uint64, end: np.uint64, at: np.uint64, stop: np.uint64) -> bool:
    """Whether a whole word and room for the most symbols of four lookups are left."""
    return bool(bit + _LOAD_BITS <= end and at + _ROUND_SYMBOLS <= stop)


@njit(cache=True)
def _decode_groups(
    raw: NDArray[np.uint8],
    span: NDArray[np.uint64],
    symbols: NDArray[np.uint16],
    groups: NDArray[np.uint64],
    steps: NDArray[np.uint8],
) -> None:
    """Advance one stream until it nears its end."""
    bit, end, at, stop = span[0], span[1], span[2], span[3]
    while _has_round(bit, end, at, stop):
        window = load_word(raw, bit >> U64(3)) >> (bit & U64(7))
        for _ in range(4):
            window, at, bits = _step(window, symbols, at, groups, steps)
            bit += bits
    span[0], span[2] = bit, at


@njit(cache=True)
def _decode_rest(
    raw: NDArray[np.uint8], span: NDArray[np.uint64], symbols: NDArray[np.uint16], table: NDArray[np.uint16]
) -> bool:
    """Decode a stream to its end, one symbol at a time; return whether it is sound."""
    mask, size = U64(table.size - 1), U64(raw.size)
    bit, end, at, stop = span[0], span[1], span[2], span[3]
    while at < stop:
        byte = bit >> U64(3)
        word = load_word(raw, byte) if byte + U64(8) <= size else load_end(raw, byte)
        entry = U64(table[word >> (bit & U64(7)) & mask])
        length = entry & U64(15)
        if length == U64(0) or bit + length > end:
            break
        symbols[at] = np.uint16(entry >> U64(4))
        bit += length
        at += U64(1)
    span[0], span[2] = bit, at
    return bool(at == stop)

"""Tables that decode a Huffman code on the target: one load for the short codes, a search for the rare long ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Huffman
from refcompress.encodings.huffman import MAX_LENGTH_BITS, canonical_codes
from refcompress.errors import OptionError

MAX_TABLE_BITS = 12
DEFAULT_MAX_TABLE_BITS = 10
# What a symbol decoded bit by bit may cost: a table of one more bit is taken if it saves more than this
SEARCH_BYTES = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class DecodeTable:
    """What the target needs of a code.

    Attributes
    ----------
    bits
        Bits that index the table.
    table
        ``symbol << 4 | length`` for every pattern of these bits, uint16. Where the code is longer, its first bits
        as a number, ``prefix << 4``; 0 where there is none.
    counts
        Number of codes of each length 1 to 15, uint16; in place of length 0 the first code of ``bits + 1`` bits.
    long_symbols
        Symbols of the codes longer than the table, shorter codes first, uint16.

    """

    bits: int
    table: NDArray[np.uint16]
    counts: NDArray[np.uint16]
    long_symbols: NDArray[np.uint16]


def build(stream: Huffman, *, max_table_bits: int = DEFAULT_MAX_TABLE_BITS) -> DecodeTable:
    """Build the table of a stream's code.

    Parameters
    ----------
    stream
        The stream; how often its long codes occur decides the size of the table.
    max_table_bits
        Most bits that may index the table, 0 to 12; with 0 every code is searched bit by bit.

    Examples
    --------
    >>> from refcompress.encodings import huffman
    >>> build(huffman.encode([0, 0, 0, 1, 2] * 20)).table.tolist()
    [1, 18, 1, 34]

    """
    if not 0 <= max_table_bits <= MAX_TABLE_BITS:
        raise OptionError(f"decode tables of {max_table_bits} bits; allowed are 0 to {MAX_TABLE_BITS}")
    lengths = stream.lengths.astype(np.int64)
    occurrences = np.bincount(lengths[stream.symbols], minlength=MAX_LENGTH_BITS + 1)
    counts = np.bincount(lengths[lengths > 0], minlength=MAX_LENGTH_BITS + 1)
    longest = int(lengths.max(initial=0))
    bits = min(
        range(min(longest, max_table_bits) + 1),
        key=lambda n: 2 * (1 << n) + 2 * counts[n + 1 :].sum() + SEARCH_BYTES * occurrences[n + 1 :].sum(),
    )
    longer = np.flatnonzero(lengths > bits)
    order = longer[np.argsort(lengths[longer], kind="stable")]
    counts[0] = sum(int(counts[n]) << bits + 1 - n for n in range(1, bits + 1))
    return DecodeTable(bits, _table(stream, bits, longer.size), counts.astype(np.uint16), order.astype(np.uint16))


def _table(stream: Huffman, bits: int, n_long: int) -> NDArray[np.uint16]:
    table = np.zeros(1 << bits, np.uint16)
    if n_long:
        table[:] = [int(f"0{i:0{bits}b}"[:0:-1] or "0", 2) << 4 for i in range(1 << bits)]
    codes = canonical_codes(stream.lengths)
    for symbol in np.flatnonzero((stream.lengths > 0) & (stream.lengths <= bits)):
        length = int(stream.lengths[symbol])
        table[int(codes[symbol]) :: 1 << length] = symbol << 4 | length
    return table

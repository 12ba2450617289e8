"""Tensors for TensorFlow Lite Micro's operator DECODE: table and indices, bitmap and what is not zero, Huffman codes.

An encoded tensor stands beside an ancillary one: 16 bytes (type, version 1, the rest by type), then tables. Bits are
read from the most significant one on. Layouts follow TFLM's kernels (``kernels/decode_state_*.h``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings.canonical import code_lengths

LUT, HUFFMAN, PRUNE = 0, 1, 2
COMMON_BYTES, VERSION = 16, 1
MOST_LUT_BITS = 7
ONE_TABLE = 15  # in place of the axis along which each index has a table of its own
LONGEST_CODE_BITS = 15
FOUND, COUNT_SHIFT, LARGEST_JUMP = 0x8000, 11, 0x07FF
WORD_BYTES = 4
CALL_BYTES = 360  # about what an operator, its two tensors and their names take of a file


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A constant as DECODE reads it.

    Attributes
    ----------
    kind
        ``LUT``, ``HUFFMAN`` or ``PRUNE``.
    data, ancillary
        Bytes of both tensors.

    """

    kind: int
    data: bytes
    ancillary: bytes

    @property
    def size_bytes(self) -> int:
        """Bytes of both."""
        return len(self.data) + len(self.ancillary)


def _ancillary(kind: int, options: tuple[int, ...], table: bytes) -> bytes:
    return bytes([kind, VERSION, 0, 0, VERSION, *options]).ljust(COMMON_BYTES, b"\0") + table


def lut(values: NDArray[np.int8]) -> Encoded | None:
    r"""Encode by indices into one table of at most 128 values; None if there are more.

    Examples
    --------
    >>> lut(np.array([5, -1, 5, 5], np.int8)).data  # the table is -1, 5
    b'\xb0'

    """
    table, indices = np.unique(values, return_inverse=True)
    width_bits = max(1, int(len(table) - 1).bit_length())
    if width_bits > MOST_LUT_BITS:
        return None
    bits = indices.reshape(-1, 1) >> np.arange(width_bits - 1, -1, -1) & 1
    data = np.packbits(bits.astype(np.uint8)).tobytes()
    return Encoded(LUT, data, _ancillary(LUT, (ONE_TABLE << 4 | width_bits, 0), table.tobytes()))


def prune(values: NDArray[np.int8]) -> Encoded:
    r"""Encode by a bitmap of the values that are not 0, and these.

    Examples
    --------
    >>> encoded = prune(np.array([0, 7, 0, 0, -2], np.int8))
    >>> encoded.data, encoded.ancillary[16:]
    (b'H', b'\x07\xfe')

    """
    flat = values.reshape(-1)
    return Encoded(PRUNE, np.packbits(flat != 0).tobytes(), _ancillary(PRUNE, (), flat[flat != 0].tobytes()))


def huffman(values: NDArray[np.int8]) -> Encoded | None:
    r"""Encode by a canonical Huffman code; None where no table of 16-bit entries reaches all codes.

    Examples
    --------
    >>> huffman(np.array([3, 3, 3, 9], np.int8)).data  # 3 is 0, 9 is 1; whole words
    b'\x10\x00\x00\x00'

    """
    symbols = values.reshape(-1).view(np.uint8)
    lengths = code_lengths(np.bincount(symbols, minlength=256), limit_bits=LONGEST_CODE_BITS)
    codes = _codes(lengths)
    tables = [
        table for first_bits in range(1, int(lengths.max()) + 1) if (table := _tables(lengths, codes, first_bits))
    ]
    if not tables:
        return None
    first_bits, entries = min(tables, key=lambda found: len(found[1]))
    used = lengths[symbols].astype(np.int64)
    at = np.arange(LONGEST_CODE_BITS)
    bits = codes[symbols][:, None] >> np.maximum(used[:, None] - 1 - at, 0) & 1
    stream = np.packbits(bits[at < used[:, None]].astype(np.uint8)).tobytes()
    data = stream.ljust(-(-len(stream) // WORD_BYTES) * WORD_BYTES, b"\0")
    return Encoded(HUFFMAN, data, _ancillary(HUFFMAN, ((first_bits - 1) << 4,), entries.astype("<u2").tobytes()))


def _codes(lengths: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the codes: shorter ones first, those of a length numbered in the order of the symbols."""
    codes, code, before = np.zeros(len(lengths), np.int64), 0, 0
    for symbol in np.lexsort((np.arange(len(lengths)), lengths)):
        if lengths[symbol]:
            code = code << int(lengths[symbol]) - before
            codes[symbol], before = code, int(lengths[symbol])
            code += 1
    return codes


def _tables(
    lengths: NDArray[np.uint8], codes: NDArray[np.int64], first_bits: int
) -> tuple[int, NDArray[np.uint16]] | None:
    """Make a table indexed by the first bits of a code, and one behind it for each start of longer codes."""
    entries: list[int] = [0] * (1 << first_bits)
    longer: dict[int, list[int]] = {}
    for symbol in np.flatnonzero(lengths).tolist():
        if lengths[symbol] <= first_bits:
            _fill(entries, 0, first_bits, int(codes[symbol]), int(lengths[symbol]), symbol)
        else:
            longer.setdefault(int(codes[symbol]) >> int(lengths[symbol]) - first_bits, []).append(symbol)
    for start, found in sorted(longer.items()):
        bits = max(int(lengths[symbol]) for symbol in found) - first_bits
        jump = len(entries) - start
        if jump > LARGEST_JUMP or bits > LONGEST_CODE_BITS:
            return None
        entries[start] = (bits - 1) << COUNT_SHIFT | jump
        at = len(entries)
        entries += [0] * (1 << bits)
        for symbol in found:
            rest = int(lengths[symbol]) - first_bits
            _fill(entries, at, bits, int(codes[symbol]) & (1 << rest) - 1, rest, symbol)
    return first_bits, np.array(entries, np.uint16)


def _fill(entries: list[int], at: int, bits: int, code: int, used: int, symbol: int) -> None:
    """Enter a symbol wherever the first bits are its code."""
    first = at + (code << bits - used)
    for index in range(first, first + (1 << bits - used)):
        entries[index] = FOUND | used << COUNT_SHIFT | symbol


def smallest(values: NDArray[np.int8]) -> Encoded | None:
    """Return the encoding of the fewest bytes; None if the values themselves take fewer than it and a call."""
    found = [encoded for encoded in (lut(values), prune(values), huffman(values)) if encoded is not None]
    best = min(found, key=lambda encoded: encoded.size_bytes)
    return best if best.size_bytes + CALL_BYTES < values.size else None

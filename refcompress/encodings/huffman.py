"""Streams of integers under a canonical Huffman code, least significant bit first."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcompress.encodings.arrays import check_array, read_only
from refcompress.encodings.canonical import (
    DEFAULT_LIMIT_BITS,
    MAX_ALPHABET,
    MAX_LENGTH_BITS,
    canonical_codes,
    check_lengths,
    code_lengths,
    coded_bits,
    decode_table,
    pack_lengths,
    unpack_lengths,
)
from refcompress.errors import FormatError, OptionError

STREAM_COUNTS = (1, 4)
FAST_FROM = 1 << 14  # symbols; decoding fewer takes less time than building the tables of the fast decoder

__all__ = [
    "DEFAULT_LIMIT_BITS",
    "MAX_ALPHABET",
    "MAX_LENGTH_BITS",
    "STREAM_COUNTS",
    "Huffman",
    "canonical_codes",
    "check_lengths",
    "code_lengths",
    "coded_bits",
    "decode_simple",
    "decode_table",
    "encode",
    "pack",
    "pack_lengths",
    "packed_bytes",
    "stream_sizes",
    "unpack",
    "unpack_lengths",
]


@dataclass(frozen=True, slots=True, eq=False)
class Huffman:
    """A stream of integers under a canonical Huffman code.

    Attributes
    ----------
    symbols
        The integers, uint16.
    lengths
        Length in bits of the code of each symbol of the alphabet, uint8, 0 for a symbol that has none. All else
        follows: codes of a length are consecutive, in the order of the symbols, shorter codes first.
    n_streams
        Bit streams the symbols are cut into: 1 for microcontrollers, 4 for fast decoders on larger machines.

    Raises
    ------
    OptionError
        Another dtype, lengths that make no code, or a symbol that has none.

    """

    symbols: NDArray[np.uint16]
    lengths: NDArray[np.uint8]
    n_streams: int = 1

    def __post_init__(self) -> None:
        check_array(self.symbols, np.uint16, "the symbols of a stream")
        check_lengths(self.lengths)
        if self.n_streams not in STREAM_COUNTS:
            raise OptionError(f"{self.n_streams} streams; allowed are {STREAM_COUNTS}")
        if not _all_coded(self.symbols, self.lengths):
            raise OptionError("a symbol of the stream has no code; compute the lengths from these symbols")


def _all_coded(symbols: NDArray[np.uint16], lengths: NDArray[np.uint8]) -> bool:
    if symbols.size and int(symbols.max()) >= len(lengths):
        return False
    if lengths.all():
        return True  # each symbol of the alphabet has a code: nothing to look up
    from refcompress.kernels import huffman as kernels

    return bool(kernels.all_coded(read_only(symbols), read_only(lengths)))


def encode(symbols: ArrayLike, *, limit_bits: int = DEFAULT_LIMIT_BITS, n_streams: int = 1) -> Huffman:
    """Build the best code of at most ``limit_bits`` bits for these symbols.

    Parameters
    ----------
    symbols
        Integers below 4096.
    limit_bits
        Longest code allowed, at most 15.
    n_streams
        1 or 4.

    Raises
    ------
    OptionError
        A symbol is out of range, or the limit too short.

    Examples
    --------
    >>> encode([0, 0, 0, 1, 2]).lengths
    array([1, 2, 2], dtype=uint8)

    """
    array = np.asarray(symbols).reshape(-1)
    if array.size and (array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= MAX_ALPHABET):
        raise OptionError(
            f"symbols of {array.dtype} from {array.min()} to {array.max()}; give integers from 0 to {MAX_ALPHABET - 1}"
        )
    array = array.astype(np.uint16)
    return Huffman(array, code_lengths(np.bincount(array), limit_bits=limit_bits), n_streams)


def stream_sizes(count: int, n_streams: int) -> list[int]:
    """Symbols in each of the streams: equal parts rounded up, what is left for the last.

    Examples
    --------
    >>> stream_sizes(10, 4)
    [3, 3, 3, 1]

    """
    part = -(-count // n_streams)
    return [max(0, min(part, count - i * part)) for i in range(n_streams)]


def pack(stream: Huffman) -> bytes:
    """Code the symbols. With four streams, three 32-bit lengths in bytes stand before them; the last is the rest.

    Examples
    --------
    >>> pack(encode([0, 0, 0, 1, 2])).hex()
    '68'

    """
    from refcompress.kernels import huffman as kernels

    symbols = read_only(stream.symbols)
    longest = int(stream.lengths.max(initial=0))
    table = canonical_codes(stream.lengths).astype(np.uint32) << np.uint32(4) | stream.lengths
    parts, start = [], 0
    for size in stream_sizes(symbols.size, stream.n_streams):
        out = np.empty(size * longest // 8 + 1 + kernels.STORE_BYTES, np.uint8)
        used = kernels.encode(symbols[start : start + size], table, longest, out)
        parts.append(out[:used].tobytes())
        start += size
    jumps = b"".join(len(part).to_bytes(4, "little") for part in parts[:-1])
    return jumps + b"".join(parts)


def packed_bytes(stream: Huffman) -> int:
    """Bytes that :func:`pack` would write.

    Examples
    --------
    >>> packed_bytes(encode([0, 0, 0, 1, 2]))
    1

    """
    total, start = 4 * (stream.n_streams - 1), 0
    for size in stream_sizes(stream.symbols.size, stream.n_streams):
        counts = np.bincount(stream.symbols[start : start + size], minlength=len(stream.lengths))
        total += (coded_bits(counts, stream.lengths) + 7) // 8
        start += size
    return total


def unpack(
    data: memoryview, count: int, lengths: NDArray[np.uint8], n_streams: int = 1, offset_bytes: int = 0
) -> Huffman:
    """Read ``count`` symbols back; ``data`` must be exactly their bytes.

    Raises
    ------
    FormatError
        The data ends early, is too long, or holds a bit pattern that is no code (constraint C16 of SPEC.md).
    OptionError
        The lengths make no code.

    Examples
    --------
    >>> unpack(memoryview(bytes.fromhex("68")), 5, np.array([1, 2, 2], np.uint8)).symbols
    array([0, 0, 0, 1, 2], dtype=uint16)

    """
    from refcompress.kernels import huffman as kernels

    check_lengths(lengths)
    if count > 8 * len(data):  # so that no memory is asked for on a mere claim
        raise FormatError(f"{count} symbols cannot stand in {len(data)} bytes", offset_bytes)
    spans = _spans(data, count, n_streams, offset_bytes)
    raw = read_only(np.frombuffer(data, np.uint8))
    symbols = np.empty(count, np.uint16)
    table = decode_table(lengths)
    # the fast decoder takes complete codes only, and computes with words whose lowest byte comes first
    fast = count >= FAST_FROM and len(table) <= 1 << kernels.GROUP_BITS and bool(table.all())
    if fast and sys.byteorder == "little":
        groups, steps = kernels.group_tables(table)
    else:
        groups, steps = np.zeros(0, np.uint64), np.zeros(0, np.uint8)
    sound = int(kernels.decode(raw, spans, symbols, table, groups, steps))
    for i in range(n_streams):
        bit, end = int(spans[i, 0]), int(spans[i, 1])
        if i == sound:
            raise FormatError("the stream ends early or holds a bit pattern that is no code", offset_bytes + bit // 8)
        _check_end(data, bit, end, offset_bytes)
    return _decoded(symbols, lengths, n_streams)


def _decoded(symbols: NDArray[np.uint16], lengths: NDArray[np.uint8], n_streams: int) -> Huffman:
    """Build a stream of symbols that came out of its code; looking each of them up again would double the time."""
    stream = object.__new__(Huffman)
    for name, value in (("symbols", symbols), ("lengths", lengths), ("n_streams", n_streams)):
        object.__setattr__(stream, name, value)
    return stream


def _spans(data: memoryview, count: int, n_streams: int, offset_bytes: int) -> NDArray[np.uint64]:
    """Tell of each stream its first bit and their end, its first symbol and their end."""
    start = 4 * (n_streams - 1)
    if len(data) < start:
        raise FormatError("the lengths of the streams are cut off", offset_bytes + len(data))
    sizes = [int.from_bytes(data[i : i + 4], "little") for i in range(0, start, 4)]
    sizes.append(len(data) - start - sum(sizes))
    if sizes[-1] < 0:
        raise FormatError(f"the streams are {-sizes[-1]} bytes longer than their section", offset_bytes)
    spans, first = [], 0
    for size, part in zip(sizes, stream_sizes(count, n_streams), strict=True):
        spans.append((8 * start, 8 * (start + size), first, first + part))
        start, first = start + size, first + part
    return np.array(spans, np.uint64)


def _check_end(data: memoryview, bit: int, end_bit: int, offset_bytes: int) -> None:
    unused = end_bit // 8 - (bit + 7) // 8
    if unused:
        raise FormatError(f"{unused} bytes follow the last code", offset_bytes + (bit + 7) // 8)
    if bit % 8 and data[bit // 8] >> bit % 8:
        raise FormatError("the padding bits of the last byte are not zero", offset_bytes + bit // 8)


def decode_simple(data: bytes, lengths: NDArray[np.uint8], count: int) -> list[int]:
    """Decode one stream bit by bit: the specification beside the fast decoder.

    A code of some length is read as a number, most significant bit first. Codes of that length are consecutive
    numbers, so the number less the first of them is the symbol's place among the symbols of that length.

    Raises
    ------
    FormatError
        The data ends early or holds a bit pattern that is no code.

    Examples
    --------
    >>> decode_simple(bytes.fromhex("68"), np.array([1, 2, 2], np.uint8), 5)
    [0, 0, 0, 1, 2]

    """
    counts = [int(np.count_nonzero(lengths == length)) for length in range(MAX_LENGTH_BITS + 1)]
    symbols = sorted(np.flatnonzero(lengths).tolist(), key=lambda symbol: (int(lengths[symbol]), symbol))
    decoded: list[int] = []
    bit = 0
    while len(decoded) < count:
        code = first = index = 0
        for length in range(1, MAX_LENGTH_BITS + 1):
            if bit >= 8 * len(data):
                raise FormatError("the stream ends early", len(data))
            code |= data[bit // 8] >> bit % 8 & 1
            bit += 1
            if code - first < counts[length]:
                decoded.append(symbols[index + code - first])
                break
            index += counts[length]
            first = (first + counts[length]) << 1
            code <<= 1
        else:
            raise FormatError("a bit pattern that is no code", bit // 8)
    return decoded

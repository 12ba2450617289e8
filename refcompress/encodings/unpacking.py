"""Reading packed tensors: bytes that nobody vouches for become an encoding or a FormatError.

C1, C2, ... are the constraints of SPEC.md. Those that an encoding keeps by itself are checked when it is built.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import bits, huffman
from refcompress.encodings.arrays import chunks
from refcompress.encodings.bits import Bits
from refcompress.encodings.canonical import unpack_lengths
from refcompress.encodings.csr import MAX_GAP_BITS, MAX_JOINT_BITS, Csr, LongGap
from refcompress.encodings.dense import Dense
from refcompress.encodings.huffman import Huffman
from refcompress.encodings.packed import (
    CSR,
    ESCAPE,
    HUFFMAN_GAPS,
    HUFFMAN_VALUES,
    JOINT,
    ONE_ZERO_POINT,
    VALUE_KINDS,
    Encoding,
    has_one_zero_point,
)
from refcompress.encodings.rows import check_shape
from refcompress.encodings.values import (
    MAX_LINEAR_BITS,
    Codebook,
    Float32,
    IntegerCodebook,
    IntStream,
    Joint,
    Linear,
    Values,
    label_bits,
)
from refcompress.errors import FormatError, OptionError

FLOAT32, CODEBOOK, LINEAR, INTEGER_CODEBOOK = range(len(VALUE_KINDS))


@dataclass(frozen=True, slots=True)
class _Header:
    """The first four bytes, taken apart."""

    kind: int
    sparse: bool
    joint: bool
    long_gap: LongGap
    huffman_gaps: bool
    huffman_values: bool
    value_bits: int
    gap_bits: int
    gap_streams: int
    value_streams: int
    longest_bits: int


@dataclass(frozen=True, slots=True)
class _Lengths:
    """The code lengths of the tensor's codes, None for a stream without one."""

    gaps: NDArray[np.uint8] | None
    values: NDArray[np.uint8] | None


class _Reader:
    """The rest of a packed tensor, taken from the front."""

    def __init__(self, data: memoryview, offset_bytes: int) -> None:
        self.data = data
        self.offset_bytes = offset_bytes

    def take(self, size: int, what: str) -> memoryview:
        if size > len(self.data):  # C2
            raise FormatError(
                f"{what} take {size} bytes where {len(self.data)} are left", self.offset_bytes + len(self.data)
            )
        head, self.data = self.data[:size], self.data[size:]
        self.offset_bytes += size
        return head

    def integer(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "little")

    def array(self, dtype: str, count: int, what: str) -> NDArray[Any]:
        raw = np.frombuffer(self.take(count * np.dtype(dtype).itemsize, what), dtype)
        return raw.astype(np.dtype(dtype).newbyteorder("="))

    def lengths(self) -> NDArray[np.uint8]:
        lengths, used = unpack_lengths(self.data, self.offset_bytes)
        self.take(used, "the code lengths")
        return lengths


def unpack(data: bytes | memoryview, shape: tuple[int, ...], offset_bytes: int = 0) -> Encoding:
    """Read a packed tensor of a known shape.

    Parameters
    ----------
    data
        Exactly its bytes.
    shape
        Shape of the array.
    offset_bytes
        Where ``data`` stands in its file, for errors.

    Raises
    ------
    FormatError
        A constraint of SPEC.md is broken.

    Notes
    -----
    At most 48 bytes are allocated for each byte of ``data``, and 2 MiB: the densest stream has 8 symbols in a
    byte, each is stored in 16 bits, twice where it is joint.

    Examples
    --------
    >>> unpack(bytes.fromhex("000000000000803f"), (1,)).values.array
    array([1.], dtype=float32)

    """
    try:
        check_shape(shape)  # C1
    except OptionError as error:
        raise FormatError(str(error), offset_bytes) from None
    reader = _Reader(memoryview(data), offset_bytes)
    header = _read_header(reader)
    start = reader.offset_bytes
    try:
        encoding = _read_csr(reader, header, shape) if header.sparse else _read_dense(reader, header, shape)
    except OptionError as error:  # what the encodings refuse by themselves: C10, C12, C17 to C22
        raise FormatError(str(error), start) from None
    if len(reader.data):  # C3
        raise FormatError(f"{len(reader.data)} bytes follow the tensor", reader.offset_bytes)
    return encoding


def _read_header(reader: _Reader) -> _Header:
    start = reader.offset_bytes
    form, value_bits, gap_bits, codes = reader.take(4, "the four bytes of the header")
    kind = form >> 1 & 3
    if form & 0x80:  # C4
        raise FormatError(f"the form 0x{form:02x} is unknown; a newer version may have written it", start)
    header = _Header(
        kind=kind,
        sparse=bool(form & CSR),
        joint=bool(form & JOINT),
        long_gap="escape" if form & ESCAPE else "filler",
        huffman_gaps=bool(form & HUFFMAN_GAPS),
        huffman_values=bool(form & HUFFMAN_VALUES),
        value_bits=value_bits,
        gap_bits=gap_bits,
        gap_streams=1 << (codes & 3),
        value_streams=1 << (codes >> 2 & 3),
        longest_bits=codes >> 4,
    )
    if not header.sparse and form & (ESCAPE | HUFFMAN_GAPS | JOINT):  # C5
        raise FormatError(f"the form 0x{form:02x} tells of gaps, but is not sparse", start)
    if form & (HUFFMAN_VALUES | JOINT) and (kind == FLOAT32 or (header.joint and header.huffman_values)):  # C6
        raise FormatError(f"the form 0x{form:02x} tells of a value stream that is not there", start)
    _check_widths(header, start)
    return header


def _check_widths(header: _Header, start: int) -> None:
    if (header.value_bits == 0) != (header.kind == FLOAT32) or header.value_bits > MAX_LINEAR_BITS:  # C7
        raise FormatError(
            f"integers of {header.value_bits} bits; allowed are 1 to {MAX_LINEAR_BITS}, and 0 for float32", start + 1
        )
    if (header.gap_bits == 0) == header.sparse or header.gap_bits > MAX_GAP_BITS:  # C8
        raise FormatError(
            f"gaps of {header.gap_bits} bits; allowed are 1 to {MAX_GAP_BITS}, and 0 if not sparse", start + 2
        )
    if header.joint and header.gap_bits + header.value_bits > MAX_JOINT_BITS:  # C8
        raise FormatError(f"joint symbols of more than {MAX_JOINT_BITS} bits", start + 2)
    for count, coded in (
        (header.gap_streams, header.huffman_gaps),
        (header.value_streams, header.huffman_values),
    ):
        if count not in huffman.STREAM_COUNTS or (count > 1 and not coded):  # C9
            raise FormatError(f"{count} bit streams; allowed are 1, and 4 under a Huffman code", start + 3)


def _read_lengths(reader: _Reader, header: _Header) -> _Lengths:
    gaps = reader.lengths() if header.huffman_gaps else None
    values = reader.lengths() if header.huffman_values else None
    longest = max((int(lengths.max(initial=0)) for lengths in (gaps, values) if lengths is not None), default=0)
    if longest != header.longest_bits:  # C9
        raise FormatError(
            f"the longest code has {longest} bits, the header tells {header.longest_bits}", reader.offset_bytes
        )
    return _Lengths(gaps, values)


def _read_table(reader: _Reader, header: _Header) -> Callable[[IntStream], Values]:
    """Read what stands before the streams; return what makes values of the integers."""
    start = reader.offset_bytes
    if header.kind == CODEBOOK:
        count = reader.integer(2, "the number of centroids")
        if reader.integer(2, "the padding") or label_bits(count) != header.value_bits:  # C10
            raise FormatError(f"{count} centroids and labels of {header.value_bits} bits do not fit", start)
        centroids = reader.array("<f4", count, "the centroids")
        return lambda stream: Codebook(centroids, stream)
    if header.kind == INTEGER_CODEBOOK:
        return _read_integer_centroids(reader, header, start)
    word = reader.integer(4, "the number of scales")
    count, shared = word & ~ONE_ZERO_POINT, bool(word & ONE_ZERO_POINT)
    scales = reader.array("<f4", count, "the scales")
    stored = reader.array("<u2", 1 if shared else count, "the zero points")
    zero_points = np.repeat(stored, count) if shared else stored

    def finish(stream: IntStream) -> Linear:
        values = Linear(stream, header.value_bits, scales, zero_points)
        if has_one_zero_point(values) != shared:  # C11
            raise FormatError("equal zero points of several scales, and only they, are stored once", start)
        return values

    return finish


def _read_integer_centroids(reader: _Reader, header: _Header, start: int) -> Callable[[IntStream], Values]:
    count = reader.integer(2, "the number of centroids")
    if reader.integer(2, "the padding") or label_bits(count) != header.value_bits:  # C22
        raise FormatError(f"{count} centroids and labels of {header.value_bits} bits do not fit", start)
    scale = float(reader.array("<f4", 1, "the scale")[0])
    centroids = reader.array("i1", count, "the centroids")
    if any(reader.take(-count % 4, "the padding")):  # C22
        raise FormatError("the padding behind the centroids is not 0", start)
    return lambda stream: IntegerCodebook(centroids, scale, stream)


def _read_stream(
    data: memoryview, count: int, width_bits: int, lengths: NDArray[np.uint8] | None, n_streams: int, offset: int
) -> Bits | Huffman:
    if lengths is None:
        return bits.unpack(data, count, width_bits, offset)  # C16
    return huffman.unpack(data, count, lengths, n_streams, offset)  # C16


def _read_dense(reader: _Reader, header: _Header, shape: tuple[int, ...]) -> Dense:
    count = math.prod(shape)
    if header.kind == FLOAT32:
        _read_lengths(reader, header)
        return Dense(shape, Float32(reader.array("<f4", count, "the values")))
    finish = _read_table(reader, header)
    lengths = _read_lengths(reader, header).values
    offset = reader.offset_bytes
    rest = reader.take(len(reader.data), "the values")
    stream = _read_stream(rest, count, header.value_bits, lengths, header.value_streams, offset)
    return Dense(shape, finish(stream))


def _read_csr(reader: _Reader, header: _Header, shape: tuple[int, ...]) -> Csr:
    entries = reader.integer(4, "the number of gaps")
    gap_bytes = reader.integer(4, "the size of the gaps")
    if entries > 8 * gap_bytes:  # C13
        raise FormatError(f"{entries} gaps cannot stand in {gap_bytes} bytes", reader.offset_bytes - 8)
    if header.kind == FLOAT32:
        # floats stand before the gaps, so that they are aligned, and only the gaps tell how many there are
        floats = Float32(reader.array("<f4", reader.integer(4, "the number of values"), "the values"))
    else:
        finish = _read_table(reader, header)
    lengths = _read_lengths(reader, header)
    width = header.gap_bits + (header.value_bits if header.joint else 0)
    offset = reader.offset_bytes
    section = reader.take(gap_bytes, "the gaps")
    gaps = _read_stream(section, entries, width, lengths.gaps, header.gap_streams, offset)
    if header.kind == FLOAT32:
        return Csr(shape, gaps, header.gap_bits, header.long_gap, floats)
    count = _count_values(gaps.symbols, header)
    stream: IntStream
    if header.joint:
        stream = Joint(_joint_integers(gaps.symbols, count, header), header.value_bits)
    else:
        offset = reader.offset_bytes
        rest = reader.take(len(reader.data), "the values")
        stream = _read_stream(rest, count, header.value_bits, lengths.values, header.value_streams, offset)
    return Csr(shape, gaps, header.gap_bits, header.long_gap, finish(stream))


def _count_values(symbols: NDArray[np.uint16], header: _Header) -> int:
    if header.long_gap == "filler":
        return symbols.size
    mask = np.uint16((1 << header.gap_bits) - 1)
    return sum(int(np.count_nonzero(symbols[part] & mask != mask)) for part in chunks(symbols.size))


def _joint_integers(symbols: NDArray[np.uint16], count: int, header: _Header) -> NDArray[np.uint16]:
    integers = np.empty(count, np.uint16)
    mask = np.uint16((1 << header.gap_bits) - 1)
    at = 0
    for part in chunks(symbols.size):
        above = symbols[part] >> np.uint16(header.gap_bits)
        if header.long_gap == "escape":
            above = above[symbols[part] & mask != mask]
        integers[at : at + above.size] = above
        at += above.size
    return integers

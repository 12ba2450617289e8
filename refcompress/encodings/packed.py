"""Packed tensors: the bytes of one encoding, the same in a container and in flash (see SPEC.md)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import bits, huffman
from refcompress.encodings.bits import Bits
from refcompress.encodings.canonical import pack_lengths
from refcompress.encodings.csr import Csr
from refcompress.encodings.dense import Dense
from refcompress.encodings.huffman import Huffman
from refcompress.encodings.values import (
    Codebook,
    Float32,
    IntegerCodebook,
    IntStream,
    Joint,
    Linear,
    stream_of,
    value_bits,
)
from refcompress.errors import OptionError

Encoding = Dense | Csr

CSR, ESCAPE, HUFFMAN_VALUES, HUFFMAN_GAPS, JOINT = 0x01, 0x08, 0x10, 0x20, 0x40
VALUE_KINDS: tuple[type, ...] = (Float32, Codebook, Linear, IntegerCodebook)
ONE_ZERO_POINT = 1 << 31  # in the number of scales


def pack(encoding: Encoding) -> bytes:
    """Pack an encoding into bytes.

    Examples
    --------
    >>> from refcompress.encodings import dense
    >>> pack(dense.encode([1.0])).hex()
    '000000000000803f'

    """
    gaps, integers = _streams(encoding)
    gap_section = b"" if gaps is None else pack_stream(gaps)
    parts = [_pack_header(encoding)]
    if gaps is not None:
        parts.append(struct.pack("<II", len(gaps.symbols), len(gap_section)))
    parts.append(_pack_table(encoding))
    parts += [pack_lengths(stream.lengths) for stream in (gaps, integers) if isinstance(stream, Huffman)]
    parts.append(gap_section)
    parts.append(b"" if integers is None else pack_stream(integers))
    return b"".join(parts)


def _streams(encoding: Encoding) -> tuple[IntStream | None, IntStream | None]:
    """Return the gaps and the integers, each if it has a stream of its own."""
    integers = stream_of(encoding.values)
    gaps = encoding.gaps if isinstance(encoding, Csr) else None
    return gaps, None if isinstance(integers, Joint) else integers


def _pack_header(encoding: Encoding) -> bytes:
    form = VALUE_KINDS.index(type(encoding.values)) << 1
    gap_bits = 0
    if isinstance(encoding, Csr):
        form |= CSR | (ESCAPE if encoding.long_gap == "escape" else 0)
        form |= JOINT if isinstance(stream_of(encoding.values), Joint) else 0
        gap_bits = encoding.gap_bits
    codes = longest = 0
    for stream, flag, shift in zip(_streams(encoding), (HUFFMAN_GAPS, HUFFMAN_VALUES), (0, 2), strict=True):
        if isinstance(stream, Huffman):
            form |= flag
            codes |= (stream.n_streams.bit_length() - 1) << shift
            longest = max(longest, int(stream.lengths.max(initial=0)))
    return bytes([form, value_bits(encoding.values), gap_bits, codes | longest << 4])


def _pack_table(encoding: Encoding) -> bytes:
    values = encoding.values
    if isinstance(values, Float32):
        counted = isinstance(encoding, Csr)
        return (struct.pack("<I", len(values.array)) if counted else b"") + values.array.astype("<f4").tobytes()
    if isinstance(values, Codebook):
        return struct.pack("<HH", len(values.centroids), 0) + values.centroids.astype("<f4").tobytes()
    if isinstance(values, IntegerCodebook):
        start = struct.pack("<HHf", len(values.centroids), 0, values.scale)
        return start + values.centroids.tobytes() + bytes(-len(values.centroids) % 4)
    count = len(values.scales) | (ONE_ZERO_POINT if has_one_zero_point(values) else 0)
    zero_points = stored_zero_points(values).astype("<u2")
    return struct.pack("<I", count) + values.scales.astype("<f4").tobytes() + zero_points.tobytes()


def has_one_zero_point(values: Linear) -> bool:
    """Whether several scales share one zero point, which is then stored once.

    Examples
    --------
    >>> integers = Bits(np.zeros(0, np.uint16), 8)
    >>> has_one_zero_point(Linear(integers, 8, np.ones(3, np.float32), np.full(3, 128, np.uint16)))
    True

    """
    return len(values.scales) > 1 and bool((values.zero_points == values.zero_points[0]).all())


def stored_zero_points(values: Linear) -> NDArray[np.uint16]:
    """Return the zero points that are stored: one if all are equal.

    Examples
    --------
    >>> integers = Bits(np.zeros(0, np.uint16), 8)
    >>> stored_zero_points(Linear(integers, 8, np.ones(3, np.float32), np.full(3, 128, np.uint16)))
    array([128], dtype=uint16)

    """
    return values.zero_points[:1] if has_one_zero_point(values) else values.zero_points


def pack_stream(stream: IntStream) -> bytes:
    """Pack the symbols of a stream that stands by itself.

    Raises
    ------
    OptionError
        The stream is :class:`Joint`.

    Examples
    --------
    >>> import numpy as np
    >>> pack_stream(Bits(np.array([1, 2, 3], np.uint16), 4)).hex()
    '2103'

    """
    if isinstance(stream, Huffman):
        return huffman.pack(stream)
    if isinstance(stream, Bits):
        return bits.pack(stream)
    raise OptionError("a joint stream is packed with the gaps it rides on")


def size_bytes(encoding: Encoding) -> int:
    """Bytes that :func:`pack` would write, without writing them.

    Examples
    --------
    >>> from refcompress.encodings import dense
    >>> size_bytes(dense.encode([1.0])) == len(pack(dense.encode([1.0])))
    True

    """
    gaps, integers = _streams(encoding)
    total = 4 + len(_pack_table(encoding))
    if gaps is not None:
        total += 8 + stream_bytes(gaps)
    return total if integers is None else total + stream_bytes(integers)


def stream_bytes(stream: IntStream) -> int:
    """Bytes of a stream that stands by itself, with its code lengths.

    Examples
    --------
    >>> stream_bytes(huffman.encode([0, 0, 0, 1, 2]))  # 2 for the alphabet's size, 2 for three lengths, 1
    5

    """
    if isinstance(stream, Huffman):
        return len(pack_lengths(stream.lengths)) + huffman.packed_bytes(stream)
    return bits.packed_bytes(len(stream.symbols), stream.width_bits)

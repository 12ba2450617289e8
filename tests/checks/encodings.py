"""check_encoding: everything a packed tensor promises; and all ways to nest encodings, built by naive loops."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import (
    Bits,
    Codebook,
    Csr,
    Dense,
    Encoding,
    Float32,
    IntegerCodebook,
    IntStream,
    Joint,
    Linear,
    Values,
    decode,
    huffman,
    pack,
    unpack,
)
from refcompress.encodings.csr import LongGap
from refcompress.encodings.packed import size_bytes
from refcompress.encodings.values import label_bits
from refcompress.errors import FormatError

# zeros of both signs, infinities, NaNs with payloads (quiet and signalling), denormals, the greatest number
ODD_BITS = (0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC12345, 0xFF812345, 1, 0x807FFFFF, 0x7F7FFFFF, 0x3F800000)
STREAMS = ("bits", "huffman 1", "huffman 4")


def bits_of(array: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return the bits of float32 values, so that -0.0 and NaN payloads count."""
    return np.ascontiguousarray(array).view(np.uint32)


def check_encoding(encoding: Encoding, *, flips: Iterable[int] | None = None) -> None:
    """Round trip, every truncation, trailing bytes, and bit flips (all of them if none are chosen)."""
    data = pack(encoding)
    assert len(data) == size_bytes(encoding)
    again = unpack(data, encoding.shape)
    assert pack(again) == data
    assert np.array_equal(bits_of(decode(again)), bits_of(decode(encoding)))
    for size in range(len(data)):
        with pytest.raises(FormatError) as caught:
            unpack(data[:size], encoding.shape, 1000)
        assert 1000 <= caught.value.offset_bytes <= 1000 + size
    for trailing in (b"\x00", b"\xff", bytes(4)):
        with pytest.raises(FormatError):
            unpack(data + trailing, encoding.shape)
    for bit in range(8 * len(data)) if flips is None else flips:
        check_any_bytes(flip(data, bit % (8 * len(data))), encoding.shape)


def check_any_bytes(data: bytes, shape: tuple[int, ...]) -> None:
    """Bytes that nobody vouches for: FormatError with an offset, or an encoding that packs to the same bytes."""
    try:
        encoding = unpack(data, shape)
    except FormatError as error:
        check_offset(error, 0, len(data))
        return
    assert pack(encoding) == data
    assert decode(encoding).shape == shape


def check_offset(error: FormatError, start: int, end: int) -> None:
    """Check that an error points into the bytes that were read, or to their end."""
    assert start <= error.offset_bytes <= end


def flip(data: bytes, bit: int) -> bytes:
    """Turn one bit around."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@dataclass(frozen=True)
class Nesting:
    """One way to nest encodings; ``gaps`` and ``integers`` are one of STREAMS, "joint" or ""."""

    values: str
    integers: str
    gaps: str = ""
    long_gap: LongGap = "filler"

    def __str__(self) -> str:
        return " ".join(filter(None, (self.long_gap if self.gaps else "dense", self.gaps, self.values, self.integers)))


def all_nestings() -> list[Nesting]:
    """Dense or sparse, all kinds of values, bits or Huffman or joint, fillers or escapes, 1 or 4 streams."""
    coded = [(kind, stream) for kind in ("codebook", "linear", "integers") for stream in STREAMS]
    joint = [("codebook", "joint"), ("linear", "joint"), ("integers", "joint")]
    sparse = itertools.product([("float32", ""), *coded, *joint], STREAMS, ("filler", "escape"))
    return [
        Nesting("float32", ""),
        *(Nesting(*value) for value in coded),
        *(Nesting(*value, gaps, long_gap) for value, gaps, long_gap in sparse),
    ]


def naive_gaps(where: Sequence[int], gap_bits: int, long_gap: LongGap) -> tuple[list[int], list[int]]:
    """Gap symbols one by one, and for each the position of its entry, of a filler, or -1 for an escape."""
    largest = 2**gap_bits - 1
    symbols, places, position = [], [], -1
    for place in where:
        while place - position - 1 > largest or (long_gap == "escape" and place - position - 1 == largest):
            symbols.append(largest)
            position += largest + (long_gap == "filler")
            places.append(position if long_gap == "filler" else -1)
        symbols.append(place - position - 1)
        places.append(place)
        position = place
    return symbols, places


def _stream(symbols: Sequence[int], width_bits: int, kind: str) -> Bits | huffman.Huffman:
    array = np.array(symbols, np.uint16)
    return Bits(array, width_bits) if kind == "bits" else huffman.encode(array, n_streams=int(kind[-1]))


def build(nesting: Nesting, array: NDArray[np.float32], gap_bits: int = 2) -> Encoding:
    """Encode an array in one way; integers take its shape and zeros and have values of their own."""
    rows = 1 if array.ndim < 2 else max(1, array.shape[-1])
    flat = (np.moveaxis(array, -1, 0) if array.ndim >= 2 else array).reshape(-1)
    patterns = [int(bits) for bits in bits_of(flat)]
    where = [i for i, bits in enumerate(patterns) if bits]
    symbols, places = naive_gaps(where, gap_bits, nesting.long_gap) if nesting.gaps else ([], list(range(flat.size)))
    stored = [patterns[place] for place in places if place >= 0]
    if nesting.values == "float32":
        values: Values = Float32(np.array(stored, np.uint32).view(np.float32))
        integers, width_bits = [0] * len(stored), 0
    else:
        distinct = sorted(set(stored)) or [0]
        integers = [distinct.index(bits) for bits in stored]
        width_bits = label_bits(len(distinct))
        joint = nesting.integers == "joint"
        stream: IntStream = (
            Joint(np.array(integers, np.uint16), width_bits)
            if joint
            else _stream(integers, width_bits, nesting.integers)
        )
        if nesting.values == "codebook":
            values = Codebook(np.array(distinct, np.uint32).view(np.float32), stream)
        elif nesting.values == "integers":
            values = IntegerCodebook(np.arange(-1, len(distinct) - 1).astype(np.int8), 0.1, stream)
        else:
            scales = np.arange(1, rows + 1, dtype=np.float32) / 4
            zero_points = (np.arange(rows) % (1 + flat.size % 2)).astype(np.uint16)  # equal, or of two kinds
            values = Linear(stream, width_bits, scales, zero_points)
    if not nesting.gaps:
        return Dense(array.shape, values)
    if nesting.integers == "joint":
        above = iter(integers)
        symbols = [s | (next(above) << gap_bits if p >= 0 else 0) for s, p in zip(symbols, places, strict=True)]
    else:
        width_bits = 0
    gaps = _stream(symbols, gap_bits + width_bits, nesting.gaps)
    return Csr(array.shape, gaps, gap_bits, nesting.long_gap, values)


@st.composite
def odd_arrays(draw: st.DrawFn, max_side: int = 6) -> NDArray[np.float32]:
    """Arrays of 0 to 4 axes, empty ones too, of numbers that are easily lost."""
    shape = tuple(draw(st.lists(st.integers(0, max_side), max_size=4)))
    count = int(np.prod(shape))
    if count > 64:
        shape, count = (64,), 64
    some = st.one_of(st.just(0), st.sampled_from(ODD_BITS), st.integers(0, 2**32 - 1))
    return np.array(draw(st.lists(some, min_size=count, max_size=count)), np.uint32).view(np.float32).reshape(shape)

"""The encoding of the same values with the fewest bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import csr, dense, huffman, integers
from refcompress.encodings.bits import Bits
from refcompress.encodings.csr import Csr, LongGap
from refcompress.encodings.dense import Dense
from refcompress.encodings.huffman import Huffman
from refcompress.encodings.packed import Encoding, size_bytes, stream_bytes
from refcompress.encodings.rows import matrix_shape, to_rows
from refcompress.encodings.values import (
    MAX_CENTROIDS,
    MAX_INTEGER_CENTROIDS,
    Codebook,
    Float32,
    IntegerCodebook,
    IntStream,
    Joint,
    Linear,
    Values,
    label_bits,
)

GAP_BITS = range(1, 9)
LONG_GAPS: tuple[LongGap, ...] = ("filler", "escape")
MAX_JOINT_BITS = 12  # the widest alphabet of a Huffman code
FOUR_STREAMS_FROM = 1 << 18  # symbols; below, twelve bytes of stream lengths buy no time
FEW_WIDTHS_FROM = 1 << 20  # entries; above, only gap widths near that of the mean gap are tried


@dataclass(frozen=True, slots=True, eq=False)
class _Content:
    """What is to be stored, whatever the structure.

    Attributes
    ----------
    shape
        Shape of the array.
    stored
        What to store of each element, in row order: its float32, or its integer (uint16).
    width_bits
        Bits of an integer; 0 for float32.
    finish
        Makes values of a stream of integers; None for float32.
    holds_zero
        Whether +0.0 can be stored at any element.

    """

    shape: tuple[int, ...]
    stored: NDArray[np.float32] | NDArray[np.uint16]
    width_bits: int
    finish: Callable[[IntStream], Values] | None
    holds_zero: bool = True


def smallest(
    encoding: Encoding, *, limit_bits: int | None = huffman.DEFAULT_LIMIT_BITS, keep_integers: bool = False
) -> Encoding:
    """Store the same values in the fewest bytes.

    Dense and sparse rows, gap widths of 1 to 8 bits, fillers and escapes, packed, Huffman and joint codes are
    compared by the bytes that :func:`refcompress.encodings.pack` would write. Values of few kinds are also
    tried as a codebook of them, so dense float32 is what is left where nothing beats it.

    Parameters
    ----------
    encoding
        Any encoding.
    limit_bits
        Longest Huffman code, at most 15; a decoder's table has up to 2^limit_bits entries. None for no entropy coding:
        packed streams alone.
    keep_integers
        Store integers (``Linear`` or ``IntegerCodebook``) in these two ways only, as integer networks need them.

    Returns
    -------
    Encoding
        It decodes to the same bits. On a tie the simpler form wins.

    Raises
    ------
    OptionError
        ``keep_integers`` is asked of values that are no integers.

    Examples
    --------
    >>> weight = np.zeros((64, 64), np.float32)
    >>> weight[::5, ::7] = 0.5
    >>> found = smallest(dense.encode(weight))
    >>> type(found).__name__, np.array_equal(csr.decode(found), weight)
    ('Csr', True)

    """
    if keep_integers:
        return _smallest_integers(encoding, limit_bits)
    array = csr.decode(encoding) if isinstance(encoding, Csr) else dense.decode(encoding)
    decoded = to_rows(array).reshape(-1)
    where = np.flatnonzero(decoded.view(np.uint32))
    best: Encoding = Dense(encoding.shape, Float32(decoded))
    best_bytes = size_bytes(best)
    for content in _contents(encoding, decoded, where):
        for candidate in _candidates(content, where, limit_bits):
            candidate_bytes = size_bytes(candidate)
            if candidate_bytes < best_bytes:
                best, best_bytes = candidate, candidate_bytes
    return best


def _smallest_integers(encoding: Encoding, limit_bits: int | None) -> Encoding:
    found = integers.rows_of(encoding).reshape(-1)
    where = np.flatnonzero(found)
    contents = _integer_contents(encoding, found)
    candidates = [each for content in contents for each in _candidates(content, where, limit_bits)]
    return min(candidates, key=size_bytes)


def _integer_contents(encoding: Encoding, found: NDArray[np.int32]) -> Iterator[_Content]:
    scales = integers.scales_of(encoding)
    distinct = np.unique(found)
    low, high = (int(each) for each in (distinct.min(initial=0), distinct.max(initial=0)))
    if isinstance(encoding.values, Linear):
        yield _linear_content(encoding, encoding.values)
    else:
        bits = max(2, (-low - 1).bit_length() + 1, high.bit_length() + 1)
        signed = integers.signed(found, scales, bits)
        yield _linear_content(Dense(encoding.shape, signed), signed)
    if len(scales) > 1 or low < -128 or high > 127 or not 0 < distinct.size <= MAX_INTEGER_CENTROIDS:
        return
    others = distinct[distinct != 0]
    for centroids in (distinct, others) if 0 < others.size < distinct.size else (distinct,):
        yield _integer_codebook_content(encoding.shape, found, centroids, float(scales[0]))


def _integer_codebook_content(
    shape: tuple[int, ...], found: NDArray[np.int32], distinct: NDArray[np.int32], scale: float
) -> _Content:
    """Use distinct integers as centroids; where 0 is left out it finds the label of another, and is not stored."""
    labels = np.minimum(np.searchsorted(distinct, found), distinct.size - 1).astype(np.uint16)
    centroids = distinct.astype(np.int8)
    return _Content(
        shape,
        labels,
        label_bits(distinct.size),
        lambda stream: IntegerCodebook(centroids, scale, stream),
        holds_zero=bool((distinct == 0).any()),
    )


def _contents(encoding: Encoding, decoded: NDArray[np.float32], where: NDArray[np.int64]) -> Iterator[_Content]:
    yield _Content(encoding.shape, decoded, 0, None)
    if isinstance(encoding.values, Linear):
        yield _linear_content(encoding, encoding.values)
    distinct = np.unique(decoded.view(np.uint32))
    if 0 < distinct.size <= MAX_CENTROIDS:
        yield _codebook_content(encoding.shape, decoded, distinct)
    if 0 < where.size < decoded.size and distinct.size <= MAX_CENTROIDS:
        yield _codebook_content(encoding.shape, decoded, distinct[1:])


def _codebook_content(shape: tuple[int, ...], decoded: NDArray[np.float32], distinct: NDArray[np.uint32]) -> _Content:
    """Use the distinct bit patterns as centroids, in increasing order of value, with or without +0.0."""
    order = np.argsort(distinct.view(np.float32), kind="stable")
    label_of = np.empty(distinct.size, np.uint16)
    label_of[order] = np.arange(distinct.size)
    # +0.0 left out of the centroids finds the label of another; no such element is stored
    labels = label_of[np.searchsorted(distinct, decoded.view(np.uint32))]
    centroids = distinct[order].view(np.float32)
    return _Content(
        shape,
        labels,
        label_bits(distinct.size),
        lambda stream: Codebook(centroids, stream),
        holds_zero=bool(distinct[0] == 0),
    )


def _linear_content(encoding: Encoding, values: Linear) -> _Content:
    integers = values.integers.symbols
    if isinstance(encoding, Csr):
        rows, columns = matrix_shape(encoding.shape)
        full = np.repeat(np.broadcast_to(values.zero_points, (rows,)), columns)
        full[csr.positions(encoding)] = integers
        integers = full
    return _Content(
        encoding.shape,
        integers,
        values.bits,
        lambda stream: Linear(stream, values.bits, values.scales, values.zero_points),
    )


def _candidates(content: _Content, where: NDArray[np.int64], limit_bits: int | None) -> Iterator[Encoding]:
    full = where.size == math.prod(content.shape)
    if content.holds_zero or full:
        yield Dense(content.shape, _values(content, content.stored, limit_bits))
    if full:
        return
    for gap_bits in _gap_widths(where):
        for long_gap in LONG_GAPS:
            symbols, entry = csr.split_gaps(where, gap_bits, long_gap)
            if long_gap == "filler" and symbols.size > where.size and not content.holds_zero:
                continue
            yield from _sparse_candidates(content, symbols, entry, gap_bits, long_gap, limit_bits)


def _gap_widths(where: NDArray[np.int64]) -> range:
    if where.size < FEW_WIDTHS_FROM:
        return GAP_BITS
    middle = max(2, min(7, int(where[-1] // where.size).bit_length() + 1))
    return range(middle - 1, middle + 2)


def _sparse_candidates(
    content: _Content,
    symbols: NDArray[np.uint16],
    entry: NDArray[np.int64],
    gap_bits: int,
    long_gap: LongGap,
    limit_bits: int | None,
) -> Iterator[Encoding]:
    carries = entry >= 0 if long_gap == "escape" else np.ones(entry.size, np.bool_)
    stored = content.stored[(np.cumsum(symbols.astype(np.int64) + carries) - 1)[carries]]
    gaps = _cheapest_stream(symbols, gap_bits, limit_bits)
    yield Csr(content.shape, gaps, gap_bits, long_gap, _values(content, stored, limit_bits))
    joint_bits = gap_bits + content.width_bits
    if content.finish is not None and joint_bits <= MAX_JOINT_BITS and limit_bits is not None:
        integers = stored.astype(np.uint16)
        joint = symbols | (csr.spread(integers, carries) << np.uint16(gap_bits))
        values = content.finish(Joint(integers, content.width_bits))
        yield Csr(content.shape, _cheapest_stream(joint, joint_bits, limit_bits), gap_bits, long_gap, values)


def _values(content: _Content, stored: NDArray[np.float32] | NDArray[np.uint16], limit_bits: int | None) -> Values:
    if content.finish is None:
        return Float32(stored.astype(np.float32))
    return content.finish(_cheapest_stream(stored.astype(np.uint16), content.width_bits, limit_bits))


def _cheapest_stream(symbols: NDArray[np.uint16], width_bits: int, limit_bits: int | None) -> Bits | Huffman:
    packed = Bits(symbols, width_bits)
    if limit_bits is None:
        return packed
    counts = np.bincount(symbols)
    if not symbols.size or counts.size > huffman.MAX_ALPHABET or np.count_nonzero(counts) > 1 << limit_bits:
        return packed
    n_streams = 1 if symbols.size < FOUR_STREAMS_FROM else 4
    coded = Huffman(symbols, huffman.code_lengths(counts, limit_bits=limit_bits), n_streams)
    return coded if stream_bytes(coded) < stream_bytes(packed) else packed

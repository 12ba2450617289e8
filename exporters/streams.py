"""Weights as the runtime reads them: Huffman codes of one stream each, float32 values for float networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refcompress.encodings import (
    Bits,
    Codebook,
    Csr,
    Dense,
    Encoding,
    Float32,
    Huffman,
    IntegerCodebook,
    IntStream,
    Joint,
    Linear,
    csr,
    huffman,
)
from refcompress.encodings.rows import matrix_shape
from refcompress.encodings.values import Values, real_centroids, stream_of


def single_streams(encoding: Encoding) -> Encoding:
    """Cut Huffman streams into one stream each, which is what the runtime reads.

    Examples
    --------
    >>> import numpy as np
    >>> from refcompress.encodings import Dense, huffman
    >>> labels = huffman.encode([0, 1, 0], n_streams=4)
    >>> single_streams(Dense((3,), Codebook(np.array([1, 2], np.float32), labels))).values.labels.n_streams
    1

    """
    stream = stream_of(encoding.values)
    if isinstance(stream, Huffman) and stream.n_streams != 1:
        encoding = replace(encoding, values=_with_stream(encoding.values, replace(stream, n_streams=1)))
    if isinstance(encoding, Csr) and isinstance(encoding.gaps, Huffman) and encoding.gaps.n_streams != 1:
        encoding = replace(encoding, gaps=replace(encoding.gaps, n_streams=1))
    return encoding


def real(encoding: Encoding) -> Encoding:
    """Turn a codebook of integers into one of the float32 values that they stand for."""
    values = encoding.values
    if not isinstance(values, IntegerCodebook):
        return encoding
    return replace(encoding, values=Codebook(real_centroids(values), values.labels))


def rows_between(encoding: Encoding, first: int, last: int) -> Encoding:
    """Cut some rows out of a matrix (in, out) of real values: the same entries, stored in the same way.

    Examples
    --------
    >>> from refcompress.encodings import decode, encode
    >>> decode(rows_between(encode([[1.0, 2.0, 3.0]]), 1, 3))
    array([[2., 3.]], dtype=float32)

    """
    columns = matrix_shape(encoding.shape)[1]
    shape = (columns, last - first)
    rows, places = slice(first, last), (first * columns, last * columns)
    if isinstance(encoding, Dense):
        return Dense(shape, _values_between(encoding.values, slice(*places), rows))
    where = csr.positions(encoding)
    start, stop = (int(np.searchsorted(where, place)) for place in places)
    values = _values_between(encoding.values, slice(start, stop), rows)
    gaps, entry = csr.split_gaps(where[start:stop] - places[0], encoding.gap_bits, encoding.long_gap)
    stream, width = stream_of(values), encoding.gap_bits
    if isinstance(stream, Joint):
        gaps = gaps | csr.spread(stream.symbols, entry >= 0) << np.uint16(width)
        width += stream.width_bits
    # the first gap is shorter now, and may have no code
    cut: IntStream = huffman.encode(gaps) if isinstance(encoding.gaps, Huffman) else Bits(gaps, width)
    return Csr(shape, cut, encoding.gap_bits, encoding.long_gap, values)


def _values_between(values: Values, entries: slice, rows: slice) -> Values:
    """Values of some entries, which make up these rows."""
    if isinstance(values, Float32):
        return Float32(values.array[entries])
    stream = stream_of(values)
    if stream is None:
        raise TypeError(f"{type(values).__name__} has no stream")
    part = replace(stream, symbols=stream.symbols[entries])
    if isinstance(values, Linear) and len(values.scales) > 1:
        values = replace(values, scales=values.scales[rows], zero_points=values.zero_points[rows])
    return _with_stream(values, part)


def _with_stream(values: Values, stream: IntStream) -> Values:
    if isinstance(values, Codebook | IntegerCodebook):
        return replace(values, labels=stream)
    if isinstance(values, Linear):
        return replace(values, integers=stream)
    return values

"""Weights as the runtime reads them: Huffman codes of one stream each, float32 values for float networks."""

from __future__ import annotations

from dataclasses import replace

from refcompress.encodings import Codebook, Csr, Encoding, Huffman, IntegerCodebook, Linear
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


def _with_stream(values: Values, stream: Huffman) -> Values:
    if isinstance(values, Codebook | IntegerCodebook):
        return replace(values, labels=stream)
    if isinstance(values, Linear):
        return replace(values, integers=stream)
    return values

"""Sparse integer weights as the runtime executes them: entries of an advance and a value, in one stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporters.decode_tables import DEFAULT_MAX_TABLE_BITS
from refcompress.encodings import Bits, Csr, Encoding, IntegerCodebook
from refcompress.encodings.huffman import canonical_codes, code_lengths
from refcompress.encodings.integers import rows_of
from refcompress.encodings.values import stream_of, value_bits

MAX_CODE_BITS = 12  # two codes lie in a window of 25 bits
LARGEST_ADVANCES = (7, 11, 15, 19, 23, 27, 31, 39, 47, 63, 95, 127)  # what is tried where there are escapes
ESCAPE_BITS = 0.5  # what the time of an escape may cost beside its code
BYTES_ADVANCE, PAIRS_ADVANCE = 15, 255
BYTES_SKIP = (15, 30)  # of an escape
LABELS = 16
VALUES = 256  # int8
ESCAPE = 0x8000
CODED = ("coded", "mixed")  # forms whose advances have a Huffman code
OTHER_FORM_BYTES = 160  # of code for a form beside another

Tables = dict[str, NDArray[np.uint16] | NDArray[np.int16] | NDArray[np.int8]]


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """A weight in one of the forms of ``rc_q_entries.h``.

    Attributes
    ----------
    form
        ``"coded"``, ``"mixed"``, ``"bytes"`` or ``"pairs"``.
    stream
        The entries, uint8.
    tables
        What decodes them, by the name of the field: ``advances`` (coded, mixed), ``values``
        (coded), ``centroids`` (bytes).
    n_entries
        Entries with a value, fillers among them; without the one behind the last row.
    n_escapes
        Entries without a value.

    """

    form: str
    stream: NDArray[np.uint8]
    tables: Tables
    n_entries: int
    n_escapes: int

    @property
    def size_bytes(self) -> int:
        """Bytes of the stream and the tables."""
        return self.stream.nbytes + sum(table.nbytes for table in self.tables.values())


def has_entries(encoding: Encoding) -> bool:
    """Whether a weight is executed entry by entry: it is sparse, and its integers are int8.

    Examples
    --------
    >>> from refcompress.encodings.integers import from_rows
    >>> has_entries(from_rows(np.eye(3, dtype=np.int8), (3, 3), np.ones(1, np.float32), 8))
    False

    """
    if not isinstance(encoding, Csr):
        return False
    rows = rows_of(encoding)
    return int(rows.min(initial=0)) >= -128 and int(rows.max(initial=0)) <= 127


def lay_out(encoding: Encoding, *, max_table_bits: int = DEFAULT_MAX_TABLE_BITS) -> Entries:
    """Lay out a sparse weight of int8.

    Packed streams that fill a byte for each entry (4 bits for the gap, a label of 4) become ``bytes``, those that fill
    two (8 and 8) ``pairs``; all others are coded anew.

    Parameters
    ----------
    encoding
        For which :func:`has_entries` holds.
    max_table_bits
        Most bits that index a decode table. All codes are in the tables, so that the alphabet may ask for more.

    Examples
    --------
    >>> from refcompress.encodings import Linear
    >>> symbols = Bits(np.array([3, 1], np.uint16), 8)
    >>> values = Linear(Bits(np.array([130, 120], np.uint16), 8), 8, np.ones(1, np.float32), np.array([128], np.uint16))
    >>> found = lay_out(Csr((8, 1), symbols, 8, "filler", values))
    >>> found.form, found.stream.reshape(-1, 2).tolist()
    ('pairs', [[2, 4], [248, 2], [0, 3]])

    """
    rows = rows_of(encoding).reshape(-1)
    packed = isinstance(encoding, Csr) and isinstance(encoding.gaps, Bits) and not _is_coded(encoding)
    widths = (encoding.gap_bits, value_bits(encoding.values)) if isinstance(encoding, Csr) and packed else (0, 0)
    if widths == (4, 4) and isinstance(encoding.values, IntegerCodebook) and fits_bytes(rows):
        return as_bytes(rows)
    return as_pairs(rows) if widths == (8, 8) else as_coded(rows, max_table_bits=max_table_bits)


def _is_coded(encoding: Csr) -> bool:
    stream = stream_of(encoding.values)
    return stream is not None and hasattr(stream, "lengths")


def _distances(rows: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the values that are not 0, and of each the distance to the entry before it; then that to the end."""
    where = np.flatnonzero(rows)
    return rows[where].astype(np.int64), np.diff(where, prepend=-1, append=rows.size)


def fits_bytes(rows: NDArray[np.int32]) -> bool:
    """Whether 16 labels do for the values that are not 0.

    Examples
    --------
    >>> fits_bytes(np.arange(17)), fits_bytes(np.arange(18))
    (True, False)

    """
    return np.unique(rows[rows != 0]).size <= LABELS


def as_bytes(rows: NDArray[np.int32]) -> Entries:
    """Store each entry in one byte, longer distances in more.

    Examples
    --------
    >>> found = as_bytes(np.array([0, 7] + 40 * [0] + [-3]))
    >>> [hex(byte) for byte in found.stream], found.tables["centroids"].tolist()
    (['0x21', '0xf', '0xb0', '0x10'], [-3, 7])

    """
    values, distances = _distances(rows.reshape(-1))
    escapes = np.maximum(0, -(-(distances - BYTES_ADVANCE) // BYTES_SKIP[1]))
    at = np.cumsum(escapes + 1) - 1
    stream = np.full(int(at[-1]) + 1, LABELS - 1, np.uint8)
    left = distances - escapes * BYTES_SKIP[1]
    short = (escapes > 0) & (left < 1)  # the last escape leaves an advance of at least 1
    stream[at[short] - 1] -= (1 - left[short]).astype(np.uint8)
    left[short] = 1
    distinct, labels = np.unique(values, return_inverse=True)
    stream[at] = left << 4
    stream[at[:-1]] |= labels.astype(np.uint8)
    centroids = distinct.astype(np.int8) if distinct.size else np.zeros(1, np.int8)
    return Entries("bytes", stream, {"centroids": centroids}, values.size, int(escapes.sum()))


def as_pairs(rows: NDArray[np.int32]) -> Entries:
    """Store each entry in two bytes, with fillers of value 0.

    Examples
    --------
    >>> as_pairs(np.array([0, 7] + 300 * [0] + [-3])).stream.reshape(-1, 2).tolist()
    [[7, 2], [0, 255], [253, 46], [0, 1]]

    """
    found, distances = _distances(rows.reshape(-1))
    fillers = (distances - 1) // PAIRS_ADVANCE
    at = np.cumsum(fillers + 1) - 1
    advances, values = np.full(int(at[-1]) + 1, PAIRS_ADVANCE, np.int64), np.zeros(int(at[-1]) + 1, np.int64)
    advances[at] = distances - fillers * PAIRS_ADVANCE
    values[at[:-1]] = found
    stream = np.stack([values.astype(np.int8).view(np.uint8), advances.astype(np.uint8)], axis=1)
    return Entries("pairs", stream.reshape(-1), {}, values.size - 1, 0)


@dataclass(frozen=True, slots=True, eq=False)
class _Code:
    """A Huffman code that stands in one table as a whole."""

    lengths: NDArray[np.int64]
    stream_bits: int
    table_bits: int

    @property
    def size_bits(self) -> int:
        return self.stream_bits + 16 * (1 << self.table_bits)


def _best_code(counts: NDArray[np.int64], max_table_bits: int) -> _Code:
    """Return the code whose stream and table together are the smallest: a bit less halves the table."""
    least = max(1, int(np.count_nonzero(counts) - 1).bit_length())
    found = []
    for limit in range(least, max(least, min(max_table_bits, MAX_CODE_BITS)) + 1):
        lengths = code_lengths(counts, limit_bits=limit).astype(np.int64)
        found.append(_Code(lengths, int((lengths * counts).sum()), int(lengths.max(initial=0))))
        if found[-1].table_bits < limit:
            break
    return min(found, key=lambda code: code.size_bits)


@dataclass(frozen=True, slots=True, eq=False)
class _Advances:
    """Distances cut into advances under a code; ``escapes`` of the largest stand before each."""

    code: _Code
    largest: int
    escapes: NDArray[np.int64]
    last: NDArray[np.int64]

    @property
    def cost_bits(self) -> float:
        return self.code.size_bits + ESCAPE_BITS * int(self.escapes.sum())


def _advances(distances: NDArray[np.int64], max_table_bits: int) -> _Advances:
    choices = []
    for largest in LARGEST_ADVANCES:
        escapes = (distances - 1) // largest
        last = distances - escapes * largest
        counts = np.bincount(last, minlength=largest + 1)
        counts[0] = escapes.sum()  # no advance is 0
        choices.append(_Advances(_best_code(counts, max_table_bits), largest, escapes, last))
        if not counts[0]:
            break
    return min(choices, key=lambda choice: choice.cost_bits)


def as_coded(rows: NDArray[np.int32], *, max_table_bits: int = DEFAULT_MAX_TABLE_BITS) -> Entries:
    """Store a Huffman code for the advance of each entry, and one for its value unless plain bytes take less.

    Examples
    --------
    >>> found = as_coded(np.array([0, 7, 0, 7, 7]))
    >>> found.stream.tolist(), found.tables["advances"].tolist(), found.tables["values"].tolist()
    ([5], [257, 513], [1793, 0])

    """
    values, distances = _distances(rows.reshape(-1))
    advances = _advances(distances, max_table_bits)
    meaning = np.arange(advances.largest + 1) << 8
    meaning[0] = advances.largest << 8 | ESCAPE
    tables: Tables = {"advances": _table(advances.code, meaning).astype(np.uint16)}
    code = _best_code(np.bincount(values + 128, minlength=VALUES), max_table_bits)
    form = "mixed" if code.size_bits > 8 * (values.size + OTHER_FORM_BYTES) else "coded"
    if form == "coded":
        tables["values"] = _table(code, np.arange(-128, 128) << 8).astype(np.int16)
        codes, lengths = canonical_codes(code.lengths.astype(np.uint8)).astype(np.int64), code.lengths
    else:
        codes, lengths = (np.arange(VALUES, dtype=np.int64) - 128) & 255, np.full(VALUES, 8, np.int64)
    stream = _interleaved(advances, codes[values + 128], lengths[values + 128])
    return Entries(form, stream, tables, values.size, int(advances.escapes.sum()))


def _interleaved(
    advances: _Advances, value_codes: NDArray[np.int64], value_lengths: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return the bits: before each value its escapes and its advance; no value after the last."""
    advance_codes = canonical_codes(advances.code.lengths.astype(np.uint8))
    at = np.cumsum(advances.escapes + 2) - 1
    codes = np.full(int(at[-1]), int(advance_codes[0]), np.int64)
    lengths = np.full(codes.size, int(advances.code.lengths[0]), np.int64)
    codes[at - 1], lengths[at - 1] = advance_codes[advances.last], advances.code.lengths[advances.last]
    codes[at[:-1]], lengths[at[:-1]] = value_codes, value_lengths
    starts = np.cumsum(lengths) - lengths
    places = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
    return np.packbits((np.repeat(codes, lengths) >> places & 1).astype(np.uint8), bitorder="little")


def _table(code: _Code, meaning: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``meaning | length`` for every pattern of the table's bits."""
    table = np.zeros(1 << code.table_bits, np.int64)
    codes = canonical_codes(code.lengths.astype(np.uint8))
    for symbol in np.flatnonzero(code.lengths):
        length = int(code.lengths[symbol])
        table[int(codes[symbol]) :: 1 << length] = meaning[symbol] | length
    return table

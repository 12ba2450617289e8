"""Compressed sparse rows, gap coded: only some entries are stored, each with the run of zeros before it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings.arrays import chunks
from refcompress.encodings.bits import Bits
from refcompress.encodings.dense import check_scales
from refcompress.encodings.huffman import Huffman
from refcompress.encodings.rows import check_shape, from_rows, matrix_shape
from refcompress.encodings.values import (
    Float32,
    IntStream,
    Joint,
    Values,
    check_stream,
    decode_values,
    has_row_scales,
    stream_of,
    value_count,
)
from refcompress.errors import OptionError

LongGap = Literal["filler", "escape"]
LONG_GAPS: tuple[LongGap, ...] = ("filler", "escape")
MAX_GAP_BITS = 12
MAX_JOINT_BITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Csr:
    """Entries of a matrix in row order, each preceded by the number of zeros since the one before.

    Rows follow each other without a mark: the position of an entry in the row-major matrix is that of the entry
    before plus the gap plus one, and zeros after the last entry are not stored. A gap that does not fit into
    ``gap_bits`` is split, in one of the two ways of the literature:

    - ``filler``: the largest gap with a stored zero (Han et al. 2016, section 2);
    - ``escape``: the symbol ``2^gap_bits - 1`` stands for that many zeros and carries no value; the last symbol
      is no escape, since zeros at the end are not stored.

    Attributes
    ----------
    shape
        Shape of the array (kernels HWIO, matrices (in, out)).
    gaps
        Stream of gaps, escapes included; never :class:`Joint`. Where the values' integers are :class:`Joint`,
        its symbols are ``gap | integer << gap_bits`` (the integer of an escape is 0).
    gap_bits
        Bits of a gap before any entropy coding, 1 to 12.
    long_gap
        How gaps that do not fit are split.
    values
        The stored values, fillers included.

    """

    shape: tuple[int, ...]
    gaps: IntStream
    gap_bits: int
    long_gap: LongGap
    values: Values

    def __post_init__(self) -> None:
        check_shape(self.shape)
        _check_form(self)
        check_scales(self.values, self.shape)
        _check_entries(self)


def _check_form(encoding: Csr) -> None:
    if not 1 <= encoding.gap_bits <= MAX_GAP_BITS:
        raise OptionError(f"gaps of {encoding.gap_bits} bits; allowed are 1 to {MAX_GAP_BITS}")
    if encoding.long_gap not in LONG_GAPS:
        raise OptionError(f"long gaps as {encoding.long_gap!r}; allowed are {LONG_GAPS}")
    if not isinstance(encoding.gaps, Bits | Huffman):
        raise OptionError("the gaps carry the joint stream; only the values may ride in it")
    integers = stream_of(encoding.values)
    joint_bits = integers.width_bits if isinstance(integers, Joint) else 0
    if encoding.gap_bits + joint_bits > MAX_JOINT_BITS:
        raise OptionError(
            f"joint symbols of {encoding.gap_bits} and {joint_bits} bits; together they have at most {MAX_JOINT_BITS}"
        )
    check_stream(encoding.gaps, encoding.gap_bits + joint_bits, "gaps")


def _check_entries(encoding: Csr) -> None:
    """Check what the gaps say against the values, the shape and the joint integers."""
    symbols, mask = encoding.gaps.symbols, np.uint16((1 << encoding.gap_bits) - 1)
    integers = stream_of(encoding.values)
    joint = integers.symbols if isinstance(integers, Joint) else None
    stored = stop = 0
    for part in chunks(symbols.size):
        gaps = symbols[part] & mask
        carries = np.not_equal(gaps, mask) if encoding.long_gap == "escape" else np.ones(gaps.size, np.bool_)
        count = int(np.count_nonzero(carries))
        stop += int(gaps.sum(dtype=np.int64)) + count
        above = symbols[part] >> np.uint16(encoding.gap_bits)
        if joint is not None and not np.array_equal(above[carries], joint[stored : stored + count]):
            raise OptionError("the joint symbols and the integers of the values differ")
        if above[~carries].any():
            raise OptionError("an escape carries an integer; it must be 0")
        stored += count
    if value_count(encoding.values) != stored:
        raise OptionError(
            f"{value_count(encoding.values)} values for {stored} gaps that are followed by one; give one for each"
        )
    if encoding.long_gap == "escape" and symbols.size and symbols[-1] & mask == mask:
        raise OptionError("the last gap is an escape; leave out the zeros after the last entry")
    if stop > math.prod(encoding.shape):
        raise OptionError(f"the entries run to {stop}, past the end of the shape {encoding.shape}")


def gap_symbols(encoding: Csr) -> NDArray[np.uint16]:
    """Return the gaps alone, without the integers of a joint stream."""
    return encoding.gaps.symbols & np.uint16((1 << encoding.gap_bits) - 1)


def carries_value(encoding: Csr) -> NDArray[np.bool_]:
    """Which gap symbols are followed by a value: all but escapes."""
    symbols = gap_symbols(encoding)
    if encoding.long_gap == "filler":
        return np.ones(symbols.size, np.bool_)
    return np.not_equal(symbols, (1 << encoding.gap_bits) - 1)


def spread(integers: NDArray[np.uint16], carries: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Return one integer for each gap symbol, 0 for those that carry none."""
    full = np.zeros(carries.size, np.uint16)
    full[carries] = integers
    return full


def positions(encoding: Csr) -> NDArray[np.int64]:
    """Row-major positions of the stored entries, int64."""
    carries = carries_value(encoding)
    steps = gap_symbols(encoding).astype(np.int64)
    steps += carries
    np.cumsum(steps, out=steps)
    steps -= 1
    return steps if encoding.long_gap == "filler" else steps[carries]


def arrays(encoding: Csr) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
    """Return SciPy's three arrays of the matrix of rows: ``data``, ``indices`` (columns), ``indptr``.

    Fillers are stored zeros and stay.

    Examples
    --------
    >>> gaps = Bits(np.array([1, 2], np.uint16), 2)  # entries at 1 and 4 of two rows of three columns
    >>> arrays(Csr((3, 2), gaps, 2, "filler", Float32(np.array([5, 6], np.float32))))
    (array([5., 6.], dtype=float32), array([1, 1], dtype=int32), array([0, 1, 2]))

    """
    rows, columns = matrix_shape(encoding.shape)
    where = positions(encoding)
    row_of, column_of = np.divmod(where, max(columns, 1))
    indptr = np.zeros(rows + 1, np.int64)
    np.cumsum(np.bincount(row_of, minlength=rows), out=indptr[1:])
    data = decode_values(encoding.values, row_of)
    if isinstance(encoding.values, Float32):
        data = data.copy()  # the caller gets an array of its own
    return data, column_of.astype(np.int32), indptr


def decode(encoding: Csr) -> NDArray[np.float32]:
    """Return the dense array."""
    rows, columns = matrix_shape(encoding.shape)
    flat = np.zeros(rows * columns, np.float32)
    where = positions(encoding)
    row_of = where // max(columns, 1) if has_row_scales(encoding.values) else None
    flat[where] = decode_values(encoding.values, row_of)
    return from_rows(flat.reshape(rows, columns), encoding.shape)


def split_gaps(
    where: NDArray[np.int64], gap_bits: int, long_gap: LongGap
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Turn positions of entries into gap symbols.

    Parameters
    ----------
    where
        Increasing row-major positions of the entries.
    gap_bits, long_gap
        As in :class:`Csr`.

    Returns
    -------
    symbols
        Gap symbols, uint16.
    entry
        For each symbol the index of its entry in ``where``, or -1 for a filler or an escape.

    Examples
    --------
    >>> split_gaps(np.array([1, 12]), 3, "filler")
    (array([1, 7, 2], dtype=uint16), array([ 0, -1,  1]))
    >>> split_gaps(np.array([1, 12]), 3, "escape")
    (array([1, 7, 3], dtype=uint16), array([ 0, -1,  1]))

    """
    largest = (1 << gap_bits) - 1
    step = largest + 1 if long_gap == "filler" else largest
    gaps = np.diff(where, prepend=-1) - 1
    extra, rest = np.divmod(gaps, step)
    ends = np.cumsum(extra + 1) - 1
    total = int(ends[-1]) + 1 if ends.size else 0
    symbols = np.full(total, largest, np.uint16)
    symbols[ends] = rest
    entry = np.full(total, -1, np.int64)
    entry[ends] = np.arange(where.size)
    return symbols, entry

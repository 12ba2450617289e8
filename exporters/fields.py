"""Dense weights of 2 to 4 bits as C reads them in fully connected layers: fields of words (``rc_q_fields.h``)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exporters.overlap import ANYWHERE
from exporters.program import Program, Step
from refcompress.encodings import Bits, Dense, Encoding, Linear
from refcompress.encodings.integers import rows_of

WIDTHS = (2, 3, 4)  # bits of a field
BLOCK = 32  # columns


def field_bits(encoding: Encoding) -> int:
    """Return how many bits the fields of a weight have; 0 if it is none of fields.

    Examples
    --------
    >>> from refcompress.encodings.integers import from_rows
    >>> [field_bits(from_rows(np.eye(2), (2, 2), np.ones(1, np.float32), bits)) for bits in (2, 4, 5)]
    [2, 4, 0]

    """
    values = encoding.values
    if not (isinstance(encoding, Dense) and isinstance(values, Linear) and isinstance(values.integers, Bits)):
        return 0
    same = (values.zero_points == values.zero_points[0]).all()
    return values.integers.width_bits if values.integers.width_bits in WIDTHS and same else 0


def fewest_bits(rows: NDArray[np.integer]) -> int:
    """Return the least width that holds these integers, at least that of the narrowest fields.

    Examples
    --------
    >>> [fewest_bits(np.array([least, most])) for least, most in ((0, 1), (-4, 3), (0, 4))]
    [2, 3, 4]

    """
    largest = max(int(rows.max(initial=0)), -1 - int(rows.min(initial=0)))
    return max(min(WIDTHS), largest.bit_length() + 1)


def offset(encoding: Encoding) -> int:
    """Return what a field is above its weight."""
    if not isinstance(encoding.values, Linear):
        raise TypeError(f"{type(encoding.values).__name__} has no fields")
    return int(encoding.values.zero_points[0])


def words(encoding: Encoding) -> NDArray[np.uint32]:
    """Return the words of a weight, row after row; columns are rounded up to blocks with weights of 0.

    Parameters
    ----------
    encoding
        For which :func:`field_bits` is not 0.

    Examples
    --------
    >>> from refcompress.encodings.integers import from_rows
    >>> weight = from_rows(np.array([[-2, -1, 0, 1]]), (4, 1), np.ones(1, np.float32), 4)
    >>> [hex(word) for word in words(weight)]
    ['0x88988876', '0x88888888', '0x88888888', '0x88888888']

    """
    bits, rows = field_bits(encoding), rows_of(encoding).astype(np.int64) + offset(encoding)
    whole = np.pad(rows, ((0, 0), (0, -rows.shape[1] % BLOCK)), constant_values=offset(encoding))
    fours = whole.reshape(len(rows), -1, BLOCK // 4, 2, 2)  # of a block: the half of a word, the pair
    pairs = (fours[..., 0, :] | fours[..., 1, :] << 16).reshape(*fours.shape[:2], BLOCK // 2)
    in_word = 16 // bits
    found = np.zeros((*pairs.shape[:2], bits), np.int64)
    for k in range(in_word * bits):
        found[..., k // in_word] |= pairs[..., k] << k % in_word * bits
    if in_word * bits < BLOCK // 2:  # of 3 bits, each in the bits that are left of another word
        for word in range(bits):
            found[..., word] |= (pairs[..., -1] >> word & 0x10001) << 15
    return found.astype(np.uint32).reshape(-1)


def with_fields(program: Program) -> Program:
    """Let the kernels for fields compute the fully connected layers whose weights are some."""
    return replace(program, steps=tuple(map(_with_fields, program.steps)))


def _with_fields(step: Step) -> Step:
    if step.kernel != "q_gemm_stream" or step.weight is None or not field_bits(step.weight.encoding):
        return step
    scratch_bytes = 2 * (step.sizes["columns"] + -step.sizes["columns"] % BLOCK)
    return replace(step, kernel="q_gemm_fields", scratch_bytes=scratch_bytes, lag=ANYWHERE)

"""Canonical Huffman codes: the best lengths under a limit, the codes that follow from them, their packed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcompress.encodings.arrays import check_array
from refcompress.errors import FormatError, OptionError

MAX_ALPHABET = 1 << 12
MAX_LENGTH_BITS = 15
DEFAULT_LIMIT_BITS = 12
MAX_RUN = 16  # symbols without code that one nibble can tell


def code_lengths(frequencies: ArrayLike, *, limit_bits: int = DEFAULT_LIMIT_BITS) -> NDArray[np.uint8]:
    """Optimal code lengths under a limit, by package-merge (Larmore & Hirschberg, JACM 1990, section 3).

    Parameters
    ----------
    frequencies
        Occurrences of each symbol; one of 0 gets no code.
    limit_bits
        Longest code allowed, at most 15.

    Returns
    -------
    ndarray of uint8
        Lengths in bits. A single symbol gets one bit.

    Raises
    ------
    OptionError
        The alphabet is too large, the limit too short for it, or a frequency negative.

    Examples
    --------
    >>> code_lengths([10, 1, 1, 1])
    array([1, 3, 3, 2], dtype=uint8)
    >>> code_lengths([10, 1, 1, 1], limit_bits=2)
    array([2, 2, 2, 2], dtype=uint8)

    """
    counts = np.asarray(frequencies, np.int64)
    used = np.flatnonzero(counts)
    if len(counts) > MAX_ALPHABET:
        raise OptionError(f"an alphabet of {len(counts)} symbols; Huffman coding takes up to {MAX_ALPHABET}")
    if counts.min(initial=0) < 0:
        raise OptionError(f"a frequency of {counts.min()}; frequencies are counts")
    if not 1 <= limit_bits <= MAX_LENGTH_BITS or used.size > 1 << limit_bits:
        raise OptionError(
            f"codes of at most {limit_bits} bits cannot hold {used.size} symbols; the limit may be up to "
            f"{MAX_LENGTH_BITS} and 2^limit must not be below the number of symbols"
        )
    lengths = np.zeros(len(counts), np.uint8)
    if used.size < 2:
        lengths[used] = 1
        return lengths
    from refcompress.kernels import huffman as kernels

    order = used[np.argsort(counts[used], kind="stable")]
    lengths[order] = kernels.package_merge(counts[order], limit_bits)
    return lengths


def check_lengths(lengths: NDArray[np.uint8]) -> None:
    """Refuse code lengths that make no canonical code.

    A code is complete (Kraft sum 1), or has a single symbol of one bit, or is empty.

    Raises
    ------
    OptionError
        The code is over-subscribed, incomplete, too long or of too many symbols.

    Examples
    --------
    >>> check_lengths(np.array([1, 2, 3], np.uint8))
    Traceback (most recent call last):
    ...
    refcompress.errors.OptionError: the code lengths are incomplete: their Kraft sum is 0.875, it must be 1

    """
    check_array(lengths, np.uint8, "the code lengths")
    if len(lengths) > MAX_ALPHABET:
        raise OptionError(f"an alphabet of {len(lengths)} symbols; allowed are up to {MAX_ALPHABET}")
    used = lengths[lengths > 0]
    if used.size and int(used.max()) > MAX_LENGTH_BITS:
        raise OptionError(f"a code of {int(used.max())} bits; allowed are up to {MAX_LENGTH_BITS}")
    whole = 1 << MAX_LENGTH_BITS
    kraft = int(np.sum(1 << (MAX_LENGTH_BITS - used.astype(np.int64))))
    single = used.size == 1 and used[0] == 1
    if used.size and kraft != whole and not single:
        state = "over-subscribed" if kraft > whole else "incomplete"
        raise OptionError(f"the code lengths are {state}: their Kraft sum is {kraft / whole:g}, it must be 1")


def alphabet_size(lengths: NDArray[np.uint8]) -> int:
    """Symbols up to the last one that has a code.

    Examples
    --------
    >>> alphabet_size(np.array([1, 0, 1, 0], np.uint8))
    3

    """
    used = np.flatnonzero(lengths)
    return int(used[-1]) + 1 if used.size else 0


def canonical_codes(lengths: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the codes as they stand in the stream: first bit of the code in bit 0.

    Examples
    --------
    >>> [format(code, "03b") for code in canonical_codes(np.array([1, 2, 3, 3], np.uint8))]
    ['000', '001', '011', '111']

    """
    codes = np.zeros(len(lengths), np.uint16)
    order = code_order(lengths)
    # codes followed by zeros to the full length are numbers that grow by what each code takes of the code space
    space = 1 << (MAX_LENGTH_BITS - lengths[order].astype(np.int64))
    codes[order] = reverse_bits(np.cumsum(space) - space, MAX_LENGTH_BITS)
    return codes


def code_order(lengths: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Symbols in the order of their codes: shorter codes first, then smaller symbols.

    Examples
    --------
    >>> code_order(np.array([2, 0, 1, 2], np.uint8))
    array([2, 0, 3])

    """
    used = np.flatnonzero(lengths)
    return used[np.argsort(lengths[used], kind="stable")]


def reverse_bits(numbers: NDArray[np.int64], width_bits: int) -> NDArray[np.uint16]:
    """Turn numbers of ``width_bits`` bits, at most 16, around.

    Examples
    --------
    >>> reverse_bits(np.array([0b001, 0b110]), 3)
    array([4, 3], dtype=uint16)

    """
    turned = numbers.astype(np.uint16)
    for shift, mask in ((1, 0x5555), (2, 0x3333), (4, 0x0F0F), (8, 0x00FF)):
        turned = (turned >> np.uint16(shift)) & np.uint16(mask) | (turned & np.uint16(mask)) << np.uint16(shift)
    return turned >> np.uint16(16 - width_bits)


def decode_table(lengths: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Build the table that decodes one symbol at a time.

    Returns
    -------
    ndarray of uint16
        ``symbol << 4 | length`` for every pattern of as many bits as the longest code; 0 where no code fits.

    Examples
    --------
    >>> decode_table(np.array([1, 2, 2], np.uint8))  # 0; 10 is the second code of two bits, first bit lowest
    array([ 1, 18,  1, 34], dtype=uint16)

    """
    longest = int(lengths.max(initial=0))
    order = code_order(lengths)
    entries = order << 4 | lengths[order]
    # read from its first bit on as a number, a pattern meets the codes in their order
    ordered = np.zeros(1 << longest, np.uint16)
    filled = np.repeat(entries, 1 << (longest - lengths[order].astype(np.int64)))
    ordered[: filled.size] = filled
    return ordered[reverse_bits(np.arange(1 << longest), longest)]


def coded_bits(frequencies: NDArray[np.int64], lengths: NDArray[np.uint8]) -> int:
    """Bits of the coded symbols, without the code itself.

    Examples
    --------
    >>> coded_bits(np.array([3, 1, 1]), np.array([1, 2, 2], np.uint8))
    7

    """
    return int(np.dot(frequencies, lengths[: len(frequencies)].astype(np.int64)))


def pack_lengths(lengths: NDArray[np.uint8]) -> bytes:
    """Pack code lengths: the alphabet's size in 16 bits, then nibbles, low one first.

    A nibble 1 to 15 is a length; a nibble 0 is followed by one that tells a run of 1 to 16 symbols without code.
    Symbols after the last one with a code are left out.

    Examples
    --------
    >>> pack_lengths(np.array([1, 2, 0, 0, 0, 2], np.uint8)).hex()
    '0600212002'

    """
    size = alphabet_size(lengths)
    nibbles: list[int] = []
    previous = -1
    for symbol in np.flatnonzero(lengths).tolist():
        gap = symbol - previous - 1
        while gap:
            run = min(gap, MAX_RUN)
            nibbles += [0, run - 1]
            gap -= run
        nibbles.append(int(lengths[symbol]))
        previous = symbol
    nibbles += [0] * (len(nibbles) % 2)
    packed = bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    return size.to_bytes(2, "little") + packed


def unpack_lengths(data: memoryview, offset_bytes: int = 0) -> tuple[NDArray[np.uint8], int]:
    """Read code lengths from the start of ``data``; return them and the bytes they took.

    Raises
    ------
    FormatError
        The data ends early, the same lengths could be told otherwise, or they make no code (constraints C14 and
        C15 of SPEC.md).

    """
    if len(data) < 2:
        raise FormatError("the code lengths are cut off", offset_bytes + len(data))
    size = int.from_bytes(data[:2], "little")
    if size > MAX_ALPHABET:  # C14
        raise FormatError(f"an alphabet of {size} symbols; allowed are up to {MAX_ALPHABET}", offset_bytes)
    lengths, used_bytes = _read_nibbles(data, size, offset_bytes)
    try:
        check_lengths(lengths)  # C15
    except OptionError as error:
        raise FormatError(str(error), offset_bytes) from None
    return lengths, used_bytes


def _read_nibbles(data: memoryview, size: int, offset_bytes: int) -> tuple[NDArray[np.uint8], int]:
    # no symbol takes more than two nibbles, and the first four are the size
    nibbles = [nibble for byte in data[2 : 3 + size] for nibble in (byte & 15, byte >> 4)]
    lengths = np.zeros(size, np.uint8)
    at = symbol = 0
    run = MAX_RUN  # that of the nibbles just before, if they were a run
    while symbol < size:
        if at + 1 >= len(nibbles) and (at >= len(nibbles) or nibbles[at] == 0):
            raise FormatError("the code lengths are cut off", offset_bytes + len(data))
        here = offset_bytes + 2 + at // 2
        if nibbles[at]:
            lengths[symbol] = nibbles[at]
            run = MAX_RUN
            symbol, at = symbol + 1, at + 1
            continue
        if run < MAX_RUN:  # C14
            raise FormatError("a run of symbols without code follows one that was not full", here)
        run = nibbles[at + 1] + 1
        symbol, at = symbol + run, at + 2
        if symbol >= size:  # C14
            raise FormatError("the last symbol of the alphabet must have a code", here)
    if at % 2 and nibbles[at]:  # C14
        raise FormatError("the padding of the code lengths is not zero", offset_bytes + 2 + at // 2)
    return lengths, 2 + (at + 1) // 2

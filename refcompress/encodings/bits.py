"""Integers packed in k bits each, least significant bit first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings.arrays import check_array, read_only
from refcompress.errors import FormatError, OptionError

MAX_WIDTH_BITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Bits:
    """A stream of unsigned integers, each stored in the same number of bits.

    Attributes
    ----------
    symbols
        The integers, uint16.
    width_bits
        Bits each, 1 to 16.

    Raises
    ------
    OptionError
        Another dtype, a width out of range, or an integer that does not fit into it.

    """

    symbols: NDArray[np.uint16]
    width_bits: int

    def __post_init__(self) -> None:
        check_array(self.symbols, np.uint16, "the symbols of a stream")
        if not 1 <= self.width_bits <= MAX_WIDTH_BITS:
            raise OptionError(f"a width of {self.width_bits} bits; allowed are 1 to {MAX_WIDTH_BITS}")
        if self.symbols.size and int(self.symbols.max()) >> self.width_bits:
            raise OptionError(
                f"the symbol {int(self.symbols.max())} does not fit into {self.width_bits} bits; widen the stream"
            )


def packed_bytes(count: int, width_bits: int) -> int:
    """Bytes that ``count`` integers of ``width_bits`` bits take.

    Examples
    --------
    >>> packed_bytes(3, 5)
    2

    """
    return (count * width_bits + 7) // 8


def pack(stream: Bits) -> bytes:
    """Pack the integers, the first one in the lowest bits of the first byte; the last byte is padded with zeros.

    Examples
    --------
    >>> pack(Bits(np.array([1, 2, 3], np.uint16), 4)).hex()
    '2103'

    """
    from refcompress.kernels import bits as kernels

    size = packed_bytes(stream.symbols.size, stream.width_bits)
    out = np.empty(size + kernels.STORE_BYTES, np.uint8)
    kernels.pack(read_only(stream.symbols), np.uint64(stream.width_bits), out)
    return out[:size].tobytes()


def unpack(data: memoryview, count: int, width_bits: int, offset_bytes: int = 0) -> Bits:
    """Read ``count`` integers back; ``data`` must be exactly their bytes.

    Raises
    ------
    FormatError
        The length is wrong, or the padding of the last byte is not zero.

    Examples
    --------
    >>> unpack(memoryview(bytes.fromhex("2103")), 3, 4).symbols
    array([1, 2, 3], dtype=uint16)

    """
    from refcompress.kernels import bits as kernels

    if not 1 <= width_bits <= MAX_WIDTH_BITS:
        raise FormatError(f"a width of {width_bits} bits; allowed are 1 to {MAX_WIDTH_BITS}", offset_bytes)
    expected = packed_bytes(count, width_bits)
    if len(data) != expected:
        raise FormatError(f"{count} integers of {width_bits} bits take {expected} bytes, not {len(data)}", offset_bytes)
    used_bits = count * width_bits % 8
    if used_bits and data[-1] >> used_bits:
        raise FormatError("the padding bits of the last byte are not zero", offset_bytes + len(data) - 1)
    symbols = np.empty(count, np.uint16)
    kernels.unpack(read_only(np.frombuffer(data, np.uint8)), np.uint64(width_bits), symbols)
    return Bits(symbols, width_bits)

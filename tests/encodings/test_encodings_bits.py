"""Packed bits are the binary digits of the integers, lowest first."""

from __future__ import annotations

import numpy as np
import pytest
from checks.encodings import check_offset
from hypothesis import given
from hypothesis import strategies as st

from refcompress.encodings import Bits, bits
from refcompress.errors import FormatError


@given(st.integers(1, 16), st.data())
def test_packed_bits_are_the_binary_digits(width_bits: int, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, 2**width_bits - 1), max_size=70))
    whole = sum(number << i * width_bits for i, number in enumerate(numbers))
    packed = bits.pack(Bits(np.array(numbers, np.uint16), width_bits))
    assert packed == whole.to_bytes(-(-len(numbers) * width_bits // 8), "little")
    assert bits.unpack(memoryview(packed), len(numbers), width_bits).symbols.tolist() == numbers


@given(st.binary(max_size=30), st.integers(1, 16), st.integers(0, 60))
def test_any_bytes_are_integers_that_pack_to_them_or_a_format_error(data: bytes, width_bits: int, count: int) -> None:
    try:
        stream = bits.unpack(memoryview(data), count, width_bits, 5)
    except FormatError as error:
        check_offset(error, 5, 5 + len(data))
    else:
        assert bits.pack(stream) == data


def test_integers_that_need_no_contiguous_array_are_packed() -> None:
    numbers = np.arange(20, dtype=np.uint16)
    assert bits.pack(Bits(numbers[::2], 5)) == bits.pack(Bits(numbers[::2].copy(), 5))


@pytest.mark.parametrize("width_bits", [0, 17])
def test_a_width_out_of_range_is_refused(width_bits: int) -> None:
    with pytest.raises(FormatError, match="allowed are 1 to 16"):
        bits.unpack(memoryview(b""), 0, width_bits)

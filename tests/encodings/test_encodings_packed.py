"""Packed tensors: every nesting of encodings, any bytes, and the numbered constraints of SPEC.md."""

from __future__ import annotations

import os
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from checks.encodings import Nesting, all_nestings, build, check_any_bytes, check_encoding, odd_arrays
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed import packed as malformed
from numpy.typing import NDArray

import refcompress.encodings
from refcompress.encodings import Bits, Codebook, Csr, Dense, Float32, Joint, Linear, huffman, pack, unpack
from refcompress.errors import FormatError, OptionError

NESTINGS = all_nestings()
SPEC = Path(refcompress.encodings.__file__).with_name("SPEC.md").read_text(encoding="utf-8")


def u16(*numbers: int) -> NDArray[np.uint16]:
    return np.array(numbers, np.uint16)


@pytest.mark.parametrize("nesting", NESTINGS, ids=str)
def test_a_nesting_survives_packing_and_refuses_damage(nesting: Nesting) -> None:
    array = np.zeros((3, 4), np.float32)
    array.view(np.uint32)[[0, 0, 1, 2], [0, 3, 1, 3]] = [1 << 31, 0x7FC12345, 1, 0x3F800000]
    check_encoding(build(nesting, array))


@settings(max_examples=150)
@given(st.sampled_from(NESTINGS), odd_arrays(), st.integers(1, 5), st.lists(st.integers(0, 1 << 20), max_size=40))
def test_any_array_survives_in_any_nesting(
    nesting: Nesting, array: NDArray[np.float32], gap_bits: int, flips: list[int]
) -> None:
    check_encoding(build(nesting, array, gap_bits), flips=flips)


@settings(max_examples=300)
@given(st.binary(max_size=60), st.lists(st.integers(0, 5), max_size=3))
def test_any_bytes_give_a_tensor_or_a_format_error(data: bytes, shape: list[int]) -> None:
    check_any_bytes(data, tuple(shape))


@settings(max_examples=300)
@given(
    st.sampled_from([0x00, 0x02, 0x12, 0x04, 0x14, 0x01, 0x21, 0x23, 0x33, 0x3D, 0x63, 0x6D, 0x06, 0x16, 0x67]),
    st.integers(1, 4),
    st.integers(0, 4),
    st.binary(max_size=60),
)
def test_bytes_after_a_sound_form_give_a_tensor_or_a_format_error(
    form: int, value_bits: int, gap_bits: int, data: bytes
) -> None:
    check_any_bytes(bytes([form, value_bits if form & 6 else 0, gap_bits if form & 1 else 0]) + data, (3, 4))


@pytest.mark.parametrize("case", malformed.CASES, ids=lambda case: f"{case.constraint} {case.what}")
def test_a_malformed_tensor_is_refused_where_it_breaks(case: malformed.Case) -> None:
    with pytest.raises(FormatError, match=case.message) as caught:
        unpack(case.data, case.shape, 100)
    assert caught.value.offset_bytes == 100 + case.offset_bytes


def test_every_constraint_of_the_spec_has_a_malformed_tensor() -> None:
    numbers = re.findall(r"\*\*(C\d+)\.\*\*", SPEC)
    assert sorted(numbers) == sorted(set(numbers))
    assert {case.constraint for case in malformed.CASES} == set(numbers)


def test_the_bytes_of_the_spec_by_hand() -> None:
    lengths = np.array([1, 2, 2], np.uint8)
    values = Codebook(np.array([0.5, 1.0, 2.0], np.float32), huffman.Huffman(u16(0, 1, 2), lengths))
    encoding = Csr((2, 4), Bits(u16(1, 2, 0), 2), 2, "filler", values)
    form, table, gaps = "13020220", "030000000000003f0000803f00000040", "0300000001000000"
    # lengths 1, 2, 2 of 3 symbols; gaps 1, 2, 0 from the lowest bit on; codes 0, 10, 11
    assert pack(encoding).hex() == form + gaps + table + "0300" + "2102" + "09" + "1a"


@pytest.mark.parametrize(
    "fault",
    [
        lambda: Dense((3,), Codebook(np.ones(2, np.float32), Joint(u16(0, 1, 1), 1))),
        lambda: Dense((2,), Float32(np.ones(3, np.float32))),
        lambda: Dense((1,), Codebook(np.ones(2, np.float32), Bits(u16(1), 2))),
        lambda: Dense((1,), Codebook(np.ones(2, np.float32), Bits(u16(2), 2))),
        lambda: Dense((2, 3), Linear(Bits(u16(*[0] * 6), 1), 1, np.ones(2, np.float32), u16(0, 0))),
        lambda: Linear(Bits(u16(1), 2), 2, np.array([np.inf], np.float32), u16(0)),
        lambda: Linear(Bits(u16(1), 2), 1, np.ones(1, np.float32), u16(0)),
        lambda: Float32(np.ones(2)),
        lambda: Bits(np.ones(2, np.int64), 1),
        lambda: Bits(u16(4), 2),
        lambda: Csr((9,), Bits(u16(3), 2), 2, "escape", Float32(np.zeros(0, np.float32))),
        lambda: Csr((9,), Joint(u16(3), 2), 2, "filler", Float32(np.ones(1, np.float32))),
        lambda: Csr((9,), Bits(u16(3), 2), 2, "filler", Float32(np.ones(2, np.float32))),
        lambda: Csr((3,), Bits(u16(3), 2), 2, "filler", Float32(np.ones(1, np.float32))),
        lambda: Csr((9,), Bits(u16(3), 3), 2, "filler", Float32(np.ones(1, np.float32))),
        lambda: Csr((9,), Bits(u16(1, 2), 2), 1, "filler", Codebook(np.ones(2, np.float32), Joint(u16(1, 1), 1))),
    ],
)
def test_encodings_that_would_not_survive_packing_cannot_be_built(fault: object) -> None:
    assert callable(fault)
    with pytest.raises(OptionError):
        fault()


def test_equal_zero_points_are_stored_once() -> None:
    stream = Bits(u16(*[0] * 6), 8)
    shared, own = u16(128, 128, 128), u16(128, 128, 127)
    sizes = [len(pack(Dense((2, 3), Linear(stream, 8, np.ones(3, np.float32), points)))) for points in (shared, own)]
    assert sizes[1] - sizes[0] == 4


@pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="millions of symbols take plain Python minutes"
)
@pytest.mark.parametrize(
    ("what", "data"),
    [
        # 1-bit codes that take the most memory for a byte, with and without a joint stream, and mere claims
        (
            "joint escapes",
            bytes.fromhex("6b010110 00002000 00000400 02000000 0000803f 00000040 0400 0001") + bytes(1 << 18),
        ),
        ("joint", bytes.fromhex("63010110 00002000 00000400 02000000 0000803f 00000040 0100 01") + bytes(1 << 18)),
        ("bits", bytes.fromhex("02010000 02000000 0000803f 00000040") + bytes(1 << 18)),
        ("claim", bytes.fromhex("63010110 ffffffff ffffff1f 02000000 0000803f 00000040 0100 01")),
    ],
)
def test_no_tensor_allocates_more_than_48_times_its_bytes_and_2_mib(what: str, data: bytes) -> None:
    shape = (1 << 21,) if what == "bits" else (1 << 26,)
    unpack(pack(Dense((1,), Codebook(np.ones(1, np.float32), huffman.encode(u16(0))))), (1,))  # compile before
    tracemalloc.start()
    try:
        try:
            unpack(data, shape)
            refused = False
        except FormatError:
            refused = True
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused == (what in {"claim", "joint escapes"})
    assert peak < 48 * len(data) + (2 << 20)

"""Huffman codes are the best under their limit, canonical, and decoded alike by the simple and the fast decoder."""

from __future__ import annotations

import heapq
import itertools
import math
import os
from collections.abc import Sequence

import numpy as np
import pytest
from checks.encodings import check_offset
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress.encodings import canonical, huffman
from refcompress.errors import FormatError, OptionError

JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
MANY = 60_000 if JIT else 600
frequencies = st.lists(st.integers(0, 40), min_size=1, max_size=8)


def cost(counts: Sequence[int], lengths: Sequence[int]) -> int:
    return sum(count * length for count, length in zip(counts, lengths, strict=True))


def kraft(lengths: NDArray[np.uint8]) -> float:
    return sum(2.0 ** -int(length) for length in lengths if length)


def unlimited_cost(counts: Sequence[int]) -> int:
    """Huffman's own construction (1952): merge the two rarest; each merge costs its weight."""
    heap = [count for count in counts if count]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


def skewed(seed: int, count: int, alphabet: int, share: float) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    return np.minimum(rng.geometric(share, count) - 1, alphabet - 1).astype(np.uint16)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=5), st.integers(1, 4))
def test_no_assignment_of_lengths_under_the_limit_costs_less(counts: list[int], limit_bits: int) -> None:
    if len(counts) > 1 << limit_bits:
        with pytest.raises(OptionError, match="cannot hold"):
            huffman.code_lengths(counts, limit_bits=limit_bits)
        return
    lengths = huffman.code_lengths(counts, limit_bits=limit_bits)
    possible = itertools.product(range(1, limit_bits + 1), repeat=len(counts))
    best = min(cost(counts, each) for each in possible if sum(2.0**-length for length in each) <= 1)
    assert cost(counts, lengths.tolist()) == best
    assert lengths.max() <= limit_bits


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=200))
def test_a_limit_that_does_not_bind_costs_nothing(counts: list[int]) -> None:
    lengths = huffman.code_lengths(counts, limit_bits=15)
    if sum(count > 0 for count in counts) > 1 and lengths.max() < 15:
        assert cost(counts, lengths.tolist()) == unlimited_cost(counts)


@given(frequencies, st.integers(3, 15))
def test_the_kraft_sum_is_one(counts: list[int], limit_bits: int) -> None:
    lengths = huffman.code_lengths(counts, limit_bits=limit_bits)
    used = sum(count > 0 for count in counts)
    assert np.array_equal(lengths > 0, np.array(counts) > 0)
    assert kraft(lengths) == {0: 0, 1: 0.5}.get(used, 1)
    canonical.check_lengths(lengths)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=60))
def test_mean_code_length_is_below_entropy_plus_one(counts: list[int]) -> None:
    total = sum(counts)
    entropy = -sum(count / total * math.log2(count / total) for count in counts)
    mean = cost(counts, huffman.code_lengths(counts, limit_bits=15).tolist()) / total
    assert entropy - 1e-9 <= mean < entropy + 1


def test_rarer_symbols_never_have_shorter_codes() -> None:
    counts = np.random.default_rng(0).integers(1, 10**6, 4096)
    lengths = huffman.code_lengths(counts)
    ordered = lengths[np.argsort(counts, kind="stable")].astype(int)
    assert (np.diff(ordered) <= 0).all()
    assert kraft(lengths) == 1


@given(frequencies)
def test_codes_are_consecutive_numbers_in_the_order_of_lengths_and_symbols(counts: list[int]) -> None:
    lengths = huffman.code_lengths(counts)
    codes = canonical.canonical_codes(lengths)
    code = previous = 0
    for length, symbol in sorted((int(length), symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - previous
        assert format(codes[symbol], f"0{length}b")[::-1] == format(code, f"0{length}b")
        code, previous = code + 1, length


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1, 1, 1], "over-subscribed"),
        ([1, 2], "incomplete"),
        ([2], "incomplete"),
        ([16, 16], "16 bits"),
        ([1] * 4097, "4097 symbols"),
    ],
)
def test_lengths_that_make_no_code_are_refused(lengths: list[int], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        huffman.Huffman(np.zeros(0, np.uint16), np.array(lengths, np.uint8))


@pytest.mark.parametrize(
    ("symbols", "options"),
    [
        ([-1], {}),
        ([4096], {}),
        ([0.5], {}),
        ([1], {"n_streams": 2}),
        ([0, 1, 2], {"limit_bits": 1}),
        ([1], {"limit_bits": 16}),
    ],
)
def test_what_cannot_be_coded_is_refused(symbols: list[float], options: dict[str, int]) -> None:
    with pytest.raises(OptionError):
        huffman.encode(symbols, **options)


def test_symbols_without_a_code_are_refused() -> None:
    for symbols, lengths in (([1], [1, 0, 1]), ([3], [1, 1])):
        with pytest.raises(OptionError, match="has no code"):
            huffman.Huffman(np.array(symbols, np.uint16), np.array(lengths, np.uint8))


@given(st.lists(st.sampled_from([0, 0, 0, 5]), max_size=60), st.integers(0, 40))
def test_packed_lengths_come_back_without_trailing_symbols_that_have_none(where: list[int], more: int) -> None:
    lengths = np.array([*where, *[0] * more], np.uint8)
    used = np.flatnonzero(lengths)
    if used.size == 1:
        lengths[used] = 1
    elif used.size:  # any complete code: 1, 2, 3, ..., n, n
        used = used[:15]
        lengths[:] = 0
        lengths[used] = [*range(1, used.size), used.size - 1]
    data = canonical.pack_lengths(lengths)
    again, size = canonical.unpack_lengths(memoryview(data + b"rest"))
    assert size == len(data)
    assert np.array_equal(again, lengths[: used[-1] + 1 if used.size else 0])


@pytest.mark.parametrize("n_streams", [1, 4])
@pytest.mark.parametrize(
    ("alphabet", "share", "limit_bits"),
    [(1, 0.5, 12), (2, 0.9, 1), (32, 0.2, 12), (200, 0.02, 15), (4096, 0.001, 12), (16, 0.6, 15)],
)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 97, 200, 203, MANY])
def test_all_decoders_agree(alphabet: int, share: float, limit_bits: int, count: int, n_streams: int) -> None:
    symbols = skewed(count, count, alphabet, share)
    stream = huffman.encode(symbols, limit_bits=limit_bits, n_streams=n_streams)
    data = huffman.pack(stream)
    again = huffman.unpack(memoryview(data), count, stream.lengths, n_streams)
    assert np.array_equal(again.symbols, symbols)
    assert huffman.packed_bytes(stream) == len(data)
    start, first = 4 * (n_streams - 1), 0
    sizes = [int.from_bytes(data[i : i + 4], "little") for i in range(0, start, 4)]
    for size, part in zip(
        [*sizes, len(data) - start - sum(sizes)], huffman.stream_sizes(count, n_streams), strict=True
    ):
        simple = huffman.decode_simple(data[start : start + size], stream.lengths, min(part, 500))
        assert simple == symbols[first : first + min(part, 500)].tolist()
        start, first = start + size, first + part


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.sampled_from([1, 4]), st.floats(0.05, 0.95))
def test_the_fast_decoder_equals_the_simple_one_at_any_size(
    seed: int, count: int, n_streams: int, share: float
) -> None:
    symbols = skewed(seed, count, 40, share)
    stream = huffman.encode(symbols, n_streams=n_streams)
    data = huffman.pack(stream)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huffman, "FAST_FROM", 0)
        fast = huffman.unpack(memoryview(data), count, stream.lengths, n_streams).symbols
    assert np.array_equal(fast, symbols)
    if n_streams == 1:
        assert huffman.decode_simple(data, stream.lengths, count) == symbols.tolist()


def test_streams_of_unlike_density_decode_to_their_ends() -> None:
    # one stream takes many more rounds of the fast decoder than the others
    symbols = np.concatenate([np.zeros(3 * MANY, np.uint16), skewed(1, MANY, 64, 0.05)])
    stream = huffman.encode(symbols, n_streams=4)
    data = huffman.pack(stream)
    assert np.array_equal(huffman.unpack(memoryview(data), symbols.size, stream.lengths, 4).symbols, symbols)


@settings(max_examples=200)
@given(st.binary(max_size=40), frequencies, st.integers(0, 60), st.sampled_from([1, 4]), st.booleans())
def test_any_bytes_decode_as_the_simple_decoder_says(
    data: bytes, counts: list[int], count: int, n_streams: int, fast: bool
) -> None:
    lengths = huffman.code_lengths(counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huffman, "FAST_FROM", 0 if fast else 1 << 30)
        try:
            stream = huffman.unpack(memoryview(data), count, lengths, n_streams, 7)
        except FormatError as error:
            check_offset(error, 7, 7 + len(data))
            return
    assert huffman.pack(stream) == data
    if n_streams == 1:
        assert huffman.decode_simple(data, lengths, count) == stream.symbols.tolist()


def test_the_longest_codes_of_15_bits_survive() -> None:
    counts = [1, 1] + [2**i for i in range(1, 15)]
    lengths = huffman.code_lengths(counts, limit_bits=15)
    assert lengths.max() == 15
    symbols = np.repeat(np.arange(16), 5).astype(np.uint16)
    data = huffman.pack(huffman.Huffman(symbols, lengths))
    assert np.array_equal(huffman.unpack(memoryview(data), symbols.size, lengths).symbols, symbols)
    assert huffman.decode_simple(data, lengths, symbols.size) == symbols.tolist()

"""Sparse int8 weights as entries: what a naive reader finds in the stream, and what every target computes with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.forms import USES
from checks.integer_builder import IntegerBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.entries import CODED, Entries, as_bytes, as_coded, as_pairs, fits_bytes, has_entries, lay_out
from exporters.forms import candidates
from refcompress.encodings import Csr, Encoding
from refcompress.encodings.integers import from_rows, rows_of

FORMS = ("coded", "mixed", "bytes", "pairs")


def _bits(stream: bytes, start: int, count: int) -> int:
    """Return bits of a stream, the lowest of a byte first, one at a time; behind the end there are zeros."""
    place = range(start, start + count)
    return sum((stream[at // 8] >> at % 8 & 1) << at - start for at in place if at // 8 < len(stream))


def read(entries: Entries, size: int) -> list[int]:
    """Read entries as rc_q_entries.h tells, until one lies behind the last element."""
    stream, found, at, position = entries.stream.tobytes(), [0] * size, -1, 0
    width = int(entries.tables["advances"].size).bit_length() - 1 if "advances" in entries.tables else 0
    for _ in range(8 * len(stream) + 1):
        if entries.form == "bytes":
            advance, label = stream[position] >> 4, stream[position] & 15
            position += 1
            at += advance or 15 + label
            escaped, value = not advance, 0
            if advance and at < size:
                value = int(entries.tables["centroids"][label])
        elif entries.form == "pairs":
            value, escaped = int(np.int8(np.uint8(stream[position]))), False
            at += stream[position + 1]
            position += 2
        else:
            entry = int(entries.tables["advances"][_bits(stream, position, width)])
            position += entry & 255
            at, escaped, value = at + (entry >> 8 & 127), entry >= 0x8000, 0
            if not escaped and entries.form == "mixed":
                value = int(np.int8(np.uint8(_bits(stream, position, 8))))
                position += 8
            elif not escaped:
                values = entries.tables["values"]
                code = int(values[_bits(stream, position, int(values.size).bit_length() - 1)])
                position, value = position + (code & 255), code >> 8
        if escaped:
            continue
        if at >= size:
            return found
        found[at] = value
    raise AssertionError("the stream does not end")


@st.composite
def _rows(draw: st.DrawFn) -> np.ndarray:
    size = draw(st.integers(1, 900))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = rng.choice(255, draw(st.integers(1, 40)), replace=False) - 127
    density = draw(st.sampled_from([0.0, 0.002, 0.03, 0.2, 1.0]))
    return np.where(rng.random(size) < density, rng.choice(kinds, size), 0).astype(np.int32)


@settings(deadline=None, max_examples=150)
@given(rows=_rows(), max_table_bits=st.integers(0, 12))
def test_a_naive_reader_finds_the_values(rows: np.ndarray, max_table_bits: int) -> None:
    made = [as_coded(rows, max_table_bits=max_table_bits), as_pairs(rows)]
    made += [as_bytes(rows)] if fits_bytes(rows) else []
    for entries in made:
        assert read(entries, rows.size) == rows.tolist(), entries.form


@pytest.mark.parametrize("distance", [1, 15, 16, 17, 30, 45, 46, 75, 76, 127, 128, 254, 255, 256, 511])
def test_every_length_of_a_distance_can_be_told(distance: int) -> None:
    rows = np.zeros(2 * distance, np.int32)
    rows[[distance - 1, -1]] = 5, -7
    for entries in (as_coded(rows), as_pairs(rows), as_bytes(rows)):
        assert read(entries, rows.size) == rows.tolist(), entries.form


def test_codes_lie_in_a_window_and_in_their_tables() -> None:
    rows = np.zeros(60_000, np.int32)
    rng = np.random.default_rng(0)
    rows[rng.random(rows.size) < 0.2] = 1
    rows[rng.choice(rows.size, 3000, replace=False)] = rng.integers(-128, 128, 3000)
    found = as_coded(rows, max_table_bits=12)
    assert found.form == "coded"
    for table in found.tables.values():
        assert table.size <= 1 << 12
        assert ((table & 255) > 0).all()
        assert ((table & 255) <= 12).all()


def _in_form(rng: np.random.Generator, shape: tuple[int, ...], form: str) -> Encoding:
    """Make a sparse weight of one scale that is laid out in a form; some rows and taps stay empty."""
    columns, rows = int(np.prod(shape[:-1])), shape[-1]
    kinds = rng.choice(np.delete(np.arange(-128, 128), 128), {"bytes": 16, "coded": 5}.get(form, 200), replace=False)
    integers = np.where(rng.random((rows, columns)) < 0.3, rng.choice(kinds, (rows, columns)), 0)
    integers.reshape(-1)[rng.integers(integers.size) :][: columns + columns // 2] = 0
    return _laid_out(integers, shape, form)


def _laid_out(integers: np.ndarray, shape: tuple[int, ...], form: str) -> Encoding:
    made = candidates(from_rows(integers, shape, np.array([0.02], np.float32), 8))
    return next(each for each in made if has_entries(each) and lay_out(each).form == form)


def _always_plain(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Let small weights too have values without a code, if that is the form."""
    monkeypatch.setattr("exporters.entries.OTHER_FORM_BYTES", -10_000 if form == "mixed" else 10_000)


@pytest.mark.parametrize(
    "target", [targets.GCC, targets.SANITIZED, targets.M0, targets.M4, targets.AVR], ids=lambda t: t.name
)
@pytest.mark.parametrize("form", FORMS)
def test_every_target_computes_with_every_form(
    form: str, target: targets.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    _always_plain(monkeypatch, form)
    for i, (shape, op, weight_shape, attrs) in enumerate(USES.values()):
        b = IntegerBuilder(11 + i, x=shape)
        weights = [_in_form(b.rng, weight_shape, form) for _ in range(2)]
        made = [b(op, "x", weight=weight, bias=bool(j), **attrs) for j, weight in enumerate(weights)]
        check_export(b.network(*made), b.samples(2), on=(target,))


@pytest.mark.parametrize("form", FORMS)
def test_rows_without_weights_give_their_biases(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _always_plain(monkeypatch, form)
    b = IntegerBuilder(12, x=(300,))
    weight = _in_form(b.rng, (300, 40), form)
    rows = rows_of(weight).copy()
    rows[[0, 1, 7, 8, 38, 39]] = 0
    again = _laid_out(rows, (300, 40), form)
    check_export(b.network(b("Gemm", "x", weight=again)), b.samples(2), on=(targets.GCC, targets.SANITIZED))


def test_integers_beyond_int8_keep_their_streams() -> None:
    b = IntegerBuilder(13, x=(50,))
    weight = _in_form(b.rng, (50, 9), "pairs")
    assert isinstance(weight, Csr)
    wide = replace(weight, values=replace(weight.values, zero_points=np.array([20], np.uint16)))
    assert rows_of(wide).max() > 127
    assert not has_entries(wide)
    check_export(b.network(b("Gemm", "x", weight=wide)), b.samples(2), on=(targets.GCC, targets.SANITIZED))


def test_forms_with_codes_are_two() -> None:
    assert set(CODED) == set(FORMS) - {"bytes", "pairs"}

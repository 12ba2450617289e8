"""Weights of 2 to 4 bits as fields of words: what a naive reader finds in them, and what every target computes."""

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

import exporters.c
from exporters import blob
from exporters.costs import layer_costs
from exporters.fields import BLOCK, WIDTHS, fewest_bits, field_bits, words
from refcompress.encodings import Dense, Encoding, Linear
from refcompress.encodings.integers import from_rows, rows_of
from refcompress.integer import IntegerNetwork


def read(stream: list[int], bits: int, rows: int, columns: int) -> np.ndarray:
    """Read fields as rc_q_fields.h tells, one at a time."""
    found = np.zeros((rows, columns), np.int32)
    blocks = -(-columns // BLOCK)
    for row in range(rows):
        for column in range(columns):
            block, at = divmod(column, BLOCK)
            first = (row * blocks + block) * bits
            pair, upper = at // 4 * 2 + at % 2, at % 4 // 2
            word, place = divmod(pair, 16 // bits)
            if word < bits:
                field = stream[first + word] >> 16 * upper + place * bits
            else:
                field = sum((stream[first + k] >> 16 * upper + 15 & 1) << k for k in range(3))
            found[row, column] = field & (1 << bits) - 1
    return found


def _weight(rng: np.random.Generator, shape: tuple[int, ...], bits: int, *, per_row: bool = True) -> Encoding:
    size = (shape[-1], int(np.prod(shape[:-1])))
    half = 1 << bits - 1
    scales = rng.uniform(0.01, 0.1, size[0] if per_row else 1).astype(np.float32)
    return from_rows(rng.integers(-half, half, size), shape, scales, bits)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(WIDTHS), st.integers(1, 4), st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_a_naive_reader_finds_the_fields(bits: int, rows: int, columns: int, seed: int) -> None:
    weight = _weight(np.random.default_rng(seed), (columns, rows), bits)
    stream = words(weight)
    assert stream.size == rows * -(-columns // BLOCK) * bits
    np.testing.assert_array_equal(read(stream.tolist(), bits, rows, columns) - (1 << bits - 1), rows_of(weight))


@pytest.mark.parametrize(
    "target",
    [
        targets.GCC,
        targets.CLANG,
        targets.SANITIZED,
        targets.M0,
        targets.M3,
        targets.M4,
        targets.RV32,
        targets.S390X,
        targets.AVR,
    ],
    ids=lambda t: t.name,
)
@pytest.mark.parametrize("bits", WIDTHS)
def test_every_target_computes_with_every_width(bits: int, target: targets.Target) -> None:
    b = IntegerBuilder(31 + bits, x=(131,))
    made = [
        b("Gemm", "x", weight=_weight(b.rng, (131, 7), bits)),
        b("Gemm", "x", weight=_weight(b.rng, (131, 1), bits, per_row=False), bias=False),
    ]
    deep = b("Gemm", "x", weight=_weight(b.rng, (131, 32), bits))
    made.append(b("Gemm", deep, weight=_weight(b.rng, (32, 6), bits, per_row=False)))
    check_export(b.network(*made), b.samples(2), on=(target,))


def test_other_uses_of_narrow_weights_stay_streams() -> None:
    for i, (shape, op, weight_shape, attrs) in enumerate(USES.values()):
        b = IntegerBuilder(41 + i, x=shape)
        made = b(op, "x", weight=_weight(b.rng, weight_shape, 3), **attrs)
        check_export(b.network(made), b.samples(2), on=(targets.GCC,))


def _one(weight: Encoding, columns: int) -> tuple[IntegerBuilder, IntegerNetwork]:
    b = IntegerBuilder(51, x=(columns,))
    return b, b.network(b("Gemm", "x", weight=weight))


def test_extreme_weights_and_inputs() -> None:
    for bits in WIDTHS:
        rows = np.where(np.arange(90) % 3, -(1 << bits - 1), (1 << bits - 1) - 1)[None].repeat(3, 0)
        _, network = _one(from_rows(rows, (90, 3), np.array([0.1], np.float32), bits), 90)
        x = np.array([[-128] * 90, [127] * 90, [-128, 127] * 45], np.int8)
        check_export(network, [x], on=(targets.GCC, targets.SANITIZED, targets.M4))


def test_zero_points_that_are_not_in_the_middle() -> None:
    b, network = _one(_weight(np.random.default_rng(0), (50, 5), 4), 50)
    weight = network.graph.params["n0 w"]
    assert isinstance(weight.values, Linear)
    for zero_points, fields in (([3] * 5, 4), ([3, 3, 3, 3, 4], 0)):
        values = replace(weight.values, zero_points=np.array(zero_points, np.uint16))
        changed = Dense(weight.shape, values)
        assert field_bits(changed) == fields
        graph = network.graph.with_params({"n0 w": changed})
        check_export(replace(network, graph=graph), b.samples(2), on=(targets.GCC,))


def test_the_kernel_of_fields_is_called_and_images_stream() -> None:
    _, network = _one(_weight(np.random.default_rng(0), (50, 5), 3), 50)
    assert b"rc_q_gemm_fields_3(" in exporters.c.export(network, prefix="net")["net.c"]
    assert blob.export(network, prefix="net")["net.bin"]


@pytest.mark.parametrize("bits", WIDTHS)
def test_the_model_is_near_the_count(bits: int) -> None:
    b, network = _one(_weight(np.random.default_rng(bits), (640, 100), bits), 640)
    (found,) = check_export(network, b.samples(1), on=(targets.M4,), count=True)
    if found.instructions is not None:
        estimated = sum(cost.instructions for cost in layer_costs(network).values())
        assert estimated == pytest.approx(found.instructions, rel=0.05)


def test_widths() -> None:
    for bits in WIDTHS:
        half = 1 << bits - 1
        assert fewest_bits(np.array([-half, half - 1])) == bits
        assert fewest_bits(np.array([half])) == fewest_bits(np.array([-half - 1])) == bits + 1

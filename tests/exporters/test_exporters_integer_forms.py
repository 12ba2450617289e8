"""Every form of an integer weight in every operator that has weights, on every target, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.forms import USES, Form, integer_forms, make_weight
from checks.integer_builder import IntegerBuilder, use_network
from checks.native import check_image

import exporters.c
from exporters.integer import lower_integer
from exporters.program import form_name, form_of
from refcompress.encodings import Bits, Linear
from refcompress.encodings.integers import rows_of

TARGETS = [targets.CLANG, targets.SANITIZED, targets.M3, targets.M4]


@pytest.mark.parametrize("use", USES)
def test_c_equals_the_reference_in_every_form(use: str) -> None:
    b, network = use_network(1, use)
    check_export(network, b.samples(), on=(targets.GCC,))


@pytest.mark.parametrize("table_bits", [0, 1, 2, 10])
@pytest.mark.parametrize("use", USES)
def test_image_equals_the_reference_in_every_form(use: str, table_bits: int) -> None:
    b, network = use_network(table_bits + 1, use)
    check_image(network, b.samples(), max_table_bits=table_bits)


@pytest.mark.parametrize("target", [targets.CLANG, targets.SANITIZED, targets.M4], ids=lambda target: target.name)
def test_images_equal_the_reference_on_all_targets(target: targets.Target) -> None:
    b, network = use_network(3, "conv_grouped")
    check_export(network, b.samples(1), on=(target,), exporter="blob", max_table_bits=2)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("use", ["gemm", "conv_grouped"])
def test_all_targets_equal_the_reference(use: str, target: targets.Target) -> None:
    b, network = use_network(2, use)
    check_export(network, b.samples(1), on=(target,), max_table_bits=2)


def test_the_forms_of_the_tests_are_all_there_are() -> None:
    rng = np.random.default_rng(0)
    names = {form_name(form_of(make_weight(rng, (6, 5), form))) for form in integer_forms()}
    assert len(names) == 16
    assert names == {name.split("(")[1].split(",")[0] for name in _rows_of_the_header()} - {"dense_int8"}


def _rows_of_the_header() -> list[str]:
    text = exporters.c.runtime.source("rc_q_weights.h").decode()
    return [line for line in text.splitlines() if line.strip().startswith("X(")]


@pytest.mark.parametrize("form", list(integer_forms()), ids=lambda form: form.name)
def test_a_weight_of_zeros_gives_the_bias(form: Form) -> None:
    b = IntegerBuilder(4, x=(37,))
    weight = make_weight(b.rng, (37, 11), form, density=0.0)
    network = b.network(b("Gemm", "x", weight=weight))
    check_export(network, b.samples(1), on=(targets.GCC,))
    check_image(network, b.samples(1))


def test_bytes_above_an_odd_zero_point_are_decoded_as_a_stream() -> None:
    """An integer less its zero point may have 9 bits, which the kernels of bytes cannot take."""
    b = IntegerBuilder(5, x=(3, 4, 5))
    symbols = b.rng.integers(0, 256, 2 * 2 * 5 * 6).astype(np.uint16)
    weight = make_weight(b.rng, (2, 2, 5, 6), next(form for form in integer_forms() if not form.sparse))
    values = Linear(Bits(symbols, 8), 8, np.full(6, 0.01, np.float32), np.arange(0, 256, 50, dtype=np.uint16))
    weight = replace(weight, values=values)
    assert np.abs(rows_of(weight)).max() > 128
    network = b.network(b("Conv", "x", weight=weight))
    assert lower_integer(network).steps[0].kernel == "q_conv_stream"
    check_export(network, b.samples(), on=(targets.GCC, targets.SANITIZED))
    check_image(network, b.samples())

"""Every form of a weight in every operator that streams weights, on every target, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.forms import USES, all_forms, make_weight, samples, use_graph
from checks.native import check_image

from exporters.program import form_name, form_of
from refcompress import encodings


@pytest.mark.parametrize("use", USES)
def test_c_equals_the_reference_in_every_form(use: str) -> None:
    rng = np.random.default_rng(1)
    graph = use_graph(rng, use)
    check_export(graph, samples(rng, graph), on=(targets.GCC,))


@pytest.mark.parametrize("table_bits", [0, 1, 2, 10])
@pytest.mark.parametrize("use", USES)
def test_image_equals_the_reference_in_every_form(use: str, table_bits: int) -> None:
    rng = np.random.default_rng(table_bits)
    graph = use_graph(rng, use)
    check_image(graph, samples(rng, graph), max_table_bits=table_bits)


@pytest.mark.parametrize("target", [targets.CLANG, targets.SANITIZED, targets.M4], ids=lambda target: target.name)
@pytest.mark.parametrize("exporter", ["c", "blob"])
def test_all_targets_equal_the_reference(target: targets.Target, exporter: str) -> None:
    rng = np.random.default_rng(3)
    for use in ("gemm", "conv_grouped", "depthwise") if exporter == "c" else ("conv_grouped",):
        graph = use_graph(rng, use)
        check_export(graph, samples(rng, graph, 1), on=(target,), exporter=exporter, max_table_bits=2)


def test_the_forms_of_the_tests_are_all_there_are() -> None:
    rng = np.random.default_rng(0)
    names = {form_name(form_of(make_weight(rng, (6, 5), form))) for form in all_forms()}
    assert len(names) == 19


@pytest.mark.parametrize("form", list(all_forms()), ids=lambda form: form.name)
def test_a_weight_of_zeros_gives_the_bias(form: object) -> None:
    rng = np.random.default_rng(4)
    graph = use_graph(rng, "gemm", forms=[form])
    (name,) = (name for name in graph.params if name.endswith(" w"))
    weight = make_weight(rng, graph.params[name].shape, form, density=0.0)
    found = check_image(graph.with_params({name: weight}), samples(rng, graph))
    assert len(found) % 4 == 0
    assert encodings.decode(weight).shape == (37, 11)

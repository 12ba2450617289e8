"""Identifiers, comments and literals of generated C."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporters.blob
import exporters.c
from exporters.c.literals import float_literal
from exporters.identifiers import Namer, check_prefix, comment
from refcompress import Graph, Node, TensorSpec, ops
from refcompress.errors import ModelError, OptionError


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_literal_reads_back_to_the_same_bits(value: float) -> None:
    text = float_literal(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", text)
    assert re.search(r"[.e]", text)
    assert np.float32(text[:-1]).view(np.uint32) == np.float32(value).view(np.uint32)


@given(st.integers(0, 2**32 - 1))
def test_every_finite_pattern_has_a_literal(bits: int) -> None:
    value = np.uint32(bits).view(np.float32)
    if np.isfinite(value):
        assert np.float32(float_literal(value)[:-1]).view(np.uint32) == bits
    else:
        with pytest.raises(ModelError, match="no C literal"):
            float_literal(value)


@given(st.lists(st.text(max_size=80), max_size=20))
def test_identifiers_are_valid_and_differ_whatever_the_names(names: list[str]) -> None:
    namer = Namer("net", ["net_run"])
    found = [namer(name) for name in names]
    assert all(re.fullmatch(r"net_[A-Za-z0-9_]{1,75}", name) for name in found)
    assert len({name.lower() for name in [*found, "net_run"]}) == len(found) + 1


@given(st.text())
def test_comments_cannot_end_early(text: str) -> None:
    safe = comment(text)
    assert not re.search(r"\*/|/\*|\?\?|\\|[\x00-\x1f\x7f]", safe)
    safe.encode()


@pytest.mark.parametrize("prefix", ["net", "Net_2", "int", "a" * 40])
def test_prefixes_that_are_allowed(prefix: str) -> None:
    check_prefix(prefix)


@pytest.mark.parametrize(
    "prefix", ["", "2net", "_net", "a-b", "größe", "rc", "rc_net", "RC_x", "string", "Math", "a" * 41, "net\n"]
)
@pytest.mark.parametrize("export", [exporters.c.export, exporters.blob.export])
def test_prefixes_that_are_refused(export: object, prefix: str) -> None:
    graph = Graph((TensorSpec("x", (4,)),), ("y",), (Node("Relu", "r", ("x",), "y", attrs=ops.NoAttrs()),), {})
    with pytest.raises(OptionError, match="prefix"):
        export(graph, prefix=prefix)

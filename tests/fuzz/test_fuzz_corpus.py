"""Every input that the fuzzer found worth keeping, under the sanitizers again (README.md beside this file)."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks.images import corpus, corpus_path, statuses, whole


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_no_kept_input_does_harm(kind: str, tmp_path: Path) -> None:
    inputs = corpus(kind)
    found = statuses([whole(data) for data in inputs], tmp_path, integers=kind == "int8")
    accepted = sum(1 for status in found if status == 0)
    assert 50 < accepted < len(inputs)  # so that interpreter and kernels are reached, not the checker alone
    assert len(set(found)) >= 5


def test_the_corpus_stays_small() -> None:
    assert sum(corpus_path(kind).stat().st_size for kind in ("float32", "int8")) < 200_000

"""The checker and the decoder of streams: every branch taken, every condition shown to decide alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checks import broken_float32, broken_int8
from checks.coverage import Images, missed_conditions, untaken_branches
from checks.forms import Form
from checks.image_networks import (
    CODED,
    FLOATS,
    INTEGER_FORMS,
    JOINT,
    LINEAR,
    every_network,
    integer_network,
    network,
    one_symbol_network,
)
from checks.images import HEADER_WORDS, cuts, extremes, flips, image_of, repaired, words_of

FILES = (
    *("rc_check.c", "rc_check.h", "rc_check_code.c", "rc_check_image.c", "rc_check_sizes.c", "rc_check_tensor.c"),
    *("rc_q_check.c", "rc_q_check.h", "rc_q_check_lag.c", "rc_q_check_rows.c", "rc_record.c"),
    *("rc_stream.c", "rc_stream.h"),
)
LABELS = Form(sparse=False, kind="codebook", values="bits")
JOINT_LABELS = Form(sparse=True, kind="codebook", gaps="bits", values="joint", long_gap="escape", gap_bits=1)
FORMS = (CODED, JOINT, LINEAR, FLOATS, LABELS, JOINT_LABELS)


def _images(kind: str) -> Iterator[bytes]:
    """Good images, those of the table of broken ones, and all changes of a few."""
    integers = kind == "int8"
    for table_bits in (0, 1, 10):
        yield from (image_of(made, table_bits) for made in every_network(integers=integers))
    good = image_of(integer_network()[1] if integers else network())
    for _, _, mutation in broken_int8.TABLE if integers else broken_float32.TABLE:
        words = words_of(good)
        mutation(words)
        yield repaired(words)
    for table_bits in (0, 1):
        words = words_of(image_of(one_symbol_network(integers=integers), table_bits))
        yield words.tobytes()
        words.view(np.uint8)[int(words[HEADER_WORDS + 2 + 7])] = 1  # which is no code
        yield repaired(words)
    for size in (0, 32, 38):
        words = words_of(good)
        words[2] = size
        yield words.tobytes()
    yield from (good[:size] for size in (0, 35, 36, len(good) - 1))
    yield from (good[:at] + bytes([good[at] ^ 8]) + good[at + 1 :] for at in (0, 4, 8, 9, 11, 12, 16, 50))
    for form in INTEGER_FORMS if integers else FORMS:
        small = image_of(integer_network(form)[1] if integers else network(form))
        yield from (*flips(small), *extremes(small), *cuts(small))
    yield from (*extremes(good), *cuts(good))


@pytest.fixture(scope="module")
def images() -> Images:
    return {kind: list(_images(kind)) for kind in ("float32", "int8")}


def test_every_branch_is_taken(images: Images, tmp_path: Path) -> None:
    missing, count = untaken_branches(images, FILES, tmp_path)
    assert not missing
    assert count > 1000


def test_every_condition_decides_alone(images: Images, tmp_path: Path) -> None:
    missed = missed_conditions(images, FILES, tmp_path)
    assert not {name: count for name, count in missed.items() if count}

"""Flash images that are not what they should be: refused by the constraint they break, harmless whatever they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from checks.broken_float32 import TABLE
from checks.forms import Form
from checks.image_networks import CODED, FLOATS, JOINT, LINEAR, SYMMETRIC, network
from checks.images import Mutation, cuts, extremes, first_step, flips, image_of, repaired, statuses, words_of
from checks.native import STATUS, library, status_of

from refcompress.encodings import Codebook, Csr, Huffman, Linear


def test_a_good_image_is_accepted_also_with_bytes_behind_it() -> None:
    image = image_of(network())
    assert status_of(image) == "OK"
    assert status_of(image + bytes(64)) == "OK"


@pytest.mark.parametrize(("name", "status", "mutation"), TABLE, ids=[row[0] for row in TABLE])
def test_a_broken_constraint_is_refused(name: str, status: str, mutation: Mutation) -> None:
    words = words_of(image_of(network()))
    mutation(words)
    assert status_of(repaired(words)) == status, name


def test_h1_an_image_that_is_not_aligned_is_refused() -> None:
    raw = np.zeros(100, np.uint32)
    assert STATUS[library().rc_check(raw.ctypes.data + 2, 100)] == "ALIGNMENT"
    assert STATUS[library().rc_check(None, 100)] == "NULL"


def test_h4_every_truncation_is_refused() -> None:
    image = image_of(network())
    for size in range(len(image)):
        assert status_of(image[:size]) == "SIZE"


@pytest.mark.parametrize("size", [0, 32, 37, 38])
def test_h4_a_size_that_is_none_is_refused(size: int) -> None:
    words = words_of(image_of(network()))
    words[2] = size
    assert status_of(words.tobytes()) == "SIZE"


def test_h5_every_flipped_bit_is_noticed() -> None:
    image = image_of(network(CODED))
    for bit in range(8 * len(image)):
        broken = bytearray(image)
        broken[bit // 8] ^= 1 << bit % 8
        assert status_of(bytes(broken)) != "OK"


def test_t20_a_label_without_centroid_is_refused() -> None:
    form = Form(sparse=False, kind="codebook", values="bits")
    image = image_of(network(form))
    words = words_of(image)
    tensor = int(words[first_step(words, 1) + 5])
    words.view(np.uint8)[tensor + 8 + 28] |= 0x07  # label 7 of seven centroids
    assert status_of(repaired(words)) == "STREAM"


def test_t19_an_escape_with_an_integer_is_refused() -> None:
    words = words_of(image_of(network(JOINT)))
    at = first_step(words, 1)
    stream = int(words[at + 7])
    words.view(np.uint8)[stream] |= 0x0F  # gap 1 (an escape of one bit) and integer 7
    assert status_of(repaired(words)) == "STREAM"


# --- anything at all, under the sanitizers ---


@pytest.mark.parametrize(
    "form", [None, CODED, JOINT, LINEAR, SYMMETRIC, FLOATS], ids=lambda form: form.name if form else "all kernels"
)
@pytest.mark.parametrize("how", [flips, extremes, cuts], ids=["bits", "words", "cuts"])
def test_no_image_can_do_harm(how: Callable[[bytes], Iterator[bytes]], form: Form | None, tmp_path: Path) -> None:
    image = image_of(network(form))
    found = statuses([image, *how(image)], tmp_path, integers=False)
    assert found[0] == 0
    assert 0 < sum(1 for status in found if status) < len(found) or how is cuts


def test_the_encodings_of_these_tests_are_what_they_say() -> None:
    weights = [network(form).params["w"] for form in (CODED, JOINT, LINEAR, FLOATS)]
    assert [type(weight.values) for weight in weights[:3]] == [Codebook, Linear, Linear]
    assert isinstance(weights[0], Csr)
    assert isinstance(weights[0].gaps, Huffman)

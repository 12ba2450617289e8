"""Flash images of int8 that are not what they should be: refused by the constraint they break, always harmless."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from checks.broken_int8 import TABLE, scratch_word
from checks.forms import Form
from checks.image_networks import (
    INTEGER_FORMS,
    INTEGER_KERNELS,
    SHARED,
    SHARED_CODED,
    integer_network,
    network,
    one_symbol_network,
)
from checks.images import (
    ARENA,
    HEADER_WORDS,
    Mutation,
    Words,
    cuts,
    extremes,
    first_step,
    flips,
    image_of,
    repaired,
    statuses,
    steps_of,
    words_of,
)
from checks.integer_builder import IntegerBuilder
from checks.native import check_image, run_image, status_of
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.blob.image import KERNELS
from exporters.integer import lower_integer
from exporters.overlap import ANYWHERE
from exporters.program import Step


def check_words(words: Words) -> str:
    return status_of(repaired(words), integers=True)


@pytest.mark.parametrize(("name", "status", "mutation"), TABLE, ids=[row[0] for row in TABLE])
def test_a_broken_constraint_is_refused(name: str, status: str, mutation: Mutation) -> None:
    words = words_of(image_of(integer_network()[1]))
    mutation(words)
    assert check_words(words) == status, name


def test_the_network_of_the_table_has_every_kernel() -> None:
    found = {kernel for kernel, _ in steps_of(words_of(image_of(integer_network()[1])))}
    assert found == {KERNELS[name] for name in INTEGER_KERNELS} == {n for n in KERNELS.values() if n > 32}


def test_a_good_image_is_accepted_by_its_own_checker_and_run_by_its_own_interpreter() -> None:
    b, made = integer_network()
    image = check_image(made, b.samples(3))
    assert status_of(image + bytes(64), integers=True) == "OK"
    floats = image_of(network())
    with pytest.raises(AssertionError, match="ELEMENTS"):
        run_image(image, [np.zeros(60, np.float32)], [5])
    with pytest.raises(AssertionError, match="ELEMENTS"):
        run_image(floats, [np.zeros(24, np.int8)], [5])


def test_h1_an_image_that_is_not_aligned_is_refused() -> None:
    image = image_of(integer_network(SHARED)[1])
    assert status_of(image[2:] + bytes(2), integers=True) in ("MAGIC", "SIZE")


def test_h4_every_truncation_is_refused() -> None:
    image = image_of(integer_network(SHARED_CODED)[1])
    for size in range(len(image)):
        assert status_of(image[:size], integers=True) == "SIZE"


def test_h5_every_flipped_bit_is_noticed() -> None:
    image = image_of(integer_network(SHARED)[1])
    for bit in range(8 * len(image)):
        broken = bytearray(image)
        broken[bit // 8] ^= 1 << bit % 8
        assert status_of(bytes(broken), integers=True) != "OK"


@pytest.mark.parametrize("table_bits", [0, 1])
@pytest.mark.parametrize("integers", [False, True])
def test_t17_what_is_no_code_is_refused(*, integers: bool, table_bits: int) -> None:
    words = words_of(image_of(one_symbol_network(integers=integers), table_bits))
    at = HEADER_WORDS + 2
    stream = int(words[at + 7])
    words.view(np.uint8)[stream] = 1
    assert status_of(repaired(words), integers=integers) == "STREAM"


def _lagging(seed: int) -> tuple[IntegerBuilder, list[Step], Words]:
    """Return a network of one kernel that may write over what it reads."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 9, 3))
    kernel, strides = rng.integers(1, 4, 2), rng.integers(1, 4, 2).tolist()
    pads = [*rng.integers(0, kernel), *rng.integers(0, kernel)]
    pads[2] += max(0, int(kernel[0]) - shape[0])
    pads[3] += max(0, int(kernel[1]) - shape[1])
    window = {"strides": strides, "pads": [int(n) for n in pads]}
    b = IntegerBuilder(seed, x=shape)
    kind = int(rng.integers(4))
    if kind == 0:
        made = b("Conv", "x", weight=(*kernel.tolist(), shape[2], int(rng.integers(1, 9))), **window)
    elif kind == 1:
        made = b("Conv", "x", weight=(*kernel.tolist(), 1, shape[2]), group=shape[2], **window)
    elif kind == 2:
        made = b("Conv", "x", weight=(1, 1, shape[2], int(rng.integers(1, 9))))
    else:
        window["pads"] = [min(n, int(k) - 1) for n, k in zip(window["pads"], [*kernel, *kernel], strict=True)]
        kernel = np.minimum(kernel, np.add(shape[:2], window["pads"][:2]))
        window["pads"] = [min(n, int(k) - 1) for n, k in zip(window["pads"], [*kernel, *kernel], strict=True)]
        made = b("MaxPool", "x", kernel_shape=[int(n) for n in kernel], **window)
    network_of = b.network(made)
    return b, list(lower_integer(network_of).steps), words_of(image_of(network_of))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_q6_an_output_may_lie_over_the_input_exactly_as_far_as_the_plan_puts_it(seed: int) -> None:
    b, steps, words = _lagging(seed)
    step = steps[0]
    if step.lag is None:
        return
    n_x, n_y = (int(np.prod(b.inputs[0].shape)), int(words[HEADER_WORDS + 1]))
    at = HEADER_WORDS + 2
    words[ARENA] = 1 << 16
    if step.scratch_bytes:
        (scratch,) = (k for k in range(5, int(words[at]) >> 16) if (int(words[at]) & 0xFFFF, k) in _SCRATCH)
        words[at + scratch] = 1 << 15
    start = 8192
    lag = max(step.lag, -n_x - 8)
    for y, allowed in ((start - lag, True), (start - lag + 1, False)):
        words[at + 1 : at + 5] = 0, start, 0, y
        overlaps = y < start + n_x and start < y + n_y
        assert check_words(words.copy()) == ("OK" if allowed or not overlaps or step.lag == ANYWHERE else "BUFFER")


def test_the_checker_takes_no_longer_for_larger_sizes() -> None:
    words = words_of(image_of(integer_network()[1]))
    at = first_step(words, "q_conv_points")
    words[ARENA] = 0x7FFFFFFC
    words[at + 1 : at + 5] = 0
    words[at + 9 : at + 12] = 0x7FFFFFFC, 1, 1
    started = time.monotonic()
    assert check_words(words) == "BUFFER"  # in place, but there is no room for scratch
    assert time.monotonic() - started < 1


_SCRATCH = {(KERNELS[name], scratch_word(name)) for name in ("q_gemm", "q_conv_points", "q_conv_pixels")}


HARMS = [
    pytest.param(
        how,
        form,
        id=f"{form.name if form else 'all kernels'}-{how.__name__}",
        marks=[pytest.mark.slow] if form is None and how is flips else [],  # 27,000 images; words and fuzzing stay
    )
    for how in (flips, extremes, cuts)
    for form in (None, *INTEGER_FORMS)
]


@pytest.mark.parametrize(("how", "form"), HARMS)
def test_no_image_can_do_harm(how: Callable[[bytes], Iterator[bytes]], form: Form | None, tmp_path: Path) -> None:
    image = image_of(integer_network(form)[1])
    found = statuses([image, *how(image)], tmp_path, integers=True)
    assert found[0] == 0
    assert 0 < sum(1 for status in found if status) < len(found) or how is cuts

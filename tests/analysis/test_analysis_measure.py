"""Reports hold true bytes and say in words how a parameter is stored."""

from __future__ import annotations

import json

import numpy as np
import pytest
from checks.small_networks import classifier

from refcompress.analysis import describe, measure
from refcompress.encodings import Bits, Codebook, Csr, Dense, Encoding, Float32, Joint, Linear, encode, pack
from refcompress.formats import rcz

ONE = np.array([1], np.uint16)
SCALE, ZERO = np.array([1], np.float32), np.array([0], np.uint16)
PAIR = np.array([0, 1], np.float32)

WORDS: list[tuple[str, Encoding]] = [
    ("dense float32", encode([1.0])),
    ("dense codebook2 packed", Dense((1,), Codebook(PAIR, Bits(ONE, 1)))),
    ("dense linear3 packed", Dense((1,), Linear(Bits(ONE, 3), 3, SCALE, ZERO))),
    (
        "dense linear3 per row packed",
        Dense((1, 2), Linear(Bits(np.array([1, 2], np.uint16), 3), 3, np.repeat(SCALE, 2), np.repeat(ZERO, 2))),
    ),
    ("csr gap4 packed + float32", Csr((3,), Bits(ONE, 4), 4, "filler", Float32(SCALE))),
    ("csr gap4 escape packed + codebook2 packed", Csr((3,), Bits(ONE, 4), 4, "escape", Codebook(PAIR, Bits(ONE, 1)))),
    (
        "csr gap2 packed + codebook2 joint",
        Csr((3,), Bits(np.array([1 | 1 << 2], np.uint16), 3), 2, "filler", Codebook(PAIR, Joint(ONE, 1))),
    ),
]


@pytest.mark.parametrize(("words", "encoding"), WORDS, ids=[words for words, _ in WORDS])
def test_words_for_every_encoding(words: str, encoding: Encoding) -> None:
    assert describe(encoding) == words


def test_bytes_are_those_of_the_file_and_its_tensors() -> None:
    graph = classifier()
    report = measure(graph)
    assert report.file_bytes == len(rcz.to_bytes(graph))
    for parameter in report.parameters:
        assert parameter.stream_bytes == len(pack(graph.params[parameter.name]))
        assert parameter.share == parameter.stream_bytes / report.file_bytes
        assert parameter.bits_per_weight == 8 * parameter.stream_bytes / np.prod(parameter.shape)
    assert [(p.layer, p.role) for p in report.parameters] == [("fc1", "weight"), ("fc1", "bias"), ("fc2", "weight")]


def test_density_counts_values_and_stored_counts_entries() -> None:
    graph = classifier().with_params({"fc1/bias": encode(np.arange(32) % 2)})
    bias = next(p for p in measure(graph).parameters if p.name == "fc1/bias")
    assert (bias.density, bias.stored, bias.value_bits, bias.dense_bytes) == (0.5, 32, 32, 128)


def test_a_report_is_json() -> None:
    document = measure(classifier(), notes=("a note",)).to_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["notes"] == ["a note"]

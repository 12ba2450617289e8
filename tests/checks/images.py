"""Flash images taken apart, changed and made whole again, and tried under the sanitizers."""

from __future__ import annotations

import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from checks import targets
from numpy.typing import NDArray

import exporters.blob
from exporters import runtime
from exporters.blob.image import HEADER_WORDS, KERNELS, MAGIC, VERSION
from refcompress import Graph
from refcompress.integer import IntegerNetwork

Words = NDArray[np.uint32]
Mutation = Callable[[Words], object]
HARNESS = targets.ROOT / "tests" / "fuzz" / "image_harness.c"
ELEMENTS, ARENA, INPUTS, OUTPUTS, STEPS = range(4, HEADER_WORDS)  # words of the header behind the checksum


def image_of(network: Graph | IntegerNetwork, max_table_bits: int = 1) -> bytes:
    """Export an image."""
    return exporters.blob.export(network, prefix="net", max_table_bits=max_table_bits)["net.bin"]


def words_of(image: bytes) -> Words:
    """Words of an image, to be changed."""
    return np.frombuffer(image, "<u4").copy()


def repaired(words: Words) -> bytes:
    """Make the size and the checksum right again."""
    words[2] = 4 * words.size
    words[3] = zlib.crc32(words[4:].tobytes())
    return words.tobytes()


def whole(body: bytes) -> bytes:
    """Put magic, version, size and checksum before the rest of an image, cut to whole words."""
    body = body[: len(body) // 4 * 4]
    return MAGIC + struct.pack("<III", VERSION, 16 + len(body), zlib.crc32(body)) + body


def steps_of(words: Words) -> Iterator[tuple[int, int]]:
    """Kernel and index of the first word of every step."""
    at = HEADER_WORDS + int(words[INPUTS]) + int(words[OUTPUTS])
    for _ in range(int(words[STEPS])):
        yield int(words[at]) & 0xFFFF, at
        at += int(words[at]) >> 16


def first_step(words: Words, kernel: int | str) -> int:
    """Index of the first word of the first step of a kernel."""
    wanted = KERNELS[kernel] if isinstance(kernel, str) else kernel
    return next(at for found, at in steps_of(words) if found == wanted)


def at_step(kernel: int | str, word: int, value: int) -> Mutation:
    """Change a word of the first step of a kernel."""
    return lambda words: words.__setitem__(first_step(words, kernel) + word, value & 0xFFFFFFFF)


def both(*mutations: Mutation) -> Mutation:
    """Change one thing after the other."""
    return lambda words: [mutation(words) for mutation in mutations]


def flips(image: bytes) -> Iterator[bytes]:
    """Every bit flipped, the checksum repaired (size and checksum themselves left alone)."""
    words = words_of(image)
    for bit in range(128, 32 * words.size):
        broken = words.copy()
        broken[bit // 32] ^= np.uint32(1 << bit % 32)
        yield repaired(broken)


def extremes(image: bytes) -> Iterator[bytes]:
    """Every word replaced by one that is at the end of some range."""
    words = words_of(image)
    for at in range(4, words.size):
        for value in (0, 1, int(words[at]) + 1, int(words[at]) - 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FFFFFF):
            broken = words.copy()
            broken[at] = value & 0xFFFFFFFF
            yield repaired(broken)


def cuts(image: bytes) -> Iterator[bytes]:
    """Every truncation, the size and the checksum repaired."""
    words = words_of(image)
    for size in range(HEADER_WORDS, words.size):
        yield repaired(words[:size].copy())


def corpus_path(kind: str) -> Path:
    """Archive of the inputs of the fuzzer that are kept, for ``float32`` or ``int8``."""
    return HARNESS.parent / f"{kind}.tar.xz"


def corpus(kind: str) -> list[bytes]:
    """Return these inputs: images from their 16th byte on."""
    if not corpus_path(kind).exists():
        return []
    with tarfile.open(corpus_path(kind)) as archive:
        return [file.read() for file in map(archive.extractfile, archive) if file is not None]


def statuses(images: Sequence[bytes], folder: Path, *, integers: bool) -> tuple[int, ...]:
    """Check images under the sanitizers, and run those that pass; what the checker says of each."""
    targets.require(targets.SANITIZED)
    (folder / "images").write_bytes(b"".join(struct.pack("<I", len(data)) + data for data in images))
    main = f"#define INT8 {int(integers)}\n#define REPLAY 1\n{HARNESS.read_text(encoding='utf-8')}"
    built = targets.build(targets.SANITIZED, runtime.image_files(integers=integers), main, folder)
    result = targets.run(built, folder=folder)
    assert result.status == 0
    assert len(result.words) == len(images)
    return result.words

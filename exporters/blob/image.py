"""The bytes of a flash image: a header, steps of 32-bit words, packed tensors and decode tables (SPEC.md)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from exporters import decode_tables
from exporters.memory_plan import MemoryPlan, Place
from exporters.program import HUFFMAN_GAPS, HUFFMAN_VALUES, Program, Step, Tensor, form_of
from refcompress import encodings
from refcompress.encodings import Csr, Dense, Float32, Huffman, Linear
from refcompress.encodings.huffman import pack_lengths
from refcompress.encodings.packed import stored_zero_points
from refcompress.encodings.values import Codebook, stream_of

MAGIC = b"RCIM"
VERSION = 1
HEADER_WORDS = 8
SLACK_BYTES = 4  # a reader may load that many bytes past the end of a stream
WHERE = {"arena": 0, "input": 1, "output": 2}
KERNELS = {
    "gemm": 1,
    "conv": 2,
    "conv_pixels": 3,
    "max_pool": 4,
    "average_pool": 5,
    "relu": 6,
    "clip": 7,
    "sigmoid": 8,
    "tanh": 9,
    "softmax": 10,
    "batch_norm": 11,
    "add": 12,
    "concat": 13,
    "pad": 14,
    "copy": 15,
}


@dataclass(slots=True)
class _Sections:
    """Tensors and tables behind the steps, each once, aligned to 4 bytes; offsets count from their start."""

    max_table_bits: int
    data: bytearray = field(default_factory=bytearray)
    _tensors: dict[str, int] = field(default_factory=dict)
    _records: dict[str, list[int]] = field(default_factory=dict)

    def put(self, data: bytes) -> int:
        offset = len(self.data)
        self.data += data + bytes(-len(data) % 4)
        return offset

    def floats(self, tensor: Tensor) -> int:
        if tensor.name not in self._tensors:
            self._tensors[tensor.name] = self.put(encodings.pack(tensor.encoding))
        return self._tensors[tensor.name]

    def record(self, tensor: Tensor) -> list[int]:
        """Put a weight; return its offset, bytes and offset of streams, then its tables of gaps and of integers."""
        if tensor.name not in self._records:
            packed = encodings.pack(tensor.encoding)
            offset = self.put(packed)
            form, integers = form_of(tensor.encoding), stream_of(tensor.encoding.values)
            gaps = tensor.encoding.gaps if isinstance(tensor.encoding, Csr) else None
            tables = [
                self.table(stream) if form & bit and isinstance(stream, Huffman) else -1
                for bit, stream in ((HUFFMAN_GAPS, gaps), (HUFFMAN_VALUES, integers))
            ]
            start = offset + stream_start(tensor.encoding)
            self._records[tensor.name] = [offset, len(packed), start, *tables]
        return self._records[tensor.name]

    def table(self, stream: Huffman) -> int:
        decode = decode_tables.build(stream, max_table_bits=self.max_table_bits)
        head = np.array([decode.bits, decode.long_symbols.size], np.uint16)
        words = [head, decode.counts, decode.table, decode.long_symbols]
        return self.put(np.concatenate(words).astype("<u2").tobytes())


def stream_start(encoding: encodings.Encoding) -> int:
    """Bytes of a packed tensor before its first stream.

    Examples
    --------
    >>> stream_start(encodings.encode([1.0, 2.0]))
    12

    """
    values, stream = encoding.values, stream_of(encoding.values)
    total = 4 + (8 if isinstance(encoding, Csr) else 0)
    if isinstance(values, Float32):
        total += 4 * len(values.array) + (0 if isinstance(encoding, Dense) else 4)
    elif isinstance(values, Codebook):
        total += 4 + 4 * len(values.centroids)
    elif isinstance(values, Linear):
        total += 4 + 4 * len(values.scales) + 2 * len(stored_zero_points(values))
    streams = [encoding.gaps if isinstance(encoding, Csr) else None, stream]
    return total + sum(len(pack_lengths(s.lengths)) for s in streams if isinstance(s, Huffman))


@dataclass(frozen=True, slots=True)
class _Offset:
    """A word that holds an offset into the sections, known once the steps are; -1 is none and becomes 0."""

    value: int


Word = int | _Offset


def build(program: Program, plan: MemoryPlan, max_table_bits: int) -> bytes:
    """Return the image of a program."""
    sections = _Sections(max_table_bits)
    steps = [words for step in program.steps for words in _steps(step, plan, sections)]
    for source, index in plan.copies:
        size = program.elements[program.outputs[index]]
        steps.append(_step("copy", source, Place("output", index), [size]))
    sizes = [program.elements[name] for name in (*program.inputs, *program.outputs)]
    start = 4 * (HEADER_WORDS + len(sizes) + sum(map(len, steps)))
    sections.put(bytes(SLACK_BYTES))
    size = start + len(sections.data)
    counts = [plan.arena_bytes, len(program.inputs), len(program.outputs), len(steps)]
    words = [*counts, *sizes, *(_resolved(word, start) for step in steps for word in step)]
    body = struct.pack(f"<{len(words)}I", *words) + sections.data
    return MAGIC + struct.pack("<III", VERSION, size, zlib.crc32(body)) + body


def _resolved(word: Word, start: int) -> int:
    if isinstance(word, int):
        return word
    return 0 if word.value < 0 else start + word.value


def _place(place: Place, shift: int = 0) -> list[Word]:
    if place.where == "arena":
        return [0, place.index + shift]
    return [WHERE[place.where] | place.index << 2, shift]


def _step(kernel: str, source: Place, target: Place, arguments: Sequence[Word], shift: int = 0) -> list[Word]:
    words = [*_place(source), *_place(target, shift), *arguments]
    return [KERNELS[kernel] | (len(words) + 1) << 16, *words]


def _steps(step: Step, plan: MemoryPlan, sections: _Sections) -> list[list[Word]]:
    """Words of a step; a concatenation takes one for each input."""
    inputs, output = [plan.places[name] for name in step.inputs], plan.places[step.output]
    if step.parts:
        found, shift = [], 0
        for place, part in zip(inputs, step.parts, strict=True):
            arguments: list[Word] = [step.sizes["blocks"], part, step.sizes["pitch"]]
            found.append(_step("concat", place, output, arguments, shift))
            shift += part
        return found
    arguments = [word for place in inputs[1:] for word in _place(place)]
    if step.weight is not None:
        offset, size, *rest = sections.record(step.weight)
        arguments += [_Offset(offset), size, *map(_Offset, rest)]
        bias = step.arrays.get("bias")
        arguments.append(_Offset(-1 if bias is None else sections.floats(bias)))
    arguments += step.sizes.values()
    arguments += [int(np.float32(value).view(np.uint32)) for value in step.floats.values()]
    if step.weight is None:
        arguments += [_Offset(sections.floats(tensor)) for tensor in step.arrays.values()]
    return [_step(step.kernel, inputs[0], output, arguments)]

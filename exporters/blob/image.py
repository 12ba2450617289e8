"""The bytes of a flash image: a header, steps of 32-bit words, packed tensors and decode tables (SPEC.md)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from exporters import decode_tables
from exporters.memory_plan import MemoryPlan, Place
from exporters.program import HUFFMAN_GAPS, HUFFMAN_VALUES, Program, Step, Table, Tensor, form_of
from refcompress import encodings
from refcompress.encodings import Csr, Dense, Encoding, Float32, Huffman, IntegerCodebook, Linear
from refcompress.encodings.huffman import pack_lengths
from refcompress.encodings.packed import stored_zero_points
from refcompress.encodings.values import Codebook, stream_of

MAGIC = b"RCIM"
VERSION = 2
HEADER_WORDS = 9
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
    "q_gemm": 33,
    "q_gemm_stream": 34,
    "q_conv_pixels": 35,
    "q_conv_points": 36,
    "q_conv_depthwise": 37,
    "q_conv_stream": 38,
    "q_conv_pool": 39,
    "q_max_pool": 40,
    "q_average_pool": 41,
    "q_global_mean": 42,
    "q_table": 43,
    "q_clamp": 44,
    "q_softmax": 45,
    "q_add": 46,
    "q_concat": 47,
    "q_pad": 48,
    "q_copy": 49,
}
POINTS = ("out_w", "in_channels", "out_channels")  # what is left of a convolution's sizes where a window is one pixel


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

    def integers(self, table: Table) -> int:
        if table.name not in self._tensors:
            values = table.values.astype(table.values.dtype.newbyteorder("<"))
            self._tensors[table.name] = self.put(values.tobytes())
        return self._tensors[table.name]

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


def stream_start(encoding: Encoding) -> int:
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
    elif isinstance(values, IntegerCodebook):
        total += 8 + -(-len(values.centroids) // 4) * 4
    elif isinstance(values, Linear):
        total += 4 + 4 * len(values.scales) + 2 * len(stored_zero_points(values))
    streams = [encoding.gaps if isinstance(encoding, Csr) else None, stream]
    return total + sum(len(pack_lengths(s.lengths)) for s in streams if isinstance(s, Huffman))


def _unscaled(tensor: Tensor) -> Tensor:
    """Leave out the scales of a weight of integers, which no kernel of integer networks reads, where they have rows."""
    values = tensor.encoding.values
    if not isinstance(values, Linear) or len(set(values.zero_points.tolist())) > 1:
        return tensor
    one = replace(values, scales=np.ones(1, np.float32), zero_points=values.zero_points[:1])
    return replace(tensor, encoding=replace(tensor.encoding, values=one))


@dataclass(frozen=True, slots=True)
class _Offset:
    """A word that holds an offset into the sections, known once the steps are; -1 is none and becomes 0."""

    value: int


Word = int | _Offset


def build(program: Program, plan: MemoryPlan, max_table_bits: int) -> bytes:
    """Return the image of a program whose kernels are all in the table."""
    sections = _Sections(max_table_bits)
    made = _integer_steps if program.quantizations else _float_steps
    steps = [words for step in program.steps for words in made(step, plan, sections)]
    for source, index in plan.copies:
        size = program.elements[program.outputs[index]]
        copy = "q_copy" if program.quantizations else "copy"
        steps.append(_step(copy, source, Place("output", index), [size]))
    sizes = [program.elements[name] for name in (*program.inputs, *program.outputs)]
    start = 4 * (HEADER_WORDS + len(sizes) + sum(map(len, steps)))
    sections.put(bytes(SLACK_BYTES))
    size = start + len(sections.data)
    counts = [plan.arena_bytes, len(program.inputs), len(program.outputs), len(steps)]
    resolved = [_resolved(word, start) for step in steps for word in step]
    words = [program.element_bytes, *counts, *sizes, *resolved]
    body = struct.pack(f"<{len(words)}I", *words) + sections.data
    return MAGIC + struct.pack("<III", VERSION, size, zlib.crc32(body)) + body


def _resolved(word: Word, start: int) -> int:
    if isinstance(word, int):
        return word & 0xFFFFFFFF
    return 0 if word.value < 0 else start + word.value


def _place(place: Place, shift: int = 0) -> list[Word]:
    if place.where == "arena":
        return [0, place.index + shift]
    return [WHERE[place.where] | place.index << 2, shift]


def _step(kernel: str, source: Place, target: Place, arguments: Sequence[Word], shift: int = 0) -> list[Word]:
    words = [*_place(source), *_place(target, shift), *arguments]
    return [KERNELS[kernel] | (len(words) + 1) << 16, *words]


def _concat(step: Step, plan: MemoryPlan) -> list[list[Word]]:
    """One step for each input."""
    found, shift = [], 0
    for name, part in zip(step.inputs, step.parts, strict=True):
        arguments = [step.sizes["blocks"], part, step.sizes["pitch"]]
        found.append(_step(step.kernel, plan.places[name], plan.places[step.output], arguments, shift))
        shift += part
    return found


def _float_steps(step: Step, plan: MemoryPlan, sections: _Sections) -> list[list[Word]]:
    """Words of a step; a concatenation takes several."""
    if step.parts:
        return _concat(step, plan)
    first, *others = (plan.places[name] for name in step.inputs)
    arguments = [word for place in others for word in _place(place)]
    if step.weight is not None:
        arguments += _record(step.weight, sections)
        bias = step.arrays.get("bias")
        arguments.append(_Offset(-1 if bias is None else sections.floats(bias)))
    arguments += step.sizes.values()
    arguments += [int(np.float32(value).view(np.uint32)) for value in step.floats.values()]
    if step.weight is None:
        arguments += [_Offset(sections.floats(tensor)) for tensor in step.arrays.values()]
    return [_step(step.kernel, first, plan.places[step.output], arguments)]


def _integer_steps(step: Step, plan: MemoryPlan, sections: _Sections) -> list[list[Word]]:
    """Words of a step of an integer network: weights and tables, sizes, integers, scratch memory, a pool behind it."""
    if step.parts:
        return _concat(step, plan)
    first, *others = (plan.places[name] for name in step.inputs)
    arguments = [word for place in others for word in _place(place)]
    tables = dict(step.tables)
    if step.weight is not None:
        arguments += _record(_unscaled(step.weight), sections)
    elif step.kernel in ("q_gemm_stream", "q_conv_stream"):
        weights = tables.pop("weights")
        arguments += [_Offset(sections.integers(weights)), weights.values.size, 0, 0, 0]
    arguments += [_Offset(sections.integers(table)) for table in tables.values()]
    arguments += [step.sizes[key] for key in (POINTS if step.kernel == "q_conv_points" else step.sizes)]
    folded = "in_zero_point" if step.kernel == "q_gemm_stream" else None  # the biases hold it already
    arguments += [value for key, value in step.integers.items() if key != folded]
    if step.output in plan.scratch:
        arguments.append(plan.scratch[step.output].index)
    arguments += step.pool.values()
    kernel = "q_conv_pool" if step.pool else step.kernel
    return [_step(kernel, first, plan.places[step.output], arguments)]


def _record(weight: Tensor, sections: _Sections) -> list[Word]:
    offset, size, *rest = sections.record(weight)
    return [_Offset(offset), size, *map(_Offset, rest)]

"""The data of a network as typed constant tables, and the descriptors that point to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters import decode_tables
from exporters.c.literals import table
from exporters.entries import lay_out
from exporters.identifiers import Namer, comment
from exporters.program import Table, Tensor, form_name, form_of
from refcompress.encodings import Bits, Csr, Encoding, Float32, Huffman, IntegerCodebook, IntStream, Joint, Linear
from refcompress.encodings.packed import has_one_zero_point, pack_stream, stored_zero_points
from refcompress.encodings.values import stream_of

STREAM_SLACK_BYTES = 4  # a reader may load that many bytes past the end (rc_stream.h)
NO_ESCAPE = 0xFFFF


@dataclass(slots=True)
class Data:
    """Constant tables written so far.

    Attributes
    ----------
    namer
        Hands out their names.
    max_table_bits
        Most bits that index a decode table.
    text
        The definitions.
    data_bytes
        Bytes of all tables, without descriptors.

    """

    namer: Namer
    max_table_bits: int
    text: list[str] = field(default_factory=list)
    data_bytes: int = 0
    _weights: dict[str, str] = field(default_factory=dict)
    _arrays: dict[str, str] = field(default_factory=dict)
    _entries: dict[str, tuple[str, str]] = field(default_factory=dict)

    def array(self, tensor: Tensor) -> str:
        """Define a dense float32 parameter unless it is there; return its name."""
        if tensor.name not in self._arrays:
            values = tensor.encoding.values
            if not isinstance(values, Float32):
                raise TypeError(f"{tensor.label} is not float32")
            self.text.append(f"\n/* {comment(tensor.label)}: {values.array.size} values */\n")
            self._arrays[tensor.name] = self._table("float", tensor.label, values.array)
        return self._arrays[tensor.name]

    def weights(self, tensor: Tensor) -> str:
        """Define a weight's tables and descriptor unless they are there; return the descriptor's name."""
        if tensor.name not in self._weights:
            start, before, values = len(self.text), self.data_bytes, tensor.encoding.values
            fields = {"values": self._values(tensor.label, tensor.encoding)}
            fields |= self._stream_fields(tensor.label, tensor.encoding)
            if isinstance(values, Linear) and len(values.scales) > 1:
                one = has_one_zero_point(values)
                fields["per_row"] = "RC_PER_ROW_SCALE" if one else "RC_PER_ROW_SCALE_AND_ZERO_POINT"
            self._weights[tensor.name] = self._described("rc_weights", tensor, fields, start, before)
        return self._weights[tensor.name]

    def descriptor(self, c_type: str, label: str, fields: Mapping[str, str]) -> str:
        """Define a descriptor of a step; return its name."""
        name = self.namer(label)
        self.text.append(f"\n/* {comment(label)} */\n{_defined(c_type, name, fields)}")
        return name

    def table(self, table: Table) -> str:
        """Define a table of integers unless it is there; return its name."""
        if table.name not in self._arrays:
            c_type = f"{table.values.dtype.name}_t"
            self.text.append(f"\n/* {comment(table.label)}: {table.values.size} values */\n")
            c_type = f"RC_ALIGNED {c_type}" if table.aligned else c_type
            self._arrays[table.name] = self._table(c_type, table.label, table.values)
        return self._arrays[table.name]

    def integer_weights(self, tensor: Tensor) -> str:
        """Define the streams and the descriptor of a weight of integers unless they are there; return its name."""
        if tensor.name not in self._weights:
            start, before, values = len(self.text), self.data_bytes, tensor.encoding.values
            fields = {
                f"stream.{key}": value for key, value in self._stream_fields(tensor.label, tensor.encoding).items()
            }
            if isinstance(values, IntegerCodebook):
                centroids = self._table("int8_t", f"{tensor.label} centroids", values.centroids)
                fields = {"values": centroids, **fields}
            elif isinstance(values, Linear) and len(set(values.zero_points.tolist())) > 1:
                fields["stream.per_row"] = "RC_PER_ROW_SCALE_AND_ZERO_POINT"
            self._weights[tensor.name] = self._described("rc_q_weights", tensor, fields, start, before)
        return self._weights[tensor.name]

    def entries(self, tensor: Tensor) -> tuple[str, str]:
        """Define the entries of a sparse weight of integers unless they are there; return name and form."""
        if tensor.name not in self._entries:
            found = lay_out(tensor.encoding, max_table_bits=self.max_table_bits)
            shape = " x ".join(map(str, tensor.encoding.shape))
            self.text.append(f"\n/* {comment(tensor.label)}: {shape}, {found.form}, {found.size_bytes} bytes */\n")
            stream = np.append(found.stream, np.zeros(STREAM_SLACK_BYTES, np.uint8))
            fields = {"bytes": self._table("uint8_t", f"{tensor.label} entries", stream)}
            for role, values in found.tables.items():
                fields[role] = self._table(f"{values.dtype.name}_t", f"{tensor.label} {role}", values)
                if role != "centroids":
                    fields[f"{role.removesuffix('s')}_mask"] = f"{values.size - 1}u"
            name = self.namer(tensor.label)
            self.text.append(_defined("rc_q_entries", name, fields))
            self._entries[tensor.name] = name, found.form
        return self._entries[tensor.name]

    def plain_weights(self, table: Table) -> str:
        """Define the descriptor of a weight of bytes, and these, unless they are there; return its name."""
        if table.name not in self._weights:
            values = self.table(table)
            name = self.namer(table.label)
            self.text.append(f"static const rc_q_weights {name} = {{\n    .values = {values}\n}};\n")
            self._weights[table.name] = name
        return self._weights[table.name]

    def _described(self, c_type: str, tensor: Tensor, fields: dict[str, str], start: int, before: int) -> str:
        """Define a weight's descriptor, and put a comment before its tables."""
        name = self.namer(tensor.label)
        self.text.append(_defined(c_type, name, fields))
        shape = " x ".join(map(str, tensor.encoding.shape))
        form = form_name(form_of(tensor.encoding))
        self.text.insert(start, f"\n/* {comment(tensor.label)}: {shape}, {form}, {self.data_bytes - before} bytes */\n")
        return name

    def _table(self, c_type: str, label: str, values: NDArray[Any]) -> str:
        name = self.namer(label)
        self.text.append(table(c_type, name, values))
        self.data_bytes += values.nbytes
        return name

    def _stream_fields(self, label: str, encoding: Encoding) -> dict[str, str]:
        values, stream = encoding.values, stream_of(encoding.values)
        fields = {}
        if isinstance(values, Linear):
            zero_points = stored_zero_points(values).astype(np.uint16)
            fields["zero_points"] = self._table("uint16_t", f"{label} zero points", zero_points)
        if isinstance(encoding, Csr):
            fields |= self._symbols("gaps", label, encoding.gaps)
        if stream is not None and not isinstance(stream, Joint):
            fields |= self._symbols("integers", label, stream)
        escape = NO_ESCAPE
        count = int(np.prod(encoding.shape))
        if isinstance(encoding, Csr):
            count = len(encoding.gaps.symbols)
            fields["gap_bits"] = f"{encoding.gap_bits}u"
            escape = (1 << encoding.gap_bits) - 1 if encoding.long_gap == "escape" else NO_ESCAPE
        fields["n_entries"] = f"{count}u"
        fields["escape"] = f"{escape}u"
        return fields

    def _values(self, label: str, encoding: Encoding) -> str:
        values = encoding.values
        if isinstance(values, Float32):
            return self._table("float", f"{label} values", values.array)
        if isinstance(values, Linear):
            return self._table("float", f"{label} scales", values.scales)
        if isinstance(values, IntegerCodebook):
            raise TypeError(f"{label} holds integers, which no float kernel reads")
        return self._table("float", f"{label} centroids", values.centroids)

    def _symbols(self, role: str, label: str, stream: IntStream) -> dict[str, str]:
        raw = pack_stream(stream) + bytes(STREAM_SLACK_BYTES)
        fields = {"bytes": self._table("uint8_t", f"{label} {role}", np.frombuffer(raw, np.uint8))}
        bits = stream.width_bits if isinstance(stream, Bits) else self._code(fields, f"{label} {role}", stream)
        fields["mask"] = f"{(1 << bits) - 1}u"
        fields["bits"] = f"{bits}u"
        return {f"{role}.{key}": value for key, value in fields.items()}

    def _code(self, fields: dict[str, str], label: str, stream: IntStream) -> int:
        if not isinstance(stream, Huffman):
            raise TypeError(f"{label} is not a Huffman stream")
        decode = decode_tables.build(stream, max_table_bits=self.max_table_bits)
        fields["table"] = self._table("uint16_t", f"{label} table", decode.table)
        if decode.long_symbols.size:
            fields["counts"] = self._table("uint16_t", f"{label} counts", decode.counts)
            fields["symbols"] = self._table("uint16_t", f"{label} long symbols", decode.long_symbols)
        return decode.bits


def _defined(c_type: str, name: str, fields: Mapping[str, str]) -> str:
    body = "".join(f"    .{key} = {value},\n" for key, value in fields.items()).rstrip(",\n")
    return f"static const {c_type} {name} = {{\n{body}\n}};\n"

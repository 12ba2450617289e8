"""True bytes: what each parameter and the whole file really take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.analysis.stages import Stage
from refcompress.encodings import (
    Codebook,
    Dense,
    Encoding,
    Float32,
    Huffman,
    IntegerCodebook,
    IntStream,
    Joint,
    decode,
    pack,
)
from refcompress.encodings.values import value_bits, value_count
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork


@dataclass(frozen=True, slots=True)
class ParameterReport:
    """What one parameter takes.

    Attributes
    ----------
    name
        Its name in the graph.
    layer, role
        The first node that uses it, and as what; empty where none does.
    shape
        Its shape.
    density
        Share of entries that are not zero; 1.0 for an array without entries.
    stored
        Entries that are stored: all of a dense array, fillers included in sparse rows.
    value_bits
        Bits of a stored value before any entropy coding: 32 for float32.
    encoding
        Its encoding in words.
    dense_bytes
        Bytes as float32.
    stream_bytes
        Bytes of its packed tensor: header, tables, code lengths, streams and padding.
    share
        ``stream_bytes`` in the bytes of the file.

    """

    name: str
    layer: str
    role: str
    shape: tuple[int, ...]
    density: float
    stored: int
    value_bits: int
    encoding: str
    dense_bytes: int
    stream_bytes: int
    share: float

    @property
    def bits_per_weight(self) -> float:
        """Bits of the file for each entry of the array, zeros included."""
        return 8 * self.stream_bytes / max(1, math.prod(self.shape))


@dataclass(frozen=True, slots=True)
class Report:
    """What a compressed network takes, in true bytes.

    Attributes
    ----------
    parameters
        One entry for each parameter, in the order of the nodes.
    dense_bytes
        Bytes of all float32 parameters before compression.
    file_bytes
        Length of the ``.rcz`` file.
    notes
        What the passes had to say, such as a layer that compression would have made larger.
    stages
        What each step left, where a recipe was run with data to train and to validate; else empty.

    """

    parameters: tuple[ParameterReport, ...]
    dense_bytes: int
    file_bytes: int
    notes: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()

    @property
    def ratio(self) -> float:
        """How many times smaller the file is than the float32 parameters."""
        return self.dense_bytes / self.file_bytes

    @property
    def stream_bytes(self) -> int:
        """Bytes of all packed parameters."""
        return sum(parameter.stream_bytes for parameter in self.parameters)

    @property
    def header_bytes(self) -> int:
        """Bytes of the file that are no parameters: the network's description, checksums, padding."""
        return self.file_bytes - self.stream_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return the report in types that JSON knows."""
        return {
            "parameters": [
                {
                    "name": p.name,
                    "layer": p.layer,
                    "role": p.role,
                    "shape": list(p.shape),
                    "density": p.density,
                    "stored": p.stored,
                    "value_bits": p.value_bits,
                    "bits_per_weight": p.bits_per_weight,
                    "encoding": p.encoding,
                    "dense_bytes": p.dense_bytes,
                    "stream_bytes": p.stream_bytes,
                    "share": p.share,
                }
                for p in self.parameters
            ],
            "dense_bytes": self.dense_bytes,
            "file_bytes": self.file_bytes,
            "stream_bytes": self.stream_bytes,
            "header_bytes": self.header_bytes,
            "ratio": self.ratio,
            "notes": list(self.notes),
            "stages": [stage.to_dict() for stage in self.stages],
        }


def describe(encoding: Encoding) -> str:
    """Say in words how an array is stored.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> describe(encode([1.0, 2.0]))
    'dense float32'

    """
    if isinstance(encoding, Dense):
        return f"dense {_describe_values(encoding)}"
    escape = " escape" if encoding.long_gap == "escape" else ""
    gaps = f"csr gap{encoding.gap_bits}{escape} {_describe_stream(encoding.gaps)}"
    return f"{gaps} + {_describe_values(encoding)}"


def _describe_values(encoding: Encoding) -> str:
    values = encoding.values
    if isinstance(values, Float32):
        return "float32"
    if isinstance(values, Codebook):
        return f"codebook{len(values.centroids)} {_describe_stream(values.labels)}"
    if isinstance(values, IntegerCodebook):
        return f"integer codebook{len(values.centroids)} {_describe_stream(values.labels)}"
    rows = " per row" if len(values.scales) > 1 else ""
    return f"linear{values.bits}{rows} {_describe_stream(values.integers)}"


def _describe_stream(stream: IntStream) -> str:
    if isinstance(stream, Joint):
        return "joint"
    return "huffman" if isinstance(stream, Huffman) else "packed"


def measure(network: Graph | IntegerNetwork, *, dense_bytes: int | None = None, notes: tuple[str, ...] = ()) -> Report:
    """Measure the true bytes of a network.

    Parameters
    ----------
    network
        The network, of real numbers or of integers.
    dense_bytes
        Bytes of the float32 parameters it is compared with; those of ``network`` itself if not given.
    notes
        Remarks to hand on.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Graph
    >>> report = measure(Graph((), (), (), {"w": encode([1.0, 0.0])}))
    >>> report.dense_bytes, report.parameters[0].density
    (8, 0.5)

    """
    from refcompress.formats import rcz

    if isinstance(network, IntegerNetwork):
        graph, biases, file_bytes = network.graph, network.biases, len(rcz.integer.to_bytes(network))
    else:
        graph, biases, file_bytes = network, {}, len(rcz.to_bytes(network))
    uses: dict[str, tuple[str, str]] = {}
    for node, role, name in graph.weights():
        uses.setdefault(name, (node.name, role))
    order = [*uses, *(name for name in graph.params if name not in uses)]
    parameters = tuple(
        _measure_parameter(name, graph.params[name], biases.get(name), uses.get(name, ("", "")), file_bytes)
        for name in order
    )
    own = parameter_bytes(graph)
    return Report(parameters, own if dense_bytes is None else dense_bytes, file_bytes, notes)


def parameter_bytes(graph: Graph) -> int:
    """Bytes of all parameters of a network as float32.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Graph
    >>> parameter_bytes(Graph((), (), (), {"w": encode([1.0, 0.0])}))
    8

    """
    return sum(4 * math.prod(encoding.shape) for encoding in graph.params.values())


def _measure_parameter(
    name: str, encoding: Encoding, integers: NDArray[np.int32] | None, use: tuple[str, str], file_bytes: int
) -> ParameterReport:
    """Measure an encoded array, or a bias that is stored as integers of as many bytes each."""
    from refcompress.formats.rcz.integer import pack_bias

    size = math.prod(encoding.shape)
    stream_bytes = len(pack(encoding)) if integers is None else len(pack_bias(integers))
    bits = value_bits(encoding.values) or 32 if integers is None else 8 * stream_bytes // max(1, size)
    return ParameterReport(
        name=name,
        layer=use[0],
        role=use[1],
        shape=encoding.shape,
        density=int(np.count_nonzero(decode(encoding))) / size if size else 1.0,
        stored=value_count(encoding.values),
        value_bits=bits,
        encoding=describe(encoding) if integers is None else f"dense int{bits}",
        dense_bytes=4 * size,
        stream_bytes=stream_bytes,
        share=stream_bytes / file_bytes,
    )

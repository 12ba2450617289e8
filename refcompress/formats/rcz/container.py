"""Our container: a network and its packed tensors in one checked file (see SPEC.md)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from refcompress import encodings, ops
from refcompress.errors import FormatError, ModelError
from refcompress.files import write_file
from refcompress.formats.rcz.header import pack_header, parameter_order, unpack_header
from refcompress.formats.rcz.layout import Entry, Header, HeaderError
from refcompress.graph import Graph

# a byte that is no text, the name, and line ends that a transfer as text would change (as in PNG)
MAGIC = b"\x89RCZ\r\n\x1a\n"
VERSION = 1
INTEGER_VERSION = 2  # of containers of integer networks, see integer.py
PREFIX_BYTES = 12  # magic, version, length of the header
CHECKSUM_BYTES = 4


def save(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a network to a file, whole or not at all.

    Parameters
    ----------
    graph
        The network.
    path
        The file; an existing one is replaced.

    Raises
    ------
    ModelError
        The network is not sound, or cannot be written.
    OSError
        The system refuses; what was there before is untouched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     save(Graph((), (), (), {"w": encodings.encode([1.0])}), Path(directory, "w.rcz"))
    ...     encodings.decode(load(Path(directory, "w.rcz")).params["w"])
    array([1.], dtype=float32)

    """
    write_file(path, to_bytes(graph))


def load(path: str | os.PathLike[str]) -> Graph:
    """Read a network from a file.

    Raises
    ------
    FormatError
        The file is no container, or a constraint of SPEC.md is broken.
    OSError
        The file cannot be read.

    """
    return from_bytes(Path(path).read_bytes())


def to_bytes(graph: Graph) -> bytes:
    """Return a network as the bytes of a container.

    Raises
    ------
    ModelError
        The network is not sound, or a name or a shape cannot be written.

    Examples
    --------
    >>> to_bytes(Graph((), (), (), {}))[:9].hex()
    '8952435a0d0a1a0a01'

    """
    ops.infer_shapes(graph)  # what is written can be run when it is read
    packed = {name: encodings.pack(graph.params[name]) for name in parameter_order(graph)}
    header = pack_header(graph, {name: len(data) for name, data in packed.items()})
    return frame(VERSION, header, list(packed.values()))


def frame(version: int, header: bytes, tensors: Sequence[bytes]) -> bytes:
    """Put a container around a header and the packed tensors."""
    prefix = MAGIC + bytes([version]) + len(header).to_bytes(3, "little")
    body = b"".join((prefix, header, *tensors))
    return body + zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "little")


def from_bytes(data: bytes) -> Graph:
    """Read a network from the bytes of a container.

    Parameters
    ----------
    data
        Any bytes.

    Raises
    ------
    FormatError
        A constraint of SPEC.md is broken.

    Notes
    -----
    At most 48 bytes are allocated for each byte of ``data``, and 64 MiB for a header of the greatest size.

    Examples
    --------
    >>> from_bytes(b"something else")
    Traceback (most recent call last):
    ...
    refcompress.errors.FormatError: byte 0: no .rcz container: it begins with b'somethin'

    """
    view = memoryview(data)
    header_end = check_frame(view, VERSION)
    try:
        header = unpack_header(view[PREFIX_BYTES:header_end])
        params = {
            entry.name: encodings.unpack(section, entry.shape, start)  # C14
            for entry, section, start in sections(view, header, header_end)
        }
        graph = Graph(header.inputs, header.outputs, header.nodes, params)  # C15
        ops.infer_shapes(graph)  # C16
    except (HeaderError, ModelError) as error:
        raise FormatError(str(error), PREFIX_BYTES) from None
    return graph


def check_frame(data: memoryview, version: int) -> int:
    """Check all around the header and the tensors; return where the header ends.

    Raises
    ------
    FormatError
        A constraint of SPEC.md is broken, or the container is of another version than this one.

    """
    start = bytes(data[: len(MAGIC)])
    if start != MAGIC:  # C1
        as_text = start[:4] == MAGIC[:4]
        raise FormatError(
            "the container was changed on its way, as by a transfer as text; send it as binary"
            if as_text
            else f"no .rcz container: it begins with {start!r}",
            0,
        )
    if len(data) < PREFIX_BYTES + CHECKSUM_BYTES:  # C3
        raise FormatError(f"a container of {len(data)} bytes is cut off", len(data))
    _check_version(data[8], version)
    end = len(data) - CHECKSUM_BYTES
    if zlib.crc32(data[:end]) != int.from_bytes(data[end:], "little"):  # C4
        raise FormatError("the checksum does not fit: the container is damaged or cut off; copy it again", end)
    header_end = PREFIX_BYTES + int.from_bytes(data[9:12], "little")
    if header_end > end:  # C3
        raise FormatError(f"a header of {header_end - PREFIX_BYTES} bytes runs past the end", 9)
    return header_end


def _check_version(found: int, version: int) -> None:
    if found > INTEGER_VERSION:  # C2
        raise FormatError(
            f"version {found} of the format, of which this release reads {INTEGER_VERSION}; upgrade: pip install -U "
            "refcompress",
            8,
        )
    if found < VERSION:  # C2
        raise FormatError(f"version {found} of the format, which never was", 8)
    if found != version:  # C2
        raise FormatError(
            "the container holds an integer network; refcompress.load_integer reads it"
            if found == INTEGER_VERSION
            else "the container holds a network of real numbers; refcompress.load reads it",
            8,
        )


def sections(data: memoryview, header: Header, start: int) -> Iterator[tuple[Entry, memoryview, int]]:
    """Yield each parameter with its bytes and the offset at which they stand."""
    end = len(data) - CHECKSUM_BYTES
    total = sum(entry.size_bytes for entry in header.entries)
    if total != end - start:  # C13
        raise FormatError(f"tensors of {total} bytes where {end - start} are", start)
    seen: set[str] = set()
    for entry in header.entries:
        if entry.name in seen:  # C12
            raise HeaderError(f"two parameters are named {entry.name!r}")
        seen.add(entry.name)
        yield entry, data[start : start + entry.size_bytes], start
        start += entry.size_bytes

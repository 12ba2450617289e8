"""Reading the zip archives that Keras 3 calls ``.keras``, without trusting any of them and without unpacking to disk.

Only what Keras writes is understood: one archive in one file, members stored or deflated, no encryption. Layout:
APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3 to 4.5.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from refcompress.errors import FormatError
from refcompress.formats.hdf5.source import BLOCK_BYTES, MAX_INFLATION, Source

MAX_DIRECTORY_BYTES = 1 << 24
MAX_COMMENT_BYTES = (1 << 16) - 1

REMEDY = "get the file again, or save the model again: model.save('model.keras')"

_END = struct.Struct("<4s4H2LH")  # signature, disk, its directory, entries here, entries, size, offset, comment
_END_64 = struct.Struct("<4sQ2H2L4Q")  # signature, size, versions, disks, entries here, entries, size, offset
_LOCATOR_64 = struct.Struct("<4sLQL")  # signature, disk, offset, disks
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive, as the archive's directory describes it.

    Attributes
    ----------
    name
        Its name; never used as a path.
    flags, method
        As in the directory: bit 0 of the flags means encrypted; method 0 is stored, 8 deflated.
    crc
        CRC-32 of its bytes.
    stored_bytes, size_bytes
        Its length in the archive, and unpacked.
    header
        Where its local header stands.

    """

    name: bytes
    flags: int
    method: int
    crc: int
    stored_bytes: int
    size_bytes: int
    header: int


def members(file: BinaryIO, archive_bytes: int) -> Mapping[str, Member]:
    """Read the directory of an archive.

    Parameters
    ----------
    file
        Open for reading bytes.
    archive_bytes
        Its length.

    Returns
    -------
    mapping
        Name to member.

    Raises
    ------
    FormatError
        The directory is missing, malformed, too long, or lists a name twice.

    Examples
    --------
    >>> import zipfile
    >>> file = io.BytesIO()
    >>> with zipfile.ZipFile(file, "w") as archive:
    ...     archive.writestr("config.json", "{}")
    >>> members(file, len(file.getvalue()))["config.json"].size_bytes
    2

    """
    count, size, start = _directory(file, archive_bytes)
    if size > MAX_DIRECTORY_BYTES or start + size > archive_bytes:
        raise FormatError(f"the zip archive's directory of {size} bytes is none that Keras writes; {REMEDY}", start)
    data = memoryview(_at(file, start, size))
    found: dict[str, Member] = {}
    offset = 0
    for _ in range(count):
        if bytes(data[offset : offset + 4]) != b"PK\1\2" or offset + _ENTRY.size > size:
            raise FormatError(f"the zip archive's directory is malformed; {REMEDY}", start + offset)
        member, length = _entry(data[offset:], start + offset)
        name = member.name.decode("utf-8", "backslashreplace")
        if name in found:
            raise FormatError(f"the zip archive holds {name!r} twice; {REMEDY}", start + offset)
        found[name] = member
        offset += length
    return found


def read_member(file: BinaryIO, member: Member, archive_bytes: int) -> bytes:
    """Unpack a member into memory.

    Raises
    ------
    FormatError
        It is encrypted, packed in another way than Keras does, cut off, longer than it says, or damaged.

    """
    start = _data(file, member, archive_bytes)
    stored = _at(file, start, member.stored_bytes)
    data = stored if member.method == _STORED else _inflated(stored, member, start)
    if len(data) != member.size_bytes or zlib.crc32(data) != member.crc:
        raise _damaged(member, start)
    return data


def open_member(file: BinaryIO, member: Member, archive_bytes: int) -> Source:
    """Open a member that is HDF5; a stored one stays in the file and is checked block by block.

    Raises
    ------
    FormatError
        As :func:`read_member`.

    """
    if member.method != _STORED:
        return Source(io.BytesIO(read_member(file, member, archive_bytes)), 0, member.size_bytes, member.stored_bytes)
    start = _data(file, member, archive_bytes)
    crc = 0
    for block in _blocks(file, start, member.stored_bytes):
        crc = zlib.crc32(block, crc)
    if member.stored_bytes != member.size_bytes or crc != member.crc:
        raise _damaged(member, start)
    return Source(file, start, member.size_bytes)


def _directory(file: BinaryIO, archive_bytes: int) -> tuple[int, int, int]:
    """Return how many entries the directory has, its length and its place."""
    last = min(archive_bytes, _END.size + MAX_COMMENT_BYTES)
    tail = _at(file, archive_bytes - last, last)
    place = tail.rfind(b"PK\5\6")
    while place >= 0:
        if len(tail) - place >= _END.size:
            _, disk, other, here, count, size, start, comment = _END.unpack_from(tail, place)
            if place + _END.size + comment == len(tail):
                break
        place = tail.rfind(b"PK\5\6", 0, place)
    else:
        raise FormatError(f"the zip archive has no end, it was cut off; {REMEDY}", archive_bytes)
    offset = archive_bytes - last + place
    if 0xFFFF in (here, count) or 0xFFFFFFFF in (size, start):
        disk, other, here, count, size, start = _directory_64(file, offset)
    if disk or other or here != count:
        raise FormatError(f"the zip archive is spread over several files; {REMEDY}", offset)
    return count, size, start


def _directory_64(file: BinaryIO, end: int) -> tuple[int, int, int, int, int, int]:
    before = max(end - _LOCATOR_64.size, 0)
    locator = _at(file, before, _LOCATOR_64.size)
    if locator.startswith(b"PK\6\7") and len(locator) == _LOCATOR_64.size:
        place = _LOCATOR_64.unpack(locator)[2]
        record = _at(file, place, _END_64.size) if place <= before else b""
        if record.startswith(b"PK\6\6") and len(record) == _END_64.size:
            _, _, _, _, disk, other, here, count, size, start = _END_64.unpack(record)
            return disk, other, here, count, size, start
    raise FormatError(f"the zip archive's end is malformed; {REMEDY}", end)


def _entry(data: memoryview, offset: int) -> tuple[Member, int]:
    """Read one entry of the directory; return it and its length."""
    fields = _ENTRY.unpack_from(data)
    flags, method, crc, stored, size, names, extras, comment = (*fields[3:5], *fields[7:13])
    header = fields[16]
    first = _ENTRY.size + names
    length = first + extras + comment
    if length > len(data):
        raise FormatError(f"the zip archive's directory is malformed; {REMEDY}", offset)
    if 0xFFFFFFFF in (stored, size, header):
        size, stored, header = _sizes_64(bytes(data[first : first + extras]), (size, stored, header), offset)
    return Member(bytes(data[_ENTRY.size : first]), flags, method, crc, stored, size, header), length


def _sizes_64(extra: bytes, sizes: tuple[int, int, int], offset: int) -> Iterator[int]:
    """Replace those of three fields that are full by what the zip64 field holds, in the same order."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            wide = [int.from_bytes(extra[at : at + 8], "little") for at in range(4, 4 + min(length, len(extra) - 4), 8)]
            if sizes.count(0xFFFFFFFF) <= len(wide):
                return (wide.pop(0) if size == 0xFFFFFFFF else size for size in sizes)
        extra = extra[4 + length :]
    raise FormatError(f"the zip archive's directory is malformed; {REMEDY}", offset)


def _data(file: BinaryIO, member: Member, archive_bytes: int) -> int:
    """Return where a member's bytes begin, having checked all that is said about them."""
    name = member.name.decode("utf-8", "backslashreplace")
    if member.flags & _ENCRYPTED:
        raise FormatError(f"{name!r} in the zip archive is encrypted; Keras encrypts nothing. {REMEDY}", member.header)
    if member.method not in {_STORED, _DEFLATED}:
        raise FormatError(
            f"{name!r} in the zip archive is packed by method {member.method}; allowed are 0, stored, and 8, deflated; "
            f"{REMEDY}",
            member.header,
        )
    local = _at(file, member.header, _LOCAL.size) if member.header < archive_bytes else b""
    if len(local) < _LOCAL.size or local[:4] != b"PK\3\4":
        raise FormatError(f"{name!r} in the zip archive has no header; {REMEDY}", member.header)
    names, extras = _LOCAL.unpack(local)[9:]
    start: int = member.header + _LOCAL.size + names + extras
    if _at(file, member.header + _LOCAL.size, names) != member.name or start + member.stored_bytes > archive_bytes:
        raise FormatError(f"{name!r} in the zip archive is cut off or misplaced; {REMEDY}", member.header)
    if member.size_bytes > member.stored_bytes * MAX_INFLATION:
        raise FormatError(
            f"{name!r} in the zip archive declares {member.size_bytes} bytes, of which {member.stored_bytes} are "
            f"stored; {REMEDY}",
            member.header,
        )
    return start


def _inflated(stored: bytes, member: Member, start: int) -> bytes:
    inflate = zlib.decompressobj(-15)
    try:
        data = inflate.decompress(stored, member.size_bytes + 1)
    except zlib.error as error:
        raise _damaged(member, start) from error
    if not inflate.eof or inflate.unused_data:
        raise _damaged(member, start)
    return data


def _damaged(member: Member, start: int) -> FormatError:
    name = member.name.decode("utf-8", "backslashreplace")
    return FormatError(f"{name!r} in the zip archive is damaged: its length or its checksum is wrong; {REMEDY}", start)


def _at(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


def _blocks(file: BinaryIO, start: int, size_bytes: int) -> Iterator[bytes]:
    file.seek(start)
    left = size_bytes
    while left > 0 and (block := file.read(min(left, BLOCK_BYTES))):
        left -= len(block)
        yield block

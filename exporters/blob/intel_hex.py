"""Intel HEX: bytes and where they belong as lines of text, which every programmer of flash memory reads."""

from __future__ import annotations

from collections.abc import Iterator

RECORD_BYTES = 16
DATA, END, UPPER_ADDRESS = 0, 1, 4  # types of records: I32HEX, the form with addresses of 32 bits


def lines_of(data: bytes) -> Iterator[str]:
    r"""Lines of a file that puts bytes at address 0 and on; the upper half of the address precedes every 64 KiB.

    Examples
    --------
    >>> list(lines_of(b"RCIM"))
    [':020000040000FA', ':040000005243494DD1', ':00000001FF']

    """
    for at in range(0, len(data), RECORD_BYTES):
        if at & 0xFFFF == 0:
            yield _record(0, UPPER_ADDRESS, (at >> 16).to_bytes(2, "big"))
        yield _record(at & 0xFFFF, DATA, data[at : at + RECORD_BYTES])
    yield _record(0, END, b"")


def _record(address: int, kind: int, data: bytes) -> str:
    head = bytes([len(data), *address.to_bytes(2, "big"), kind])
    body = head + data
    return f":{(body + bytes([-sum(body) & 0xFF])).hex().upper()}"

"""Malformed containers: each breaks one constraint of refcompress/formats/rcz/SPEC.md, and nothing before it."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from refcompress.formats.rcz.layout import DICTIONARY

MAGIC = bytes.fromhex("8952435a0d0a1a0a")
TENSOR = bytes.fromhex("000000000000803f")  # dense float32: 1.0


class Case(NamedTuple):
    """A container that must be refused with ``message`` in the error, which points to byte ``offset_bytes``."""

    constraint: str
    what: str
    data: bytes
    offset_bytes: int
    message: str


def deflate(text: str | bytes) -> bytes:
    """Deflate the text of a header."""
    codec = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    return codec.compress(text.encode() if isinstance(text, str) else text) + codec.flush()


def seal(body: bytes) -> bytes:
    """Append the right checksum."""
    return body + zlib.crc32(body).to_bytes(4, "little")


def frame(header: bytes, tensors: bytes = b"", *, version: int = 1, header_bytes: int | None = None) -> bytes:
    """Put a container around a deflated header."""
    size = len(header) if header_bytes is None else header_bytes
    return seal(MAGIC + bytes([version]) + size.to_bytes(3, "little") + header + tensors)


def container(text: str | bytes, tensors: bytes = b"") -> bytes:
    """Put a container around the text of a header."""
    return frame(deflate(text), tensors)


def _header(constraint: str, what: str, text: str | bytes, message: str, tensors: bytes = b"") -> Case:
    return Case(constraint, what, container(text, tensors), 12, message)


SOUND = container('[[["x",4]],[["Relu","r"]],[["w",1,8]]]', TENSOR)
EMPTY = deflate("[[],[],[]]")
GEMM = '[[["x",1]],[["Gemm","g",{"p":{"weight":0}}]],'

CASES = [
    Case("C1", "nothing at all", b"", 0, "no .rcz container"),
    Case("C1", "something else", b"\x89HDF\r\n\x1a\n" + bytes(30), 0, "no .rcz container"),
    Case("C1", "line ends changed", SOUND.replace(b"\r\n", b"\n"), 0, "send it as binary"),
    Case("C1", "cut off in the magic", SOUND[:5], 0, "send it as binary"),
    Case("C2", "a later version", frame(EMPTY, version=3), 8, "upgrade"),
    Case("C2", "an integer network", frame(EMPTY, version=2), 8, "refcompress.load_integer"),
    Case("C2", "version 0", frame(EMPTY, version=0), 8, "never was"),
    Case("C3", "cut off after the version", SOUND[:10], 10, "cut off"),
    Case("C3", "a header past the end", frame(EMPTY, header_bytes=len(EMPTY) + 1), 9, "past the end"),
    Case("C4", "cut off by a byte", SOUND[:-1], len(SOUND) - 5, "checksum"),
    Case("C4", "a byte more", SOUND + b"\x00", len(SOUND) - 3, "checksum"),
    Case("C4", "a bit of a weight", SOUND[:-5] + bytes([SOUND[-5] ^ 1]) + SOUND[-4:], len(SOUND) - 4, "checksum"),
    Case("C5", "no deflate stream", frame(b"\xff" * 8), 12, "inflated"),
    Case("C5", "a deflate stream cut off", frame(EMPTY[:-1]), 12, "does not end"),
    Case("C5", "bytes after the deflate stream", frame(EMPTY + b"\x00"), 12, "does not end"),
    Case("C5", "an empty header", frame(b""), 12, "does not end"),
    # 1 MiB of blanks and a byte, in 1 kB
    _header("C5", "a bomb", b" " * (1 << 20) + b"[", "more than 1048576"),
    _header("C6", "no JSON", "[[],[],[]", "no JSON"),
    _header("C6", "two texts", "[[],[],[]][]", "no JSON"),
    _header("C6", "no UTF-8", b'[[["\xff",4]],[],[]]', "no JSON"),
    _header("C6", "lists in lists in lists", "[" * 100_000, "no JSON"),
    _header("C6", "objects in objects", '{"":' * 100_000, "no JSON"),
    _header("C6", "a key twice", GEMM.replace('{"p"', '{"p":{},"p"') + "[[1,1,8]]]", "a key twice", TENSOR),
    _header("C6", "an integer of 4,000 digits", f"[[],[],[[{'1' * 4000}]]]", "4000 characters"),
    _header("C6", "a number past float64", "[[],[],[[1e999]]]", "float64"),
    _header("C6", "NaN", "[[],[],[[NaN]]]", "NaN"),
    _header("C6", "-Infinity", "[[],[],[[-Infinity]]]", "-Infinity"),
    _header("C7", "an object", "{}", "a list is wanted"),
    _header("C7", "two items", "[[],[]]", "2 items"),
    _header("C7", "five items", "[[],[],[],[],[]]", "5 items"),
    _header("C7", "nodes that are no list", "[[],0,[]]", "the nodes: a list is wanted"),
    _header("C7", "a parameter that is no list", "[[],[],[8]]", "a parameter: a list is wanted"),
    _header("C8", "a number as a name", "[[[7,4]],[],[]]", "a name of 1 to"),
    _header("C8", "an empty name", '[[["",4]],[],[]]', "a name of 1 to"),
    _header("C8", "a long name", f'[[["{"x" * 1025}",4]],[],[]]', "a name of 1 to"),
    _header("C8", "an input without name", "[[[]],[],[]]", "a name of 1 to"),
    _header("C8", "half a surrogate pair", r'[[["\ud800",4]],[],[]]', "surrogate"),
    _header("C8", "an output that is no name", "[[],[],[],[1]]", "a name of 1 to"),
    _header("C9", "an axis of 0", '[[["x",0]],[],[]]', "axes of at least 1"),
    _header("C9", "a negative axis", '[[["x",-4]],[],[]]', "axes of at least 1"),
    _header("C9", "half an axis", '[[["x",4.0]],[],[]]', "axes of at least 1"),
    _header("C9", "a truth for an axis", '[[["x",true]],[],[]]', "axes of at least 1"),
    _header("C9", "nine axes", '[[["x",1,1,1,1,1,1,1,1,1]],[],[]]', "up to 8 axes"),
    _header("C9", "2^31 elements", '[[["x",65536,32768]],[],[]]', "fewer than 2"),
    _header("C9", "a parameter of 2^31 elements", '[[],[],[["w",2147483648,8]]]', "fewer than 2", TENSOR),
    _header("C10", "a node without name", '[[["x",4]],[["Relu"]],[]]', "1 items"),
    _header("C10", "a node of four items", '[[["x",4]],[["Relu","r",{},{}]],[]]', "4 items"),
    _header("C10", "an unknown operator", '[[["x",4]],[["Rely","r"]],[]]', "an operator of"),
    _header("C10", "an operator that is a list", '[[["x",4]],[[[],"r"]],[]]', "an operator of"),
    _header("C10", "options in a list", '[[["x",4]],[["Relu","r",[]]],[]]', "object of options"),
    _header("C10", "an unknown option", '[[["x",4]],[["Relu","r",{"q":1}]],[]]', "unknown attribute"),
    _header("C10", "no attribute", '[[["x",4]],[["Reshape","r"]],[]]', "shape"),
    _header("C10", "an attribute of another type", '[[["x",4]],[["Reshape","r",{"shape":[2.5]}]],[]]', "shape"),
    _header("C10", "a value that is not allowed", '[[["x",4,4,1]],[["MaxPool","p",{"strides":[0,1]}]],[]]', "strides"),
    _header("C10", "nothing to read", '[[],[["Relu","r"]],[]]', "no activation to read"),
    _header("C10", "no list of inputs", '[[["x",4]],[["Relu","r",{"i":null}]],[]]', "a list is wanted"),
    _header("C10", "an output that is no name", '[[["x",4]],[["Relu","r",{"o":null}]],[]]', "a name of 1 to"),
    _header("C11", "a role of another operator", '[[["x",4]],[["Relu","r",{"p":{"weight":0}}]],[]]', "its roles are"),
    _header("C11", "parameters in a list", '[[["x",4]],[["Gemm","g",{"p":[0]}]],[[1,1,8]]]', "by role", TENSOR),
    _header("C11", "a parameter that is not there", GEMM.replace("0}", "1}") + "[[1,1,8]]]", "out of order", TENSOR),
    _header("C11", "no parameters at all", '[[["x",1]],[["Gemm","g"]],[]]', "not there"),
    _header("C11", "a negative number", GEMM.replace("0}", "-1}") + "[[1,1,8]]]", "number of a parameter", TENSOR),
    _header("C11", "a truth for a number", GEMM.replace("0}", "false}") + "[[1,1,8]]]", "number of a", TENSOR),
    _header("C11", "the second one first", GEMM.replace("0}", "1}") + "[[1,1,8],[1,1,8]]]", "out of order", 2 * TENSOR),
    _header("C12", "an unused one without name", "[[],[],[[1,8]]]", "must be named", TENSOR),
    _header("C12", "an unused one below no node", '[[],[],[["/w",1,8]]]', "must be named", TENSOR),
    _header("C12", "an empty one", "[[],[],[[]]]", "must be named"),
    _header("C12", "a name without size", '[[],[],[["w"]]]', "each has a size"),
    _header("C12", "an empty name", '[[],[],[["=",1,8]]]', "a name of 1 to", TENSOR),
    _header("C12", "a name twice", '[[],[],[["w",1,8],["=w",1,8]]]', "two parameters", 2 * TENSOR),
    _header("C13", "a negative size", '[[],[],[["w",1,-8]]]', "count of bytes", TENSOR),
    _header("C13", "half a byte", '[[],[],[["w",1,8.5]]]', "count of bytes", TENSOR),
    Case("C13", "bytes of no tensor", frame(EMPTY, TENSOR), 12 + len(EMPTY), "tensors of 0 bytes where 8"),
    Case(
        "C13",
        "a tensor that is not there",
        container('[[],[],[["w",1,8]]]'),
        12 + len(deflate('[[],[],[["w",1,8]]]')),
        "tensors of 8 bytes where 0",
    ),
    Case(
        "C14",
        "a malformed second tensor",
        container('[[],[],[["v",1,8],["w",1,8]]]', TENSOR + b"\x80" + TENSOR[1:]),
        12 + len(deflate('[[],[],[["v",1,8],["w",1,8]]]')) + 8,
        "newer version",
    ),
    _header("C15", "an activation that nobody makes", '[[["x",4]],[["Relu","r",{"i":["z"]}]],[]]', "'z'"),
    _header("C15", "an activation made twice", '[[["x",4]],[["Relu","r",{"o":"x"}]],[]]', "second time"),
    _header("C15", "two nodes of one name", '[[["x",4]],[["Relu","r"],["Relu","r",{"o":"s"}]],[]]', "two nodes"),
    _header("C15", "two inputs of one name", '[[["x",4],["x",4]],[],[],[]]', "share a name"),
    _header("C15", "an output that nobody makes", '[[["x",4]],[],[],["z"]]', "'z'"),
    _header("C16", "a matrix of another shape", GEMM.replace('"x",1', '"x",2') + "[[1,1,8]]]", "g", TENSOR),
    _header("C16", "a missing weight", '[[["x",1]],[["Gemm","g",{"p":{}}]],[]]', "weight is missing"),
    _header("C16", "two inputs of Relu", '[[["x",4]],[["Relu","r",{"i":["x","x"]}]],[]]', "2 inputs"),
    # each node doubles the activation: no memory is asked for, but there is an end
    _header(
        "C16",
        "an activation of 2^31 elements",
        '[[["x",1]],['
        + ",".join(
            f'["Concat","c{i}",{{"axis":1,"i":["{f"c{i - 1}" if i else "x"}","{f"c{i - 1}" if i else "x"}"]}}]'
            for i in range(31)
        )
        + "],[]]",
        "c30",
    ),
]

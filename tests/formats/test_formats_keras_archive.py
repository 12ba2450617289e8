"""Keras 3 archives and weights files: every layout gives the same network, and damaged archives are refused."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from checks import keras_archives as ka
from checks.keras_files import image_input, layer, sequential
from hypothesis import given, settings
from hypothesis import strategies as st

from refcompress import formats
from refcompress.encodings import decode
from refcompress.errors import FormatError, ModelError, OptionError
from refcompress.formats.keras.archive import members, read_member
from refcompress.graph import Graph

SMALL = (
    "acts", "attn", "bidir", "cf", "conv1d", "conv2d", "duplicates", "f16", "longattr", "mask", "merge", "nested",
    "nobuild", "norm", "ops", "pre", "rnnall", "rnnstate", "shared", "td",
)  # fmt: skip

MODEL = sequential(image_input("x", 3), layer("Dense", "d", units=2, use_bias=False))
KERNEL = ka.numbers(3, 2)
FILES = ka.members(MODEL, {"layers/dense": ("d", [KERNEL])})


def assert_same(a: Graph, b: Graph) -> None:
    """Compare two networks: nodes and, bit for bit, parameters."""
    assert a.inputs == b.inputs
    assert a.outputs == b.outputs
    assert a.nodes == b.nodes
    assert a.params.keys() == b.params.keys()
    for name in a.params:
        np.testing.assert_array_equal(decode(a.params[name]), decode(b.params[name]), err_msg=name)


@pytest.mark.parametrize("generation", ["keras3", "tfkeras"])
@pytest.mark.parametrize("name", SMALL)
def test_every_layout_of_a_model_gives_the_same_network(shared_data: Path, generation: str, name: str) -> None:
    whole = shared_data / "keras_formats" / generation / f"{name}.h5"
    expected = formats.load(whole)
    archived = whole.with_suffix(".keras")
    assert_same(formats.load(archived), expected)
    for ending in (".weights.h5", ".legacy_weights.h5"):
        path = whole.with_suffix(ending)
        if path.exists():
            assert_same(formats.load(path, architecture=whole), expected)
            assert_same(formats.load(path, architecture=archived), expected)


def test_an_architecture_is_a_file_of_json_its_text_or_what_it_holds(tmp_path: Path) -> None:
    path, described = tmp_path / "x.weights.h5", tmp_path / "config.json"
    path.write_bytes(FILES["model.weights.h5"])
    described.write_text(json.dumps(MODEL))
    whole = tmp_path / "x.keras"
    whole.write_bytes(ka.archive(FILES))
    for architecture in (MODEL, json.dumps(MODEL), described, str(described), whole):
        np.testing.assert_array_equal(decode(formats.load(path, architecture=architecture).params["d/kernel"]), KERNEL)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_stored_or_deflated(tmp_path: Path, method: int) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(ka.archive(FILES, method))
    np.testing.assert_array_equal(decode(formats.load(path).params["d/kernel"]), KERNEL)


def test_an_archive_may_have_a_comment_and_the_fields_of_large_files(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"PK\5\6 is how an archive ends" * 10
        for name, data in FILES.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(data)
    np.testing.assert_array_equal(decode(formats.load(path).params["d/kernel"]), KERNEL)


def test_sizes_beyond_32_bits_are_read_from_the_fields_for_them() -> None:
    files = {"a": b"some", "b": b"bytes"}
    plain = ka.archive(files)
    file = io.BytesIO(in_zip64(plain))
    found = members(file, len(file.getvalue()))
    assert {name: read_member(file, one, len(file.getvalue())) for name, one in found.items()} == files


def in_zip64(plain: bytes) -> bytes:
    """Rewrite an archive so that its directory is in zip64: all sizes and places stand in the wide fields."""
    end = plain.rindex(b"PK\5\6")
    count, _, start = struct.unpack_from("<HLL", plain, end + 10)
    directory, offset = b"", start
    for _ in range(count):
        stored, full, names = struct.unpack_from("<2LH", plain, offset + 20)
        header = struct.unpack_from("<L", plain, offset + 42)[0]
        extra = struct.pack("<2H3Q", 1, 24, full, stored, header)
        fields = bytearray(plain[offset : offset + 46])
        struct.pack_into("<2L2H", fields, 20, 0xFFFFFFFF, 0xFFFFFFFF, names, len(extra))
        struct.pack_into("<L", fields, 42, 0xFFFFFFFF)
        directory += bytes(fields) + plain[offset + 46 : offset + 46 + names] + extra
        offset += 46 + names
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return plain[:start] + directory + record + locator + last


def changed(place: str, offset: int, new: bytes, name: str = "model.weights.h5") -> bytes:
    """Return the archive with other bytes in a member's local or central header."""
    data = bytearray(ka.archive(FILES))
    name_length = len(name)
    first = data.index(name.encode())
    at = first - 30 if place == "local" else data.index(name.encode(), data.rindex(b"PK\1\2") - 500) - 46
    while place == "central" and data[at : at + 4] != b"PK\1\2":
        at = data.index(name.encode(), at + 46 + name_length) - 46
    data[at + offset : at + offset + len(new)] = new
    return bytes(data)


def twice() -> bytes:
    """Return an archive with two members of one name."""
    # zipfile would warn of them: the second one is written under a name of the same length
    return ka.archive({**FILES, "config.jsOn": b"{}"}).replace(b"config.jsOn", b"config.json")


def damaged() -> bytes:
    """Return an archive with one bit of a weight turned."""
    data = bytearray(ka.archive(FILES))
    data[data.index(KERNEL.tobytes())] ^= 1
    return bytes(data)


def bomb() -> bytes:
    """Return an archive whose configuration is 200 MB of spaces."""
    return ka.archive({**FILES, "config.json": b" " * 200_000_000}, zipfile.ZIP_DEFLATED)


def without(name: str) -> bytes:
    """Return the archive without a member."""
    return ka.archive({key: data for key, data in FILES.items() if key != name})


def instead(name: str, data: bytes) -> bytes:
    """Return the archive with another member of this name."""
    return ka.archive({**FILES, name: data})


HOSTILE: list[tuple[str, Callable[[], bytes], str]] = [
    ("cut off", lambda: ka.archive(FILES)[:-30], "has no end, it was cut off"),
    ("only its first bytes", lambda: b"PK\3\4", "has no end"),
    ("something behind its end", lambda: ka.archive(FILES) + b"x", "has no end"),
    ("empty", lambda: ka.archive({}), "holds no 'config.json'"),
    ("no configuration", lambda: without("config.json"), "holds no 'config.json'"),
    ("no weights", lambda: without("model.weights.h5"), "holds no 'model.weights.h5'"),
    ("weights for NumPy", lambda: ka.archive({"config.json": b"{}", "model.weights.npz": b""}), "'model.weights.npz'"),
    ("a member twice", twice, "holds 'config.json' twice"),
    ("a wrong checksum", damaged, "'model.weights.h5' in the zip archive is damaged"),
    ("a wrong checksum of the text", lambda: changed("central", 16, b"\0" * 4, "config.json"), "'config.json' in the"),
    ("the encrypted flag", lambda: changed("central", 8, b"\1\0"), "is encrypted"),
    ("an unknown method", lambda: changed("central", 10, b"\x0c\0"), "is packed by method 12"),
    ("a false method", lambda: changed("central", 10, b"\x08\0", "config.json"), "is damaged"),
    ("a header elsewhere", lambda: changed("central", 42, b"\1\0\0\0"), "has no header"),
    ("a header of another member", lambda: changed("central", 42, b"\0" * 4), "is cut off or misplaced"),
    ("another name in its header", lambda: changed("local", 30, b"M"), "is cut off or misplaced"),
    ("more bytes than there are", lambda: changed("central", 20, b"\xff\xff\xff\x7f" * 2), "is cut off or misplaced"),
    ("more bytes than stored", lambda: changed("central", 24, b"\xff\xff\xff\x7f"), "declares 2147483647 bytes"),
    ("fewer bytes than stored", lambda: changed("central", 24, b"\1\0\0\0"), "is damaged"),
    ("wide fields that are missing", lambda: changed("central", 24, b"\xff" * 4), "directory is malformed"),
    ("a name beyond the directory", lambda: changed("central", 28, b"\xff\xff"), "directory is malformed"),
    ("no signature in its directory", lambda: changed("central", 0, b"PK\1\3"), "directory is malformed"),
    ("several disks", lambda: ka.archive(FILES)[:-18] + b"\1\0" + ka.archive(FILES)[-16:], "over several files"),
    ("a directory elsewhere", lambda: ka.archive(FILES)[:-6] + b"\xfe" * 4 + b"\0\0", "directory of"),
    ("a bomb", bomb, "has more than"),
    ("a text that is no JSON", lambda: instead("config.json", b"{,}"), "'config.json' in the zip archive is no JSON"),
    ("a text that is no text", lambda: instead("config.json", b"\xff\xfe\xff"), "is no JSON"),
    ("a list", lambda: instead("config.json", b"[]"), "is no JSON object"),
    ("a deep text", lambda: instead("config.json", b'{"a":' * 200 + b"1" + b"}" * 200), "nests deeper than 128"),
    ("metadata that is no JSON", lambda: instead("metadata.json", b"3.8"), "'metadata.json' in the zip archive is no"),
    ("weights that are no HDF5", lambda: instead("model.weights.h5", b"none"), "the file cannot be opened"),
    ("weights of no layers", lambda: instead("model.weights.h5", ka.weights_file({})), "is no Keras model"),
]


@pytest.mark.parametrize(("make", "message"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_an_archive_that_keras_does_not_write_is_refused(
    tmp_path: Path, make: Callable[[], bytes], message: str
) -> None:
    assert message in ka.refusal(tmp_path / "model.keras", make())


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    data = bomb()
    ka.refusal(tmp_path / "model.keras", data)
    tracemalloc.start()
    try:
        ka.refusal(tmp_path / "model.keras", data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_weights_deflated_twice_are_no_way_around_the_limit(tmp_path: Path) -> None:
    # 16 MB of zeros in chunks of HDF5, whose deflated zeros are deflated again
    size = 2048
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", data=np.zeros((size, size), np.float32), compression="gzip", compression_opts=9)
    model = sequential(image_input("x", size), layer("Dense", "d", units=size, use_bias=False))
    files = {**ka.members(model, {}), "model.weights.h5": memory.getvalue()}
    assert "of which" in ka.refusal(tmp_path / "model.keras", ka.archive(files, zipfile.ZIP_DEFLATED))


ARCHIVE = ka.archive(FILES)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_change_of_an_archive_gives_a_network_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    spoilt = bytearray(ARCHIVE)
    ends = len(ARCHIVE) - ARCHIVE.rindex(b"model.weights.h5") + 46
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.one_of(st.integers(0, len(spoilt) - 1), st.integers(len(spoilt) - ends, len(spoilt) - 1)))
        spoilt[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "any.keras"
    path.write_bytes(bytes(spoilt[: data.draw(st.integers(len(spoilt) - 40, len(spoilt)))]))
    with contextlib.suppress(FormatError, ModelError):
        formats.load(path)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_change_of_the_weights_gives_a_network_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    weights = bytearray(FILES["model.weights.h5"])
    for _ in range(data.draw(st.integers(1, 3))):
        weights[data.draw(st.integers(8, len(weights) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "any.weights.h5"
    path.write_bytes(bytes(weights))
    with contextlib.suppress(FormatError, ModelError):
        formats.load(path, architecture=MODEL)


def test_a_group_whose_members_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    weights = bytearray(FILES["model.weights.h5"])
    weights[16] = 5  # leaves of groups would be larger than they are, the last one beyond the end of the file
    path = tmp_path / "any.weights.h5"
    path.write_bytes(bytes(weights))
    with pytest.raises(FormatError, match="cannot be counted"):
        formats.load(path, architecture=MODEL)


ARCHITECTURES: list[tuple[str, Any, type[Exception], str]] = [
    ("a missing file", "missing.json", OptionError, "cannot be read"),
    ("no JSON", "{,}", FormatError, "the architecture is no JSON"),
    ("a set", {"class_name": {1}}, OptionError, "is no JSON"),
    ("no model", {}, ModelError, "without class and options"),
    ("fewer layers", sequential(image_input("x", 3)), ModelError, "'layers/dense'"),
    ("another name", sequential(image_input("x", 3), layer("Dense", "e", units=2)), ModelError, r"called \['d'\]"),
]


@pytest.mark.parametrize(
    ("architecture", "error", "message"), [case[1:] for case in ARCHITECTURES], ids=[case[0] for case in ARCHITECTURES]
)
def test_an_architecture_that_does_not_fit_is_refused(
    tmp_path: Path, architecture: Any, error: type[Exception], message: str
) -> None:
    path = tmp_path / "x.weights.h5"
    path.write_bytes(FILES["model.weights.h5"])
    with pytest.raises(error, match=message):
        formats.load(path, architecture=architecture)


def test_weights_alone_are_refused_saying_how_to_give_the_architecture(tmp_path: Path) -> None:
    message = ka.refusal(tmp_path / "x.weights.h5", FILES["model.weights.h5"])
    assert "without the architecture; give it: load(path, architecture='model.json')" in message


def test_a_file_of_weights_is_no_architecture(tmp_path: Path) -> None:
    path = tmp_path / "x.weights.h5"
    path.write_bytes(FILES["model.weights.h5"])
    with pytest.raises(OptionError, match="holds weights only"):
        formats.load(path, architecture=path)


def test_the_checksum_is_that_of_zip() -> None:
    file = io.BytesIO(ARCHIVE)
    member = members(file, len(ARCHIVE))["config.json"]
    assert member.crc == zlib.crc32(FILES["config.json"])

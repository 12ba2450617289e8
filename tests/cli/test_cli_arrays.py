"""Files of arrays: read with care, written reproducibly."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refcompress.cli.arrays import npz_bytes, numbered, pick, read_arrays
from refcompress.errors import DataError

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _npz(compress: bool = False, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def _read(data: bytes, directory: Path) -> dict[str, np.ndarray]:
    path = directory / "arrays"
    path.write_bytes(data)
    return read_arrays(path)


@pytest.mark.parametrize("compress", [False, True])
def test_an_archive_is_read_as_numpy_reads_it(compress: bool, tmp_path: Path) -> None:
    arrays = {"x": X, "fortran": np.asfortranarray(X), "scalar": np.array(3.0), "empty": np.zeros((0, 2))}
    found = _read(_npz(compress, **arrays), tmp_path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].flags.writeable


def test_a_single_array_is_x(tmp_path: Path) -> None:
    np.testing.assert_array_equal(_read(_npy(X), tmp_path)["x"], X)


@given(array=hnp.arrays(st.sampled_from([np.float32, np.int16, np.bool_]), hnp.array_shapes(min_side=0)))
def test_what_is_written_reads_back_with_numpy(array: np.ndarray) -> None:
    with np.load(io.BytesIO(npz_bytes({"a/b": array, "file": array})), allow_pickle=False) as archive:
        for name in ("a/b", "file"):
            np.testing.assert_array_equal(archive[name], array)
            assert archive[name].dtype == array.dtype


def test_the_same_arrays_give_the_same_bytes() -> None:
    assert npz_bytes({"x": X}) == npz_bytes({"x": X.copy()})


def _claiming(shape: str) -> bytes:
    """Return an array of 24 bytes whose header claims another shape."""
    return _npy(X).replace(b"(2, 3)", shape.encode())


def _with_lied_size() -> bytes:
    """Return an archive whose directory claims more bytes than there are."""
    data = bytearray(_npz(x=X))
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (1 << 30).to_bytes(4, "little")
    return bytes(data)


def _with_bad_checksum() -> bytes:
    data = bytearray(_npz(x=X))
    data[data.index(X.tobytes())] ^= 1
    return bytes(data)


def _foreign_member() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    return buffer.getvalue()


BAD = {
    "nothing": (b"", "no .npy or .npz file"),
    "text": (b"x,y\n1,2\n", "no .npy or .npz file"),
    "a cut header": (_npy(X)[:20], "damaged"),
    "a cut array": (_npy(X)[:-1], "takes 24 bytes where 23 stand"),
    "bytes after an array": (_npy(X) + b"\0", "takes 24 bytes where 25 stand"),
    "a shape of terabytes": (_claiming("(9**9)"), "damaged"),
    "a shape that is no tuple": (_claiming("600000"), "the shape 600000"),
    "a structure": (_npy(np.zeros(1, [("a", "<f4")])), "no plain numbers"),
    "an unclosed header": (_npy(X).replace(b"}", b" "), "damaged"),
    "a larger shape": (_claiming("(9, 9)"), "takes 324 bytes where 24 stand"),
    "a negative shape": (_claiming("(-2,3)"), "is none"),
    "lengths that are no numbers": (_claiming("(2,3.)"), "is none"),
    "Python objects": (_npy(np.array([{}], dtype=object)), "never unpickled"),
    "Python objects in an archive": (_npz(x=np.array([{}], dtype=object)), "never unpickled"),
    "a cut archive": (_npz(x=X)[:-30], "damaged"),
    "a false size": (_with_lied_size(), "damaged"),
    "a flipped bit": (_with_bad_checksum(), "damaged"),
    "a member that is no array": (_foreign_member(), "damaged"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_file_is_one_error_of_ours(case: str, tmp_path: Path) -> None:
    data, words = BAD[case]
    with pytest.raises(DataError, match=words):
        _read(data, tmp_path)


@given(data=st.data())
def test_any_damage_gives_arrays_or_our_error(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    raw = bytearray(data.draw(st.sampled_from([_npy(X), _npz(x=X), _npz(True, x=X)])))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        _read(bytes(raw), tmp_path_factory.getbasetemp())


def test_arrays_are_found_by_name_by_letter_or_by_number() -> None:
    one, two = np.zeros(1), np.ones(1)
    assert numbered({"x": one}, "x", ["image"], "f") == {"image": one}
    assert numbered({"x0": one}, "x", ["image"], "f") == {"image": one}
    assert numbered({"x": two, "image": one}, "x", ["image"], "f")["image"] is one
    assert numbered({"b": two, "a": one}, "x", ["a", "b"], "f") == {"a": one, "b": two}
    assert numbered({"x1": two, "x0": one}, "x", ["a", "b"], "f") == {"a": one, "b": two}


def test_a_missing_array_is_named_with_those_that_are_there() -> None:
    with pytest.raises(DataError, match=r"f\.npz has the arrays x, y; the network needs 'a', 'b' or 'x0', 'x1'"):
        numbered({"y": X, "x": X}, "x", ["a", "b"], "f.npz")
    with pytest.raises(DataError, match=r"f\.npz has no array 'y'; it has x"):
        pick({"x": X}, "y", "f.npz")

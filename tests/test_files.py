"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from refcompress.errors import OptionError
from refcompress.files import same_file, write_file, write_files


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old and longer")
    assert write_file(path, b"new") == path
    assert path.read_bytes() == b"new"
    assert _names(tmp_path) == {"a.bin"}


def test_a_write_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"new")
    with pytest.raises(OSError, match="No space"):
        write_files(tmp_path, {"a.bin": b"new", "b.bin": b"new"})
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == {"a.bin"}


def test_a_missing_directory_is_named_by_the_target(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.bin"
    with pytest.raises(FileNotFoundError) as caught:
        write_file(path, b"")
    assert caught.value.filename == str(path)


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    made, plain = tmp_path / "made", tmp_path / "plain"
    write_file(made, b"")
    plain.write_bytes(b"")
    assert stat.S_IMODE(made.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_file(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert same_file(link, target)


def test_a_directory_or_device_is_never_replaced(tmp_path: Path) -> None:
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(OptionError, match="no regular file"):
            write_file(path, b"")


def test_several_files_go_below_a_directory_that_is_made(tmp_path: Path) -> None:
    paths = write_files(tmp_path / "out", {"net.h": b"1", "rt/net.c": b"2"})
    assert [path.read_bytes() for path in paths] == [b"1", b"2"]
    assert _names(tmp_path / "out") == {"net.h", "rt"}


@pytest.mark.parametrize("name", ["../a", "/a", "b/../../a", "", ".", "b\\a"])
def test_a_name_that_leaves_the_directory_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="leaves the directory"):
        write_files(tmp_path / "out", {"good": b"", name: b""})
    assert not (tmp_path / "out").exists()


def test_paths_that_do_not_exist_are_the_same_only_if_they_read_the_same(tmp_path: Path) -> None:
    assert same_file(tmp_path / "a", tmp_path / "b" / ".." / "a")
    assert not same_file(tmp_path / "a", tmp_path / "b")

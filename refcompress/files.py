"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from refcompress.errors import OptionError


def write_file(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file so that, whatever happens, the path holds the old bytes or all of the new ones.

    The bytes go to a new file beside the target, to the disk, and take the target's name last. A symbolic
    link is followed.

    Parameters
    ----------
    path
        The file; its directory exists.
    data
        Its bytes.

    Returns
    -------
    Path
        The path as given.

    Raises
    ------
    OptionError
        The path is a directory, a device or a pipe, which cannot be replaced.
    OSError
        The system refuses; nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     write_file(Path(directory, "model.rcz"), b"bytes").read_bytes()
    b'bytes'

    """
    target = replaceable(Path(path))
    part = _write_part(target, data)
    try:
        part.replace(target)
    except BaseException:
        _remove([part])
        raise
    return Path(path)


def write_files(directory: str | os.PathLike[str], files: Mapping[str, bytes]) -> list[Path]:
    """Write several files below a directory, which is made if it is missing.

    All bytes are on the disk before the first file takes its name: a full disk changes nothing.

    Parameters
    ----------
    directory
        Where to write.
    files
        Relative path, with ``/`` between its parts, to bytes.

    Returns
    -------
    list of Path
        What was written, in the order of ``files``.

    Raises
    ------
    OptionError
        A path would leave the directory, or names something that cannot be replaced.
    OSError
        The system refuses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     [path.name for path in write_files(directory, {"net.h": b"1", "rt/net.c": b"2"})]
    ['net.h', 'net.c']

    """
    paths = [Path(directory) / _inside(name) for name in files]
    targets = [replaceable(path) for path in paths]
    parts: list[Path] = []
    try:
        for target, data in zip(targets, files.values(), strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            parts.append(_write_part(target, data))
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)
    except BaseException:
        _remove(parts)
        raise
    return paths


def same_file(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    """Whether two paths name one file, links followed; a path that does not exist is only equal to itself."""
    try:
        return Path(a).samefile(b)
    except OSError:
        return Path(a).resolve() == Path(b).resolve()


def _inside(name: str) -> PurePosixPath:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts or "\\" in name:
        raise OptionError(f"the file name {name!r} leaves the directory it is written to; give a plain relative path")
    return relative


def replaceable(path: Path) -> Path:
    """Return the file that a path names, links followed, if it can be written or replaced.

    Raises
    ------
    OptionError
        It is a directory, a device or a pipe.

    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise OptionError(f"{path} is no regular file and cannot be replaced; give the name of a file")
    return target


def _write_part(target: Path, data: bytes) -> Path:
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        # mode 666 less the umask, as any program makes its files (tempfile would make it private)
        handle = os.open(part, flags, 0o666)
    except OSError as error:  # the user knows the target's name, not that of the part
        raise OSError(error.errno, error.strerror, str(target)) from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        _remove([part])
        raise
    return part


def _remove(parts: list[Path]) -> None:
    for part in parts:
        with contextlib.suppress(OSError):
            part.unlink()

"""Files that hold networks: what they are is seen in their bytes, never in their names."""

from __future__ import annotations

import os
from pathlib import Path

from refcompress.errors import FormatError, OptionError
from refcompress.graph import Graph

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")

SUPPORTED = "supported are .rcz containers and Keras models saved whole as HDF5 (model.save('model.h5'))"

CONVERT = (
    "a .keras file can be loaded in Keras and saved as HDF5: keras.saving.load_model('model.keras').save('model.h5')"
)


def load(path: str | os.PathLike[str]) -> Graph:
    """Load a network from an ``.rcz`` container or a Keras model saved whole in the legacy HDF5 layout.

    Parameters
    ----------
    path
        The file; its name does not matter.

    Returns
    -------
    Graph
        The network.

    Raises
    ------
    FormatError
        The bytes are of no supported kind, or malformed.
    ModelError
        The file holds a network that cannot be represented; the message says what and what to do.
    OptionError
        There is no such file, or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "model.h5")
    ...     _ = path.write_bytes(b"something else")
    ...     load(path)
    Traceback (most recent call last):
        ...
    refcompress.errors.FormatError: byte 0: ...model.h5 begins with b'somethin', ...

    """
    from refcompress.formats import rcz

    start, is_hdf5 = _look_at(path)
    if start.startswith(rcz.MAGIC):
        return rcz.load(path)
    if is_hdf5:
        from refcompress.formats import keras_model

        return keras_model.load(path)
    if start.startswith(ZIP_SIGNATURES):
        raise FormatError(f"{path} is a zip archive (a .keras file?); {SUPPORTED}; {CONVERT}", 0)
    found = f"begins with {start[:8]!r}, which no supported kind of file does" if start else "is empty"
    raise FormatError(f"{path} {found}; {SUPPORTED}", 0)


def save(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a network as an ``.rcz`` container, whole or not at all.

    Parameters
    ----------
    graph
        The network.
    path
        The file; an existing one is replaced.

    """
    from refcompress.formats import rcz

    rcz.save(graph, path)


def _look_at(path: str | os.PathLike[str]) -> tuple[bytes, bool]:
    """Return the first bytes, and whether HDF5 begins at 0, 512, 1024, 2048 and so on (after a user block)."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(64)
            size_bytes = file.seek(0, os.SEEK_END)
            offset = 0
            while offset < size_bytes:
                file.seek(offset)
                if file.read(8) == HDF5_SIGNATURE:
                    return start, True
                offset = max(512, 2 * offset)
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}; give the path of a model file") from error
    return start, False


__all__ = ["load", "save"]

"""Files that hold networks: what they are is seen in their bytes, never in their names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refcompress.errors import FormatError, OptionError
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork

if TYPE_CHECKING:
    from refcompress.formats.keras.registry import register_layer
    from refcompress.formats.named_arrays import load_weights

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")

SUPPORTED = (
    "supported are .rcz containers, ONNX models, and Keras models: .keras archives, HDF5 of whole models, and HDF5 of "
    "weights together with an architecture"
)


def load(
    path: str | os.PathLike[str],
    *,
    architecture: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    batched: bool = True,
) -> Graph:
    """Load a network from an ``.rcz`` container, a Keras file of any layout, or an ONNX model.

    Keras files are legacy HDF5 (whole models and weights only, of Keras 1, Keras 2, tf.keras and Keras 3) and the
    ``.keras`` archives and ``.weights.h5`` of Keras 3 and of tf.keras since 2.12.

    Parameters
    ----------
    path
        The file; its name does not matter.
    architecture
        For Keras files of weights only: what ``model.to_json()`` returns, as a file, as text or decoded, or a Keras
        model saved whole whose architecture is taken. If it is given, that of the file does not count.
    input_shapes
        Name of an input to its shape without the batch axis, where the file leaves sizes open. For Keras and ONNX.
    batched
        Say False for an ONNX model whose inputs have no batch axis: all of each is then one sample.

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
        There is no such file, it cannot be read, or the other arguments do not go with its kind.

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
    if not batched and (is_hdf5 or start.startswith((*ZIP_SIGNATURES, rcz.MAGIC))):
        raise OptionError(f"batched=False is for ONNX models, which {path} is not; leave it out")
    if is_hdf5 or start.startswith(ZIP_SIGNATURES):
        from refcompress.formats import keras

        return keras.load(path, architecture=architecture, input_shapes=input_shapes)
    if architecture is not None:
        raise OptionError(f"architecture is for Keras files, which {path} is not; leave it out")
    if start.startswith(rcz.MAGIC):
        if input_shapes is not None:
            raise OptionError(f"input_shapes is for inputs of open sizes, which those of {path} are not; leave it out")
        return rcz.load(path)
    from refcompress.formats import tflite

    if tflite.looks_like(start):
        raise FormatError(
            f"{path} is a TFLite model, which computes with integers; refcompress.load_integer gives an integer "
            "network",
            4,
        )
    return _load_onnx(path, start, input_shapes, batched=batched)


def load_integer(path: str | os.PathLike[str]) -> IntegerNetwork:
    """Load an integer network from an ``.rcz`` container of one, or from a full-integer ``.tflite`` file.

    Parameters
    ----------
    path
        The file; its name does not matter.

    Raises
    ------
    FormatError
        The bytes are of neither kind, or malformed.
    ModelError
        A ``.tflite`` file holds a network that cannot be represented.
    MissingToolError
        A ``.tflite`` file is read with the extra ``tflite``, which is not installed.
    OptionError
        There is no such file, or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from refcompress.integer import Quantization
    >>> from refcompress.graph import TensorSpec
    >>> network = IntegerNetwork(Graph((TensorSpec("x", (2,)),), ("x",), (), {}), {"x": Quantization(0.5, 3)})
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     save(network, Path(directory, "x.rcz"))
    ...     load_integer(Path(directory, "x.rcz")).quantizations["x"]
    Quantization(scale=0.5, zero_point=3, bits=8)

    """
    from refcompress.formats import tflite
    from refcompress.formats.rcz import integer

    start, _ = _look_at(path)
    if start.startswith(integer.MAGIC):
        return integer.load(path)
    if tflite.looks_like(start):
        return tflite.load(path)
    raise FormatError(
        f"{path} begins with {start[:8]!r}: no .rcz container and no .tflite file; other kinds hold networks of real "
        "numbers, which refcompress.load reads",
        0,
    )


def holds_integers(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one that :func:`load_integer` reads, told by its first bytes.

    Raises
    ------
    OptionError
        There is no such file, or it cannot be read.

    """
    from refcompress.formats import tflite
    from refcompress.formats.rcz import integer

    start, _ = _look_at(path)
    return integer.looks_like(start) or tflite.looks_like(start)


def save(network: Graph | IntegerNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network as an ``.rcz`` container, whole or not at all.

    Parameters
    ----------
    network
        The network, of real numbers or of integers.
    path
        The file; an existing one is replaced.

    """
    from refcompress.formats import rcz

    if isinstance(network, IntegerNetwork):
        rcz.integer.save(network, path)
    else:
        rcz.save(network, path)


def _load_onnx(
    path: str | os.PathLike[str],
    start: bytes,
    input_shapes: Mapping[str, tuple[int, ...]] | None,
    *,
    batched: bool,
) -> Graph:
    from refcompress.formats import onnx

    if onnx.looks_like(start):
        return onnx.load(path, input_shapes=input_shapes, batched=batched)
    found = f"begins with {start[:8]!r}, which no supported kind of file does" if start else "is empty"
    raise FormatError(f"{path} {found}; {SUPPORTED}", 0)


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


def __getattr__(name: str) -> Any:
    # what few need, and what imports more than the rest
    if name == "load_weights":
        from refcompress.formats.named_arrays import load_weights

        return load_weights
    if name == "register_layer":
        from refcompress.formats.keras.registry import register_layer

        return register_layer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["holds_integers", "load", "load_integer", "load_weights", "register_layer", "save"]

"""Reading the HDF5 structure of a Keras checkpoint without trusting any of it."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import FormatError, ModelError
from refcompress.formats import hdf5_heap

MAX_INFLATION = 1032  # no deflate stream expands further
MAX_CHUNK_SLACK_BYTES = 1 << 20
MAX_JSON_DEPTH = 128
# deflate, shuffle, fletcher32, LZF: lossless, and none is loaded from a plugin
KNOWN_FILTERS = {1, 2, 3, 32000}
# what h5py raises for malformed bytes, names it cannot encode and types NumPy does not have
_H5_ERRORS = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    IndexError,
    OverflowError,
    AttributeError,
)

SAVE_AGAIN = "load it where it was made and save the whole model again: model.save('model.h5')"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """An open full-model file.

    Attributes
    ----------
    model
        The decoded ``model_config``: class name and configuration.
    keras_version, backend
        What the file says; "" if nothing.
    weights
        The HDF5 group ``model_weights``.
    size_bytes
        Length of the file, which bounds what is read.

    """

    model: Mapping[str, Any]
    keras_version: str
    backend: str
    weights: Any
    size_bytes: int


@contextlib.contextmanager
def open_checkpoint(path: str | os.PathLike[str]) -> Iterator[Checkpoint]:
    """Open a file of a whole Keras model, architecture and weights, in the legacy HDF5 layout.

    Raises
    ------
    FormatError
        The bytes are no HDF5, or not laid out as Keras does.
    ModelError
        The file holds weights without the architecture.

    """
    import h5py

    size_bytes = Path(path).stat().st_size
    hdf5_heap.check(path)
    with _reading("the file cannot be opened"):
        file = h5py.File(path, "r")
    try:
        _check_lengths(file)
        config = read_text(file, "model_config", size_bytes)
        if config is None:
            raise ModelError(_without_architecture(file))
        yield Checkpoint(
            _decode_json(config),
            read_text(file, "keras_version", size_bytes) or "",
            read_text(file, "backend", size_bytes) or "",
            member(file, "model_weights", group=True),
            size_bytes,
        )
    finally:
        file.close()


def _check_lengths(file: Any) -> None:
    with _reading("the superblock cannot be read"):
        sizes = file.id.get_create_plist().get_sizes()
    if sizes != (8, 8):  # h5py never wrote others, and hdf5_heap knows no others
        raise FormatError(f"offsets and lengths in this HDF5 file take {sizes} bytes; allowed are 8; {SAVE_AGAIN}", 0)


def _without_architecture(file: Any) -> str:
    with _reading("the names in the file cannot be read"):
        weights = "layer_names" in file.attrs or "layer_names0" in file.attrs or "layers" in file
    if weights:
        return (
            "the file holds weights only, without the architecture (no attribute model_config); "
            "build the model in Keras, load these weights into it and save all of it: model.save('model.h5')"
        )
    return f"this HDF5 file is no Keras model (no attribute model_config); if it should be one, {SAVE_AGAIN}"


@contextlib.contextmanager
def _reading(trouble: str) -> Iterator[None]:
    try:
        yield
    except _H5_ERRORS as error:
        raise FormatError(f"{trouble} ({str(error)[:200]}); {SAVE_AGAIN}", 0) from error


def _decode_json(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the attribute model_config is no JSON ({str(error)[:200]}); {SAVE_AGAIN}", 0) from error
    _check_depth(value)
    if not isinstance(value, dict):
        raise FormatError(f"the attribute model_config is no JSON object; {SAVE_AGAIN}", 0)
    return value


def _check_depth(value: Any) -> None:
    # everything after this walks the configuration recursively
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return
        level = inner
    raise FormatError(f"the attribute model_config nests deeper than {MAX_JSON_DEPTH} levels", 0)


def read_text(place: Any, name: str, limit_bytes: int) -> str | None:
    """Return a text attribute, None if there is none."""
    value = _attribute(place, name, limit_bytes)
    return None if value is None else _text(value, name)


def read_names(place: Any, name: str, limit_bytes: int) -> list[str]:
    """Return a list of texts; long ones are spread over ``name0``, ``name1``, ... as HDF5 limits attributes.

    Raises
    ------
    FormatError
        There is neither ``name`` nor ``name0``, or it holds something else than texts.

    """
    chunks = [_attribute(place, name, limit_bytes)]
    if chunks[0] is None:
        chunks = []
        while (chunk := _attribute(place, f"{name}{len(chunks)}", limit_bytes)) is not None:
            chunks.append(chunk)
        if not chunks:
            raise FormatError(f"{_name(place)} has no attribute {name}; {SAVE_AGAIN}", 0)
    return [_text(item, name) for chunk in chunks for item in _items(chunk, name)]


def _items(chunk: Any, name: str) -> list[Any]:
    # an empty list was written as an array of float64
    if isinstance(chunk, np.ndarray) and chunk.ndim == 1:
        return list(chunk)
    raise FormatError(f"the attribute {name} is no list of texts; {SAVE_AGAIN}", 0)


def _text(value: Any, name: str) -> str:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, str | bytes):
        raise FormatError(f"the attribute {name} holds {type(value).__name__}, not text; {SAVE_AGAIN}", 0)
    try:
        # h5py turns undecodable bytes of some kinds of text into surrogates
        return value.decode() if isinstance(value, bytes) else value.encode().decode()
    except UnicodeError as error:
        raise FormatError(f"the attribute {name} is no UTF-8 ({error}); {SAVE_AGAIN}", 0) from error


def _attribute(place: Any, name: str, limit_bytes: int) -> Any:
    with _reading(f"the attribute {name} of {_name(place)} cannot be read"):
        if name not in place.attrs:
            return None
        stored = place.attrs.get_id(name)
        declared_bytes = math.prod(stored.shape or (1,)) * stored.dtype.itemsize
        # texts of variable length stand elsewhere, behind references of 16 bytes that Python shrinks to 8
        if declared_bytes <= limit_bytes:
            return place.attrs[name]
    raise FormatError(
        f"the attribute {name} of {_name(place)} declares {declared_bytes} bytes; the file has {limit_bytes}",
        0,
    )


def _name(place: Any) -> str:
    return repr(place.name)


def member(place: Any, path: str, *, group: bool = False) -> Any:
    """Return what stands at a path below a group, following no link that leads elsewhere.

    Raises
    ------
    FormatError
        Nothing stands there, or a link to elsewhere, or a dataset where a group is wanted (or the reverse).

    """
    import h5py

    for part in path.split("/"):
        with _reading(f"{path!r} in {_name(place)} cannot be read"):
            link = place.get(part, getlink=True) if isinstance(place, h5py.Group) and part not in {"", "."} else None
            if isinstance(link, h5py.HardLink):
                place = place[part]
                continue
        if link is None:
            raise FormatError(f"{_name(place)} holds no {path!r}; {SAVE_AGAIN}", 0)
        raise FormatError(f"{path!r} in {_name(place)} is a link to elsewhere; Keras writes none. {SAVE_AGAIN}", 0)
    if not isinstance(place, h5py.Group if group else h5py.Dataset):
        raise FormatError(f"{_name(place)} is no {'group' if group else 'dataset'}; {SAVE_AGAIN}", 0)
    return place


def read_array(dataset: Any, shape: tuple[int, ...], limit_bytes: int, what: str) -> NDArray[np.float32]:
    """Read a dataset whose shape is known beforehand, as float32.

    float16 is widened; float64 is rounded to nearest, as Keras does when it loads the file into a float32
    layer.

    Parameters
    ----------
    dataset
        From :func:`member`.
    shape
        The shape that the layer's configuration implies.
    limit_bytes
        Length of the file.
    what
        For the messages: whose weight this is.

    Raises
    ------
    ModelError
        Another shape, or numbers that float32 cannot hold.
    FormatError
        The bytes are not in this file, or fewer than declared.

    """
    with _reading(f"{what} cannot be read"):
        dtype, found = dataset.dtype, dataset.shape
    if found != shape:
        raise ModelError(f"{what} has the shape {found}; the configuration implies {shape}; {SAVE_AGAIN}")
    if dtype.kind != "f" or dtype.itemsize not in {2, 4, 8}:
        raise ModelError(f"{what} is of type {dtype}; allowed are float16, float32 and float64; {SAVE_AGAIN}")
    _check_storage(dataset, dtype.itemsize, limit_bytes, what)
    with _reading(f"{what} cannot be read"):
        stored: NDArray[np.floating[Any]] = dataset[()]
    if not np.isfinite(stored).all():
        raise ModelError(f"{what} holds NaN or infinity; its training has diverged, take an earlier checkpoint")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(stored, np.float32)
    if not np.isfinite(array).all():
        raise ModelError(f"{what} holds float64 values beyond the range of float32; rescale the layer")
    return array


def _check_storage(dataset: Any, itemsize: int, limit_bytes: int, what: str) -> None:
    """Refuse what would make HDF5 read other files or allocate far more than this file holds."""
    import h5py

    with _reading(f"the layout of {what} cannot be read"):
        plan = dataset.id.get_create_plist()
        elsewhere = plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count() > 0
        filters = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())}
        chunk_bytes = math.prod(dataset.chunks or ()) * itemsize
        stored_bytes = min(dataset.id.get_storage_size(), limit_bytes)
    if elsewhere:
        raise FormatError(f"{what} keeps its values in other files or datasets; {SAVE_AGAIN}", 0)
    if filters - KNOWN_FILTERS:
        raise FormatError(f"{what} uses the HDF5 filters {sorted(filters - KNOWN_FILTERS)}; {SAVE_AGAIN}", 0)
    declared_bytes = math.prod(dataset.shape) * itemsize
    most_bytes = stored_bytes * (MAX_INFLATION if filters & {1, 32000} else 1)
    if declared_bytes > most_bytes or chunk_bytes > most_bytes + MAX_CHUNK_SLACK_BYTES:
        raise FormatError(
            f"{what} declares {max(declared_bytes, chunk_bytes)} bytes, of which {stored_bytes} are stored; "
            f"the file was cut off or never written; {SAVE_AGAIN}",
            0,
        )


def address(dataset: Any) -> int:
    """Return where the dataset's header stands, equal for two names of one dataset."""
    import h5py

    with _reading("a dataset has no address"):
        return int(h5py.h5o.get_info(dataset.id).addr)

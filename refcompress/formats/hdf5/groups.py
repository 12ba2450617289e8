"""Reading HDF5 without trusting any of it: groups, texts and lists of names."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcompress.errors import FormatError
from refcompress.formats.hdf5.source import Source

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


@contextlib.contextmanager
def open_file(source: Source) -> Iterator[Any]:
    """Open HDF5 and yield its root group.

    Raises
    ------
    FormatError
        The bytes are no HDF5, or one of its global heaps would be walked forever.

    """
    import h5py

    try:
        with reading("the file cannot be opened"):
            file = h5py.File(source, "r")
        try:
            _check_lengths(file)
            yield file
        finally:
            file.close()
    except FormatError as error:
        if source.trouble is not None and source.trouble is not error:
            raise source.trouble from error
        raise


def _check_lengths(file: Any) -> None:
    with reading("the superblock cannot be read"):
        sizes = file.id.get_create_plist().get_sizes()
    if sizes != (8, 8):  # h5py never wrote others, and heap.py knows no others
        raise FormatError(f"offsets and lengths in this HDF5 file take {sizes} bytes; allowed are 8; {SAVE_AGAIN}", 0)


def reading(trouble: str, place: Any = None) -> _Reading:
    """Turn what h5py raises for malformed bytes into our error, which begins with the trouble.

    Parameters
    ----------
    trouble
        What cannot be done.
    place
        The group it is about, which the message names.

    Returns
    -------
    context manager
        It raises :class:`FormatError` in the place of any of h5py's errors.

    """
    return _Reading(trouble, place)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    trouble: str
    place: Any

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _H5_ERRORS):
            where = "" if self.place is None else f" in {_name(self.place)}"
            raise FormatError(f"{self.trouble}{where} ({str(error)[:200]}); {SAVE_AGAIN}", 0) from error


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
    import h5py

    with reading(f"the attribute {name} cannot be read", place):
        if not h5py.h5a.exists(place.id, name.encode()):
            return None
        stored = h5py.h5a.open(place.id, name.encode())
        # texts of variable length stand elsewhere, behind references of 16 bytes
        kind, shape = stored.get_type(), stored.shape
        declared_bytes = math.prod(shape or (1,)) * kind.get_size()
        if declared_bytes <= limit_bytes:
            if shape == (0,):  # an empty list, as layers without weights have it, of whatever type
                return np.empty(0)
            if shape is None or not isinstance(kind, h5py.h5t.TypeStringID):
                return place.attrs[name]
            texts = np.empty(shape, h5py.string_dtype() if kind.is_variable_str() else f"S{kind.get_size()}")
            stored.read(texts)
            return texts
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

    found, _ = identified(place, path, group=group)
    return h5py.Group(found) if group else h5py.Dataset(found)


def identified(place: Any, path: str, *, group: bool = False) -> tuple[Any, int]:
    """Do what :func:`member` does with h5py's low-level objects, which ask HDF5 for each thing only once.

    Returns
    -------
    tuple
        The ``GroupID`` or ``DatasetID``, and where its header stands: equal for two names of one thing.

    """
    import h5py

    found, address = place.id, -1
    for part in path.split("/"):
        with reading(f"{path!r} cannot be read", place):
            link = _link(found, part) if isinstance(found, h5py.h5g.GroupID) else None
            if link is not None and link.type == h5py.h5l.TYPE_HARD:
                found, address = h5py.h5o.open(found, part.encode()), int(link.u)
                continue
        if link is None:
            raise FormatError(f"{_name(place)} holds no {path!r}; {SAVE_AGAIN}", 0)
        raise FormatError(f"{path!r} in {_name(place)} is a link to elsewhere; Keras writes none. {SAVE_AGAIN}", 0)
    if not isinstance(found, h5py.h5g.GroupID if group else h5py.h5d.DatasetID):
        raise FormatError(f"{path!r} in {_name(place)} is no {'group' if group else 'dataset'}; {SAVE_AGAIN}", 0)
    return found, address


def _link(group: Any, name: str) -> Any:
    """Return what HDF5 knows of the link of this name, None if there is none."""
    encoded = name.encode()
    if name in {"", "."} or "/" in name:
        return None
    try:
        return group.links.get_info(encoded)
    except (KeyError, RuntimeError):  # which of them depends on the version
        if group.links.exists(encoded):
            raise
        return None


def child(place: Any, name: str) -> Any:
    """Return the group that a group holds under a name, None if it holds none.

    Raises
    ------
    FormatError
        It is a link to elsewhere, or no group.

    """
    with reading(f"{name!r} cannot be read", place):
        missing = _link(place.id, name) is None
    return None if missing else member(place, name, group=True)


def names_below(group: Any) -> list[str]:
    """Return the paths of all that stands below a group, each thing once; links to elsewhere are not followed."""
    found: list[str] = []
    with reading("the names below a group cannot be read", group):
        group.visit(found.append)
    return found

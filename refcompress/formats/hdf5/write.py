"""Writing HDF5: a tree of groups, attributes and arrays as the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import h5py
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A folder of an HDF5 file.

    Attributes
    ----------
    members
        Name to subgroup or array; a name may hold slashes, which make groups between.
    attrs
        Name to text or list of texts.

    """

    members: Mapping[str, Group | NDArray[np.generic]] = field(default_factory=dict)
    attrs: Mapping[str, str | list[str]] = field(default_factory=dict)


def pack(tree: Group) -> bytes:
    """Return the bytes of an HDF5 file; the same tree and the same HDF5 library give the same bytes.

    Lists of texts become arrays of fixed-length bytes, as Keras writes ``weight_names``.

    Examples
    --------
    >>> image = pack(Group({"a/b": np.zeros(3, np.float32)}, {"backend": "numpy"}))
    >>> with h5py.File(io.BytesIO(image)) as file:
    ...     file["a/b"].shape, file.attrs["backend"]
    ((3,), 'numpy')

    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        _fill(file, tree)
    return memory.getvalue()


def _fill(place: h5py.Group, tree: Group) -> None:
    for name, value in tree.attrs.items():
        # an empty list has no longest text, and HDF5 has no strings of length 0
        place.attrs[name] = np.array(value, "S") if isinstance(value, list) and value else value
    for name, member in tree.members.items():
        if isinstance(member, Group):
            _fill(place.create_group(name), member)
        else:
            place.create_dataset(name, data=member)

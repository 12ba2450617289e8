"""A Keras file opened: whatever its layout, the architecture, what wrote it, and the HDF5 group with the weights."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from refcompress.errors import FormatError, ModelError, OptionError
from refcompress.formats.hdf5 import groups
from refcompress.formats.hdf5.groups import SAVE_AGAIN
from refcompress.formats.hdf5.source import Source
from refcompress.formats.keras import archive, keras1, paths

ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
MAX_JSON_BYTES = 1 << 26
MAX_JSON_DEPTH = 128

Architecture = str | os.PathLike[str] | Mapping[str, Any]

GIVE_ARCHITECTURE = (
    "give it: load(path, architecture='model.json'), a file of what model.to_json() returns, or a Keras model saved "
    "whole; or build the model in Keras, load these weights into it and save all of it: model.save('model.keras')"
)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """An open file of weights and the architecture they belong to.

    Attributes
    ----------
    model
        The decoded architecture: class name and configuration. That of Keras 1 is translated to Keras 2.
    keras_version
        What wrote the file: ``"3.8.0"``; where the file does not say, the generation that can be told from the
        architecture (``"2"`` or ``"3"``), or "".
    backend
        What the file says; "" if nothing.
    weights
        The HDF5 group that holds the groups of the layers.
    by_name
        Whether the weights stand under their layers' names (legacy HDF5), not under the path of their objects.
    source
        The bytes of the HDF5.

    """

    model: Mapping[str, Any]
    keras_version: str
    backend: str
    weights: Any
    by_name: bool
    source: Source

    @property
    def size_bytes(self) -> int:
        """Length of the HDF5, which bounds what is read."""
        return self.source.size_bytes


@dataclass(frozen=True, slots=True, eq=False)
class _Described:
    """An architecture, and what is said to have written it."""

    model: Mapping[str, Any] | None
    keras_version: str = ""
    backend: str = ""


@contextlib.contextmanager
def open_checkpoint(path: str | os.PathLike[str], architecture: Architecture | None = None) -> Iterator[Checkpoint]:
    """Open a Keras file of weights, recognised by its content.

    Legacy HDF5 of Keras 1, Keras 2, tf.keras and Keras 3, whole models or weights only; ``.keras`` archives and
    ``.weights.h5`` of Keras 3 and of tf.keras since 2.12.

    Parameters
    ----------
    path
        The file.
    architecture
        For files of weights only: the path of a JSON file, its text or the decoded JSON, or the path of a whole model.
        If it is given, that of the file does not count.

    Raises
    ------
    FormatError
        The bytes are not laid out as Keras does.
    ModelError
        The file holds weights without the architecture, and none is given.
    OptionError
        A file cannot be read, or the architecture given is none.

    """
    given = _Described(None) if architecture is None else _architecture(architecture)
    with _opened(path) as (archived, root, source):
        weights, by_name = _weights(root)
        described = archived or _described(root, source)
        stated = described.model if given.model is None else given.model
        if stated is None:
            raise ModelError(f"the file holds weights only, without the architecture; {GIVE_ARCHITECTURE}")
        version = described.keras_version or given.keras_version or _generation(stated)
        model = keras1.translate(stated) if version.startswith("1.") or keras1.speaks(stated) else stated
        yield Checkpoint(model, version, described.backend or given.backend, weights, by_name, source)


def written_by(path: str | os.PathLike[str]) -> str:
    """Return the version of Keras that a file names, "" if none.

    Raises
    ------
    FormatError, ModelError
        It is no file of Keras.
    OptionError
        It cannot be read.

    """
    with _opened(path) as (described, root, source):
        return (described or _described(root, source)).keras_version


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[_Described | None, Any, Source]]:
    """Open the HDF5 of a file, inside an archive or not; yield what the archive says, the root group and its bytes."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb", buffering=0))
        except OSError as error:
            raise OptionError(f"{path} cannot be read: {error.strerror}; give the path of a model file") from error
        described, source = None, Source(file, 0, os.fstat(file.fileno()).st_size)
        if source.bytes_at(0, 4).startswith(ZIP_SIGNATURES):
            described, source = _open_archive(file, source.size_bytes)
        with groups.open_file(source) as root:
            yield described, root, source


def _open_archive(file: BinaryIO, archive_bytes: int) -> tuple[_Described, Source]:
    members = archive.members(file, archive_bytes)
    for name in ("config.json", "model.weights.h5"):
        if name not in members:
            held = ", ".join(map(repr, list(members)[:8])) or "nothing"
            raise FormatError(
                f"the zip archive holds no {name!r}, as those of Keras do; it holds {held}; {SAVE_AGAIN}", 0
            )
    texts = {}
    for name in ("config.json", "metadata.json"):
        if name in members and members[name].size_bytes > MAX_JSON_BYTES:
            raise FormatError(f"{name!r} in the zip archive has more than {MAX_JSON_BYTES} bytes", members[name].header)
        data = archive.read_member(file, members[name], archive_bytes) if name in members else b"{}"
        texts[name] = decode_json(data, f"{name!r} in the zip archive")
    version = texts["metadata.json"].get("keras_version", "")
    described = _Described(texts["config.json"], version if isinstance(version, str) else "")
    return described, archive.open_member(file, members["model.weights.h5"], archive_bytes)


def _weights(root: Any) -> tuple[Any, bool]:
    """Return the group that holds those of the layers, and whether they are called as the layers are."""
    with groups.reading("the names in the file cannot be read"):
        attributes, members = set(root.attrs), set(root)
    if "model_config" in attributes or "model_weights" in members:
        return groups.member(root, "model_weights", group=True), True
    if attributes & {"layer_names", "layer_names0"}:
        return root, True
    if members & set(paths.CONTAINERS):
        return root, False
    if "nb_layers" in attributes:
        raise ModelError(f"the file is of Keras before 1.0, whose layers have no names; {SAVE_AGAIN}")
    raise ModelError(
        "this HDF5 file is no Keras model: it has neither model_config nor layer_names nor a group 'layers'; if it "
        f"should be one, {SAVE_AGAIN}; arrays that something else saved are read by refcompress.formats.load_weights"
    )


def _described(root: Any, source: Source) -> _Described:
    """Read the attributes of a legacy file; other HDF5 has none of them."""
    config, version, backend = (
        groups.read_text(root, name, source.size_bytes) for name in ("model_config", "keras_version", "backend")
    )
    model = None if config is None else decode_json(config, "the attribute model_config")
    return _Described(model, version or "", backend or "")


def _architecture(given: Architecture) -> _Described:
    """Read an architecture that stands beside the weights."""
    if isinstance(given, str) and given.lstrip().startswith("{"):
        return _stated(decode_json(given, "the architecture"))
    if not isinstance(given, Mapping):
        return _architecture_file(given)
    try:
        text = json.dumps(dict(given))
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError(f"the architecture given is no JSON ({error}); give what model.to_json() returns") from error
    return _stated(decode_json(text, "the architecture"))


def _architecture_file(path: str | os.PathLike[str]) -> _Described:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_JSON_BYTES + 1)
    except (OSError, ValueError) as error:  # a text that is no name of a file
        raise OptionError(f"the architecture {str(path)[:200]!r} cannot be read: {error}") from error
    if not data.lstrip().startswith(b"{"):
        with _opened(path) as (described, root, source):
            found = described or _described(root, source)
        if found.model is None:
            raise OptionError(f"the architecture {path} holds weights only; give a config JSON or a model saved whole")
        return found
    if len(data) > MAX_JSON_BYTES:
        raise FormatError(f"the architecture {path} has more than {MAX_JSON_BYTES} bytes", MAX_JSON_BYTES)
    return _stated(decode_json(data, f"the architecture {path}"))


def _stated(model: Mapping[str, Any]) -> _Described:
    # Keras 1 and 2 put these beside the model's class
    version, backend = (
        text if isinstance(text, str) else "" for text in (model.get("keras_version"), model.get("backend"))
    )
    return _Described(model, version, backend)


def decode_json(text: str | bytes, what: str) -> Mapping[str, Any]:
    """Decode a JSON object that nests not too deep for what walks it.

    Examples
    --------
    >>> decode_json('{"class_name": 1}', "the text")
    {'class_name': 1}

    Raises
    ------
    FormatError
        It is no JSON, no object, or nests deeper than :data:`MAX_JSON_DEPTH`.

    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is no JSON ({str(error)[:200]}); {SAVE_AGAIN}", 0) from error
    _check_depth(value, what)
    if not isinstance(value, dict):
        raise FormatError(f"{what} is no JSON object; {SAVE_AGAIN}", 0)
    return value


def _check_depth(value: Any, what: str) -> None:
    # everything after this walks the configuration recursively
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [inner for item in level for inner in _inner(item)]
        if not level:
            return
    raise FormatError(f"{what} nests deeper than {MAX_JSON_DEPTH} levels", 0)


def _inner(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _generation(model: Mapping[str, Any]) -> str:
    """Return what wrote an architecture that does not say so: Keras 3 calls the shape of an input otherwise."""
    level: list[Any] = [model]
    while level:
        for item in level:
            if isinstance(item, dict) and not item.keys().isdisjoint({"batch_shape", "batch_input_shape"}):
                return "3" if "batch_shape" in item else "2"
        level = [inner for item in level for inner in _inner(item)]
    return ""

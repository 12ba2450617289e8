"""HDF5 that Keras would not write: each file gives one of our errors, and allocates nothing it does not hold."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from checks import keras_files as kf
from checks.keras_files import image_input, layer, sequential

from refcompress.errors import FormatError, ModelError
from refcompress.formats import keras

DENSE = sequential(image_input("x", 3), layer("Dense", "d", units=2, use_bias=False))
KERNEL = np.ones((3, 2), np.float32)
WEIGHTS = {"d": {"d/kernel:0": KERNEL}}
PLACE = "model_weights/d/d/kernel:0"

Spoil = Callable[[h5py.File], None]


def refused(folder: Path, spoil: Spoil, model: Any = DENSE, weights: Any = None) -> str:
    """Spoil a checkpoint, import it, and return the message of the error."""
    return kf.refusal(folder, model, WEIGHTS if weights is None else weights, spoil)


def replaced(**how: Any) -> Spoil:
    """Put another dataset in the place of the kernel."""

    def spoil(file: h5py.File) -> None:
        del file[PLACE]
        file.create_dataset(PLACE, **how)

    return spoil


def attribute(place: str, name: str, value: Any) -> Spoil:
    """Set an attribute, or delete it (None)."""

    def spoil(file: h5py.File) -> None:
        del file[place].attrs[name]
        if value is not None:
            file[place].attrs[name] = value

    return spoil


def linked(link: Any) -> Spoil:
    """Put a link in the place of the kernel, to a copy of it."""

    def spoil(file: h5py.File) -> None:
        file.move(PLACE, "copy")
        file[PLACE] = link

    return spoil


def virtual(file: h5py.File) -> None:
    """Make the kernel a view of a dataset in another file."""
    del file[PLACE]
    layout = h5py.VirtualLayout((3, 2), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "data", (3, 2))
    file.create_virtual_dataset(PLACE, layout)


DATASETS: list[tuple[str, Spoil, str]] = [
    # the shape that the configuration implies is (3, 2)
    ("another shape", replaced(data=np.ones((2, 3), np.float32)), r"has the shape \(2, 3\); .* implies \(3, 2\)"),
    ("a scalar", replaced(data=np.float32(1)), r"has the shape \(\)"),
    ("no dataspace", replaced(data=h5py.Empty("f4")), "has the shape None"),
    ("integers", replaced(data=np.ones((3, 2), np.int8)), "is of type int8; allowed are float16, float32"),
    ("booleans", replaced(data=np.ones((3, 2), bool)), "is of type bool"),
    ("complex numbers", replaced(data=np.ones((3, 2), np.complex64)), "is of type"),
    ("records", replaced(data=np.zeros((3, 2), [("a", "f4")])), "is of type"),
    ("texts", replaced(data=np.full((3, 2), b"1.0")), "is of type"),
    ("lists of any length", replaced(shape=(3, 2), dtype=h5py.vlen_dtype(np.float32)), "is of type object"),
    ("80-bit floats", replaced(data=np.ones((3, 2), np.longdouble)), "is of type|cannot be read"),
    ("NaN", replaced(data=np.full((3, 2), np.nan, np.float32)), "holds NaN or infinity"),
    ("infinity", replaced(data=np.full((3, 2), np.inf, np.float16)), "holds NaN or infinity"),
    ("float64 beyond float32", replaced(data=np.full((3, 2), 1e39)), "beyond the range of float32"),
    ("never written", replaced(shape=(3, 2), dtype="f4"), "declares 24 bytes, of which 0 are stored"),
    # HDF5 reads whole chunks: one of 2 GB would be allocated for 24 bytes
    ("huge chunks", replaced(shape=(3, 2), dtype="f4", chunks=(2**15, 2**14), maxshape=(None, None)), "are stored"),
    ("an unknown filter", replaced(shape=(3, 2), dtype="i4", scaleoffset=4), "type int32"),
    ("a lossy filter", replaced(data=KERNEL, scaleoffset=1), r"uses the HDF5 filters \[6\]"),
    # HDF5 would open whatever file the checkpoint names
    ("external storage", replaced(shape=(3, 2), dtype="f4", external=[("/etc/passwd", 0, 24)]), "in other files"),
    ("a virtual dataset", virtual, "in other files"),
    ("an external link", linked(h5py.ExternalLink("other.h5", "copy")), "a link to elsewhere"),
    ("a soft link", linked(h5py.SoftLink("/copy")), "a link to elsewhere"),
    ("a dangling soft link", linked(h5py.SoftLink("/nowhere")), "a link to elsewhere"),
]


@pytest.mark.parametrize(("spoil", "message"), [case[1:] for case in DATASETS], ids=[case[0] for case in DATASETS])
def test_a_dataset_that_keras_does_not_write_is_refused(tmp_path: Path, spoil: Spoil, message: str) -> None:
    assert re.search(message, refused(tmp_path, spoil))


def as_group(file: h5py.File) -> None:
    """Make the kernel a group."""
    del file[PLACE]
    file.create_group(PLACE)


def as_type(file: h5py.File) -> None:
    """Make the kernel a stored data type."""
    del file[PLACE]
    file[PLACE] = np.dtype("f4")


def group_as_dataset(file: h5py.File) -> None:
    """Make the group of a layer a dataset."""
    del file["model_weights/d"]
    file["model_weights/d"] = np.ones(2)


def without(name: str) -> Spoil:
    """Delete a group or dataset."""

    def spoil(file: h5py.File) -> None:
        del file[name]

    return spoil


STRUCTURES: list[tuple[str, Spoil, str]] = [
    ("a group for a kernel", as_group, "is no dataset"),
    ("a type for a kernel", as_type, "is no dataset"),
    ("a dataset for a layer", group_as_dataset, "is no group"),
    ("no weights at all", without("model_weights"), "holds no 'model_weights'"),
    ("no group for a layer", without("model_weights/d"), "holds no 'd'"),
    ("no dataset", without(PLACE), "'/model_weights/d/d' holds no 'kernel:0'"),
    ("no layer_names", attribute("model_weights", "layer_names", None), "no attribute layer_names"),
    ("no weight_names", attribute("model_weights/d", "weight_names", None), "no attribute weight_names"),
    ("an unlisted layer", attribute("model_weights", "layer_names", [b"e"]), "holds none for it"),
    ("an unlisted weight", attribute("model_weights/d", "weight_names", []), "is missing; .* holds none"),
    ("numbers for names", attribute("model_weights/d", "weight_names", [1.0]), "holds float64, not text"),
    ("one text for names", attribute("model_weights/d", "weight_names", "d/kernel:0"), "is no list of texts"),
    ("a table of names", attribute("model_weights/d", "weight_names", [[b"a"]]), "is no list of texts"),
    ("names that are no UTF-8", attribute("model_weights/d", "weight_names", [b"\xff\xfe"]), "is no UTF-8"),
    ("a name twice", attribute("model_weights/d", "weight_names", [b"d/kernel:0"] * 2), "lists a weight twice"),
    ("two kernels", attribute("model_weights/d", "weight_names", [b"d/kernel:0", b"e/kernel:0"]), "may be any of"),
    ("a name that leaves the group", attribute("model_weights/d", "weight_names", [b"../kernel"]), "holds no"),
    ("an absolute name", attribute("model_weights/d", "weight_names", [b"/kernel:0"]), "holds no '/kernel:0'"),
    (
        "a name with a null byte",
        attribute("model_weights/d", "weight_names", np.array([b"a\0b/kernel"])),
        "holds no",
    ),
    ("no architecture", attribute("/", "model_config", None), "weights only|no Keras model"),
    ("numbers for the architecture", attribute("/", "model_config", [1, 2]), "holds ndarray, not text"),
    ("no value for the architecture", attribute("/", "model_config", h5py.Empty("S4")), "not text"),
    ("a number for the version", attribute("/", "keras_version", 2), "not text"),
]


@pytest.mark.parametrize(("spoil", "message"), [case[1:] for case in STRUCTURES], ids=[case[0] for case in STRUCTURES])
def test_a_structure_that_keras_does_not_write_is_refused(tmp_path: Path, spoil: Spoil, message: str) -> None:
    assert re.search(message, refused(tmp_path, spoil))


def test_weights_that_no_layer_explains_are_refused(tmp_path: Path) -> None:
    weights = {"d": {"d/kernel:0": KERNEL, "d/kernel_scale:0": KERNEL}}
    assert "'d/kernel_scale:0' that its configuration does not explain" in kf.refusal(tmp_path, DENSE, weights)


def test_a_dataset_under_two_names_is_read_once_only(tmp_path: Path) -> None:
    model = sequential(image_input("x", 3), *(layer("Dense", name, units=3, use_bias=False) for name in "de"))
    square = np.ones((3, 3), np.float32)

    def alias(file: h5py.File) -> None:
        del file["model_weights/e/e/kernel:0"]
        file["model_weights/e/e/kernel:0"] = file[PLACE]

    weights = {"d": {"d/kernel:0": square}, "e": {"e/kernel:0": square}}
    assert "which another weight has been read from" in refused(tmp_path, alias, model, weights)


@pytest.mark.parametrize("chunks", [None, (2**10, 2**10)])
def test_a_huge_declared_weight_is_refused_before_it_is_allocated(tmp_path: Path, chunks: Any) -> None:
    size = 2**20
    model = sequential(image_input("x", size), layer("Dense", "d", units=size, use_bias=False))
    spoil = replaced(shape=(size, size), dtype="f4", chunks=chunks)
    keras.load(kf.write(tmp_path / "model.h5", DENSE, WEIGHTS))  # imports what loading needs
    tracemalloc.start()
    try:
        message = refused(tmp_path, spoil, model)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "declares 4398046511104 bytes, of which 0 are stored" in message
    assert peak < 4_000_000


def test_a_contiguous_weight_beyond_the_end_of_the_file_is_refused(tmp_path: Path) -> None:
    size = 600
    model = sequential(image_input("x", size), layer("Dense", "d", units=size, use_bias=False))
    path = kf.write(tmp_path / "model.h5", model, {"d": {"d/kernel:0": np.ones((size, size), np.float32)}})
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 50):
        path.write_bytes(whole[:length])
        with pytest.raises((FormatError, ModelError)):
            keras.load(path)


@pytest.mark.parametrize(
    "filters", [{"compression": "gzip", "shuffle": True, "fletcher32": True}, {"compression": "lzf"}]
)
def test_compressed_weights_are_read(tmp_path: Path, filters: Any) -> None:
    zeros = np.zeros((512, 512), np.float32)  # gzip stores them in a thousandth of their bytes
    model = sequential(image_input("x", 512), layer("Dense", "d", units=512, use_bias=False))
    path = kf.write(tmp_path / "model.h5", model, WEIGHTS, spoil=replaced(data=zeros, **filters))
    assert keras.load(path).params["d/kernel"].shape == (512, 512)


def test_a_heap_that_hdf5_would_walk_forever_is_refused(tmp_path: Path) -> None:
    path = kf.write(tmp_path / "model.h5", DENSE, WEIGHTS)
    data = bytearray(path.read_bytes())
    place = data.index(b"GCOL") + 16
    while data[place : place + 2] != bytes(2):
        place += 16 + -(-int.from_bytes(data[place + 8 : place + 16], "little") // 8) * 8
    data[place + 8 : place + 16] = bytes(8)  # the size of the free space
    path.write_bytes(data)
    with pytest.raises(FormatError, match="free object of size 0"):
        keras.load(path)

"""Files are recognised by their bytes; all other files are refused, saying what is supported."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from checks import keras_files as kf
from checks.keras_files import image_input, layer, sequential

from refcompress import formats
from refcompress.errors import FormatError, OptionError

MODEL = sequential(image_input("x", 4), layer("Dense", "d", units=2, use_bias=False))
WEIGHTS = {"d": {"d/kernel:0": np.ones((4, 2), np.float32)}}


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "model.rcz", "model"])
def test_the_name_of_a_file_does_not_matter(tmp_path: Path, name: str) -> None:
    assert len(formats.load(kf.write(tmp_path / name, MODEL, WEIGHTS)).nodes) == 1


def test_hdf5_may_begin_after_a_user_block(tmp_path: Path) -> None:
    plain = kf.write(tmp_path / "plain.h5", MODEL, WEIGHTS).read_bytes()
    path = tmp_path / "model.h5"
    path.write_bytes(bytes(1024) + plain)
    assert len(formats.load(path).nodes) == 1


def test_a_saved_container_is_loaded_again(tmp_path: Path) -> None:
    graph = formats.load(kf.write(tmp_path / "model.h5", MODEL, WEIGHTS))
    formats.save(graph, tmp_path / "model.h5")
    assert formats.load(tmp_path / "model.h5").nodes == graph.nodes


@pytest.mark.parametrize("data", [b"", b"\x89", b"PK", b"not a model at all", b"\x89HDF\r\n\x1a", bytes(3000)])
def test_other_bytes_are_refused_saying_what_is_supported(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"supported are \.rcz containers and Keras models saved whole as HDF5"):
        formats.load(path)


def test_an_archive_is_refused_saying_how_to_convert_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.h5", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(FormatError, match=r"zip archive.*load_model\('model.keras'\).save\('model.h5'\)"):
        formats.load(tmp_path / "model.h5")


@pytest.mark.parametrize("name", ["missing.h5", ""])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        formats.load(tmp_path / name)


def test_h5py_is_imported_by_the_first_hdf5_file_only() -> None:
    code = "import sys, refcompress.formats; sys.exit('h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

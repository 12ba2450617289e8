"""Files are recognised by their bytes; all other files are refused, saying what is supported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checks import keras_archives as ka
from checks import keras_files as kf
from checks.keras_files import image_input, layer, sequential

from refcompress import formats
from refcompress.errors import FormatError, OptionError
from refcompress.graph import Graph, TensorSpec
from refcompress.integer import IntegerNetwork

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
    with pytest.raises(FormatError, match=r"supported are \.rcz containers, ONNX models, and Keras models"):
        formats.load(path)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_an_archive_is_seen_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(ka.archive(ka.members(MODEL, {"layers/dense": ("d", [WEIGHTS["d"]["d/kernel:0"]])})))
    assert len(formats.load(path).nodes) == 1


def test_a_tflite_model_is_refused_saying_what_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    with pytest.raises(FormatError, match=r"refcompress\.load_integer"):
        formats.load(path)


def test_an_architecture_and_shapes_are_refused_where_they_mean_nothing(tmp_path: Path) -> None:
    graph = formats.load(kf.write(tmp_path / "model.h5", MODEL, WEIGHTS))
    path = tmp_path / "model.rcz"
    formats.save(graph, path)
    with pytest.raises(OptionError, match="architecture is for Keras files"):
        formats.load(path, architecture=MODEL)
    with pytest.raises(OptionError, match="input_shapes is for inputs of open sizes"):
        formats.load(path, input_shapes={"x": (4,)})
    with pytest.raises(OptionError, match="batched=False is for ONNX models"):
        formats.load(path, batched=False)


def test_a_given_architecture_counts_instead_of_that_of_the_file(tmp_path: Path) -> None:
    path = kf.write(tmp_path / "model.h5", MODEL, WEIGHTS)
    other = sequential(image_input("x", 4), layer("Dense", "d", units=2, use_bias=False, activation="relu"))
    assert [node.op for node in formats.load(path, architecture=other).nodes] == ["Gemm", "Relu"]


@pytest.mark.parametrize("name", ["missing.h5", ""])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        formats.load(tmp_path / name)


def test_h5py_is_imported_by_the_first_hdf5_file_only() -> None:
    code = "import sys, refcompress.formats; sys.exit('h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_integer_networks_are_loaded_by_their_content(tmp_path: Path) -> None:
    pytest.importorskip("tflite", reason="needs the extra tflite")
    from checks.tflite_networks import conv

    (tmp_path / "a.rcz").write_bytes(conv(np.random.default_rng(0)))
    network = formats.load_integer(tmp_path / "a.rcz")
    assert isinstance(network, IntegerNetwork)
    formats.save(network, tmp_path / "b.tflite")
    again = formats.load_integer(tmp_path / "b.tflite")
    assert again.quantizations == network.quantizations
    assert all(formats.holds_integers(tmp_path / name) for name in ("a.rcz", "b.tflite"))


def test_what_holds_no_integer_network_is_refused(tmp_path: Path) -> None:
    formats.save(Graph((TensorSpec("x", (1,)),), ("x",), (), {}), tmp_path / "real.rcz")
    (tmp_path / "text").write_bytes(b"something else")
    assert not any(formats.holds_integers(tmp_path / name) for name in ("real.rcz", "text"))
    with pytest.raises(FormatError, match=r"a network of real numbers; refcompress\.load reads it"):
        formats.load_integer(tmp_path / "real.rcz")
    with pytest.raises(FormatError, match=r"no \.rcz container and no \.tflite file"):
        formats.load_integer(tmp_path / "text")
    with pytest.raises(OptionError, match="cannot be read"):
        formats.load_integer(tmp_path / "missing")

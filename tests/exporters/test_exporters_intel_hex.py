"""Intel HEX against binutils, which read it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checks import targets
from checks.image_networks import integer_network, network

import exporters.blob
from exporters.blob.intel_hex import lines_of
from refcompress import Graph
from refcompress.integer import IntegerNetwork


def _read_back(text: bytes, folder: Path, *flags: str) -> bytes:
    targets.require(targets.Target("binutils", "objcopy", ()))
    (folder / "net.hex").write_bytes(text)
    done = targets.attempt(["objcopy", "-I", "ihex", "-O", "binary", *flags, "net.hex", "net.bin"], folder)
    assert done.returncode == 0, done.stderr
    return (folder / "net.bin").read_bytes()


@pytest.mark.parametrize("made", [network(), integer_network()[1]], ids=["float32", "int8"])
def test_binutils_read_the_image_back(made: Graph | IntegerNetwork, tmp_path: Path) -> None:
    files = exporters.blob.export(made, prefix="net")
    assert _read_back(files["net.hex"], tmp_path) == files["net.bin"]


@pytest.mark.parametrize("size", [1, 15, 16, 17, 65535, 65536, 65537, 200_001])
def test_any_number_of_bytes_is_read_back(size: int, tmp_path: Path) -> None:
    data = np.random.default_rng(size).bytes(size)
    assert _read_back("\n".join(lines_of(data)).encode(), tmp_path) == data


def test_the_command_of_the_format_moves_an_image(tmp_path: Path) -> None:
    targets.require(targets.Target("binutils", "objcopy", ()))
    data = bytes(range(256)) * 300  # across 64 KiB
    (tmp_path / "net.hex").write_text("\n".join(lines_of(data)), encoding="ascii")
    options = ["-I", "ihex", "-O", "ihex", "--change-addresses", "0x08040000"]
    assert targets.attempt(["objcopy", *options, "net.hex", "moved.hex"], tmp_path).returncode == 0
    listing = targets.attempt(["objdump", "-h", "moved.hex"], tmp_path).stdout
    assert "08040000" in listing
    assert _read_back((tmp_path / "moved.hex").read_bytes(), tmp_path) == data

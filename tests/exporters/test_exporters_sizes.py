"""Flash, memory and instructions of the networks that come with the project: a regression is seen.

The numbers were made with Debian's GCC 12.2; others may differ by some percent.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from checks import targets

import refcompress
from exporters import runtime
from exporters.forms import choose_forms
from exporters.report import report
from exporters.report.measure import missing_tools
from refcompress import Graph, recipe
from refcompress.integer import IntegerNetwork
from reference_models import DIGITS_CHECKPOINT, DIGITS_RECIPE

GOLDEN = targets.ROOT / "tests" / "golden" / "cortex_m4.json"
CHECKPOINTS = targets.ROOT / "reference_models" / "checkpoints"
SLACK = 0.03


def _network(name: str) -> Graph | IntegerNetwork:
    """Return a network that is shipped; in int8 it is calibrated by noise, which sizes do not depend on much."""
    file, _, form = name.partition(" ")
    if file == "digits":
        network = refcompress.compress(refcompress.load(DIGITS_CHECKPOINT), recipe.load(DIGITS_RECIPE))[0]
    else:
        network = refcompress.load(CHECKPOINTS / f"{file}.rcz")
    assert isinstance(network, Graph)
    if form == "float32":
        return network
    shape = network.inputs[0].shape
    noise = np.random.default_rng(0).random((64, *shape), np.float32)
    return choose_forms(refcompress.quantize_network(network, noise), "size")


@pytest.mark.parametrize("name", json.loads(GOLDEN.read_text()))
def test_nothing_has_grown(name: str) -> None:
    targets.require(targets.M4)
    if missing_tools():
        pytest.skip(f"needs {', '.join(missing_tools())}")
    expected = json.loads(GOLDEN.read_text())[name]
    found = report(_network(name), prefix="net")
    for key, most in expected.items():
        value = getattr(found, key)
        assert value <= most * (1 + SLACK), f"{key} has grown from {most} to {value}"
        assert value >= most * (1 - SLACK), f"{key} has shrunk from {most} to {value}: keep that in {Path(GOLDEN).name}"


def test_the_code_of_a_sparse_dense_network_is_small() -> None:
    """Kernels, decoder, softmax, descriptors and the calls: all of the flash that is not tables."""
    targets.require(targets.M4)
    if missing_tools():
        pytest.skip(f"needs {', '.join(missing_tools())}")
    found = report(_network("lenet_300_100 int8"), prefix="net")
    assert found.flash_bytes is not None
    assert found.flash_bytes - found.table_bytes < 1500


def test_the_state_of_the_decoder_is_some_dozen_bytes(tmp_path: Path) -> None:
    targets.require(targets.M4)
    files = runtime.files_for(["q_gemm_stream"])
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    readers = ("rc_reader", "rc_q_reader")
    checks = "".join(f"extern char {name}_fits[sizeof({name}) <= 64u ? 1 : -1];\n" for name in readers)
    (tmp_path / "state.c").write_text(f'#include "rc_stream.h"\n#include "rc_q_entries.h"\n{checks}')
    targets.compile_object(targets.M4, tmp_path / "state.c", tmp_path / "state.o")

"""The report of an export: what is stated adds up, and what is measured is what an independent counter counts."""

from __future__ import annotations

import numpy as np
import pytest
from checks import targets
from checks.export import check_export, harness_bytes
from checks.small_networks import classifier

import exporters.c
import refcompress
from exporters.report import report
from exporters.report.measure import measure, missing_tools
from refcompress import Graph
from refcompress.errors import MissingToolError
from refcompress.integer import IntegerNetwork


def _networks() -> list[Graph | IntegerNetwork]:
    samples = np.random.default_rng(1).normal(size=(64, 12)).astype(np.float32)
    return [classifier(), refcompress.quantize_network(classifier(), samples)]


@pytest.mark.parametrize("network", _networks(), ids=["float", "int8"])
def test_what_is_stated_adds_up(network: Graph | IntegerNetwork) -> None:
    found = report(network, prefix="net")
    header = exporters.c.export(network, prefix="net")["net.h"].decode()
    assert f"#define NET_ARENA_BYTES {found.arena_bytes}\n" in header
    assert found.macs == 12 * 32 + 32 * 4
    assert found.table_bytes == sum(layer.table_bytes for layer in found.layers)
    assert f" {found.table_bytes} bytes of tables" in header
    assert max(layer.live_bytes for layer in found.layers) == found.arena_bytes
    assert [layer.live_bytes == found.arena_bytes for layer in found.layers] == [
        layer.is_peak for layer in found.layers
    ]
    assert found.buffer_bytes == (12 + 4) * (4 if isinstance(network, Graph) else 1)


@pytest.mark.parametrize("network", _networks(), ids=["float", "int8"])
def test_what_is_measured_is_what_a_plugin_counts(network: Graph | IntegerNetwork) -> None:
    targets.require(targets.M4)
    if missing_tools():
        pytest.skip(f"needs {', '.join(missing_tools())}")
    found = report(network, prefix="net")
    assert found.flash_bytes is not None
    assert found.instructions is not None
    zeros = np.zeros((1, 12), np.float32)
    if isinstance(network, IntegerNetwork):
        zeros = np.full((1, 12), network.quantizations["x"].zero_point, np.int8)
    (counted,) = check_export(network, zeros, on=(targets.M4,), count=True)
    if counted.instructions is not None:  # the report runs on integers of 0, whatever they stand for
        assert found.instructions == pytest.approx(counted.instructions, rel=0.02, abs=120)
    stated = counted.text_bytes + counted.data_bytes - harness_bytes(network, zeros)
    assert found.flash_bytes == pytest.approx(stated, rel=0.02, abs=64)


def test_without_tools_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = report(classifier(), prefix="net")
    assert found.missing == ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
    assert (found.flash_bytes, found.instructions, found.layers[0].instructions) == (None, None, None)
    made = exporters.c.generate(classifier(), prefix="net")
    with pytest.raises(MissingToolError, match="gcc-arm-none-eabi"):
        measure(made.files, made.program, made.buffers, "net")

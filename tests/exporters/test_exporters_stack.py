"""The stack that a header states is enough: every kernel's calls followed, and real runs measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checks import stack, targets
from checks.export import check_export
from checks.small_networks import classifier
from checks.targets import Target

import exporters.c
from exporters.c.calls import kernels_of
from exporters.stack import RUN_BYTES, STACK_BYTES, stack_bytes


@pytest.mark.parametrize("level", ["-O2", "-Os"])
@pytest.mark.parametrize(
    "target",
    [target if target is targets.M4 else pytest.param(target, marks=pytest.mark.slow) for target in stack.TARGETS],
    ids=lambda target: target.name,
)
def test_no_kernel_goes_deeper_than_stated(target: Target, level: str, tmp_path: Path) -> None:
    """Frames have fixed sizes, nothing calls itself, and pointers lead only from recurrent layers to their parts."""
    targets.require(target)
    found = stack.kernel_stacks(target, tmp_path, [level])
    assert set(found) == set(STACK_BYTES)
    too_deep = {kernel: found[kernel] for kernel in found if found[kernel] > STACK_BYTES[kernel]}
    assert not too_deep, "state more in exporters/stack.py, or find what costs it"


@pytest.mark.parametrize("target", [targets.M0, targets.M4], ids=lambda target: target.name)
def test_a_run_stays_within_what_its_header_states(target: Target) -> None:
    targets.require(target)
    network = classifier()
    stated = stack_bytes(kernels_of(exporters.c.lowered(network)))
    assert f"at most {stated} bytes of stack".encode() in exporters.c.export(network, prefix="net")["net.h"]
    x = np.random.default_rng(0).normal(size=(2, 12)).astype(np.float32)
    (measured,) = check_export(network, x, on=(target,))
    assert measured.stack_bytes is not None
    assert RUN_BYTES < measured.stack_bytes <= stated


@pytest.mark.parametrize("level", ["-O2", "-Os"])
def test_the_generated_function_itself_takes_little(level: str, tmp_path: Path) -> None:
    targets.require(targets.M4)
    files = exporters.c.export(classifier(), prefix="net")
    graph = stack.call_graph(targets.M4, files, tmp_path, [level])
    assert graph.frames["net_run"] <= RUN_BYTES
    assert graph.deepest("net_run") <= stack_bytes(kernels_of(exporters.c.lowered(classifier())))

"""The C programs of exporters/README.md are whole: they compile without a warning, run, and read a digit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checks import targets

import exporters.blob
import exporters.c
import refcompress
from refcompress import Graph, recipe
from reference_models import DIGITS_CHECKPOINT, DIGITS_RECIPE

PROGRAMS = [
    block.split("```")[0]
    for block in (targets.ROOT / "exporters" / "README.md").read_text(encoding="utf-8").split("```c\n")[1:]
]


@pytest.fixture(scope="module")
def network() -> Graph:
    small, _report = refcompress.compress(refcompress.load(DIGITS_CHECKPOINT), recipe.load(DIGITS_RECIPE))
    return small


@pytest.mark.parametrize("target", [targets.GCC, targets.CLANG, targets.M4], ids=lambda target: target.name)
@pytest.mark.parametrize(
    ("program", "export"), [*zip(PROGRAMS, [exporters.c.export, exporters.blob.export], strict=True)], ids=["c", "blob"]
)
def test_the_example_reads_a_digit(
    program: str,
    export: Callable[..., dict[str, bytes]],
    target: targets.Target,
    network: Graph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    targets.require(target)
    bar = np.zeros((1, 8, 8, 1), np.float32)
    bar[:, :, 3:5] = 1
    digit = int(refcompress.run_exact(network, bar)[0].argmax())
    assert digit == 1
    monkeypatch.chdir(tmp_path)  # where the assembler looks for the image
    built = targets.build(target, export(network, prefix="digits"), program, tmp_path)
    done = targets.attempt([*target.emulator, str(built.path)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"digit {digit}\n" in done.stdout + done.stderr  # QEMU's console is its stderr

"""Correct runs of PyTorch, ONNX Runtime and Keras raise no alarm."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks.correct_runs import networks, runs
from checks.frameworks import framework

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["torch", "onnxruntime", "keras"])
def test_correct_runs_of_published_networks_raise_no_alarm(name: str, threads: int, shared_data: Path) -> None:
    framework({"keras": "tensorflow"}.get(name, name))
    if name == "keras" and threads == 2:
        pytest.skip("TensorFlow takes its number of threads once a process; tests/bench/verify_defects.py runs more")
    for path in networks(shared_data).values():
        for checked in runs(path, name, threads, range(2)):
            assert not checked.alarm, checked

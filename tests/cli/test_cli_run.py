"""``refcompress run``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checks.small_networks import classifier, saved, two_ended

from refcompress.cli import main
from refcompress.run import run, run_all, run_exact, run_exact_all

X = np.random.default_rng(1).normal(size=(5, 12)).astype(np.float32)


def _paths(directory: Path) -> tuple[str, str, str]:
    np.save(directory / "x.npy", X)
    return saved(classifier(), directory / "m.rcz"), str(directory / "x.npy"), str(directory / "y.npz")


def _arrays(path: str) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def _same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_the_output_is_y_in_the_wanted_arithmetic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, x, y = _paths(tmp_path)
    assert main(["run", model, "--input", x, "-o", y]) == 0
    _same(_arrays(y), {"y": run(classifier(), X)[0]})
    assert capsys.readouterr().out == f"y: 5x4 float32\nwrote {y}\n"
    assert main(["run", model, "--input", x, "-o", y, "--dtype", "float64"]) == 0
    _same(_arrays(y), {"y": run(classifier(), X, dtype=np.float64)[0]})
    assert main(["run", model, "--input", x, "-o", y, "--exact"]) == 0
    _same(_arrays(y), {"y": run_exact(classifier(), X)[0]})


def test_all_activations_are_written_by_name(tmp_path: Path) -> None:
    model, x, y = _paths(tmp_path)
    assert main(["run", model, "--input", x, "-o", y, "--all"]) == 0
    _same(_arrays(y), run_all(classifier(), X))
    assert main(["run", model, "--input", x, "-o", y, "--all", "--exact"]) == 0
    _same(_arrays(y), run_exact_all(classifier(), X))


def test_several_inputs_and_outputs_are_numbered(tmp_path: Path) -> None:
    model, y = saved(two_ended(), tmp_path / "m.rcz"), str(tmp_path / "y.npz")
    a, b = np.array([[1, -2, 3]]), np.array([[10, 20, 30]])
    for names in (("x0", "x1"), ("a", "b")):
        np.savez(tmp_path / "x.npz", **dict(zip(names, (a, b), strict=True)))
        assert main(["run", model, "--input", str(tmp_path / "x.npz"), "-o", y]) == 0
        _same(_arrays(y), {"y0": np.float32([[1, 0, 3]]), "y1": np.float32([[11, 18, 33]])})


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY broken"])
def test_broken_inputs_are_one_line_and_nothing_is_written(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, x, y = _paths(tmp_path)
    Path(x).write_bytes(content)
    assert main(["run", model, "--input", x, "-o", y]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "x.npy" in err
    assert not Path(y).exists()


def test_inputs_of_a_wrong_shape_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, x, y = _paths(tmp_path)
    np.save(x, X[:, :7])
    assert main(["run", model, "--input", x, "-o", y]) == 1
    assert capsys.readouterr().err.startswith("refcompress: error: ")


def test_no_file_that_is_read_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, x, _ = _paths(tmp_path)
    before = Path(x).read_bytes()
    link = tmp_path / "link"
    link.symlink_to(x)
    for output in (x, str(link), model):
        assert main(["run", model, "--input", x, "-o", output]) == 1
        assert "is also read" in capsys.readouterr().err
    assert Path(x).read_bytes() == before

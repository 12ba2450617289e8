"""``refcompress demo``: the whole road, in small."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from refcompress.analysis import accuracy
from refcompress.cli import demo, main
from refcompress.compress import compress
from refcompress.formats import load, rcz
from refcompress.recipe import Recipe, Step
from refcompress.recipe import load as load_recipe
from reference_models import DIGITS_CHECKPOINT
from reference_models.data import digits

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, demo.COMPILERS)), reason="needs a C compiler: install gcc"
)


@needs_compiler
def test_the_compiled_network_equals_the_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'refcompress[demo]'")
    monkeypatch.setattr(demo, "GRID", ((0.5, 5), (0.7, 4), (0.98, 1)))  # the last loses too much
    assert main(["demo", "-o", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "360 test digits, bit for bit equal to the reference" in out
    assert (tmp_path / "out" / "c" / "digits.c").is_file()
    graph, validation = load(DIGITS_CHECKPOINT), digits().validation
    before = accuracy(graph, validation.x, validation.y).correct
    kept = []
    for sparsity, bits in demo.GRID:
        steps = (
            Step("prune.magnitude", {"sparsity": sparsity, "scope": "global"}),
            Step("share_weights.kmeans", {"bits": bits}),
        )
        small, report = compress(graph, Recipe(steps))
        if before - accuracy(small, validation.x, validation.y).correct <= demo.ALLOWED_LOSS * len(validation.y):
            kept.append((report.file_bytes, rcz.to_bytes(small), steps))
    assert 0 < len(kept) < 3
    _, expected, steps = min(kept, key=lambda item: item[0])
    assert (tmp_path / "out" / "digits.rcz").read_bytes() == expected
    assert load_recipe(tmp_path / "out" / "recipe.toml").steps == steps


def test_without_a_compiler_it_says_so_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'refcompress[demo]'")
    monkeypatch.setattr(demo, "COMPILERS", ("no-such-compiler",))
    monkeypatch.setattr(demo, "GRID", demo.GRID[-1:])
    monkeypatch.setattr(demo, "ALLOWED_LOSS", 1.0)
    assert main(["demo", "-o", str(tmp_path)]) == 0
    assert "no C compiler" in capsys.readouterr().out


def test_without_scikit_learn_it_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert main(["demo", "-o", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "pip install 'refcompress[demo]'" in err
    assert not (tmp_path / "out").exists()


def test_a_compiler_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(demo.MissingToolError, match=r"failed with code 3 in .*: what it said"):
        demo.call([sys.executable, "-c", "import sys; print('what it said', file=sys.stderr); sys.exit(3)"], tmp_path)

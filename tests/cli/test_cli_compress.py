"""``refcompress compress``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from checks.small_networks import classifier, saved

from refcompress import recipe
from refcompress.analysis import accuracy
from refcompress.cli import main
from refcompress.compress import compress
from refcompress.formats import rcz

X = np.random.default_rng(2).normal(size=(40, 12)).astype(np.float32)
Y = np.arange(40) % 4


def _paths(directory: Path) -> tuple[str, str, str]:
    np.savez(directory / "xy.npz", x=X, y=Y)
    return saved(classifier(), directory / "m.rcz"), str(directory / "o.rcz"), str(directory / "xy.npz")


def test_the_file_is_that_of_the_recipe_and_the_document_tells_its_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output, data = _paths(tmp_path)
    argv = ["compress", model, "--sparsity", "0.75", "--bits", "3", "-o", output, "--data", data, "--json"]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    small, report = compress(classifier(), recipe.from_options(sparsity=0.75, bits=3))
    assert err == ""
    assert Path(output).read_bytes() == rcz.to_bytes(small)
    assert document["file_bytes"] == Path(output).stat().st_size == report.file_bytes
    assert {key: document[key] for key in report.to_dict()} == report.to_dict()
    for key, graph in (("accuracy_before", classifier()), ("accuracy_after", small)):
        expected = accuracy(graph, X, Y)
        assert document[key] == {"correct": expected.correct, "total": 40, "share": expected.share}


def test_a_recipe_file_does_what_it_says(tmp_path: Path) -> None:
    model, output, _ = _paths(tmp_path)
    text = '[[pass]]\nname = "quantize.linear"\nbits = 8\n[[pass.layers]]\nmatch = "fc1"\nbits = 4'
    (tmp_path / "r.toml").write_text(text, "utf-8")
    assert main(["compress", model, "--recipe", str(tmp_path / "r.toml"), "-o", output]) == 0
    assert Path(output).read_bytes() == rcz.to_bytes(compress(classifier(), recipe.parse(text))[0])


def test_a_calibrated_recipe_takes_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, output, data = _paths(tmp_path)
    made = tmp_path / "r.toml"
    made.write_text('[[pass]]\nname = "quantize.calibrated"\nrate = 1e-4', "utf-8")
    assert main(["compress", model, "--recipe", str(made), "-o", output]) == 1
    assert "needs calibration samples" in capsys.readouterr().err
    assert main(["compress", model, "--recipe", str(made), "-o", output, "--calibration", data]) == 0
    assert Path(output).stat().st_size < Path(model).stat().st_size


def test_the_table_has_a_row_for_each_parameter_and_true_totals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output, data = _paths(tmp_path)
    assert main(["compress", model, "--bits", "3", "--quantize", "linear", "-o", output, "--data", data]) == 0
    out = capsys.readouterr().out
    size = f"{Path(output).stat().st_size:,}"
    assert all(word in out for word in ("fc1/kernel", "12x32", "fc1/bias", "fc2/kernel", "linear3"))
    assert f"float32: 2,176 bytes; file: {size} bytes" in out
    assert "accuracy before: " in out
    assert f"wrote {output}" in out


def test_piped_tables_are_not_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a_layer_with_a_name_that_is_much_longer_than_any_terminal_is_wide_" * 4
    graph = classifier()
    graph = graph.with_params({name: graph.params["fc1/kernel"]})
    assert main(["compress", saved(graph, tmp_path / "m.rcz"), "-o", str(tmp_path / "o.rcz")]) == 0
    assert name in capsys.readouterr().out


def test_nothing_but_re_encoding_is_lossless(tmp_path: Path) -> None:
    model, output, _ = _paths(tmp_path)
    assert main(["compress", model, "-o", output]) == 0
    small, graph = rcz.load(output), classifier()
    np.testing.assert_array_equal(accuracy(small, X, Y).correct, accuracy(graph, X, Y).correct)
    assert Path(output).stat().st_size <= Path(model).stat().st_size


def _write(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    return str(path)


def test_bad_options_are_one_line_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, output, data = _paths(tmp_path)
    np.savez(tmp_path / "only_x.npz", x=X)
    np.savez(tmp_path / "wrong.npz", x=X, y=Y + 9)
    cases = {
        "sparsity": ["--sparsity", "1.5"],
        "bits": ["--bits", "99"],
        "r.toml is no TOML": ["--recipe", _write(tmp_path / "r.toml", "[[")],
        "unknown pass": ["--recipe", _write(tmp_path / "s.toml", "[[pass]]\nname = 'x'")],
        "none.toml: No such file": ["--recipe", str(tmp_path / "none.toml")],
        "none.npz: No such file": ["--data", str(tmp_path / "none.npz")],
        "no array 'y'; it has x": ["--data", str(tmp_path / "only_x.npz")],
        "know 0 to 3": ["--data", str(tmp_path / "wrong.npz")],
        "no .npy or .npz file": ["--data", _write(tmp_path / "text.npz", "text")],
        "is also read": ["--data", data, "-o", data],
    }
    for words, arguments in cases.items():
        assert main(["compress", model, "-o", output, *arguments]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert words in err
    assert not Path(output).exists()


def test_a_missing_directory_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, _, _ = _paths(tmp_path)
    output = str(tmp_path / "none" / "o.rcz")
    assert main(["compress", model, "-o", output]) == 1
    assert f"{output}: No such file or directory" in capsys.readouterr().err


def test_where_nothing_can_be_written_nothing_is_computed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("a file")
    cases = {
        "No such file or directory": tmp_path / "none" / "o.rcz",
        "Not a directory": tmp_path / "file" / "o.rcz",
        "is no regular file": tmp_path,
    }
    for words, output in cases.items():
        # the model does not exist: whoever complained of it would have begun to work
        assert main(["compress", "none.h5", "-o", str(output)]) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert str(output) in err
        assert words in err

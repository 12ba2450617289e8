"""What all commands share: exit codes, one-line errors, help, pipes that close."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from checks.small_networks import classifier, saved

from refcompress import cli
from refcompress.cli import main
from refcompress.cli.text import one_line
from refcompress.encodings import encode

PROGRAM = [sys.executable, "-W", "error", "-m", "refcompress"]


def _only_line(text: str) -> str:
    assert text.count("\n") == 1, text
    assert text.startswith("refcompress: error: ")
    return text.removeprefix("refcompress: error: ").rstrip("\n")


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["compres"],
        ["info"],
        ["info", "m", "--jsn"],
        ["run", "m", "--input", "x.npy", "-o", "y.npz", "--dtype", "float16"],
        ["run", "m", "--input", "x.npy", "-o", "y.npz", "--dtype", "float64", "--exact"],
        ["compress", "m", "-o", "o", "--recipe", "r.toml", "--bits", "3"],
        ["compress", "m", "-o", "o", "--quantize", "linear"],
        ["compress", "m", "-o", "o", "--sparsity", "half"],
        ["verify", "m"],
        ["export", "m", "-o", "d"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: refcompress")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: refcompress {command}")
    assert err == ""


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"^    {name}\s", out, re.MULTILINE) for name in cli.COMMANDS)
    assert "Exit codes: 0" in out


def test_a_missing_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path / "none.h5")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "none.h5" in _only_line(err)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x89HDF\r\n\x1a\n broken", b"\x89RCZ\r\n\x1a\n broken"])
def test_a_broken_model_is_one_line(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model"
    path.write_bytes(content)
    commands = [
        ["info"],
        ["compress", "-o", str(tmp_path / "o.rcz")],
        ["export", "--to", "c", "-o", str(tmp_path / "c")],
    ]
    for command, *rest in commands:
        assert main([command, str(path), *rest]) == 1
        _only_line(capsys.readouterr().err)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_directory_for_a_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path)]) == 1
    assert "directory" in _only_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError(), 1, "refcompress: error: there is not enough memory"),
        (OSError(28, "No space left on device", "out.rcz"), 1, "refcompress: error: out.rcz: No space left"),
        (KeyboardInterrupt(), 130, "refcompress: interrupted"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_what_the_system_does_to_us_is_one_line(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_args: object) -> int:
        raise error

    monkeypatch.setattr(cli.info, "run", fail)
    monkeypatch.setattr(cli, "_silence_stdout", lambda: None)
    assert main(["info", "m"]) == code
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == (1 if said else 0)


def test_an_error_of_the_program_itself_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_args: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(cli.info, "run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["info", "m"])


@pytest.mark.parametrize("unbuffered", ["", "1"])  # what meets the closed pipe first: a table's flush, or any line
@pytest.mark.parametrize("arguments", [["info", "MODEL"], ["info", "MODEL", "--json"], ["--help"]])
def test_a_reader_that_leaves_is_no_error(arguments: list[str], unbuffered: str, tmp_path: Path) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*PROGRAM, *(model if word == "MODEL" else word for word in arguments)],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    os.close(write)
    assert done.stderr == b""
    assert done.returncode in {141, 0 if arguments == ["--help"] else 141}  # argparse ignores it by itself


def test_names_cannot_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_line("a\x1b[2Jb\r\nc\u202e") == "a\\x1b[2Jb c\\u202e"
    assert main(["info", str(tmp_path / "none\x1b[2J\n.h5")]) == 1
    assert "\x1b" not in _only_line(capsys.readouterr().err)


def test_names_that_an_old_terminal_lacks_are_escaped(tmp_path: Path) -> None:
    graph = classifier()
    model = saved(graph.with_params({"fc1/größe": encode([1.0])}), tmp_path / "größe.rcz")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([*PROGRAM, "info", model], capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert b"gr\\xf6\\xdfe.rcz" in done.stdout

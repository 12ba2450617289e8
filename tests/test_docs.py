"""Every example in the documentation really runs: doctests, and the code blocks of the Markdown files.

In a Markdown file a ``python`` block is executed (as a doctest if it has prompts), and in a ``console`` block
every line that begins with ``$ `` is given to a shell; the lines below it, if there are any, are what it must
print, with ``...`` for whatever may differ. The blocks of one file share a directory and their
Python names, in order. ``<!-- not run: reason -->`` before a block leaves it out.
"""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("refcompress", "exporters", "reference_models")
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__main__.py"
)
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.md")),
    ]
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
LANGUAGES = {"console", "python", "text", "toml", "c", "json", "make"}
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^>]+?) -->\n+)?```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A code block of a Markdown file."""

    language: str
    body: str
    line: int
    reason: str | None


class Command(NamedTuple):
    """A line given to the shell, and what it must print; nothing means anything."""

    line: str
    expected: str


def _blocks(text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(found["language"], found["body"], line, found["reason"])


def _commands(body: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        last = re.search(r"(?<!\\)(\n|\Z)", part)  # a backslash continues the command on the next line
        assert last
        yield Command(part[: last.start()], part[last.end() :])


def _run_command(command: Command, folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    bash = shutil.which("bash")
    assert bash, "the console blocks are written for bash"
    done = subprocess.run(
        [bash, "-euo", "pipefail", "-c", command.line],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command.line}\nexit code {done.returncode}\n{done.stdout}{done.stderr}"
    if command.expected.strip():
        right = doctest.OutputChecker().check_output(command.expected, done.stdout, FLAGS)
        assert right, f"{command.line}\nexpected:\n{command.expected}\ngot:\n{done.stdout}"


def _run_python(block: Block, names: dict[str, Any], place: str) -> None:
    if ">>>" not in block.body:
        exec(compile(block.body, place, "exec"), names)  # noqa: S102 - running the examples is the purpose
        return
    example = doctest.DocTestParser().get_doctest(block.body, names, place, place, block.line)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(example, out=report.append, clear_globs=False)
    names.update(example.globs)
    assert not runner.failures, "".join(report)


@pytest.mark.parametrize("name", MODULES)
def test_doctests_pass(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name), optionflags=FLAGS).failed == 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_block_of_a_document_runs(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in _blocks(document.read_text(encoding="utf-8")):
        place = f"{document.name}:{block.line}"
        assert block.language in LANGUAGES, f"{place}: a block in {block.language or 'no language'}; use {LANGUAGES}"
        if block.reason is None and block.language == "python":
            _run_python(block, names, place)
        elif block.reason is None and block.language == "console":
            commands = list(_commands(block.body))
            assert commands, f"{place}: a console block without a line that begins with '$ '"
            for command in commands:
                _run_command(command, tmp_path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_inside_the_project_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
    dead = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not dead


def test_commands_and_their_output_are_told_apart() -> None:
    body = "$ echo a \\\n    b\na b\n$ true\n$ echo c\n...\n"
    assert list(_commands(body)) == [
        Command("echo a \\\n    b", "a b\n"),
        Command("true", ""),
        Command("echo c", "...\n"),
    ]


def test_a_block_that_is_not_run_says_why() -> None:
    text = "<!-- not run: installs -->\n```console\n$ false\n```\n\n```python\n1\n```\n"
    assert list(_blocks(text)) == [
        Block("console", "$ false\n", 2, "installs"),
        Block("python", "1\n", 6, None),
    ]


def test_wrong_output_of_a_command_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"expected:\s+2\s+got:\s+1"):
        _run_command(Command("echo 1", "2\n"), tmp_path)
    with pytest.raises(AssertionError, match="exit code 3"):
        _run_command(Command("exit 3", ""), tmp_path)

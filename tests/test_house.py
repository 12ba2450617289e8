"""Facts about the sources: each file says what it is about, nothing is left over or of one machine."""

from __future__ import annotations

import ast
import configparser
import re
import tempfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("refcompress", "exporters", "reference_models")
PYTHON = sorted(path for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*.py"))
ENDINGS = {".py", ".md", ".toml", ".ini", ".c", ".h", ".ld"}
TEXTS = sorted(
    [path for path in ROOT.iterdir() if path.suffix in ENDINGS]
    + [path for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*") if path.suffix in ENDINGS]
    + [ROOT / ".ci" / "run"]
)
TOP_LEVEL = {
    *PACKAGES,
    "tests",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "tox.ini",
}
BUILT = {"build", "dist", "refcompress-demo"}
# written so that it does not match itself
LEFTOVER = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b|NotImplemented[E]rror")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _lines(paths: list[Path]) -> list[tuple[str, str]]:
    return [
        (f"{_name(path)}:{number}", line)
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    ]


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_a_module_says_in_its_first_line_what_it_is_about(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "give the module a docstring"
    assert docstring.splitlines()[0].endswith((".", "?", ":", "``")), "its first line is a sentence"


def test_no_leftovers() -> None:
    left = [place for place, line in _lines(TEXTS) if LEFTOVER.search(line)]
    assert not left


def test_no_paths_of_one_machine() -> None:
    home = re.compile(r"(?<![\w.])/(home|Users)/\w")
    places = {f"{place}/" for place in (ROOT.parent, Path.home(), tempfile.gettempdir()) if place != Path("/")}
    found = [where for where, line in _lines(TEXTS) if home.search(line) or any(place in line for place in places)]
    assert not found


def test_nothing_else_stands_at_the_top_level() -> None:
    there = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert {name for name in there if not name.endswith(".egg-info")} - BUILT == TOP_LEVEL


def test_the_oldest_versions_allowed_are_those_that_tox_tests() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    declared = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    tested = config["testenv:lowest"]["deps"].split()
    assert {_oldest(line, ">=") for line in declared} == {_oldest(line, "==") for line in tested}


def _oldest(requirement: str, sign: str) -> tuple[str, tuple[int, ...]]:
    name, version = requirement.split(sign)
    parts = [int(part) for part in version.split(".")]
    return name, (*parts, *[0] * (3 - len(parts)))


def test_names_of_test_files_are_unique() -> None:
    names = [path.name for path in PYTHON if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names)), "pytest imports test files by their bare names"

"""The imports of the three packages run one way, and heavy libraries come in only where they are needed."""

from __future__ import annotations

import ast
import graphlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("refcompress", "exporters", "reference_models")

# A room imports only from rooms above it or beside it.
ORDER: tuple[tuple[str, ...], ...] = (
    ("version", "errors", "kinds"),
    ("files",),
    ("kernels",),
    ("encodings",),
    ("graph",),
    ("ops",),
    ("run",),
    ("gradients", "integer"),
    ("passes", "train", "formats", "verify"),
    ("methods", "post_training"),
    ("analysis",),
    ("options",),
    ("recipe",),
    ("steps",),
    ("compress", "deep_compression"),
    ("cli", "__main__"),
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
ONLY_ROOM = {"numba": "refcompress.kernels", "h5py": "refcompress.formats"}
REQUIRED = {"numpy", "rich"}  # cheap enough to import with the module that uses them
# what several passes share; a pass imports nothing else of its package
PASS_HELPERS = {"calibration", "constant_channels", "coupled_channels", "rewrite", "rules", "second_order"}


class Import(NamedTuple):
    """One module imported by another."""

    by: str
    line: int
    module: str
    at_top: bool


def _modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, f"line {node.lineno}: imports are absolute here"
    module = node.module or ""
    # `from package import module` imports that module, `from module import name` the one that holds the name
    return [name if _is_module(name := f"{module}.{alias.name}") else module for alias in node.names]


def _imports(package: str) -> Iterator[Import]:
    for by, path in _modules(package):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from (Import(by, node.lineno, name, node in tree.body) for name in _imported(node))


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


# refcompress/__init__.py itself is the shop window: it names what it offers, and loads it only when asked
ENGINE = [found for found in _imports("refcompress") if found.by != "refcompress"]
EVERYTHING = [found for package in PACKAGES for found in _imports(package)]


def test_every_module_of_the_engine_has_its_place_in_the_order() -> None:
    rooms = {_room(module) for module, _ in _modules("refcompress")} - {""}
    assert rooms <= set(RANK), f"give {sorted(rooms - set(RANK))} a place in ORDER"


def test_imports_of_the_engine_run_one_way() -> None:
    inside = [found for found in ENGINE if found.module.startswith("refcompress.")]
    wrong = [found for found in inside if RANK[_room(found.module)] > RANK[_room(found.by)]]
    assert not wrong, "these import what stands above them"


def test_rooms_of_the_engine_import_each_other_in_no_circle() -> None:
    needs: dict[str, set[str]] = {}
    for found in ENGINE:
        if found.module.startswith("refcompress.") and _room(found.module) != _room(found.by):
            needs.setdefault(_room(found.by), set()).add(_room(found.module))
    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError


def test_the_engine_reads_no_name_from_its_own_shop_window() -> None:
    wrong = [found for found in ENGINE if found.module == "refcompress"]
    assert not wrong, "import from the module that defines the name"


def test_passes_never_import_each_other() -> None:
    start = "refcompress.passes."
    inside = [found for found in ENGINE if found.by.startswith(start) and found.module.startswith(start)]
    wrong = [found for found in inside if found.module.split(".")[2] not in PASS_HELPERS | {found.by.split(".")[2]}]
    assert not wrong


@pytest.mark.parametrize("library", ONLY_ROOM)
def test_a_library_with_a_room_is_imported_only_there(library: str) -> None:
    users = [found for found in EVERYTHING if found.module.split(".")[0] == library]
    assert users
    wrong = [found for found in users if not f"{found.by}.".startswith(ONLY_ROOM[library] + ".")]
    assert not wrong


def test_the_engine_imports_neither_exporters_nor_reference_models() -> None:
    wrong = [found for found in _imports("refcompress") if found.module.split(".")[0] in PACKAGES[1:]]
    assert not wrong, "the engine finds exporters by their entry points"


def test_exporters_and_reference_models_import_only_the_engine() -> None:
    for package, other in (PACKAGES[1:], PACKAGES[:0:-1]):
        wrong = [found for found in _imports(package) if found.module.split(".")[0] == other]
        assert not wrong


def test_libraries_are_imported_inside_functions_unless_they_are_cheap_or_at_home() -> None:
    own = set(PACKAGES) | sys.stdlib_module_names | REQUIRED
    wrong = [
        found
        for found in EVERYTHING
        if found.at_top
        and (library := found.module.split(".")[0]) not in own
        and not f"{found.by}.".startswith(ONLY_ROOM.get(library, "nowhere") + ".")
    ]
    assert not wrong


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )


def test_importing_the_engine_brings_in_no_heavy_library() -> None:
    code = "import sys, refcompress; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(_python(code).stdout.split())
    assert not loaded & {"numba", "h5py", "scipy", "rich", "exporters", "reference_models"}


def test_help_of_the_command_line_brings_in_no_heavy_library() -> None:
    code = "import sys; sys.argv = ['refcompress', '--help']; from refcompress.cli import main; sys.exit(main())"
    report = _python(code, PYTHONPROFILEIMPORTTIME="1").stderr
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in report.splitlines()}
    assert "refcompress" in loaded
    assert not loaded & {"numba", "h5py", "scipy"}


def test_every_public_name_is_there_and_listed() -> None:
    code = "import refcompress as r; [getattr(r, name) for name in r.__all__]; print(dir(r) == r.__all__)"
    assert _python(code).stdout == "True\n"


@pytest.mark.parametrize("before", ["", "import refcompress.run", "from refcompress.run import run_all"])
def test_run_is_the_function_whoever_imported_its_module_before(before: str) -> None:
    assert "function run " in _python(f"{before}\nimport refcompress; print(refcompress.run)").stdout


def test_a_name_that_does_not_exist_is_an_attribute_error_that_lists_those_that_do() -> None:
    import refcompress

    with pytest.raises(AttributeError, match=r"'compres'.*Graph.*save"):
        _ = refcompress.compres

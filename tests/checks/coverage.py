"""Which branches of the runtime a set of flash images reaches: gcov's counts, and clang's conditions (MC/DC)."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from checks import targets
from checks.images import HARNESS

from exporters import runtime

Images = Mapping[str, Sequence[bytes]]  # by kind, float32 or int8
CLANG_VERSIONS = ("", "-21", "-20", "-19", "-18")


def untaken_branches(images: Images, files: Sequence[str], folder: Path) -> tuple[list[str], int]:
    """Compile the harness with gcc's counters, run it on all images, and return what no run of either kind took.

    Returns
    -------
    list of str
        ``file:line`` of lines and branches that were never executed.
    int
        Number of branches in all.

    """
    targets.require(targets.Target("gcov", "gcov", ()))
    taken: dict[tuple[str, int, int], bool] = {}
    for kind in images:
        place = _written(kind, images[kind], folder)
        _run(["gcc", "-O0", "--coverage", *_sources(kind), "-o", "harness"], place)
        _run(["./harness"], place)
        listing = _run(["gcov", "--json-format", "--stdout", "-b", *map(str, sorted(place.glob("*.gcda")))], place)
        for line in listing.splitlines():
            for file in json.loads(line)["files"]:
                if file["file"] in files:
                    _count(file, taken)
    return sorted({f"{file}:{line}" for (file, line, _), found in taken.items() if not found}), len(taken)


def _count(file: Mapping[str, object], taken: dict[tuple[str, int, int], bool]) -> None:
    lines = file["lines"]
    assert isinstance(lines, list)
    for line in lines:
        counts = [branch["count"] for branch in line["branches"]] or [line["count"]]
        for i, count in enumerate(counts):
            key = (str(file["file"]), int(line["line_number"]), i)
            taken[key] = taken.get(key, False) or count > 0


def missed_conditions(images: Images, files: Sequence[str], folder: Path) -> dict[str, int]:
    """Return how many conditions of each file do not show that they decide alone (MC/DC), by clang's counters.

    Those of files that both kinds share are counted for the images of either.
    """
    version = next((v for v in CLANG_VERSIONS if _knows_conditions(v, folder)), None)
    if version is None:
        pytest.skip("needs clang of version 18 or later with its llvm-cov and compiler-rt")
    missed: dict[str, int] = {}
    for kind in images:
        place = _written(kind, images[kind], folder)
        flags = ["-O0", "-w", "-fprofile-instr-generate=raw", "-fcoverage-mapping", "-fcoverage-mcdc"]
        _run([f"clang{version}", *flags, *_sources(kind), "-o", "harness"], place)
        _run(["./harness"], place)
        _run([f"llvm-profdata{version}", "merge", "raw", "-o", "data"], place)
        report = _run([f"llvm-cov{version}", "export", "-summary-only", "./harness", "-instr-profile=data"], place)
        for file in json.loads(report)["data"][0]["files"]:
            name, counts = Path(file["filename"]).name, file["summary"]["mcdc"]
            if name in files:
                missed[name] = min(missed.get(name, counts["count"]), counts["count"] - counts["covered"])
    return missed


def _knows_conditions(version: str, folder: Path) -> bool:
    if not all(shutil.which(f"{tool}{version}") for tool in ("clang", "llvm-cov", "llvm-profdata")):
        return False
    (folder / "empty.c").write_text("int main(void) { return 0; }\n", encoding="ascii")
    flags = ["-fprofile-instr-generate", "-fcoverage-mapping", "-fcoverage-mcdc", "empty.c", "-o", "empty"]
    return targets.attempt([f"clang{version}", *flags], folder).returncode == 0


def _written(kind: str, images: Sequence[bytes], folder: Path) -> Path:
    place = folder / kind
    place.mkdir(exist_ok=True)
    for name, data in runtime.image_files(integers=kind == "int8").items():
        (place / name).write_bytes(data)
    (place / "images").write_bytes(b"".join(struct.pack("<I", len(data)) + data for data in images))
    (place / "main.c").write_bytes(HARNESS.read_bytes())
    return place


def _sources(kind: str) -> list[str]:
    names = [name for name in runtime.image_files(integers=kind == "int8") if name.endswith(".c")]
    # functions of headers are counted as such, not once for each place that they were put into
    options = [f"-DINT8={int(kind == 'int8')}", "-DREPLAY=1", "-Dalways_inline=noinline", "-I."]
    return [*options, "main.c", *names]


def _run(command: Sequence[str], folder: Path) -> str:
    done = targets.attempt(command, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout

"""Targets on which generated C is built and run: the host's compilers, plain and with sanitizers, and a Cortex-M4.

A program is a set of C files and a ``main.c``; it prints one hexadecimal word (32 bits) a line. The Cortex-M4 is
QEMU's, with semihosting, where the size of the code, the stack and the instructions can be measured too.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
WARNINGS = (
    "-std=c99",
    "-pedantic",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wcast-align",
    "-Wcast-qual",
    "-Wdouble-promotion",
    "-Wundef",
    "-Wvla",
    "-Werror",
    "-ffp-contract=off",
)
SANITIZERS = (
    "-O1",
    "-g",
    "-fsanitize=address,undefined",
    "-fsanitize=float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)
SECTIONS = ("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
CORTEX_M4 = ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-mthumb")
PICOLIBC = ("--specs=picolibc.specs", "--oslib=semihost", "--crt0=hosted", "-DPICOLIBC_INTEGER_PRINTF_SCANF")
MEMORY = {"__flash": "0", "__flash_size": "0x400000", "__ram": "0x20000000", "__ram_size": "0x400000"}
TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Target:
    """How to compile and to run.

    Attributes
    ----------
    name
        For messages and test ids.
    compiler, compile_flags, link_flags
        Of the tool chain.
    emulator
        Command before the program; empty on the host.

    """

    name: str
    compiler: str
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...] = ()
    emulator: tuple[str, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """Programs that must be installed."""
        return (self.compiler, *self.emulator[:1])


GCC = Target("gcc", "gcc", (*WARNINGS, "-O2", *SECTIONS[:2]), SECTIONS[2:])
CLANG = Target("clang", "clang", (*WARNINGS, "-O2"))
SANITIZED = Target("gcc-sanitized", "gcc", (*WARNINGS, *SANITIZERS), SANITIZERS)
CLANG_SANITIZED = Target("clang-sanitized", "clang", (*WARNINGS, *SANITIZERS), SANITIZERS)


def _cortex(name: str, flags: tuple[str, ...], machine: str) -> Target:
    """Describe a Cortex-M under QEMU, with semihosting."""
    return Target(
        name,
        "arm-none-eabi-gcc",
        (*PICOLIBC[:1], *flags, *WARNINGS, "-O2", *SECTIONS[:2]),
        (*PICOLIBC, *flags, *SECTIONS[2:], *(f"-Wl,--defsym={key}={value}" for key, value in MEMORY.items())),
        (
            *("qemu-system-arm", "-M", machine, "-semihosting-config", "enable=on,target=native"),
            *("-display", "none", "-serial", "none", "-monitor", "none"),
        ),
    )


M3 = _cortex("cortex-m3", ("-mcpu=cortex-m3", "-mthumb"), "mps2-an385")  # without the DSP extension
M4 = _cortex("cortex-m4", CORTEX_M4, "mps2-an386")
HOSTS = (GCC, CLANG, SANITIZED)


@dataclass(frozen=True)
class Build:
    """A linked program and the bytes of its sections."""

    target: Target
    path: Path
    text_bytes: int
    data_bytes: int
    bss_bytes: int


@dataclass(frozen=True)
class Result:
    """What a run printed and, where it can be counted, the instructions between the two marks."""

    words: tuple[int, ...]
    instructions: int | None
    status: int


def available(target: Target) -> bool:
    """Whether the tools of a target are installed."""
    return all(shutil.which(tool) for tool in target.tools)


def require(target: Target) -> None:
    """Skip the test if the tools of a target are missing."""
    missing = [tool for tool in target.tools if not shutil.which(tool)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def build(target: Target, files: Mapping[str, bytes], main: str, folder: Path, *, more: Sequence[str] = ()) -> Build:
    """Compile and link; objects of the runtime are compiled once for each target.

    Parameters
    ----------
    target
        Where it will run.
    files
        Name to bytes; sources are compiled, all are put into the folder.
    main
        Text of ``main.c``.
    folder
        A folder of its own.
    more
        More flags, for compiling alone.

    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in {**files, "main.c": main.encode()}.items():
        (folder / name).write_bytes(data)
    objects = [_object(target, name, files, folder, tuple(more)) for name in [*files, "main.c"] if name.endswith(".c")]
    path = folder / f"program-{target.name}"
    _command([target.compiler, *map(str, objects), *target.link_flags, "-o", str(path)])
    return Build(target, path, *section_bytes(target, path))


def _object(target: Target, name: str, files: Mapping[str, bytes], folder: Path, more: tuple[str, ...]) -> Path:
    if not name.startswith("rc_"):
        path = folder / f"{Path(name).stem}-{target.name}.o"
        compile_object(target, folder / name, path, more)
        return path
    digest = hashlib.sha256(repr((target, _version(target.compiler), name, more)).encode())
    for other in sorted(files):
        if other == name or (other.startswith("rc") and other.endswith(".h")):
            digest.update(files[other])
    path = _cache_folder() / f"{digest.hexdigest()[:24]}.o"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.part")
        compile_object(target, folder / name, part, more)
        part.replace(path)  # another process may have made the same bytes
    return path


def compile_object(target: Target, source: Path, path: Path, more: Sequence[str] = ()) -> None:
    """Compile one source without a single warning."""
    printed = _command([target.compiler, *target.compile_flags, *more, "-c", str(source), "-o", str(path)])
    assert not printed, printed


@cache
def _cache_folder() -> Path:
    """Objects live as long as pytest's own cache, under names made of all they depend on."""
    folder = ROOT / ".pytest_cache" / "objects"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def _version(compiler: str) -> str:
    return _command([compiler, "--version"])


def run(built: Build, *, count: bool = False, folder: Path | None = None) -> Result:
    """Run a program.

    Parameters
    ----------
    built
        What :func:`build` returned.
    count
        Whether to count the instructions between the calls of ``mark_begin`` and ``mark_end`` (Cortex-M4 only,
        and only if the plugin can be built).
    folder
        Where it runs.

    """
    command = [*built.target.emulator]
    plugin = counter() if count and command else None
    if plugin is not None:
        begin, end = (symbol_address(built, name) for name in ("mark_begin", "mark_end"))
        command += ["-plugin", f"{plugin},begin={begin:#x},end={end:#x}"]
    command += ["-kernel", str(built.path)] if command else [str(built.path)]
    quiet = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # the operating system frees what main allocates
    done = subprocess.run(
        command, capture_output=True, timeout=TIMEOUT_SECONDS, check=False, text=True, env=quiet, cwd=folder
    )
    printed = done.stderr if command[:1] == ["qemu-system-arm"] else done.stdout  # QEMU's console is its stderr
    words = tuple(int(word, 16) for word in re.findall(r"^[0-9a-f]{8}$", printed, re.MULTILINE))
    assert not re.search("ERROR:|runtime error", done.stderr), done.stderr
    counted = re.search(r"region=0 insns=(\d+)", done.stderr)
    return Result(words, int(counted[1]) if counted else None, done.returncode)


@cache
def counter() -> Path | None:
    """Build the QEMU plugin that counts instructions; None where its source or QEMU is missing."""
    place = os.environ.get("REFCOMPRESS_ICNT")
    source = Path(place) if place else ROOT.parent / "shared" / "tools" / "icnt.c"
    if not source.is_file() or not available(GCC):
        return None
    path = _cache_folder() / f"icnt-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.so"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.part")
        _command(["gcc", "-shared", "-fPIC", "-O2", "-w", str(source), "-o", str(part)])
        part.replace(path)
    return path


def shared_library(files: Mapping[str, bytes], folder: Path) -> Path:
    """Build the sources as a library that Python can load."""
    digest = hashlib.sha256(repr((_version("gcc"), sorted(files.items()))).encode())
    path = _cache_folder() / f"{digest.hexdigest()[:24]}.so"
    if not path.exists():
        for name, data in files.items():
            (folder / name).write_bytes(data)
        sources = [str(folder / name) for name in files if name.endswith(".c")]
        part = path.with_suffix(f".{os.getpid()}.part")
        _command(["gcc", *WARNINGS, "-O2", "-shared", "-fPIC", *sources, "-o", str(part)])
        part.replace(path)
    return path


def symbol_address(built: Build, name: str) -> int:
    """Address of a symbol of a Cortex-M4 program."""
    listing = _command(["arm-none-eabi-nm", str(built.path)])
    found = re.search(rf"^([0-9a-f]+) \w {re.escape(name)}$", listing, re.MULTILINE)
    assert found, f"no symbol {name}"
    return int(found[1], 16)


def section_bytes(target: Target, path: Path) -> tuple[int, int, int]:
    """Bytes of text, data and bss of an object or a program."""
    tool = "arm-none-eabi-size" if target.emulator else "size"
    text, data, bss = _command([tool, str(path)]).splitlines()[1].split()[:3]
    return int(text), int(data), int(bss)


def undefined_symbols(path: Path, tool: str = "nm") -> set[str]:
    """Names an object needs from elsewhere."""
    return {line.split()[-1] for line in _command([tool, "-u", str(path)]).splitlines() if line.strip()}


def attempt(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    return subprocess.run(
        list(command), capture_output=True, timeout=TIMEOUT_SECONDS, check=False, text=True, cwd=folder
    )


def _command(command: Sequence[str]) -> str:
    done = subprocess.run(list(command), capture_output=True, timeout=TIMEOUT_SECONDS, check=False, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr

"""Targets on which generated C is built and run: compilers of the host, plain and with sanitizers, and emulated boards.

A program is a set of C files and a ``main.c``; it prints one hexadecimal word (32 bits) a line. Cortex-M boards run in
QEMU with semihosting, where the size of the code, the stack and the instructions can be measured too.
"""

from __future__ import annotations

import hashlib
import os
import platform
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
SEMIHOSTING = ("-semihosting-config", "enable=on,target=native", "-display", "none", "-serial", "none")
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
    library
        A file of a cross compiler's C library, which is a package of its own; empty on the host.
    board
        A source beside this module that every program needs there; empty for none.

    """

    name: str
    compiler: str
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...] = ()
    emulator: tuple[str, ...] = ()
    library: str = ""
    board: str = ""

    @property
    def tools(self) -> tuple[str, ...]:
        """Programs that must be installed."""
        return (self.compiler, *self.emulator[:1])

    @property
    def prefix(self) -> str:
        """What the names of the tool chain's programs begin with."""
        return self.compiler[: self.compiler.rindex("-") + 1] if "-" in self.compiler else ""


GCC = Target("gcc", "gcc", (*WARNINGS, "-O2", *SECTIONS[:2]), SECTIONS[2:])
VALGRIND = Target(  # sees what is read before it was written, which sanitizers do not
    "valgrind",
    "gcc",
    (*WARNINGS, "-O1", "-g", "-DUNFILLED"),
    emulator=("valgrind", "-q", "--error-exitcode=77", "--track-origins=yes"),
)
CLANG = Target("clang", "clang", (*WARNINGS, "-O2"))
SANITIZED = Target("gcc-sanitized", "gcc", (*WARNINGS, *SANITIZERS), SANITIZERS)
CLANG_SANITIZED = Target("clang-sanitized", "clang", (*WARNINGS, *SANITIZERS), SANITIZERS)


def _cross(
    name: str,
    compiler: str,
    flags: Sequence[str],
    *,
    compile_more: Sequence[str] = (),
    link_more: Sequence[str] = (),
    emulator: Sequence[str] = (),
    library: str = "libc.a",
    board: str = "",
) -> Target:
    """Describe a cross compiler whose flags are those of the machine, for compiling and linking."""
    return Target(
        name,
        f"{compiler}-gcc",
        (*flags, *WARNINGS, "-O2", *SECTIONS[:2], *compile_more),
        (*flags, *SECTIONS[2:], *link_more),
        tuple(emulator),
        library,
        board,
    )


def _bare(name: str, flags: Sequence[str], emulator: Sequence[str], memory: Sequence[int], *more: str) -> Target:
    """Describe a board under QEMU with picolibc and semihosting; memory is flash and RAM, address and bytes each."""
    symbols = zip(("flash", "flash_size", "ram", "ram_size"), memory, strict=True)
    return _cross(
        name,
        "riscv64-unknown-elf" if emulator[0] == "qemu-system-riscv32" else "arm-none-eabi",
        (PICOLIBC[0], *flags),
        compile_more=more,
        link_more=(*PICOLIBC[1:], *(f"-Wl,--defsym=__{key}={value:#x}" for key, value in symbols)),
        emulator=(*emulator, *SEMIHOSTING, "-monitor", "none", "-kernel"),
        library="picolibc.specs",
    )


def _cortex(
    machine: str,
    core: str,
    *flags: str,
    memory: Sequence[int] = (0, 0x400000, 0x20000000, 0x400000),
    painted_bytes: int = 1 << 16,
) -> Target:
    """Describe a Cortex-M; so many bytes below the stack are painted to measure it."""
    emulator = ("qemu-system-arm", "-M", machine)
    return _bare(core, flags, emulator, memory, f"-DSTACK_PAINTED_BYTES={painted_bytes}u")


def _with_fpu(core: str, fpu: str) -> tuple[str, ...]:
    return f"-mcpu={core}", "-mfloat-abi=hard", f"-mfpu={fpu}", "-mthumb"


M0 = _cortex(  # 256 KiB of flash, 16 KiB of RAM
    *("microbit", "cortex-m0", "-mcpu=cortex-m0", "-mthumb"),
    memory=(0, 0x40000, 0x20000000, 0x4000),
    painted_bytes=1024,
)
M3 = _cortex("mps2-an385", "cortex-m3", "-mcpu=cortex-m3", "-mthumb")  # without the DSP extension
M4 = _cortex("mps2-an386", "cortex-m4", *CORTEX_M4)
M7 = _cortex("mps2-an500", "cortex-m7", *_with_fpu("cortex-m7", "fpv5-d16"))
M33 = _cortex(
    *("mps2-an505", "cortex-m33", *_with_fpu("cortex-m33", "fpv5-sp-d16")),
    memory=(0x10000000, 0x400000, 0x38000000, 0x200000),
)
RV32 = _bare(
    "rv32imc",
    ("-march=rv32imc", "-mabi=ilp32"),
    ("qemu-system-riscv32", "-M", "virt", "-bios", "none"),
    (0x80000000, 0x400000, 0x80400000, 0x400000),
)
X86 = _cross(
    "x86-32",
    "i686-linux-gnu",
    ("-msse2", "-mfpmath=sse"),
    link_more=("-static",),
    emulator=() if platform.machine() in ("x86_64", "i686") else ("qemu-i386",),
)
S390X = _cross(  # big-endian; with -std=c99 alone GCC evaluates float as double there
    "s390x", "s390x-linux-gnu", ("-fexcess-precision=fast",), link_more=("-static",), emulator=("qemu-s390x",)
)


def _atmega(part: str) -> Target:
    """Describe a machine of 8 bits, with an int of 16 bits; only GNU C can name its flash."""
    flags = (f"-mmcu={part}", "-DF_CPU=16000000UL")
    emulator = ("simavr", "-m", part, "-f", "16000000")
    more = ("-std=gnu99", "-Os", "-Waddr-space-convert")
    return _cross(part, "avr", flags, compile_more=more, link_more=("-lm",), emulator=emulator, board="atmega.c")


AVR = _atmega("atmega2560")  # 256 KiB of flash, 8 KiB of RAM
AVR_16K = _atmega("atmega1284p")
ATMEGA328P = _atmega("atmega328p")  # 32 KiB and 2 KiB
HOSTS = (GCC, CLANG, SANITIZED)
BOARDS = (M0, M3, M4, M7, M33, RV32, X86, S390X)
"""Every other machine that has room for LeNet-300-100."""


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


@cache
def missing(target: Target) -> tuple[str, ...]:
    """Return what of a target is not installed."""
    tools = tuple(tool for tool in target.tools if not shutil.which(tool))
    if target.library and target.compiler not in tools:
        found = _command([target.compiler, f"-print-file-name={target.library}"]).strip()
        if found == target.library:  # GCC gives a path only where there is one
            return (*tools, f"{target.library} of {target.compiler}")
    return tools


def available(target: Target) -> bool:
    """Whether all of a target is installed."""
    return not missing(target)


def require(target: Target) -> None:
    """Skip the test if something of a target is missing."""
    if missing(target):
        pytest.skip(f"{target.name} needs {', '.join(missing(target))}")


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
    if target.board:
        files = {**files, target.board: (Path(__file__).parent / target.board).read_bytes()}
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
    emulator = built.target.emulator
    plugin = counter() if count and emulator else None
    options: list[str] = []
    if plugin is not None:
        begin, end = (symbol_address(built, name) for name in ("mark_begin", "mark_end"))
        options = ["-plugin", f"{plugin},begin={begin:#x},end={end:#x}"]
    command = [*emulator[:1], *options, *emulator[1:], str(built.path)]
    quiet = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # the operating system frees what main allocates
    done = subprocess.run(
        command, capture_output=True, timeout=TIMEOUT_SECONDS, check=False, text=True, env=quiet, cwd=folder
    )
    assert not re.search("ERROR:|runtime error", done.stderr), done.stderr
    counted = re.search(r"region=0 insns=(\d+)", done.stderr)
    returned = re.search(r"status (-?\d+)", done.stderr)  # simavr has no exit status; the board's source prints it
    status = int(returned[1]) if returned and built.target.board else done.returncode
    return Result(words_of(done), int(counted[1]) if counted else None, status)


def words_of(done: subprocess.CompletedProcess[str]) -> tuple[int, ...]:
    """Return the words that a program printed; QEMU's console and simavr's, which is coloured, are their stderr."""
    words = re.findall(r"^(?:\x1b\[\d+m)*([0-9a-f]{8})\.?$", f"{done.stdout}\n{done.stderr}", re.MULTILINE)
    return tuple(int(word, 16) for word in words)


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
    """Address of a symbol of a program."""
    listing = _command([f"{built.target.prefix}nm", str(built.path)])
    found = re.search(rf"^([0-9a-f]+) \w {re.escape(name)}$", listing, re.MULTILINE)
    assert found, f"no symbol {name}"
    return int(found[1], 16)


def section_bytes(target: Target, path: Path) -> tuple[int, int, int]:
    """Bytes of text, data and bss of an object or a program."""
    text, data, bss = _command([f"{target.prefix}size", str(path)]).splitlines()[1].split()[:3]
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

"""What a network costs on a Cortex-M4, measured: the program is built with GCC and counted by QEMU."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from string import Template

import exporters.c
from exporters.c.calls import Buffers
from exporters.program import Program
from exporters.projects.program import template
from refcompress.errors import MissingToolError, RefcompressError
from refcompress.files import write_files

COMPILER, SIZE, EMULATOR = "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"
CORE = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections")
TICKS = (8, 5)  # of the board's 25 MHz timer for instructions of 2^6 ns: 1.6 each
TIMEOUT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run costs.

    Attributes
    ----------
    flash_bytes
        Code and tables, over a program with an empty network.
    instructions
        Of each layer, in order.

    """

    flash_bytes: int
    instructions: tuple[int, ...]


def missing_tools() -> tuple[str, ...]:
    """Programs that measuring needs and that are not installed."""
    return tuple(tool for tool in (COMPILER, SIZE, EMULATOR) if shutil.which(tool) is None)


def measure(files: Mapping[str, bytes], program: Program, buffers: Buffers, prefix: str) -> Measured:
    """Build an exported network for a Cortex-M4 with ``-O2``, run it on zeros in QEMU, and count.

    Parameters
    ----------
    files
        What the exporter ``c`` wrote.
    program, buffers
        The lowered network, and the names of its parameters.
    prefix
        Its prefix.

    Returns
    -------
    Measured
        Instructions, not cycles: no wait states of the flash, no cache. They repeat exactly.

    Raises
    ------
    MissingToolError
        A compiler or QEMU is not installed.
    RefcompressError
        They do not build or run the program.

    """
    if missing := missing_tools():
        raise MissingToolError(
            f"measuring needs {', '.join(missing)}; on Debian these are in gcc-arm-none-eabi, "
            "libnewlib-arm-none-eabi and qemu-system-arm"
        )
    main = _main(program, buffers, prefix)
    empty = empty_network(files[f"{prefix}.h"].decode(), prefix)
    with tempfile.TemporaryDirectory() as folder:
        whole = _build(Path(folder) / "whole", exporters.c.sources(files), main, (f"-D{prefix.upper()}_HOOK=on_layer",))
        ticks = _run(whole)
        bare = _build(Path(folder) / "bare", exporters.c.sources(files), main)
        none = _build(Path(folder) / "empty", {**exporters.c.sources(files), f"{prefix}.c": empty.encode()}, main)
        flash_bytes = _size(bare) - _size(none)
    if len(ticks) != len(program.steps) + 1:
        raise RefcompressError(f"the program in QEMU printed {len(ticks)} times instead of {len(program.steps) + 1}")
    # the timer counts down, and wraps
    spent = [((before - after) % 2**32) * TICKS[1] // TICKS[0] for before, after in pairwise(ticks)]
    return Measured(flash_bytes, tuple(spent))


def _main(program: Program, buffers: Buffers, prefix: str) -> str:
    upper = prefix.upper()
    names = (*buffers.inputs, *buffers.outputs)
    sizes = zip(names, [*program.inputs, *program.outputs], strict=True)
    return _MAIN.substitute(
        prefix=prefix,
        buffers="\n".join(f"static {program.c_type} {name}[{max(1, program.elements[key])}];" for name, key in sizes),
        upper=upper,
        arguments=", ".join(names),
    )


def empty_network(header: str, prefix: str) -> str:
    """Write a source of a network that does nothing, for the header of one that does."""
    signature = re.search(rf"RC_MUST_USE (rc_status {prefix}_run\(.*\));", header)
    if signature is None:
        raise ValueError(f"{prefix}.h declares no {prefix}_run")
    unused = "".join(f"    (void){name};\n" for name in re.findall(r"\*(\w+)[,)]", signature[1]))
    return f'#include "{prefix}.h"\n\n{signature[1]}\n{{\n{unused}    return RC_OK;\n}}\n'


def _build(folder: Path, files: Mapping[str, bytes], main: str, more: Sequence[str] = ()) -> Path:
    start = {name: template(f"bare_metal/{name}") for name in ("startup.c", "link.ld")}
    write_files(folder, {**files, **start, "main.c": main.encode()})
    sources = [str(folder / name) for name in (*files, "main.c", "startup.c") if name.endswith(".c")]
    path = folder / "program.elf"
    link = ("-nostartfiles", "-Wl,--gc-sections", "-T", str(folder / "link.ld"))
    _command([COMPILER, *CORE, *FLAGS, *more, *sources, *link, "-o", str(path)])
    return path


def _run(path: Path) -> list[int]:
    semihosting = ("-semihosting-config", "enable=on,target=native", "-display", "none", "-serial", "none")
    printed = _command(
        [EMULATOR, "-M", "mps2-an386", "-icount", "shift=6", "-monitor", "none", *semihosting, "-kernel", str(path)]
    )
    return [int(line, 16) for line in printed.split()]


def _size(path: Path) -> int:
    text, data = _command([SIZE, str(path)]).splitlines()[1].split()[:2]
    return int(text) + int(data)


def _command(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(list(command), capture_output=True, timeout=TIMEOUT_SECONDS, check=False, text=True)
    except subprocess.TimeoutExpired:
        raise RefcompressError(f"{command[0]} did not end within {TIMEOUT_SECONDS} seconds") from None
    if done.returncode != 0:
        raise RefcompressError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout + done.stderr  # QEMU's console is its stderr


_MAIN = Template("""\
/* The times between the layers of a run, by the timer of the board (CMSDK, mps2). */
#include "$prefix.h"

#include <stdint.h>

#define TIMER_CONTROL (*(volatile uint32_t *)0x40000000u)
#define TIMER_VALUE (*(volatile uint32_t *)0x40000004u)
#define TIMER_RELOAD (*(volatile uint32_t *)0x40000008u)

$buffers
static uint32_t arena[${upper}_ARENA_BYTES / 4u + 1u];
static uint32_t times[${upper}_LAYER_COUNT + 1u];

void on_layer(uint32_t layer);
void on_layer(uint32_t layer)
{
    times[layer] = TIMER_VALUE;
}

static void print(const char *text)
{
    register uint32_t operation __asm__("r0") = 0x04u; /* SYS_WRITE0 */
    register const char *argument __asm__("r1") = text;

    __asm__ volatile("bkpt 0xAB" : "+r"(operation) : "r"(argument) : "memory");
}

int main(void)
{
    uint32_t layer, digit;
    rc_status status;

    TIMER_RELOAD = 0xFFFFFFFFu;
    TIMER_VALUE = 0xFFFFFFFFu;
    TIMER_CONTROL = 1u;
    status = ${prefix}_run($arguments, arena);
    if (status != RC_OK) {
        return (int)status;
    }
    for (layer = 0u; layer <= ${upper}_LAYER_COUNT; layer++) {
        char text[10];
        for (digit = 0u; digit < 8u; digit++) {
            text[digit] = "0123456789abcdef"[times[layer] >> (28u - 4u * digit) & 15u];
        }
        text[8] = '\\n';
        text[9] = '\\0';
        print(text);
    }
    return 0;
}
""")

"""check_export: what an exporter wrote, compiled, run, and compared bit for bit with the exact-order reference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np
from checks import targets
from checks.targets import Target
from numpy.typing import ArrayLike, NDArray

import exporters.blob
import exporters.c
import refcompress
from exporters.report.measure import empty_network
from refcompress import Graph
from refcompress.integer import IntegerNetwork, run_integer

Network = Graph | IntegerNetwork
Arrays = Sequence[NDArray[np.float32]] | Sequence[NDArray[np.int8]]

PREFIX = "net"


@dataclass(frozen=True)
class Measured:
    """What a run on a target cost.

    Attributes
    ----------
    text_bytes, data_bytes, bss_bytes
        Of the whole program, the test's main included.
    arena_bytes, stack_bytes
        RAM for one run; the stack is measured on Cortex-M only.
    instructions
        Of the first run; None where they cannot be counted.

    """

    text_bytes: int
    data_bytes: int
    bss_bytes: int
    arena_bytes: int
    stack_bytes: int | None
    instructions: int | None


def check_export(
    graph: Network,
    inputs: ArrayLike | Sequence[ArrayLike],
    *,
    on: Sequence[Target] = (targets.GCC,),
    prefix: str = PREFIX,
    max_table_bits: int = 10,
    exporter: str = "c",
    count: bool = False,
) -> list[Measured]:
    """Export, compile with all warnings as errors, run, and compare every bit of every output.

    Parameters
    ----------
    graph
        The network, float32 or integer.
    inputs
        One array, or one for each input; batch first.
    on
        Targets; one whose tools are missing is left out unless it is the only one, which skips the test.
    prefix, max_table_bits
        For the exporter.
    exporter
        ``"c"`` or ``"blob"``.
    count
        Whether to count instructions.

    Returns
    -------
    list of Measured
        One for each target that ran.

    """
    arrays = _arrays(graph, inputs)
    expected = _reference(graph, arrays)
    files, main = _FLAVOURS[exporter](graph, arrays, prefix, max_table_bits)
    if len(on) == 1:
        targets.require(on[0])
    measured = []
    for target in on:
        if targets.available(target):
            with tempfile.TemporaryDirectory() as folder:
                built = targets.build(target, files, main, Path(folder))
                measured.append(_compare(built, expected, count=count))
    return measured


def harness_bytes(graph: Network, inputs: ArrayLike | Sequence[ArrayLike]) -> int:
    """Bytes of text and data of the Cortex-M4 program of :func:`check_export` with an empty network in it."""
    files, main = _c_flavour(graph, _arrays(graph, inputs), PREFIX, 10)
    empty = empty_network(files[f"{PREFIX}.h"].decode(), PREFIX)
    with tempfile.TemporaryDirectory() as folder:
        built = targets.build(targets.M4, {**files, f"{PREFIX}.c": empty.encode()}, main, Path(folder))
    return built.text_bytes + built.data_bytes


def _arrays(graph: Network, inputs: ArrayLike | Sequence[ArrayLike]) -> Arrays:
    many = inputs if isinstance(inputs, list | tuple) else [inputs]
    dtype = np.int8 if isinstance(graph, IntegerNetwork) else np.float32
    assert len(many) == len(_inner(graph).inputs)
    return [np.ascontiguousarray(x, dtype) for x in many]


def _inner(network: Network) -> Graph:
    return network.graph if isinstance(network, IntegerNetwork) else network


def _reference(network: Network, arrays: Arrays) -> Sequence[NDArray[np.generic]]:
    if isinstance(network, IntegerNetwork):
        return run_integer(network, arrays, runtime="tflm")
    return refcompress.run_exact(network, arrays)


def _compare(built: targets.Build, expected: Sequence[NDArray[np.generic]], *, count: bool) -> Measured:
    result = targets.run(built, count=count)
    assert result.status == 0, f"{built.target.name}: status {result.status}"
    arena_bytes, stack_bytes, *words = result.words
    samples = len(expected[0])
    flat = np.concatenate([y.reshape(samples, -1) for y in expected], axis=1)
    found = np.array(words, np.uint32)
    if flat.dtype == np.int8:
        np.testing.assert_array_equal(found.astype(np.uint8).view(np.int8).reshape(flat.shape), flat)
    else:
        assert_same_bits(found.view(np.float32).reshape(flat.shape), flat.astype(np.float32), built.target.name)
    return Measured(
        built.text_bytes,
        built.data_bytes,
        built.bss_bytes,
        arena_bytes,
        stack_bytes or None,
        result.instructions,
    )


def assert_same_bits(found: NDArray[np.float32], expected: NDArray[np.float32], what: str) -> None:
    """Compare bit for bit; two NaNs are the same whatever they carry."""
    same = (found.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(found) & np.isnan(expected))
    if not same.all():
        where = tuple(int(i[0]) for i in np.nonzero(~same))
        raise AssertionError(
            f"{what}: {int((~same).sum())} of {same.size} outputs differ, first at {where}: "
            f"{found[where]!r} is not {expected[where]!r}"
        )


def c_array(c_type: str, name: str, values: NDArray[np.generic], placed: str = "") -> str:
    """Define a constant array of integers."""
    words = [f"0x{int(v):x}u" for v in values.reshape(-1)]
    lines = [", ".join(words[i : i + 12]) for i in range(0, len(words), 12)]
    return f"static const {c_type} {name}[{len(words)}]{placed} = {{\n" + ",\n".join(lines) + "\n};\n"


def _c_flavour(graph: Network, arrays: Arrays, prefix: str, max_table_bits: int) -> tuple[Mapping[str, bytes], str]:
    files = exporters.c.export(graph, prefix=prefix, max_table_bits=max_table_bits)
    upper = prefix.upper()
    n_in, n_out = len(_inner(graph).inputs), len(_inner(graph).outputs)
    sizes_in = [f"{upper}_INPUT{'' if n_in == 1 else f'_{i}'}_SIZE" for i in range(n_in)]
    sizes_out = [f"{upper}_OUTPUT{'' if n_out == 1 else f'_{i}'}_SIZE" for i in range(n_out)]
    words = [f"inputs[{i}]" for i in range(n_in)] + [f"outputs[{i}]" for i in range(n_out)]
    call = f"{prefix}_run({', '.join(words)}, arena)"
    return files, main_text(f'#include "{prefix}.h"\n', arrays, sizes_in, sizes_out, f"{upper}_ARENA_BYTES", call)


def main_text(
    head: str,
    arrays: Arrays,
    sizes_in: Sequence[str],
    sizes_out: Sequence[str],
    arena_bytes: str,
    call: str,
    prepare: str = "",
) -> str:
    """Write a main that runs every sample in buffers of the exact size and prints the bits of the outputs."""
    samples = len(arrays[0])
    integers = arrays[0].dtype == np.int8
    bits = np.uint8 if integers else np.uint32
    data = "".join(c_array("element_bits", f"input_bits_{i}", x.view(bits), " PROGMEM") for i, x in enumerate(arrays))
    make = "".join(f"    inputs[{i}] = room({size} * sizeof(element));\n" for i, size in enumerate(sizes_in))
    make += "".join(f"    outputs[{i}] = room({size} * sizeof(element));\n" for i, size in enumerate(sizes_out))
    load = "".join(
        f"        LOAD(inputs[{i}], input_bits_{i} + sample * ({size}), {size} * sizeof(element));\n"
        for i, size in enumerate(sizes_in)
    )
    show = "".join(f"        show(outputs[{i}], {size});\n" for i, size in enumerate(sizes_out))
    return _MAIN.substitute(
        head=head,
        types="typedef int8_t element;\ntypedef uint8_t element_bits;" if integers else _FLOAT_TYPES,
        data=data,
        n_in=max(1, len(sizes_in)),
        n_out=max(1, len(sizes_out)),
        arena_bytes=arena_bytes,
        make=make,
        prepare=prepare,
        samples=samples,
        load=load,
        call=call,
        show=show,
    )


_FLOAT_TYPES = "typedef float element;\ntypedef uint32_t element_bits;"
_MAIN = Template(r"""$head
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVR__) /* whose constants are in RAM unless told otherwise, and whose heap is not aligned */
#include <avr/pgmspace.h>
#define LOAD memcpy_P
#define ALIGNMENT 4u
#else
#define PROGMEM
#define LOAD memcpy
#define ALIGNMENT 1u
#endif

$types

$data
void mark_begin(void);
void mark_end(void);
__attribute__((noinline)) void mark_begin(void) { __asm__ volatile(""); }
__attribute__((noinline)) void mark_end(void) { __asm__ volatile(""); }

static void *room(size_t bytes)
{
    uint8_t *memory = malloc((bytes != 0u ? bytes : 1u) + ALIGNMENT - 1u);
    if (memory == NULL) {
        exit(90);
    }
    memory += (0u - (uintptr_t)memory) & (ALIGNMENT - 1u);
#if !defined(UNFILLED)
    memset(memory, 0xEE, bytes);
#endif
    return memory;
}

static void show(const element *values, uint32_t n)
{
    element_bits bits;
    uint32_t i;
    for (i = 0u; i < n; i++) {
        memcpy(&bits, values + i, sizeof bits);
        printf("%08lx\n", (unsigned long)bits);
    }
}

#if defined(STACK_PAINTED_BYTES)
static uint32_t stack_pointer(void)
{
    uint32_t pointer;
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}
#endif

int main(void)
{
    element *inputs[$n_in];
    element *outputs[$n_out];
    void *arena = room(${arena_bytes});
    uint32_t sample, stack = 0u;
$make$prepare
    printf("%08lx\n", (unsigned long)(${arena_bytes}));
    for (sample = 0u; sample < ${samples}u; sample++) {
        rc_status status;
$load
#if defined(STACK_PAINTED_BYTES)
        const uint32_t top = stack_pointer();
        volatile uint8_t *const low = (volatile uint8_t *)(uintptr_t)(top - STACK_PAINTED_BYTES);
        uint32_t i;
        for (i = 0u; i < STACK_PAINTED_BYTES; i++) {
            low[i] = 0xA5u;
        }
#endif
        mark_begin();
        status = $call;
        mark_end();
        if (status != RC_OK) {
            return (int)status;
        }
#if defined(STACK_PAINTED_BYTES)
        for (i = 0u; i < STACK_PAINTED_BYTES && low[i] == 0xA5u; i++) {
        }
        stack = STACK_PAINTED_BYTES - i > stack ? STACK_PAINTED_BYTES - i : stack;
#endif
        if (sample == 0u) {
            printf("%08lx\n", (unsigned long)stack);
        }
$show    }
    return 0;
}
""")


def _blob_flavour(graph: Network, arrays: Arrays, prefix: str, max_table_bits: int) -> tuple[Mapping[str, bytes], str]:
    files = exporters.blob.export(graph, prefix=prefix, max_table_bits=max_table_bits)
    upper, q = prefix.upper(), "q_" if isinstance(graph, IntegerNetwork) else ""
    n_in, n_out = len(_inner(graph).inputs), len(_inner(graph).outputs)
    sizes_in = [f"{upper}_INPUT_{i}_SIZE" for i in range(n_in)]
    sizes_out = [f"{upper}_OUTPUT_{i}_SIZE" for i in range(n_out)]
    image = np.frombuffer(files[f"{prefix}.bin"], "<u4")
    head = f'#include "{prefix}.h"\n' + c_array("uint32_t", "image_words", image)
    # a copy of the exact size, so that a sanitizer sees every read outside
    prepare = f"""    const element *sources[{n_in}];
    void *const image = room({upper}_IMAGE_BYTES);
    memcpy(image, image_words, {upper}_IMAGE_BYTES);
    for (sample = 0u; sample < {n_in}u; sample++) {{
        sources[sample] = inputs[sample];
    }}
    if (rc_{q}check(image, {upper}_IMAGE_BYTES) != RC_OK || rc_arena_bytes(image) != {upper}_ARENA_BYTES) {{
        return 100 + (int)rc_{q}check(image, {upper}_IMAGE_BYTES);
    }}
"""
    call = f"rc_{q}run(image, sources, outputs, arena)"
    return files, main_text(head, arrays, sizes_in, sizes_out, f"{upper}_ARENA_BYTES", call, prepare)


_FLAVOURS = {"c": _c_flavour, "blob": _blob_flavour}

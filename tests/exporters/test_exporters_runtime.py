"""The runtime by itself: its arithmetic, its bit reader, and what it asks of a tool chain."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from checks import targets
from checks.export import assert_same_bits
from checks.native import ELEMENTARY, library
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import exporters.c
from exporters import runtime
from exporters.c.tensors import Data
from exporters.identifiers import Namer
from refcompress import Graph, Node, TensorSpec, encodings, ops
from refcompress.encodings import Bits, Huffman, huffman
from refcompress.kernels import exact_erf, exact_log, exact_math

FILES = runtime.files_for(runtime.C_SOURCES) | runtime.image_files(integers=False)
SOURCES = [name for name in FILES if name.endswith(".c")]
MATH = ("rc_math.c", "rc_log.c", "rc_sqrt.c", "rc_math.h", "rc_elementwise.h", "rc_bits.h", "rc_config.h")
TWINS = {
    "exp": exact_math.exp32,
    "expm1": exact_erf.expm1_32,
    "sigmoid": exact_math.sigmoid32,
    "tanh": exact_math.tanh32,
    "erf": exact_erf.erf32,
    "log": exact_log.log32,
    "log1p": exact_log.log1p_32,
    "softplus": exact_log.softplus32,
    "sqrt": np.sqrt,  # IEEE 754 rounds it correctly
}


def twin(name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):
        return np.asarray(TWINS[name](x), np.float32)


@given(st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions_equal_their_twins_on_any_pattern(name: str, bits: int) -> None:
    x = np.array([bits], np.uint32).view(np.float32)
    found = np.float32(getattr(library(), f"rc_{name}f")(float(x[0])))
    assert_same_bits(np.array([found]), twin(name, x), name)


def _main_of_functions(x: NDArray[np.float32]) -> str:
    words = ", ".join(f"0x{bits:08x}u" for bits in x.view(np.uint32))
    calls = "\n".join(f"        show(rc_{name}f(x));" for name in ELEMENTARY)
    return f"""
#include "rc_math.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const uint32_t patterns[{x.size}] = {{{words}}};

static void show(float value)
{{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    printf("%08lx\\n", (unsigned long)bits);
}}

int main(void)
{{
    int i;
    for (i = 0; i < {x.size}; i++) {{
        float x;
        memcpy(&x, patterns + i, sizeof x);
{calls}
    }}
    return 0;
}}
"""


@pytest.mark.parametrize(
    "target",
    [targets.CLANG, targets.SANITIZED, *targets.BOARDS, targets.AVR],
    ids=lambda target: target.name,
)
def test_elementary_functions_equal_their_twins_on_all_targets(target: targets.Target, tmp_path: Path) -> None:
    targets.require(target)
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            rng.integers(0, 2**32, 400, dtype=np.uint32).view(np.float32),
            rng.uniform(-105, 90, 300).astype(np.float32),
            rng.uniform(-1.5, 4.5, 300).astype(np.float32),
            np.array([0.0, -0.0, 0.625, -0.625, 0.84375, 88.72, 88.73, 89.0, -103.97, -104.0, -20.0, 1.0], np.float32),
            np.array([-1.0, 2.0**-126, 2.0**-149, 4.0, 0.70710677, np.inf, -np.inf, np.nan], np.float32),
        ]
    )
    files = {name: FILES[name] for name in MATH}
    built = targets.build(target, files, _main_of_functions(x), tmp_path)
    found = np.array(targets.run(built).words, np.uint32).view(np.float32).reshape(-1, len(ELEMENTARY))
    expected = np.stack([twin(name, x) for name in ELEMENTARY], axis=1)
    assert_same_bits(found, expected, target.name)


def _streams() -> list[Bits | Huffman]:
    rng = np.random.default_rng(5)
    found: list[Bits | Huffman] = [
        Bits(rng.integers(0, 1 << width, count).astype(np.uint16), width)
        for width in range(1, 17)
        for count in (0, 1, 7, 50)
    ]
    found += [
        huffman.encode(rng.integers(0, alphabet, 40), limit_bits=limit)
        for limit in (2, 5, 12)
        for alphabet in (1, 2, 4)
    ]
    for limit in (8, 11, 15):  # Fibonacci frequencies make codes of every length
        weights = [1, 1]
        while len(weights) < 18:
            weights.append(weights[-1] + weights[-2])
        lengths = huffman.code_lengths(weights, limit_bits=limit)
        found.append(Huffman(rng.integers(0, 18, 300).astype(np.uint16), lengths))
    symbols = rng.geometric(0.01, 400).clip(0, 4095).astype(np.uint16)
    found.append(huffman.encode(symbols, limit_bits=12))
    found.append(huffman.encode(np.full(9, 4095, np.uint16)))
    return found


def _main_of_streams(streams: list[Bits | Huffman], max_table_bits: int) -> str:
    data = Data(Namer("net", []), max_table_bits)
    calls = []
    for i, stream in enumerate(streams):
        fields = data._symbols("s", f"stream {i}", stream)
        body = ", ".join(f".{key.removeprefix('s.')} = {value}" for key, value in fields.items())
        data.text.append(f"static const rc_symbols symbols_{i} = {{{body}}};\n")
        coded = int(isinstance(stream, Huffman))
        calls.append(f"    show(&symbols_{i}, {coded}, {len(stream.symbols)}u);\n")
    return f"""
#include "rc_stream.h"
#include <stdio.h>
{"".join(data.text)}
static void show(const rc_symbols *symbols, int coded, uint32_t n)
{{
    rc_reader reader;
    rc_reader_open(&reader, symbols);
    for (; n != 0u; n--) {{
        const uint32_t symbol = coded ? rc_read_code(&reader) : rc_read_fixed(&reader);
        printf("%08lx\\n", (unsigned long)symbol);
    }}
}}

int main(void)
{{
{"".join(calls)}    return 0;
}}
"""


@pytest.mark.parametrize("max_table_bits", [0, 3, 10, 12])
@pytest.mark.parametrize("target", [targets.SANITIZED, targets.M4, targets.S390X], ids=lambda target: target.name)
def test_c_reads_every_stream_as_python_does(target: targets.Target, max_table_bits: int, tmp_path: Path) -> None:
    targets.require(target)
    streams = _streams()
    files = {name: FILES[name] for name in ("rc_stream.c", "rc_stream.h", "rc_config.h")}
    built = targets.build(target, files, _main_of_streams(streams, max_table_bits), tmp_path)
    expected = np.concatenate([stream.symbols for stream in streams])
    np.testing.assert_array_equal(targets.run(built).words, expected)


@pytest.fixture(scope="module")
def network() -> dict[str, bytes]:
    weight = encodings.encode(np.random.default_rng(0).normal(size=(3, 2)))
    nodes = (
        Node("Gemm", "dense", ("x",), "h", {"weight": "w"}, ops.NoAttrs()),
        Node("Softmax", "soft", ("h",), "y", attrs=ops.NoAttrs()),
    )
    return exporters.c.export(Graph((TensorSpec("x", (3,)),), ("y",), nodes, {"w": weight}), prefix="net")


@pytest.mark.parametrize("target", [targets.GCC, targets.M4], ids=lambda target: target.name)
def test_nothing_is_needed_but_memory_copies_and_nothing_is_writable(
    target: targets.Target, network: dict[str, bytes], tmp_path: Path
) -> None:
    targets.require(target)
    plain = tuple(flag for flag in target.compile_flags if not flag.startswith("--specs"))
    defined, needed = set(), set()
    for name, data in {**FILES, **network}.items():
        (tmp_path / name).write_bytes(data)
    for name in [*SOURCES, "net.c"]:
        path = tmp_path / f"{name}.o"
        free = targets.Target(target.name, target.compiler, (*plain, "-fno-pic"))
        targets.compile_object(free, tmp_path / name, path)
        tool = "arm-none-eabi-nm" if target is targets.M4 else "nm"
        listing = targets.attempt([tool, str(path)], tmp_path).stdout
        kinds = [line.split()[-2:] for line in listing.splitlines()]
        assert not [symbol for kind, symbol in kinds if kind in "DdBbCGgSs"], f"{name} has writable data"
        defined |= {symbol for kind, symbol in kinds if kind == "T"}
        # double is soft there; nothing but Pow computes with it
        needed |= {symbol for kind, symbol in kinds if kind == "U" and not (name == "rc_pow.c" and "__aeabi" in symbol)}
    assert needed - defined <= {"memcpy", "memset", "memmove"}


def test_only_kernels_in_use_are_exported(network: dict[str, bytes]) -> None:
    assert set(network) == {
        *(
            "net.h",
            "net.c",
            "CMakeLists.txt",
            "rc.h",
            "rc_config.h",
            "rc_stream.h",
            "rc_weights.h",
            "rc_dot.h",
            "rc_bits.h",
            "rc_math.h",
        ),
        *("rc_gemm.h", "rc_gemm_dense.c", "rc_activation.h", "rc_softmax.c", "rc_math.c"),
    }


def test_headers_are_c_plus_plus(network: dict[str, bytes], tmp_path: Path) -> None:
    if not targets.available(targets.Target("g++", "g++", ())):
        pytest.skip("needs g++")
    for name, data in {**FILES, **network}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "use.cpp").write_text(
        '#include "net.h"\n#include "rc_image.h"\n'
        "int main() { float x[NET_INPUT_SIZE], y[NET_OUTPUT_SIZE]; return net_run(x, y, nullptr); }\n"
    )
    done = targets.attempt(["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "use.cpp"], tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_runtime_of_another_version_stops_the_compiler(network: dict[str, bytes], tmp_path: Path) -> None:
    targets.require(targets.GCC)
    older = {**network, "rc.h": network["rc.h"].replace(b"RC_RUNTIME_VERSION 1", b"RC_RUNTIME_VERSION 2")}
    with pytest.raises(AssertionError, match="regenerate it"):
        targets.build(targets.GCC, older, "int main(void) { return 0; }\n", tmp_path)


@pytest.mark.parametrize(
    ("compiler", "flags", "tool"),
    [
        ("gcc", ("-mfma", "-O3", "-std=gnu99"), "objdump"),
        ("gcc", ("-mfma", "-O3", "-ffp-contract=fast"), "objdump"),
        ("clang", ("-mfma", "-O3", "-std=gnu99"), "objdump"),
        ("arm-none-eabi-gcc", (*targets.CORTEX_M4, "-O3", "-std=gnu11"), "arm-none-eabi-objdump"),
    ],
)
def test_no_compiler_fuses_multiplications_and_additions(
    compiler: str, flags: tuple[str, ...], tool: str, tmp_path: Path
) -> None:
    targets.require(targets.Target(compiler, compiler, ()))
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    for name in SOURCES:
        assert targets.attempt([compiler, *flags, "-c", name, "-o", "x.o"], tmp_path).returncode == 0
        listing = targets.attempt([tool, "-d", "x.o"], tmp_path).stdout
        assert "<rc_" in listing
        assert not re.search(r"\bvf(n?m(add|sub|a|s))", listing), name


@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-mfpmath=387"])
def test_flags_that_would_change_results_stop_the_compiler(flag: str, tmp_path: Path) -> None:
    targets.require(targets.GCC)
    for name in MATH:
        (tmp_path / name).write_bytes(FILES[name])
    done = targets.attempt(["gcc", flag, "-c", "rc_math.c"], tmp_path)
    assert done.returncode != 0
    assert "#error" in done.stderr or "unrecognized" in done.stderr  # other machines have no x87


@pytest.mark.parametrize("name", SOURCES)
def test_functions_fit_on_a_screen(name: str) -> None:
    longest, start = 0, 0
    for i, line in enumerate(FILES[name].decode().splitlines()):
        if line == "{":
            start = i
        elif line == "}":
            longest = max(longest, i - start)
    assert longest <= 60


def test_the_runtime_allocates_nothing_and_calls_no_library() -> None:
    text = b"".join(FILES.values()).decode()
    assert set(re.findall(r"#include <([a-z.]+)>", text)) <= {"stddef.h", "stdint.h", "string.h", "float.h"}
    assert not re.search(r"\b(malloc|calloc|realloc|free|alloca)\s*\(", text)

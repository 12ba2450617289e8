"""Integer networks as C: every operator and random networks, bit for bit what the reference computes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.forms import Form, make_weight
from checks.integer_builder import IntegerBuilder, grow
from checks.integer_networks import linear_weight, single
from checks.native import check_image
from hypothesis import given, settings
from hypothesis import strategies as st

import exporters.blob
import exporters.c
from exporters import memory_plan, runtime
from exporters.integer import lower_integer
from refcompress import ops
from refcompress.errors import ModelError
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork, Quantization

ALL_TARGETS = [targets.GCC, targets.CLANG, targets.SANITIZED, targets.M3, targets.M4]
FILES = runtime.image_files(integers=True)
Made = tuple[IntegerBuilder, IntegerNetwork]


def convolutions() -> Made:
    """Every way to convolve dense bytes, with odd numbers of channels, columns and pixels."""
    b = IntegerBuilder(1, x=(7, 9, 5), z=(6, 5, 8))
    relu = ("Relu", {})
    made = [
        b("Conv", "x", weight=(3, 3, 5, 7), pads=[1, 1, 1, 1], function=relu),
        b("Conv", "x", weight=(3, 2, 5, 4), pads=[2, 0, 1, 1], strides=[2, 2], bias=False),
        b("Conv", "x", weight=(1, 1, 5, 3)),
        b("Conv", "x", weight=(1, 1, 5, 6), pads=[0, 0, 0, 2], strides=[2, 1]),
        b("Conv", "x", weight=(2, 3, 5, 3), pads=[1, 2, 1, 2], dilations=[2, 2]),
        b("Conv", "x", weight=(7, 9, 5, 6), function=("Clip", {"min": -1.0, "max": 2.0})),
        b("Conv", "x", weight=(3, 3, 1, 5), pads=[1, 0, 2, 3], group=5),
        b("Conv", "x", weight=(3, 3, 1, 10), group=5),
        b("Conv", "z", weight=(3, 3, 1, 8), pads=[1, 1, 1, 1], strides=[2, 1], group=8),
        b("Conv", "z", weight=(2, 3, 1, 8), pads=[3, 4, 3, 4], dilations=[2, 3], group=8, function=relu),
        b("Conv", "z", weight=(2, 2, 4, 6), group=2),
    ]
    return b, b.network(*made)


def products() -> Made:
    """Gemm of one vector and of several, of every remainder of four and two."""
    b = IntegerBuilder(2, x=(19,), z=(3, 5, 16))
    made = [b("Gemm", "x", weight=(19, units), bias=bool(units % 2)) for units in (1, 2, 3, 4, 6, 7)]
    made += [b("Gemm", "z", weight=(16, units)) for units in (1, 5, 8)]
    return b, b.network(*made)


def pools() -> Made:
    """All four, with padding and clamps."""
    b = IntegerBuilder(3, x=(7, 6, 3))
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1]}
    made = [
        b("MaxPool", "x", **window),
        b("AveragePool", "x", **window, count_include_pad=False),
        b("AveragePool", "x", **window, count_include_pad=False, function=("Relu", {})),
        b("GlobalMaxPool", "x", keepdims=True),
        b("GlobalAveragePool", "x", keepdims=False),
        b("GlobalAveragePool", "x", keepdims=True, result=Quantization(2.0**-20, 3)),
    ]
    return b, b.network(*made)


def functions() -> Made:
    """Tables and Softmax, one behind the other in place."""
    b = IntegerBuilder(4, x=(4, 10))
    relu = b("Relu", "x", result=Quantization(0.03, -100))
    clip = b("Clip", "x", min=-0.5, max=0.5, result=Quantization(0.01, 20))
    made = [relu, clip, b("Sigmoid", relu), b("Tanh", clip), b("Softmax", "x"), b("Softmax", b("Tanh", clip))]
    return b, b.network(*made)


def merges() -> Made:
    """Add of two scales and of one, an input added to itself, Concat and Pad."""
    b = IntegerBuilder(5, x=(4, 5, 3), z=(4, 5, 3))
    total = b("Add", "x", "z", function=("Clip", {"min": 0.0, "max": 6.0}))
    twice = b("Add", total, total, result=Quantization(0.001, 5))
    fine = b("Add", "x", "z", result=Quantization(1e-8, 0))
    joined = b("Concat", "x", b("Reshape", "x", shape=[4, 5, 3]), axis=3)
    below = b("Concat", "x", b("Pad", "x", pads=[1, 0, 2, 0]), axis=1, function=("Relu", {}))
    padded = b("Pad", joined, pads=[1, 2, 0, 3])
    return b, b.network(total, twice, fine, joined, below, padded, "x")


def residual() -> Made:
    """Add two ways of a small network, as usual."""
    b = IntegerBuilder(6, x=(8, 8, 3))
    relu = ("Relu", {})
    first = b("Conv", "x", weight=(3, 3, 3, 4), pads=[1, 1, 1, 1], function=relu)
    left = b("Conv", first, weight=(3, 3, 4, 4), pads=[1, 1, 1, 1])
    joined = b("Add", first, left, function=relu)
    deep = b("Conv", joined, weight=(3, 3, 1, 4), pads=[0, 0, 1, 1], strides=[2, 2], group=4, function=relu)
    wide = b("Conv", deep, weight=(1, 1, 4, 9))
    pooled = b("AveragePool", wide, kernel_shape=[4, 4], strides=[1, 1], pads=[0, 0, 0, 0], count_include_pad=False)
    return b, b.network(b("Softmax", b("Gemm", b("Flatten", pooled), weight=(9, 5))))


def chain() -> Made:
    """Put layer over layer: every output lies over the input that it replaces."""
    b = IntegerBuilder(10, x=(9, 8, 4))
    relu = ("Relu", {})
    name = b("Conv", "x", weight=(1, 1, 4, 6))
    for outputs in (6, 11, 3):
        name = b("Conv", name, weight=(3, 3, 6 if outputs == 6 else outputs + 1, outputs), pads=[1, 1, 1, 1])
        name = b("Conv", name, weight=(3, 3, 1, outputs), pads=[1, 1, 1, 1], group=outputs, function=relu)
        name = b("Conv", name, weight=(1, 1, outputs, {6: 12, 11: 4, 3: 8}[outputs]))
    name = b("Conv", name, weight=(3, 2, 8, 5), strides=[2, 1], pads=[2, 0, 1, 2])
    name = b("Conv", name, weight=(2, 3, 1, 5), strides=[1, 2], pads=[0, 2, 1, 1], group=5)
    name = b("MaxPool", name, kernel_shape=[2, 2], strides=[1, 1], pads=[1, 0, 0, 1])
    name = b("AveragePool", name, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], count_include_pad=False)
    name = b("Conv", name, weight=(1, 1, 5, 9), strides=[2, 2])
    size = int(np.prod(ops.infer_shapes(Graph(b.inputs, (), tuple(b.nodes), b.params))[name]))
    return b, b.network(b("Gemm", b("Gemm", b("Flatten", name), weight=(size, 40)), weight=(40, 30)))


NETWORKS: tuple[Callable[[], Made], ...] = (convolutions, products, pools, functions, merges, residual, chain)


@pytest.mark.parametrize("target", ALL_TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_c_equals_the_reference(make: Callable[[], Made], target: targets.Target) -> None:
    b, network = make()
    check_export(network, b.samples(4), on=(target,))


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_images_equal_the_reference(make: Callable[[], Made]) -> None:
    b, network = make()
    check_image(network, b.samples(4))


@pytest.mark.parametrize("target", [targets.CLANG, targets.SANITIZED, targets.M0, targets.M4], ids=lambda t: t.name)
@pytest.mark.parametrize("make", [convolutions, functions, chain], ids=lambda make: make.__name__)
def test_images_equal_the_reference_on_all_targets(make: Callable[[], Made], target: targets.Target) -> None:
    b, network = make()
    check_export(network, b.samples(1 if target is targets.M0 else 4), on=(target,), exporter="blob")


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=12)
def test_random_networks_equal_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 8, 3))
    b = IntegerBuilder(seed, x=shape)
    for _ in range(int(rng.integers(2, 7))):
        grow(b, rng)
    names = [node.output for node in b.nodes if node.output in b.quantizations]
    network, samples = b.network(*dict.fromkeys(rng.choice(names, 2).tolist())), b.samples(2)
    check_export(network, samples, on=(targets.GCC,))
    check_image(network, samples)


def test_layers_of_a_chain_lie_over_each_other() -> None:
    program = lower_integer(chain()[1])
    two = max(program.elements[step.inputs[0]] + program.elements[step.output] for step in program.steps[1:])
    assert memory_plan.plan(program).arena_bytes < 0.9 * two


def test_sums_that_wrap_take_the_careful_kernels() -> None:
    unit, bias = Quantization(1.0, 0), np.array([2**31 - 1, -(2**31)], np.int32)
    weight = linear_weight(np.array([[1, -1]]), [2.0**-24])
    network = single("Gemm", {}, [((1,), unit)], unit, weight=weight, bias=bias)
    assert lower_integer(network).steps[0].kernel == "q_gemm_stream"
    check_export(network, np.array([[1], [0], [-1]]), on=(targets.GCC, targets.SANITIZED, targets.M4))


@pytest.mark.parametrize("scale", [4.0, 0.5, 2.0**-9, 1e-9])
def test_factors_of_every_size(scale: float) -> None:
    """Products are shifted to the left, not at all, to the right, and vanish."""
    b = IntegerBuilder(7, x=(5, 4, 6))
    source = b.quantizations["x"].scale
    weight = linear_weight(b.rng.integers(-9, 10, (1, 1, 6, 5)), [scale / source])
    deep = linear_weight(b.rng.integers(-9, 10, (2, 2, 1, 6)), [scale / source])
    made = [b("Conv", "x", weight=weight, result=Quantization(1.0, -5), bias=False)]
    made.append(b("Conv", "x", weight=deep, group=6, result=Quantization(1.0, 7), bias=False))
    check_export(b.network(*made), b.samples(), on=(targets.GCC, targets.SANITIZED, targets.M4))


def test_narrow_activations_are_clamped() -> None:
    b = IntegerBuilder(8, x=(11,))
    b.quantizations["x"] = Quantization(0.1, -3, 4)
    made = b("Gemm", "x", weight=(11, 9), result=Quantization(0.05, 2, 5))
    check_export(b.network(made), b.samples(), on=(targets.GCC,))
    assert "from -8 to 7" in exporters.c.export(b.network(made), prefix="net")["net.h"].decode()


def test_the_header_tells_scales_and_zero_points() -> None:
    b, network = residual()
    text = exporters.c.export(network, prefix="net")["net.h"].decode()
    assert "net_run(const int8_t *input, int8_t *output, void *arena);" in text
    assert "#define NET_OUTPUT_SCALE 0.00390625f\n#define NET_OUTPUT_ZERO_POINT (-128)\n" in text
    found = re.search(r"#define NET_INPUT_SCALE (.*)f\n#define NET_INPUT_ZERO_POINT \(?(-?\d+)\)?\n", text)
    assert found
    assert (float(np.float32(found[1])), int(found[2])) == (
        b.quantizations["x"].scale,
        b.quantizations["x"].zero_point,
    )


def test_the_header_of_an_image_tells_scales_and_what_to_call() -> None:
    text = exporters.blob.export(residual()[1], prefix="net")["net.h"].decode()
    assert "rc_q_check accepts the image, rc_q_run executes it" in text
    assert "/* Elements (int8_t) of each buffer. */" in text
    assert "#define NET_OUTPUT_0_SCALE 0.00390625f\n#define NET_OUTPUT_0_ZERO_POINT (-128)\n" in text


def test_what_no_kernel_does_is_named() -> None:
    b = IntegerBuilder(9, x=(2, 3), z=(3,))
    network = b.network(b("Add", "x", "z"))
    with pytest.raises(ModelError, match=r"'n0' \(Add\).*adds equal shapes only"):
        exporters.c.export(network, prefix="net")
    b = IntegerBuilder(9, x=(8192,))
    network = b.network(b("Softmax", "x"))
    with pytest.raises(ModelError, match=r"'n0' \(Softmax\).*up to 8191"):
        exporters.c.export(network, prefix="net")


def test_an_image_stores_no_scales_that_kernels_do_not_read() -> None:
    """Of rows with scales of their own one is left; biases, factors and shifts take 9 bytes a row."""
    b = IntegerBuilder(9, x=(50,))
    form = Form(sparse=False, kind="linear", values="bits", per_row=True, symmetric=True)
    network = b.network(b("Gemm", "x", weight=make_weight(b.rng, (50, 200), form)))
    steps = 4 * (9 + 2 + 16)
    packed = 4 + 4 + 4 + 2 + -(-3 * 50 * 200 // 8)
    assert len(exporters.blob.export(network, prefix="net")["net.bin"]) == steps + -(-packed // 4) * 4 + 9 * 200 + 4


def test_firmware_of_one_kind_of_images_has_no_kernels_of_the_other() -> None:
    floats, integers = (runtime.image_files(integers=kind) for kind in (False, True))
    kernels = {name for group in runtime.SOURCES.values() for name in group} - {"rc_stream.c"}
    assert not kernels & set(integers)
    assert not [name for name in floats if name.startswith("rc_q_") and name.endswith(".c")]


def test_the_same_network_gives_the_same_bytes() -> None:
    assert exporters.c.export(residual()[1], prefix="net") == exporters.c.export(residual()[1], prefix="net")


def test_only_kernels_in_use_are_exported() -> None:
    files = exporters.c.export(products()[1], prefix="net")
    assert {name for name in files if name.endswith(".c")} == {
        *("net.c", "rc_q.c", "rc_q_conv_points.c", "rc_q_gemm.c", "rc_q_rows.c")
    }


@pytest.mark.parametrize("target", [targets.GCC, targets.M4], ids=lambda target: target.name)
def test_nothing_is_needed_but_memory_copies_and_nothing_is_writable(target: targets.Target, tmp_path: Path) -> None:
    targets.require(target)
    plain = tuple(flag for flag in target.compile_flags if not flag.startswith("--specs"))
    free = targets.Target(target.name, target.compiler, (*plain, "-fno-pic"))
    files = FILES | exporters.c.export(residual()[1], prefix="net")
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    defined, needed = set(), set()
    for name in files:
        if name.endswith(".c"):
            targets.compile_object(free, tmp_path / name, tmp_path / "x.o")
            tool = "arm-none-eabi-nm" if target is targets.M4 else "nm"
            listing = targets.attempt([tool, str(tmp_path / "x.o")], tmp_path).stdout
            kinds = [line.split()[-2:] for line in listing.splitlines()]
            assert not [symbol for kind, symbol in kinds if kind in "DdBbCGgSs"], f"{name} has writable data"
            defined |= {symbol for kind, symbol in kinds if kind == "T"}
            needed |= {symbol for kind, symbol in kinds if kind == "U"}
    assert needed - defined <= {"memcpy", "memset", "memmove"}


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".c")])
def test_functions_fit_on_a_screen(name: str) -> None:
    longest, start = 0, 0
    for i, line in enumerate(FILES[name].decode().splitlines()):
        if line == "{":
            start = i
        elif line == "}":
            longest = max(longest, i - start)
    assert longest <= 60


def test_the_runtime_computes_no_float_and_calls_no_library() -> None:
    integer = {name: data for name, data in FILES.items() if name.startswith("rc_q")}
    text = re.sub(r"/\*.*?\*/", "", b"".join(integer.values()).decode(), flags=re.DOTALL)
    assert not re.search(r"\b(float|double)\b", text)
    assert set(re.findall(r"#include <([a-z.]+)>", text)) <= {"string.h"}
    assert not re.search(r"\b(malloc|calloc|realloc|free|alloca)\s*\(", text)


def test_headers_are_c_plus_plus(tmp_path: Path) -> None:
    if not targets.available(targets.Target("g++", "g++", ())):
        pytest.skip("needs g++")
    for name, data in {**FILES, **exporters.c.export(residual()[1], prefix="net")}.items():
        (tmp_path / name).write_bytes(data)
    headers = "".join(f'#include "{name}"\n' for name in sorted(FILES) if name.endswith(".h"))
    (tmp_path / "use.cpp").write_text(
        f'#include "net.h"\n{headers}'
        "int main() { int8_t x[NET_INPUT_SIZE], y[NET_OUTPUT_SIZE]; return net_run(x, y, nullptr); }\n"
    )
    done = targets.attempt(["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "use.cpp"], tmp_path)
    assert done.returncode == 0, done.stderr

"""What wraps a network's C for a way to build really builds there, and computes what the reference computes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checks import targets
from checks.export import Network, main_text
from checks.small_networks import classifier, two_ended

import exporters.c
import refcompress
from exporters import runtime
from exporters.projects import arduino, bare_metal, single_header, zephyr
from refcompress.errors import OptionError
from refcompress.files import write_files
from refcompress.integer import IntegerNetwork, run_integer

ARDUINO_CORE = Path("/usr/share/arduino/hardware/arduino/avr")


def _integers() -> IntegerNetwork:
    return refcompress.quantize_network(classifier(), np.random.default_rng(1).normal(size=(64, 12)).astype(np.float32))


NETWORKS = [pytest.param(classifier(), id="float"), pytest.param(_integers(), id="int8")]


def _reference(network: Network, x: np.ndarray) -> np.ndarray:
    if isinstance(network, IntegerNetwork):
        return run_integer(network, [x], runtime="tflm")[0]
    return refcompress.run_exact(network, x)[0]


def _zeros(network: Network) -> np.ndarray:
    if isinstance(network, IntegerNetwork):
        return np.full((1, 12), network.quantizations["x"].zero_point, np.int8)
    return np.zeros((1, 12), np.float32)


def _main(network: Network) -> tuple[str, np.ndarray]:
    """Write a program that prints the outputs of three samples, and tell their bits."""
    x = np.random.default_rng(2).normal(size=(3, 12)).astype(np.float32)
    x = (x * 40).astype(np.int8) if isinstance(network, IntegerNetwork) else x
    y = _reference(network, x)
    text = main_text('#include "net.h"\n', [x], ["NET_INPUT_SIZE"], ["NET_OUTPUT_SIZE"], "NET_ARENA_BYTES",
                     "net_run(inputs[0], outputs[0], arena)")  # fmt: skip
    return text, y.view(np.uint8 if y.dtype == np.int8 else np.uint32).reshape(-1)


def _printed_as(y: np.ndarray, *, thousandths: bool = True) -> list[str]:
    if y.dtype == np.int8:
        return [str(v) for v in y.reshape(-1)]
    return [str(int(v)) if thousandths else f"{v:.6f}" for v in y.reshape(-1) * np.float32(1000 if thousandths else 1)]


@pytest.mark.parametrize("network", NETWORKS)
def test_cmake_builds_a_program_with_the_library(network: Network, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("needs cmake")
    targets.require(targets.GCC)
    text, bits = _main(network)
    write_files(tmp_path / "model", exporters.c.export(network, prefix="net"))
    (tmp_path / "main.c").write_text(text)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(app C)\nadd_subdirectory(model)\n"
        "add_executable(app main.c)\ntarget_link_libraries(app PRIVATE net)\n"
    )
    for command in (["cmake", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=Release"], ["cmake", "--build", "build"]):
        done = targets.attempt(command, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    words = targets.words_of(targets.attempt(["build/app"], tmp_path))
    np.testing.assert_array_equal(words[2:], bits)


@pytest.mark.parametrize("target", [targets.GCC, targets.CLANG, targets.SANITIZED], ids=lambda target: target.name)
@pytest.mark.parametrize("network", NETWORKS)
def test_one_header_is_a_whole_network(network: Network, target: targets.Target, tmp_path: Path) -> None:
    targets.require(target)
    text, bits = _main(network)
    files = single_header.export(network, prefix="net") | {"net.c": b'#define NET_IMPLEMENTATION\n#include "net.h"\n'}
    result = targets.run(targets.build(target, files, text, tmp_path))
    np.testing.assert_array_equal(result.words[2:], bits)


def test_two_headers_share_the_runtime_in_one_source(tmp_path: Path) -> None:
    targets.require(targets.GCC)
    files = single_header.export(classifier(), prefix="net") | single_header.export(_integers(), prefix="other")
    files["both.c"] = (
        b'#define NET_IMPLEMENTATION\n#define OTHER_IMPLEMENTATION\n#include "net.h"\n#include "other.h"\n'
    )
    text, bits = _main(classifier())
    result = targets.run(targets.build(targets.GCC, files, '#include "other.h"\n' + text, tmp_path))
    np.testing.assert_array_equal(result.words[2:], bits)


@pytest.mark.parametrize("target", [targets.GCC, targets.CLANG, targets.AVR], ids=lambda target: target.name)
def test_the_whole_runtime_stands_in_one_source(target: targets.Target, tmp_path: Path) -> None:
    targets.require(target)
    kernels = {*runtime.SOURCES, *runtime.C_SOURCES, *runtime.INTEGER_SOURCES}
    if target is targets.AVR:
        kernels.remove("broadcast_pow")  # needs a double of 64 bits
    (tmp_path / "all.c").write_text(single_header.merged(runtime.files_for(kernels)))
    targets.compile_object(target, tmp_path / "all.c", tmp_path / "all.o")


def test_one_header_is_not_implemented_in_cpp(tmp_path: Path) -> None:
    targets.require(targets.GCC)
    write_files(tmp_path, single_header.export(classifier(), prefix="net"))
    (tmp_path / "main.cpp").write_text('#define NET_IMPLEMENTATION\n#include "net.h"\n')
    done = targets.attempt(["gcc", "-c", "main.cpp"], tmp_path)
    assert "in a C source, not in C++" in done.stderr
    (tmp_path / "main.cpp").write_text('#include "net.h"\n')
    assert targets.attempt(["gcc", "-c", "-Wall", "-Werror", "main.cpp"], tmp_path).returncode == 0


@pytest.mark.parametrize("network", NETWORKS)
def test_the_bare_metal_program_runs(network: Network, tmp_path: Path) -> None:
    targets.require(targets.M4)
    if shutil.which("make") is None:
        pytest.skip("needs make")
    write_files(tmp_path, bare_metal.export(network, prefix="net"))
    built = targets.attempt(["make", "CFLAGS=-std=c99 -O2 -Wall -Wextra -Wconversion -Wpedantic -Werror"], tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    assert (tmp_path / "net.bin").stat().st_size > 500
    done = targets.attempt(["make", "-s", "run"], tmp_path)
    assert done.returncode == 0
    assert re.findall(r"^-?\d+$", done.stdout + done.stderr, re.MULTILINE) == _printed_as(
        _reference(network, _zeros(network))
    )


def _arduino_flags() -> list[str]:
    if not ARDUINO_CORE.is_dir():
        pytest.skip("needs Arduino's core for AVR (arduino-core-avr)")
    folders = (ARDUINO_CORE / "cores" / "arduino", ARDUINO_CORE / "variants" / "mega")
    return ["-mmcu=atmega2560", "-DF_CPU=16000000L", "-DARDUINO=10819", "-DARDUINO_ARCH_AVR",
            "-DDECIMAL_DIG=__DECIMAL_DIG__",  # newer compilers than Debian's define it
            "-Os", "-flto",
            "-ffunction-sections", "-fdata-sections", *(f"-I{folder}" for folder in folders)]  # fmt: skip


def _objects(folder: Path) -> Iterator[list[str]]:
    """Commands that compile what the IDE compiles: Arduino's core, the library's sources and the sketch."""
    flags = [*_arduino_flags(), f"-I{folder / 'src'}"]
    sketch = folder / "examples" / "Run" / "Run.ino"
    for source in [*(ARDUINO_CORE / "cores" / "arduino").glob("*.c*"), *(folder / "src").glob("*.c"), sketch]:
        if source.suffix == ".c":
            yield ["avr-gcc", "-std=gnu11", *flags, "-c", str(source)]
        else:
            language = ["-x", "c++", "-include", "Arduino.h"] if source == sketch else []
            yield ["avr-g++", "-std=gnu++11", "-fno-exceptions", "-fno-threadsafe-statics", *flags, *language, "-c",
                   str(source)]  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
def test_the_arduino_sketch_prints_the_outputs(network: Network, tmp_path: Path) -> None:
    targets.require(targets.AVR)
    write_files(tmp_path, arduino.export(network, prefix="net"))
    properties = dict(line.split("=", 1) for line in (tmp_path / "net" / "library.properties").read_text().splitlines())
    assert {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"} <= {
        *properties
    }
    for command in _objects(tmp_path / "net"):
        done = targets.attempt(command, tmp_path)
        assert done.returncode == 0, done.stderr
    objects = sorted(str(path) for path in tmp_path.glob("*.o"))
    linked = targets.attempt(
        ["avr-gcc", "-Os", "-flto", "-mmcu=atmega2560", "-Wl,--gc-sections", *objects, "-lm", "-o", "run.elf"], tmp_path
    )
    assert linked.returncode == 0, linked.stderr
    limited = ["timeout", "-s", "INT", "5", "simavr", "-m", "atmega2560", "-f", "16000000", "run.elf"]
    done = targets.attempt(limited, tmp_path)  # a sketch loops for ever
    lines = re.findall(r"^(?:\x1b\[\d+m)*(-?[\d.]+?)\.\.?$", done.stdout + done.stderr, re.MULTILINE)
    assert lines == _printed_as(_reference(network, _zeros(network)), thousandths=False)


def test_the_zephyr_module_is_complete(tmp_path: Path) -> None:
    kconfiglib = pytest.importorskip("kconfiglib", reason="needs kconfiglib")
    write_files(tmp_path, zephyr.export(classifier(), prefix="net"))
    module = tmp_path / "net"
    assert (module / "zephyr" / "module.yml").read_text().splitlines() == [
        "name: net", "build:", "  cmake: zephyr", "  kconfig: zephyr/Kconfig"]  # fmt: skip
    config = kconfiglib.Kconfig(str(module / "zephyr" / "Kconfig"))
    assert config.syms["NET"].str_value == "n"
    sample = (module / "samples" / "run" / "prj.conf").read_text().replace("CONFIG_PRINTK=y\n", "")
    (tmp_path / "net.conf").write_text(sample)
    config.load_config(str(tmp_path / "net.conf"))
    assert config.syms["NET"].str_value == "y"
    assert not config.warnings


ZEPHYR_FUNCTIONS = """cmake_minimum_required(VERSION 3.20)
project(app C)
function(zephyr_library_named name)
  add_library(${name} STATIC)
  set(current ${name} PARENT_SCOPE)
endfunction()
macro(zephyr_library_sources)
  target_sources(${current} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_compile_options)
  target_compile_options(${current} PRIVATE ${ARGN})
endmacro()
function(zephyr_include_directories folder)
  get_filename_component(full ${folder} ABSOLUTE)
  include_directories(${full})
  set_property(GLOBAL APPEND PROPERTY folders ${full})
endfunction()
set(CONFIG_NET y)
add_subdirectory(net/zephyr)
add_executable(app net/samples/run/src/main.c)
get_property(folders GLOBAL PROPERTY folders)
target_include_directories(app PRIVATE ${folders} include)
target_link_libraries(app PRIVATE net)
"""


def test_the_zephyr_module_and_its_sample_compile(tmp_path: Path) -> None:
    """Zephyr itself is no package; its four functions of CMake and its printk are stood in for."""
    if shutil.which("cmake") is None:
        pytest.skip("needs cmake")
    network = classifier()
    write_files(tmp_path, zephyr.export(network, prefix="net"))
    (tmp_path / "CMakeLists.txt").write_text(ZEPHYR_FUNCTIONS)
    (tmp_path / "include" / "zephyr" / "sys").mkdir(parents=True)
    (tmp_path / "include" / "zephyr" / "sys" / "printk.h").write_text("#include <stdio.h>\n#define printk printf\n")
    for command in (["cmake", "-S", ".", "-B", "build"], ["cmake", "--build", "build"]):
        done = targets.attempt(command, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    printed = targets.attempt(["build/app"], tmp_path).stdout
    assert printed.split() == ["outputs:", *_printed_as(_reference(network, _zeros(network)))]


@pytest.mark.parametrize("exporter", [single_header, arduino, zephyr, bare_metal])
def test_networks_of_several_ends_and_bad_prefixes(exporter: object, tmp_path: Path) -> None:
    files = exporter.export(two_ended(), prefix="net")  # type: ignore[attr-defined]
    assert all("@" not in data.decode() for path, data in files.items() if not path.endswith("Makefile"))
    assert b"input_1" in b"".join(files.values())
    write_files(tmp_path, files)
    with pytest.raises(OptionError, match="cannot begin C identifiers"):
        exporter.export(two_ended(), prefix="9net")  # type: ignore[attr-defined]
    assert os.listdir(tmp_path)  # noqa: PTH208 - that something was written is all that counts

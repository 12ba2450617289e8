"""Real networks on real inputs, and every form of weights, on all kinds of machines, bit for bit the reference."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from checks import digit_networks, targets
from checks.atmega import run_alone
from checks.export import Arrays, Network, check_export
from checks.forms import samples, use_graph
from checks.image_networks import integer_network
from checks.integer_builder import use_network
from checks.small_networks import classifier

import exporters.c
import refcompress
from exporters import runtime
from refcompress import Graph, encodings, recipe
from refcompress.files import write_files
from refcompress.integer import quantize, smallest
from refcompress.passes import share_weights
from refcompress.post_training import quantize_network
from reference_models import DIGITS_CHECKPOINT, DIGITS_RECIPE, LENET_FILES
from reference_models.data import digits, mnist

SAMPLES = 20
CALIBRATION = 256
ATMEGA328P_FLASH_BYTES, ATMEGA328P_RAM_BYTES = 32_768, 2_048
Made = tuple[Network, Arrays]


def _both(graph: Graph, calibration: np.ndarray, x: np.ndarray) -> dict[str, Made]:
    """Return the network and its int8 form, each with its inputs."""
    network = smallest(quantize_network(graph, calibration))
    integers = quantize(x, network.quantizations[network.graph.inputs[0].name])
    return {"float32": (graph, [x]), "int8": (network, [integers])}


@cache
def _lenet(folder: Path) -> dict[str, Made]:
    parts = mnist(folder / "mnist")
    graph = refcompress.load(LENET_FILES["lenet-300-100"].small)
    return _both(graph, parts.train.x[:CALIBRATION], parts.test.x[:SAMPLES])


@cache
def _digits() -> dict[str, Made]:
    """Convolutions, pools and Softmax."""
    parts = digits()
    graph, _ = refcompress.compress(refcompress.load(DIGITS_CHECKPOINT), recipe.load(DIGITS_RECIPE))
    return _both(graph, parts.train.x[:CALIBRATION], parts.validation.x[:SAMPLES])


@cache
def _small() -> dict[str, Made]:
    """Two dense layers with shared weights: what 8 KiB of RAM have room for."""
    data = digit_networks.dataset()
    graph = share_weights.kmeans(digit_networks.trained(), bits=4)
    graph = graph.with_params({name: encodings.smallest(value) for name, value in graph.params.items()})
    return _both(graph, data.inputs[:CALIBRATION], digits().validation.x[:SAMPLES])


def _made(name: str, dtype: str, request: pytest.FixtureRequest) -> Made:
    """Return a network by its name; the digits come with scikit-learn, MNIST with the shared data."""
    return (_digits() if name == "digits" else _lenet(request.getfixturevalue("shared_data")))[dtype]


SLOW = (targets.M3, targets.M7)  # their digits: M0 has the same plain kernels, M4 and M33 the same others
CASES = [
    pytest.param(
        name,
        target,
        id=f"{name}-{target.name}",
        marks=[pytest.mark.slow] if name == "digits" and target in SLOW else [],
    )
    for name in ("lenet-300-100", "digits")
    for target in targets.BOARDS
]
EVERY_FORM = [
    pytest.param(target, id=target.name, marks=[pytest.mark.slow] if target is not targets.S390X else [])
    for target in (targets.M7, targets.M33, targets.RV32, targets.X86, targets.S390X)
]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize(("name", "target"), CASES)
def test_every_machine_equals_the_reference(
    request: pytest.FixtureRequest, name: str, target: targets.Target, dtype: str
) -> None:
    targets.require(target)
    made, x = _made(name, dtype, request)
    (found,) = check_export(made, x, on=(target,))
    assert (found.stack_bytes or 0) <= 512


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_machine_of_8_bits_equals_the_reference(dtype: str) -> None:
    targets.require(targets.AVR)
    made, x = _small()[dtype]
    check_export(made, x, on=(targets.AVR,))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("lenet-300-100", "float32"),
        ("lenet-300-100", "int8"),
        pytest.param("digits", "int8", marks=pytest.mark.slow),
    ],
)
def test_real_networks_run_in_8_kib_of_ram(request: pytest.FixtureRequest, name: str, dtype: str) -> None:
    targets.require(targets.AVR)
    made, x = _made(name, dtype, request)
    for half in np.split(x[0], 2):  # an array there has less than 32 KiB
        check_export(made, half, on=(targets.AVR,))


def test_two_kib_of_ram_are_enough() -> None:
    made, x = _small()["int8"]
    found = run_alone(made, x[0])
    assert found.program_bytes <= ATMEGA328P_FLASH_BYTES
    assert found.ram_bytes <= 512


def test_lenet_runs_in_two_kib_of_ram(shared_data: Path) -> None:
    made, x = _lenet(shared_data)["int8"]
    for half in np.split(x[0], 2):
        found = run_alone(made, half)
        assert found.program_bytes <= ATMEGA328P_FLASH_BYTES
        assert found.ram_bytes <= ATMEGA328P_RAM_BYTES
        assert found.program_bytes - found.inputs_bytes <= 10_000
        assert found.cycles <= 2_000_000


def _refused(main: str, folder: Path, *flags: str) -> str:
    """Return what the compiler of an AVR says."""
    targets.require(targets.AVR)
    done = targets.attempt(["avr-gcc", "-mmcu=atmega2560", "-std=gnu99", *flags, "-fsyntax-only", main], folder)
    assert done.returncode != 0
    return done.stderr


def test_tables_that_pointers_to_flash_cannot_reach_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, exporters.c.export(classifier(inputs=600), prefix="net"))
    assert "has 77440 bytes of tables; an AVR reads" in _refused("net.c", tmp_path)


def test_strict_c_and_images_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, runtime.image_files(integers=False))
    assert "-std=gnu99" in _refused("rc_activation.c", tmp_path, "-std=c99")
    assert "export the network as C" in _refused("rc_image.c", tmp_path)


@pytest.mark.parametrize("use", ["gemm", "conv_grouped"])
@pytest.mark.parametrize("target", EVERY_FORM)
def test_every_form_of_weights_equals_the_reference(use: str, target: targets.Target) -> None:
    targets.require(target)
    b, network = use_network(5, use)
    check_export(network, b.samples(1), on=(target,), max_table_bits=2)
    rng = np.random.default_rng(5)
    graph = use_graph(rng, use)
    check_export(graph, samples(rng, graph, 1), on=(target,), max_table_bits=2)


@pytest.mark.parametrize("use", ["gemm", "conv_grouped"])
def test_every_form_of_integer_weights_is_read_from_flash(use: str) -> None:
    b, network = use_network(5, use)
    check_export(network, b.samples(1), on=(targets.AVR_16K,), max_table_bits=2)


def test_every_integer_kernel_reads_its_tables_from_flash() -> None:
    b, network = integer_network()
    check_export(network, b.samples(1), on=(targets.AVR_16K,))


def test_every_form_of_float_weights_is_read_from_flash() -> None:
    rng = np.random.default_rng(5)
    graph = use_graph(rng, "gemm")
    check_export(graph, samples(rng, graph, 1), on=(targets.AVR_16K,), max_table_bits=2)


def test_what_is_missing_is_said() -> None:
    compiler = targets.Target("board", "no-such-gcc", (), emulator=("no-such-emulator", "-M", "board"))
    with pytest.raises(pytest.skip.Exception, match="board needs no-such-gcc, no-such-emulator"):
        targets.require(compiler)
    targets.require(targets.GCC)
    library = targets.Target("board", "gcc", (), library="no-such-library.a")
    with pytest.raises(pytest.skip.Exception, match=r"board needs no-such-library\.a of gcc"):
        targets.require(library)

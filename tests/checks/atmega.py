"""Networks on an ATmega with nothing beside them: bit for bit the reference, and what they take of its memory."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from checks import targets
from checks.export import Network, c_array
from checks.targets import Target
from numpy.typing import NDArray

import exporters.c
import refcompress
from refcompress.integer import IntegerNetwork, run_integer

TICK_CYCLES = 1024
_TYPES = {"int8": ("int8_t", "uint8_t"), "float32": ("float", "uint32_t")}


@dataclass(frozen=True)
class Measured:
    """What a network takes.

    Attributes
    ----------
    program_bytes
        Flash of the whole program: network, runtime, start-up code, what prints, and the inputs of the test.
    inputs_bytes
        Of these, the inputs.
    ram_bytes
        Static memory (arena, input, output, descriptors) and the most stack.
    stack_bytes
        Of these, the stack.
    cycles
        Of a run, to 1024.

    """

    program_bytes: int
    inputs_bytes: int
    ram_bytes: int
    stack_bytes: int
    cycles: int


def run_alone(network: Network, x: NDArray[np.generic], on: Target = targets.ATMEGA328P) -> Measured:
    """Export, compile and run a network of one input and one output, and compare every bit.

    Parameters
    ----------
    network
        Float32 or integer.
    x
        Samples, of less than 32 KiB.
    on
        An ATmega with a UART 0 and a Timer 1.

    """
    targets.require(on)
    alone = replace(on, board="")  # which brings C's streams
    bits = np.uint8 if x.dtype == np.int8 else np.uint32
    words = np.ascontiguousarray(x).view(bits)
    files = {**exporters.c.export(network, prefix="net"), "inputs.h": _inputs(words).encode()}
    main = Path(__file__).parent / "atmega_main.c"
    with tempfile.TemporaryDirectory() as folder:
        built = targets.build(alone, files, main.read_text(), Path(folder))
        ticks, *found, stack_bytes = targets.run(built).words
    np.testing.assert_array_equal(np.array(found, np.uint32), _reference(network, x).view(bits).reshape(-1))
    return Measured(
        built.text_bytes + built.data_bytes,
        words.nbytes,
        built.data_bytes + built.bss_bytes + stack_bytes,
        stack_bytes,
        ticks * TICK_CYCLES,
    )


def _inputs(words: NDArray[np.generic]) -> str:
    element, element_bits = _TYPES["int8" if words.itemsize == 1 else "float32"]
    types = f"typedef {element} element;\ntypedef {element_bits} element_bits;\n#define SAMPLES {len(words)}u\n"
    return types + c_array("element_bits", "input_bits", words, " PROGMEM")


def _reference(network: Network, x: NDArray[np.generic]) -> NDArray[np.generic]:
    if isinstance(network, IntegerNetwork):
        return run_integer(network, [x], runtime="tflm")[0]
    return refcompress.run_exact(network, x)[0]

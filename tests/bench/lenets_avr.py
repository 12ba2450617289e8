"""Flash, RAM and cycles of the compressed LeNets on 8-bit AVRs under simavr.

usage: python tests/bench/lenets_avr.py DIR [--images N]

DIR holds the four files of MNIST. Every image run is compared bit for bit with ``refcompress.run_exact``, or with
``refcompress.integer.run_integer``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from checks import targets
from checks.atmega import Measured, run_alone
from checks.lenets import in_int8

import refcompress
from refcompress.integer import quantize
from reference_models import LENET_FILES
from reference_models.data import mnist

CASES = (
    ("lenet-300-100", "int8", targets.ATMEGA328P),
    ("lenet-300-100", "float32", targets.AVR),
    ("lenet-5", "int8", targets.AVR),
)
MAX_IMAGES = 10  # of float32, whose bytes an array there can hold


def measured(directory: Path, images: int) -> Iterator[tuple[str, str, str, Measured]]:
    """Run one network after the other."""
    data = mnist(directory)
    for name, arithmetic, part in CASES:
        graph = refcompress.load(LENET_FILES[name].small)
        x = data.test.x[:images].reshape(images, *graph.inputs[0].shape)
        if arithmetic == "int8":
            network = in_int8(graph, data)
            found = run_alone(network, quantize(x, network.quantizations[graph.inputs[0].name]), part)
        else:
            found = run_alone(graph, x, part)
        yield name, arithmetic, part.name, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where the files of MNIST are")
    parser.add_argument("--images", type=int, default=MAX_IMAGES, choices=range(1, MAX_IMAGES + 1), metavar="N")
    options = parser.parse_args()
    if not targets.available(targets.AVR):
        sys.exit(f"needs {' and '.join(targets.AVR.tools)}")
    print("| network | | part | flash | RAM | of it stack | cycles |\n|---|---|---|--:|--:|--:|--:|")
    for name, arithmetic, part, found in measured(options.directory, options.images):
        numbers = (found.program_bytes - found.inputs_bytes, found.ram_bytes, found.stack_bytes, found.cycles)
        print(f"| {name} | {arithmetic} | {part} | {' | '.join(f'{number:,}' for number in numbers)} |")


if __name__ == "__main__":
    main()

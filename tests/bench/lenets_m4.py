"""Flash, RAM and instructions of the compressed LeNets on a Cortex-M4 under QEMU.

usage: python tests/bench/lenets_m4.py DIR [--only NAME ...] [--images N] [--files DIR] [--json]

DIR holds the four files of MNIST. Every image run is compared bit for bit with ``refcompress.run_exact``, or with
``refcompress.integer.run_integer``. Both ways to a microcontroller are measured: generated C, and a flash image that
the runtime interprets; and the networks in int8 as generated C, calibrated by training images.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from checks import targets
from checks.export import check_export, harness_bytes
from checks.lenets import in_int8

import refcompress
from refcompress import Graph
from refcompress.integer import IntegerNetwork, quantize, run_integer
from reference_models import LENET_FILES
from reference_models.data import mnist

CLASSES = 10
TEST_IMAGES = 10_000
WAYS = {("c", "float32"): "C", ("blob", "float32"): "flash image", ("c", "int8"): "C, int8"}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    network, exporter, arithmetic
        What runs, how it was exported, and what it computes with.
    rcz_bytes
        Of the file.
    flash_bytes
        Text and data, without those of the program that measures; of a flash image the runtime too.
    ram_bytes
        Arena, stack, input and output.
    instructions
        Of the first image; None where they cannot be counted.
    images
        How many gave the same bits as the reference.
    correct
        Test images of the whole set that the reference classifies right.

    """

    network: str
    exporter: str
    arithmetic: str
    rcz_bytes: int
    flash_bytes: int
    ram_bytes: int
    instructions: int | None
    images: int
    correct: int


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Measure one network after the other, each exported in every way."""
    data = mnist(options.directory)
    for name in options.only:
        shipped = LENET_FILES[name].small
        path = shipped if options.files is None else options.files / shipped.name
        graph = refcompress.load(path)
        images = data.test.x.reshape(len(data.test.x), *graph.inputs[0].shape)
        integer = in_int8(graph, data)
        integers = quantize(images, integer.quantizations[graph.inputs[0].name])
        correct = int((refcompress.run(graph, images)[0].argmax(axis=1) == data.test.y).sum())
        integer_correct = int((run_integer(integer, integers)[0].argmax(axis=1) == data.test.y).sum())
        for exporter, arithmetic in WAYS:
            found = (integer, integers, integer_correct) if arithmetic == "int8" else (graph, images, correct)
            costs = measure(found[0], found[1][: options.images], exporter)
            yield Row(name, exporter, arithmetic, path.stat().st_size, *costs, options.images, found[2])


def measure(network: Graph | IntegerNetwork, images: NDArray[Any], exporter: str) -> tuple[int, int, int | None]:
    """Return flash, RAM and instructions."""
    (found,) = check_export(network, images, on=[targets.M4], exporter=exporter, count=True)
    flash_bytes = found.text_bytes + found.data_bytes - harness_bytes(network, images)
    buffers_bytes = images.itemsize * (images[0].size + CLASSES)
    return flash_bytes, found.arena_bytes + (found.stack_bytes or 0) + buffers_bytes, found.instructions


def table(measured: list[Row]) -> str:
    """Write the rows as a table in Markdown."""
    lines = [
        "| network | exported as | `.rcz` | flash | RAM | instructions | test error |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in measured:
        cells = [row.network, WAYS[row.exporter, row.arithmetic]]
        numbers = (row.rcz_bytes, row.flash_bytes, row.ram_bytes, row.instructions)
        cells += ["-" if number is None else f"{number:,}" for number in numbers]
        cells.append(f"{(TEST_IMAGES - row.correct) / TEST_IMAGES:.2%}".replace("%", " %"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where the files of MNIST are")
    parser.add_argument("--only", nargs="+", choices=LENET_FILES, default=list(LENET_FILES))
    parser.add_argument("--images", type=int, default=5, help="test images that run")
    parser.add_argument("--files", type=Path, help="where the .rcz files are, if not with the project")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    if not targets.available(targets.M4):
        sys.exit(f"needs {' and '.join(targets.M4.tools)}")
    measured = list(rows(options))
    print(json.dumps([asdict(row) for row in measured], indent=1) if options.json else table(measured))


if __name__ == "__main__":
    main()

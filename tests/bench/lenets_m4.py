"""Flash, RAM and instructions of the compressed LeNets on a Cortex-M4 under QEMU.

usage: python tests/bench/lenets_m4.py DIR [--only NAME ...] [--images N] [--files DIR] [--json]

DIR holds the four files of MNIST. Every image run is compared bit for bit with ``refcompress.run_exact``. Both ways
to a microcontroller are measured: generated C, and a flash image that the runtime interprets.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from checks import targets
from checks.export import check_export, harness_bytes

import refcompress
from reference_models import LENET_FILES
from reference_models.data import mnist


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    network, exporter
        What runs, and how it was exported.
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

    """

    network: str
    exporter: str
    rcz_bytes: int
    flash_bytes: int
    ram_bytes: int
    instructions: int | None
    images: int


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Measure one network after the other, each exported in both ways."""
    test = mnist(options.directory).test.x[: options.images]
    for name in options.only:
        shipped = LENET_FILES[name].small
        path = shipped if options.files is None else options.files / shipped.name
        graph = refcompress.load(path)
        images = test.reshape(len(test), *graph.inputs[0].shape)
        outputs = refcompress.run(graph, images[:1])[0]
        empty = harness_bytes(graph, images)
        for exporter in ("c", "blob"):
            (found,) = check_export(graph, images, on=[targets.M4], exporter=exporter, count=True)
            yield Row(
                name,
                exporter,
                path.stat().st_size,
                found.text_bytes + found.data_bytes - empty,
                found.arena_bytes + (found.stack_bytes or 0) + 4 * (images[0].size + outputs.size),
                found.instructions,
                len(images),
            )


def table(measured: list[Row]) -> str:
    """Write the rows as a table in Markdown."""
    lines = ["| network | exported as | `.rcz` | flash | RAM | instructions |", "|---|---|--:|--:|--:|--:|"]
    for row in measured:
        cells = [row.network, {"c": "C", "blob": "flash image"}[row.exporter]]
        numbers = (row.rcz_bytes, row.flash_bytes, row.ram_bytes, row.instructions)
        cells += ["-" if number is None else f"{number:,}" for number in numbers]
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

"""The four MLPerf Tiny networks in int8, exported to C and run on a Cortex-M4 under QEMU, beside TFLite Micro.

usage: python tests/bench/integer_mlperf_tiny.py [--data DIR] [--only NAME ...] [--samples N] [--json]

Every sample is compared with the outputs of TFLite Micro to the last bit. Figures of TFLite Micro with CMSIS-NN on the
same files were measured in the same way (its arena as it reports it, which is less than it takes).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from checks import targets
from checks.export import check_export, harness_bytes
from checks.tflite_micro import PEER, Cost

from refcompress.formats import tflite
from refcompress.integer import run_integer

DEFAULT_DATA = Path(__file__).parent.parent.parent.parent / "shared" / "data"
TITLES = {
    "ad01": "auto-encoder, machine sounds",
    "str_ww": "DS-CNN, wake word",
    "resnet8": "ResNet-8, CIFAR-10",
    "vww96": "MobileNet 0.25, person",
}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    network
        What runs.
    cost
        Flash (text and data less those of the program that measures), RAM (arena, stack, input and output),
        instructions of the first sample.
    arena_bytes
        Of the RAM.
    samples
        How many gave the same integers as TFLite Micro.

    """

    network: str
    cost: Cost
    arena_bytes: int
    samples: int


def measure(name: str, data: Path, samples: int) -> Row:
    """Fill one line of the table."""
    network = tflite.load(data / "tflite" / f"{name}_int8.tflite")
    with np.load(data / "tflite" / f"{name}_int8_io.npz") as file:
        x, y = file["x"][:samples], file["y_tflm"][:samples]
    if not np.array_equal(run_integer(network, x)[0], y):
        sys.exit(f"{name}: the reference differs from TFLite Micro")
    (found,) = check_export(network, x, on=[targets.M4], count=True)
    flash_bytes = found.text_bytes + found.data_bytes - harness_bytes(network, x)
    ram_bytes = found.arena_bytes + (found.stack_bytes or 0) + x[0].size + y[0].size
    return Row(name, Cost(flash_bytes, ram_bytes, found.instructions or 0), found.arena_bytes, len(x))


def table(rows: list[Row]) -> str:
    """Write the rows as a table in Markdown, with the share of what TFLite Micro takes."""
    lines = ["| network | flash | RAM | arena | instructions |", "|---|--:|--:|--:|--:|"]
    for row in rows:
        peer = PEER[row.network]
        pairs = zip(asdict(row.cost).values(), asdict(peer).values(), strict=True)
        flash, ram, instructions = (f"{ours:,} ({ours / theirs:.2f}x)" for ours, theirs in pairs)
        lines.append(f"| {TITLES[row.network]} | {flash} | {ram} | {row.arena_bytes:,} | {instructions} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="the folder that holds tflite/")
    parser.add_argument("--only", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--samples", type=int, default=3, help="inputs that run")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    if not targets.available(targets.M4):
        sys.exit(f"needs {' and '.join(targets.M4.tools)}")
    rows = [measure(name, options.data, options.samples) for name in options.only]
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else table(rows))


if __name__ == "__main__":
    main()

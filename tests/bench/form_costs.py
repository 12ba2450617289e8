"""What the forms that ``exporters.forms.choose_forms`` chooses cost on a Cortex-M4 under QEMU, beside its model.

usage: python tests/bench/form_costs.py FILE.rcz ... [--data DIR] [--prefer WAY ...] [--json]

Files are compressed float32 networks, known by their names: ``lenet_300_100`` and ``lenet_5`` (reference_models, or
what ``refcompress reproduce`` wrote), and ``ad01``, ``ad01_fields``, ``str_ww``, ``resnet8``, ``vww``
(``mlperf_tiny.py -o DIR``).
Each is quantized to int8, stored in the chosen forms, run on one test input, and compared bit for bit with the
reference. The model covers layers with weights alone; the networks of MLPerf Tiny stand beside TFLite Micro with
CMSIS-NN.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

from checks import targets
from checks.export import check_export, harness_bytes
from checks.lenets import CALIBRATION_IMAGES
from checks.tflite_micro import PEER
from mlperf_tiny import DEFAULT_DATA, NETWORKS, accuracy

import refcompress
from exporters.costs import layer_costs
from exporters.forms import Prefer, choose_forms
from refcompress import Graph
from refcompress.integer import IntegerNetwork, dequantize, quantize, run_integer
from reference_models.data import mnist

PEER_NAMES = {"vww": "vww96", "ad01_fields": "ad01"}
SAMPLES = 500  # that calibrate


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    network: str
    prefer: str
    flash_bytes: int
    ram_bytes: int
    instructions: int
    estimated: int
    quality: str


def prepared(path: Path, data: Path) -> tuple[IntegerNetwork, NDArray[np.float32], str]:
    """Return a network in int8, test inputs, and how good it is on all of them."""
    graph, name = refcompress.load(path), path.stem
    if not isinstance(graph, Graph):
        sys.exit(f"{path} is an integer network; give the float32 network that it was made of")
    if name not in NETWORKS:
        splits = mnist(data / "mnist")
        train, test = (part.x.reshape(len(part.x), *graph.inputs[0].shape) for part in (splits.train, splits.test))
        network = refcompress.quantize_network(
            graph, train[:CALIBRATION_IMAGES], conv_scales="tensor", weight_ranges="mse", bias_bits=8
        )
        (reference,) = refcompress.run(graph, test)
        return network, test, accuracy(_outputs(network, test), reference, test, splits.test.y)
    known = NETWORKS[name]
    inputs = known.inputs(data)
    network = refcompress.quantize_network(graph, inputs.calibration[:SAMPLES], ranges="mse")
    original = refcompress.load(data / "h5" / known.checkpoint)
    if not isinstance(original, Graph):
        sys.exit(f"{known.checkpoint} is no float32 network")
    (reference,) = refcompress.run(original, inputs.test)
    return (
        network,
        inputs.test,
        known.quality(_outputs(network, inputs.test), reference, inputs.test, inputs.test_labels),
    )


def _outputs(network: IntegerNetwork, x: NDArray[np.float32]) -> NDArray[np.float32]:
    integers = quantize(x, network.quantizations[network.graph.inputs[0].name])
    return dequantize(run_integer(network, integers)[0], network.quantizations[network.graph.outputs[0]])


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Measure every file in every way."""
    for path in options.files:
        network, test, quality = prepared(path, options.data)
        x = quantize(test[:1], network.quantizations[network.graph.inputs[0].name])
        outputs = run_integer(network, x)[0].size
        for prefer in options.prefer:
            chosen = choose_forms(network, prefer)
            (found,) = check_export(chosen, x, on=[targets.M4], count=True)
            flash_bytes = found.text_bytes + found.data_bytes - harness_bytes(chosen, x)
            ram_bytes = found.arena_bytes + (found.stack_bytes or 0) + x.size + outputs
            estimated = sum(cost.instructions for cost in layer_costs(chosen).values())
            yield Row(path.stem, prefer, flash_bytes, ram_bytes, found.instructions or 0, estimated, quality)


def table(measured: list[Row]) -> str:
    """Write the rows as a table in Markdown, with the share of what TFLite Micro takes where it was measured."""
    lines = [
        "| network | prefer | flash | RAM | instructions | model | quality |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for row in measured:
        peer = PEER.get(PEER_NAMES.get(row.network, row.network))
        flash, ram, instructions = (f"{n:,}" for n in (row.flash_bytes, row.ram_bytes, row.instructions))
        if peer is not None:
            flash += f" ({row.flash_bytes / peer.flash_bytes:.2f}x)"
            ram += f" ({row.ram_bytes / peer.ram_bytes:.2f}x)"
            instructions += f" ({row.instructions / peer.instructions:.2f}x)"
        error = f"{100 * (row.estimated / max(row.instructions, 1) - 1):+.0f} %"
        cells = [row.network, row.prefer, flash, ram, instructions, error, row.quality]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="compressed networks")
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, help="the folder that holds mnist/, h5/, tflite/ ..."
    )
    parser.add_argument("--prefer", nargs="+", choices=get_args(Prefer), default=list(get_args(Prefer)))
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    if not targets.available(targets.M4):
        sys.exit(f"needs {' and '.join(targets.M4.tools)}")
    measured = list(rows(options))
    print(json.dumps([asdict(row) for row in measured], indent=1) if options.json else table(measured))


if __name__ == "__main__":
    main()

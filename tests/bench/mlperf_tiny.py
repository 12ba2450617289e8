"""The four MLPerf Tiny networks, compressed without retraining, exported to C and run on a Cortex-M4 under QEMU.

usage: python tests/bench/mlperf_tiny.py [--data DIR] [--only NAME ...] [--samples N] [-o DIR]

Prints the table of the README, and writes it with the compressed files and the C sources where ``-o`` says. The
recipes are those in ``reference_models/recipes``; calibration inputs and the inputs that measure are kept apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from checks import targets
from checks.export import check_export, harness_bytes

import refcompress
from refcompress import Graph, recipe
from refcompress.analysis.measure import Report

ROOT = Path(__file__).parent.parent.parent
DEFAULT_DATA = ROOT.parent / "shared" / "data"
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Inputs:
    """Inputs of a network, all float32, batch first.

    Attributes
    ----------
    calibration
        What the passes may see.
    test
        What measures; none of it calibrates.
    labels
        Classes of the test inputs; None where nobody labelled them.

    """

    calibration: Samples
    test: Samples
    labels: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table; sizes in bytes, of one run."""

    network: str
    float32_bytes: int
    rcz_bytes: int
    before: str
    after: str
    flash_bytes: int | None
    ram_bytes: int | None
    instructions: int | None
    bit_equal: int


def cifar_images(data: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the first 4,000 training images of CIFAR-10 and their labels."""
    with np.load(data / "cifar10" / "cifar10_lossless_train_first4000.npz") as archive:
        return archive["x"], archive["y"].astype(np.int64)


def resnet_inputs(data: Path) -> Inputs:
    """1,000 images calibrate, all 4,000 have labels; the accuracy of the other 3,000 is printed too."""
    images, labels = cifar_images(data)
    return Inputs(images[:1000].astype(np.float32), images.astype(np.float32), labels)


def person_inputs(data: Path) -> Inputs:
    """Natural images: CIFAR-10's, enlarged three times, calibrate and measure; nobody labelled them as persons."""
    images, _ = cifar_images(data)
    large = (images[:800].repeat(3, axis=1).repeat(3, axis=2) / 255).astype(np.float32)
    with np.load(data / "tflite" / "vww96_int8_io.npz") as archive:
        real = archive["x_float"]
    return Inputs(large[:300], np.concatenate([real, large[300:]]))


def machine_inputs(data: Path) -> Inputs:
    """Log-mel windows of machine sounds: ten of twenty calibrate, in random mixtures with noise; ten measure."""
    with np.load(data / "tflite" / "ad01_int8_io.npz") as archive:
        windows = archive["x_float"]
    rng = np.random.default_rng(0)
    seen = windows[::2]
    mixed = rng.dirichlet(np.ones(len(seen)), 1000) @ seen
    noisy = mixed + rng.standard_normal(mixed.shape) * windows.std() * rng.uniform(0, 0.5, (1000, 1))
    return Inputs(np.concatenate([seen, noisy]).astype(np.float32), windows[1::2])


def speech_inputs(data: Path) -> Inputs:
    """Spectrogram windows, labelled; every third calibrates, with small shifts in time, and all measure."""
    with np.load(data / "speech_windows" / "calibration_samples.npz") as archive:
        windows, labels = archive["specs"].astype(np.float32), archive["labels"].astype(np.int64)
    seen = windows[::3]
    shifted = [np.roll(seen, shift, axis=1) for shift in range(-5, 6)]
    return Inputs(np.concatenate(shifted), windows, labels)


def accuracy(outputs: Samples, reference: Samples, inputs: Inputs) -> str:
    """Share of right answers, in percent."""
    del reference
    right = outputs.argmax(axis=1) == inputs.labels
    unseen = f", {100 * right[1000:].mean():.2f} % of the 3,000 unseen" if len(right) == 4000 else ""
    return f"{100 * right.mean():.2f} %{unseen}"


def agreement(outputs: Samples, reference: Samples, inputs: Inputs) -> str:
    """Share of inputs with the answer of the original network, in percent."""
    del inputs
    return f"{100 * np.mean(outputs.argmax(axis=1) == reference.argmax(axis=1)):.2f} % same answers"


def anomaly_score(outputs: Samples, reference: Samples, inputs: Inputs) -> str:
    """Largest relative change of the score by which the network tells anomalies, in percent."""
    before, after = (np.mean((y - inputs.test) ** 2, axis=1) for y in (reference, outputs))
    return f"score changes by at most {100 * np.abs(after / before - 1).max():.2f} %"


@dataclass(frozen=True)
class Network:
    """A checkpoint, its recipe and what measures it."""

    title: str
    checkpoint: str
    recipe: str
    inputs: Callable[[Path], Inputs]
    quality: Callable[[Samples, Samples, Inputs], str]


NETWORKS = {
    "resnet8": Network(
        "ResNet-8, CIFAR-10", "mlperf_pretrainedResnet.h5", "mlperf_resnet8.toml", resnet_inputs, accuracy
    ),
    "vww": Network("MobileNet 0.25, person", "mlperf_vww_96.h5", "mlperf_vww.toml", person_inputs, agreement),
    "ad01": Network("auto-encoder, machine sounds", "mlperf_ad01.h5", "mlperf_ad01.toml", machine_inputs, anomaly_score),
    "str_ww": Network("DS-CNN, wake word", "mlperf_str_ww_ref_model.h5", "mlperf_str_ww.toml", speech_inputs, accuracy),
}


def compressed(network: Network, data: Path, inputs: Inputs) -> tuple[Graph, Graph, Report]:
    """Import a checkpoint and apply its recipe; return the network before and after, and the report."""
    graph = refcompress.load(data / "h5" / network.checkpoint)
    text = resources.files("reference_models").joinpath("recipes", network.recipe).read_text("utf-8")
    small, report = refcompress.compress(
        graph, recipe.parse(text, network.recipe), inputs={graph.inputs[0].name: inputs.calibration}
    )
    return graph, small, report


def measure(name: str, data: Path, samples: int, folder: Path) -> Row:
    """Fill one line of the table and leave the files in the folder."""
    network = NETWORKS[name]
    inputs = network.inputs(data)
    graph, small, report = compressed(network, data, inputs)
    folder.mkdir(parents=True, exist_ok=True)
    refcompress.save(small, folder / f"{name}.rcz")
    small = refcompress.load(folder / f"{name}.rcz")
    (reference,), (outputs,) = (refcompress.run(each, inputs.test) for each in (graph, small))
    few = inputs.test[:samples]
    (on_m4,) = check_export(small, few, on=[targets.M4], count=True) if targets.available(targets.M4) else (None,)
    buffers = 4 * (few[0].size + reference[0].size)
    return Row(
        network.title,
        report.dense_bytes,
        (folder / f"{name}.rcz").stat().st_size,
        network.quality(reference, reference, inputs),
        network.quality(outputs, reference, inputs),
        on_m4 and on_m4.text_bytes + on_m4.data_bytes - harness_bytes(small, few),
        on_m4 and on_m4.arena_bytes + on_m4.stack_bytes + buffers,
        on_m4 and on_m4.instructions,
        len(few) if on_m4 else 0,
    )


def table(rows: list[Row]) -> str:
    """Write the rows as the README's table."""
    lines = [
        "| network | float32 | `.rcz` | | before | after | flash | RAM | instructions |",
        "|---|--:|--:|--:|---|---|--:|--:|--:|",
    ]
    for row in rows:
        cells = [
            row.network,
            f"{row.float32_bytes:,}",
            f"**{row.rcz_bytes:,}**",
            f"{row.float32_bytes / row.rcz_bytes:.1f}x",
            row.before,
            row.after,
            *("-" if n is None else f"{n:,}" for n in (row.flash_bytes, row.ram_bytes, row.instructions)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure the networks asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--samples", type=int, default=3, help="inputs that run on the Cortex-M4")
    parser.add_argument("-o", "--output", type=Path, default=None)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.output or Path(scratch)
        rows = []
        for name in args.only:
            rows.append(measure(name, args.data, args.samples, folder))
            print(f"{name}: {asdict(rows[-1])}", file=sys.stderr, flush=True)
        (folder / "mlperf_tiny.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
        print(table(rows))


if __name__ == "__main__":
    main()

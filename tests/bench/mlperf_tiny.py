"""The MLPerf Tiny networks, compressed without retraining, exported to C and run on a Cortex-M4 under QEMU.

usage: python tests/bench/mlperf_tiny.py [--data DIR] [--only NAME ...] [--samples N] [-o DIR]
       python tests/bench/mlperf_tiny.py --only NAME --rates R ...

Prints the table of the README, and writes it with the compressed files and the C sources where ``-o`` says. The
recipes are those in ``reference_models/recipes``; calibration inputs and the inputs that measure are kept apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from checks import targets
from checks.export import check_export, harness_bytes

import refcompress
from refcompress import Graph, recipe
from refcompress.passes import calibration
from reference_models.data import cifar10

ROOT = Path(__file__).parent.parent.parent
DEFAULT_DATA = ROOT.parent / "shared" / "data"
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Inputs:
    """Inputs of a network, all float32, batch first; the three parts share no sample.

    Attributes
    ----------
    calibration
        What the passes may see.
    validation
        What chose the recipe.
    test
        What measures.
    validation_labels, test_labels
        Their classes; None where nobody labelled them.

    """

    calibration: Samples
    validation: Samples
    test: Samples
    validation_labels: NDArray[np.int64] | None = None
    test_labels: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table; sizes in bytes, of one run."""

    network: str
    float32_bytes: int
    rcz_bytes: int
    quality: str
    flash_bytes: int | None
    ram_bytes: int | None
    instructions: int | None
    bit_equal: int


def resnet_inputs(data: Path) -> Inputs:
    """1,000 images calibrate, 1,000 chose the recipe, 2,000 measure."""
    images = cifar10(data / "cifar10")
    return Inputs(images.train.x, images.validation.x, images.test.x, images.validation.y, images.test.y)


def person_inputs(data: Path) -> Inputs:
    """Twenty photographs without labels, mirrored too: 8 calibrate, among CIFAR-10's enlarged; 4 choose, 8 measure."""
    with np.load(data / "tflite" / "vww96_int8_io.npz") as archive:
        photographs = archive["x_float"]
    seen, chosen, test = (
        np.concatenate([part, part[:, :, ::-1]]) for part in (photographs[:8], photographs[8:12], photographs[12:])
    )
    brighter = [np.clip(seen * gain, 0, 1) for gain in (0.6, 0.8, 1.2, 1.4)]
    shifted = [np.roll(seen, shift, axis=(1, 2)) for shift in ((8, 0), (-8, 0), (0, 8), (0, -8))]
    large = cifar10(data / "cifar10").train.x[:300].repeat(3, axis=1).repeat(3, axis=2) / 255
    return Inputs(np.concatenate([seen, *brighter, *shifted, large]).astype(np.float32), chosen, test)


def machine_inputs(data: Path) -> Inputs:
    """Twenty log-mel windows of machine sounds: 8 calibrate, in random mixtures with noise; 4 choose, 8 measure."""
    with np.load(data / "tflite" / "ad01_int8_io.npz") as archive:
        windows = archive["x_float"]
    rng = np.random.default_rng(0)
    mixed = rng.dirichlet(np.ones(8), 2000) @ windows[:8]
    noisy = mixed + rng.standard_normal(mixed.shape) * rng.uniform(0, 10, (2000, 1))  # dB
    return Inputs(np.concatenate([windows[:8], noisy]).astype(np.float32), windows[8:12], windows[12:])


def speech_inputs(data: Path) -> Inputs:
    """45 labelled spectrogram windows: a third calibrates, shifted in time; a third chooses, a third measures."""
    with np.load(data / "speech_windows" / "calibration_samples.npz") as archive:
        windows, labels = archive["specs"].astype(np.float32), archive["labels"].astype(np.int64)
    shifted = np.concatenate([np.roll(windows[::3], shift, axis=1) for shift in range(-5, 6)])
    return Inputs(shifted, windows[1::3], windows[2::3], labels[1::3], labels[2::3])


def accuracy(outputs: Samples, reference: Samples, _inputs: Samples, labels: NDArray[np.int64] | None) -> str:
    """Share of right answers before and after, in percent."""
    before, after = (100 * np.mean(y.argmax(axis=1) == labels) for y in (reference, outputs))
    return f"{before:.2f} % → {after:.2f} % of {len(outputs):,} right"


def agreement(outputs: Samples, reference: Samples, _inputs: Samples, _labels: NDArray[np.int64] | None) -> str:
    """Answers like the original network's, and how far the probabilities moved."""
    same = np.count_nonzero(outputs.argmax(axis=1) == reference.argmax(axis=1))
    change = np.abs(outputs - reference).mean()
    return f"{same} of {len(outputs)} answers the same, probabilities off by {change:.3f} on average"


def anomaly_score(outputs: Samples, reference: Samples, inputs: Samples, _labels: NDArray[np.int64] | None) -> str:
    """Largest relative change of the score that tells anomalies (mean squared reconstruction error), in percent."""
    before, after = (np.mean((y - inputs) ** 2, axis=1) for y in (reference, outputs))
    return f"anomaly scores off by at most {100 * np.abs(after / before - 1).max():.2f} %"


@dataclass(frozen=True)
class Trial:
    """What a choice of rates gives on the validation inputs."""

    file_bytes: int
    divergence: float
    quality: str

    def __str__(self) -> str:
        return f"{self.file_bytes:,} bytes, divergence {self.divergence:.5f}, {self.quality}"


@dataclass(frozen=True)
class Network:
    """A checkpoint, its recipe and what measures it."""

    title: str
    checkpoint: str
    recipe: str
    inputs: Callable[[Path], Inputs]
    quality: Callable[[Samples, Samples, Samples, NDArray[np.int64] | None], str]


NETWORKS = {
    "resnet8": Network(
        "ResNet-8, CIFAR-10", "mlperf_pretrainedResnet.h5", "mlperf_resnet8.toml", resnet_inputs, accuracy
    ),
    "vww": Network("MobileNet 0.25, person", "mlperf_vww_96.h5", "mlperf_vww.toml", person_inputs, agreement),
    "ad01": Network(
        "auto-encoder, machine sounds", "mlperf_ad01.h5", "mlperf_ad01.toml", machine_inputs, anomaly_score
    ),
    "ad01_fields": Network(
        "auto-encoder, 2 to 4 bits", "mlperf_ad01.h5", "mlperf_ad01_fields.toml", machine_inputs, anomaly_score
    ),
    "str_ww": Network("DS-CNN, wake word", "mlperf_str_ww_ref_model.h5", "mlperf_str_ww.toml", speech_inputs, accuracy),
}


PLAIN = tuple(name for name in NETWORKS if name != "ad01_fields")  # each network once


def read_recipe(network: Network) -> recipe.Recipe:
    """Read the network's recipe."""
    text = resources.files("reference_models").joinpath("recipes", network.recipe).read_text("utf-8")
    return recipe.parse(text, network.recipe)


def try_rate(network: Network, graph: Graph, inputs: Inputs, rate: float) -> Trial:
    """Compress with the network's recipe, but at another rate."""
    steps = tuple(
        replace(step, options={**step.options, "rate": rate}) if "rate" in step.options else step
        for step in read_recipe(network).steps
    )
    small, report = refcompress.compress(graph, recipe.Recipe(steps), inputs={graph.inputs[0].name: inputs.calibration})
    (reference,), (outputs,) = (refcompress.run(each, inputs.validation) for each in (graph, small))
    distribution = calibration.is_distribution(graph, graph.outputs[0])
    return Trial(
        report.file_bytes,
        calibration.divergence(reference, outputs, distribution=distribution),
        network.quality(outputs, reference, inputs.validation, inputs.validation_labels),
    )


def choose(name: str, data: Path, rates: Sequence[float]) -> None:
    """Print what rates would give on the validation inputs: how the recipes were chosen."""
    network = NETWORKS[name]
    inputs = network.inputs(data)
    graph = refcompress.load(data / "h5" / network.checkpoint)
    for rate in rates:
        print(f"{name} rate {rate:g}: {try_rate(network, graph, inputs, rate)}", flush=True)


def measure(name: str, data: Path, samples: int, folder: Path) -> Row:
    """Fill one line of the table and leave the files in the folder."""
    network = NETWORKS[name]
    inputs = network.inputs(data)
    graph = refcompress.load(data / "h5" / network.checkpoint)
    small, report = refcompress.compress(graph, read_recipe(network), inputs={graph.inputs[0].name: inputs.calibration})
    folder.mkdir(parents=True, exist_ok=True)
    refcompress.save(small, folder / f"{name}.rcz")
    small = refcompress.load(folder / f"{name}.rcz")
    few = inputs.test[:samples]
    (on_m4,) = check_export(small, few, on=[targets.M4], count=True) if targets.available(targets.M4) else (None,)
    (reference,), (outputs,) = (refcompress.run(each, inputs.test) for each in (graph, small))
    return Row(
        network.title,
        report.dense_bytes,
        (folder / f"{name}.rcz").stat().st_size,
        network.quality(outputs, reference, inputs.test, inputs.test_labels),
        on_m4 and on_m4.text_bytes + on_m4.data_bytes - harness_bytes(small, few),
        on_m4 and on_m4.arena_bytes + (on_m4.stack_bytes or 0) + 4 * (few[0].size + outputs[0].size),
        on_m4 and on_m4.instructions,
        len(few) if on_m4 else 0,
    )


def table(rows: list[Row]) -> str:
    """Write the rows as the README's table."""
    lines = [
        "| network | float32 | `.rcz` | smaller | flash | RAM | instructions | quality |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        cells = [
            row.network,
            f"{row.float32_bytes:,}",
            f"**{row.rcz_bytes:,}**",
            f"{row.float32_bytes / row.rcz_bytes:.1f}x",
            *("-" if n is None else f"{n:,}" for n in (row.flash_bytes, row.ram_bytes, row.instructions)),
            row.quality,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure the networks asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=[*PLAIN])
    parser.add_argument("--samples", type=int, default=3, help="inputs that run on the Cortex-M4")
    parser.add_argument("-o", "--output", type=Path, default=None)
    parser.add_argument("--rates", type=float, nargs="+", help="only print what these rates give on validation inputs")
    args = parser.parse_args()
    if args.rates:
        for name in args.only:
            choose(name, args.data, args.rates)
        return
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

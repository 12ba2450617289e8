"""``refcompress reproduce``: train and compress a network of the Deep Compression paper, its table beside ours."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from refcompress.cli.compress import print_report, print_stages
from refcompress.cli.console import print_json, print_line, print_table, progress
from refcompress.cli.reference import reference_module
from refcompress.cli.text import show_bytes

HELP = "train and compress a network of the Deep Compression paper"
DESCRIPTION = (
    "Train LeNet-300-100 or LeNet-5 on MNIST, prune it, share its weights, code it, and print the table of the paper "
    "(Han, Mao & Dally 2016) beside ours, every figure from the written file. It takes some minutes; started again "
    "with the same directory it goes on where it stopped."
)

VARIANTS = ("smallest", "paper")
NAMES = ("lenet-300-100", "lenet-5")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("network", choices=NAMES, metavar="NETWORK", help=" or ".join(NAMES))
    parser.add_argument(
        "--data",
        metavar="DATA",
        default="mnist",
        help="mnist:DIR, a directory with the four files of MNIST; mnist alone fetches them (%(default)s)",
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the directory to write to")
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        default="smallest",
        help="our recipe for the smallest file, or one with the paper's densities and bits (%(default)s)",
    )
    parser.add_argument("--training", metavar="R.toml", help="a recipe of yours for the training")
    parser.add_argument("--recipe", metavar="R.toml", help="a recipe of yours for the compression")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Train, compress, measure, write."""
    from refcompress import recipe
    from refcompress.files import write_files
    from refcompress.formats import rcz

    what = "the networks of the paper are"
    models = reference_module("reference_models.reproduce", what)
    keras = reference_module("reference_models.keras_file", what)
    start = time.monotonic()
    network = models.NETWORKS[args.network]
    training = recipe.load(args.training or network.training)
    compression = recipe.load(args.recipe or network.variants[args.variant])
    splits = reference_module("reference_models.data", "data sets are").read(args.data)
    work = Path(args.output) / "work"
    with progress() as advance:
        made = models.reproduce(
            network, splits, training=training, compression=compression, directory=work, progress=advance
        )
    stem = args.network.replace("-", "_")
    files = {
        f"{stem}.h5": keras.keras_file(made.dense, stem),
        f"{stem}.rcz": rcz.to_bytes(made.small),
        "report.json": (json.dumps(made.to_dict(), indent=2) + "\n").encode(),
    }
    paths = write_files(args.output, files)
    if args.json:
        print_json(made.to_dict())
        return 0
    print_stages(made.report.stages)
    print_report(made.report)
    _print_comparison(made)
    for path in paths:
        print_line(f"wrote {path}")
    print_line(f"done in {time.monotonic() - start:.0f} s")
    return 0


def _print_comparison(made: Any) -> None:
    """Print the paper's table and ours, row under row."""
    paper = made.published
    rows = []
    for theirs, ours in zip((*paper.layers, paper.total), (*made.layers, made.total), strict=True):
        rows.append((f"{theirs.name}, paper", *_cells(theirs)))
        rows.append((f"{ours.name}, ours", *_cells(ours)))
    columns = ("layer", "weights", "weight bits", "+H", "index bits", "+H ", "P+Q", "P+Q+H")
    print_table(columns, rows, right="|".join(columns[1:]))
    print_line("weights: the share that survives; P+Q: pruned and quantized, in fixed widths; H: Huffman coded")
    print_line("+H: bits of the streams for each surviving weight; joint: one code for both, its bits under the index")
    dense = made.report.dense_bytes
    sizes = [
        ("paper", paper.dense_bytes, paper.dense_bytes / paper.file_bytes, paper.file_bytes, paper),
        ("ours", dense, dense / made.total.bytes_coded, made.total.bytes_coded, made),
    ]
    summary = [
        (
            who,
            show_bytes(before),
            show_bytes(after),
            f"{ratio:.1f}",
            f"{100 * errors.error_before:.2f} %",
            f"{100 * errors.error_after:.2f} %",
        )
        for who, before, ratio, after, errors in sizes
    ]
    figures = ("", "float32 bytes", "file bytes", "times smaller", "test error before", "after")
    print_table(figures, summary, right="|".join(figures[1:]))


def _cells(row: Any) -> tuple[str, ...]:
    coded = row.weight_bits_huffman
    return (
        f"{100 * row.density:.2f} %",
        f"{row.weight_bits:.1f}",
        "joint" if coded is None else f"{coded:.1f}",
        f"{row.index_bits:.1f}",
        f"{row.index_bits_huffman:.1f}",
        f"{100 * row.rate:.2f} %",
        f"{100 * row.rate_huffman:.2f} %",
    )

"""``refcompress quantize``: a network of real numbers as an integer network, by calibration samples."""

from __future__ import annotations

import argparse

from refcompress.cli.arrays import numbered, read_arrays
from refcompress.cli.compress import measured_accuracy, print_result, read_labelled
from refcompress.cli.console import progress
from refcompress.cli.models import add_model, load_model
from refcompress.cli.paths import check_output

HELP = "make an int8 network of a trained one"
DESCRIPTION = (
    "Quantize a network after training: weights and activations become integers as TFLite's specification defines "
    "them, with ranges from calibration samples. Pruned weights stay zero and shared ones shared. For other options of "
    "single layers, and for training with simulated integers, write a recipe that ends in quantize_network. Sizes are "
    "true bytes of the written file; accuracy is that of the integers."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    parser.add_argument(
        "--calibration",
        metavar="X.npz",
        required=True,
        help=".npy, or .npz with x (or x0, x1, ..., or the inputs' names): some hundred inputs as in use",
    )
    parser.add_argument("-o", "--output", metavar="OUT.rcz", required=True, help="the file to write")
    parser.add_argument(
        "--ranges",
        choices=("minmax", "percentile", "mse"),
        default="minmax",
        help="what the integers of an activation span: all values seen (minmax, the default), those in the middle, or "
        "the range with the least squared error",
    )
    parser.add_argument(
        "--percentile", metavar="P", type=float, help="how many of a hundred values the middle is (99.99)"
    )
    parser.add_argument("--bits", metavar="B", type=int, default=8, help="bits of a weight, 2 to 8 (8)")
    parser.add_argument(
        "--weight-ranges",
        choices=("minmax", "mse"),
        default="minmax",
        help="what the integers of weights span: all of them (minmax, the default), or with the least squared error",
    )
    parser.add_argument(
        "--data", metavar="XY.npz", help="samples x and labels y: accuracy in real numbers and in integers"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Quantize the network and write it."""
    if args.percentile is not None and args.ranges != "percentile":
        args.parser.error("--percentile needs --ranges percentile")
    from refcompress import formats
    from refcompress.compress import compress
    from refcompress.recipe import Recipe, Step

    check_output(args.output, args.model, args.calibration, args.data)
    graph = load_model(args)
    names = [spec.name for spec in graph.inputs]
    samples = numbered(read_arrays(args.calibration), "x", names, args.calibration)
    labelled = read_labelled(args.data)
    options = {"ranges": args.ranges, "weight_bits": args.bits, "weight_ranges": args.weight_ranges}
    if args.percentile is not None:
        options["percentile"] = args.percentile
    recipe = Recipe((Step("quantize_network", options),), "the options")
    with progress() as advance:
        before = measured_accuracy(graph, labelled, advance, "accuracy in real numbers")
        network, report = compress(graph, recipe, inputs=samples, progress=advance)
        after = measured_accuracy(network, labelled, advance, "accuracy in integers")
    formats.save(network, args.output)
    print_result(args, report, before, after)
    return 0

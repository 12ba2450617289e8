"""``refcompress compress``: a recipe's passes, the smallest encodings, and what they cost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from refcompress.cli.arrays import numbered, pick, read_arrays
from refcompress.cli.console import Advance, print_json, print_line, print_table, progress
from refcompress.cli.models import add_model, load_model
from refcompress.cli.paths import check_output
from refcompress.cli.text import show_bytes, show_percent, show_shape
from refcompress.cli.training import is_file, read_material

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from refcompress.analysis import Accuracy, Report, Stage
    from refcompress.graph import Graph
    from refcompress.integer import IntegerNetwork
    from refcompress.recipe import Recipe

HELP = "make a network smaller"
DESCRIPTION = (
    "Compress a network by a recipe, or by the few options most people need; without either it is only re-encoded, "
    "without loss. Sizes are true bytes of the written file."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    parser.add_argument("-o", "--output", metavar="OUT.rcz", required=True, help="the file to write")
    parser.add_argument("--recipe", metavar="R.toml", help="passes and their options, also for single layers")
    parser.add_argument(
        "--sparsity", metavar="S", type=float, help="share of each layer's weights to set to zero, 0 to 1"
    )
    parser.add_argument("--bits", metavar="B", type=int, help="bits of a weight")
    parser.add_argument(
        "--quantize",
        choices=("kmeans", "linear"),
        help="what --bits means: 2^B shared values of a layer (kmeans, the default), or integers (linear)",
    )
    parser.add_argument(
        "--fold-batch-norm", action="store_true", help="fold batch normalization into the layers before it, first"
    )
    parser.add_argument("--data", metavar="XY.npz", help="samples x and labels y: accuracy before and after")
    parser.add_argument("--calibration", metavar="X.npz", help="samples for recipes with a calibrated pass")
    parser.add_argument(
        "--train",
        metavar="DATA",
        help="what training steps learn from: an .npz with x and y (and x_val and y_val, or a tenth is set aside), or "
        "digits, mnist, mnist:DIR, cifar10:DIR, whose test part then measures the accuracy",
    )
    parser.add_argument(
        "--work",
        metavar="DIR",
        help="where training keeps its checkpoints: the same command goes on from there; nothing in it is ever removed",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Compress the network and write it."""
    from refcompress import formats
    from refcompress.compress import compress
    from refcompress.deep_compression import deep_compression

    recipe = _recipe(args)
    read = args.train if args.train is not None and is_file(args.train) else None
    check_output(args.output, args.model, args.recipe, args.data, args.calibration, read)
    graph = load_model(args)
    samples = None
    if args.calibration is not None:
        names = [spec.name for spec in graph.inputs]
        samples = numbered(read_arrays(args.calibration), "x", names, args.calibration)
    material = None if args.train is None else read_material(args.train, graph, _seed(recipe))
    labelled = read_labelled(args.data) or (material.test if material else None)
    with progress() as advance:
        before = measured_accuracy(graph, labelled, advance, "accuracy before")
        if material is None:
            small, report = compress(graph, recipe, inputs=samples, progress=advance)
        else:
            small, report = deep_compression(
                graph, material.data, recipe, inputs=samples, directory=args.work, progress=advance
            )
        after = measured_accuracy(small, labelled, advance, "accuracy after")
    formats.save(small, args.output)
    print_result(args, report, before, after)
    return 0


def _recipe(args: argparse.Namespace) -> Recipe:
    few = args.sparsity is not None or args.bits is not None or args.quantize or args.fold_batch_norm
    if args.recipe is not None and few:
        args.parser.error("--recipe says everything; give it without --sparsity, --bits, --quantize, --fold-batch-norm")
    if args.quantize and args.bits is None:
        args.parser.error("--quantize needs --bits")
    if args.train is not None and args.recipe is None:
        args.parser.error("--train needs --recipe: its steps named train.* say how to train")
    if args.work is not None and args.train is None:
        args.parser.error("--work needs --train: it keeps the checkpoints of a training")
    from refcompress import recipe

    if args.recipe is not None:
        return recipe.load(args.recipe)
    return recipe.from_options(
        sparsity=args.sparsity,
        bits=args.bits,
        quantize=args.quantize or "kmeans",
        fold_batch_norm=args.fold_batch_norm,
    )


def _seed(recipe: Recipe) -> int:
    """Seed of the first training step: it also sets samples aside."""
    seeds = (int(step.options.get("seed", 0)) for step in recipe.steps if step.name.startswith("train."))
    return next(seeds, 0)


def read_labelled(path: str | None) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the samples and the labels of a file, if there is one."""
    if path is None:
        return None
    arrays = read_arrays(path)
    return pick(arrays, "x", path), pick(arrays, "y", path)


def measured_accuracy(
    network: Graph | IntegerNetwork,
    labelled: tuple[NDArray[Any], NDArray[Any]] | None,
    advance: Advance,
    what: str,
) -> Accuracy | None:
    """Return how many labelled samples a network has right, if there are any."""
    from refcompress.analysis import accuracy

    if labelled is None:
        return None
    advance(what, 0.0)
    return accuracy(network, *labelled, progress=lambda share: advance(what, share))


def print_result(args: argparse.Namespace, report: Report, before: Accuracy | None, after: Accuracy | None) -> None:
    """Print what a network that was written takes, and how well it does."""
    if args.json:
        print_json(_document(args, report, before, after))
        return
    print_stages(report.stages)
    print_report(report)
    if before and after:
        print_line(f"accuracy before: {before}")
        print_line(f"accuracy after:  {after}")
    print_line(f"wrote {args.output}")


def _document(
    args: argparse.Namespace, report: Report, before: Accuracy | None, after: Accuracy | None
) -> dict[str, Any]:
    document = {"model": args.model, "output": args.output, **report.to_dict()}
    for key, value in (("accuracy_before", before), ("accuracy_after", after)):
        if value is not None:
            document[key] = {"correct": value.correct, "total": value.total, "share": value.share}
    return document


def print_stages(stages: Sequence[Stage]) -> None:
    """Print what each step left, if anything was trained."""
    if not stages:
        return
    rows = [
        (
            stage.name,
            f"{stage.best_epoch} of {stage.epochs}" if stage.epochs else "",
            f"{100 * stage.validation:.2f} %" if stage.measure == "error rate" else f"{stage.validation:.4g}",
            f"{stage.nonzero:,}",
            f"{stage.weights:,}",
            show_percent(stage.density),
        )
        for stage in stages
    ]
    score = f"validation {stages[0].measure}"
    columns = ("step", "best epoch", score, "weights not zero", "of", "density")
    print_table(columns, rows, right="|".join(columns[1:]))


def print_report(report: Report) -> None:
    """Print a table of the parameters and the totals in true bytes."""
    rows = [
        (
            p.name,
            show_shape(p.shape),
            show_percent(p.density),
            str(p.value_bits),
            f"{p.bits_per_weight:.2f}",
            show_bytes(p.stream_bytes),
            show_percent(p.share),
            p.encoding,
        )
        for p in report.parameters
    ]
    columns = ("parameter", "shape", "density", "bits", "bits/weight", "bytes", "share", "encoding")
    header = report.header_bytes
    rest = ("header and network", "", "", "", "", show_bytes(header), show_percent(header / report.file_bytes), "")
    total = ("file", "", "", "", "", show_bytes(report.file_bytes), "100.0 %", "")
    print_table(columns, [*rows, rest], right="density|bits|bits/weight|bytes|share", total=total)
    for note in report.notes:
        print_line(f"note: {note}")
    print_line(
        f"all parameters as float32: {show_bytes(report.dense_bytes)} bytes; file: {show_bytes(report.file_bytes)} "
        f"bytes; {report.ratio:.2f} times smaller"
    )

"""``refcompress verify``: whether another framework's outputs are right, and which of its layers is not."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from refcompress.cli import verify_integer
from refcompress.cli.arrays import numbered, read_arrays
from refcompress.cli.console import Advance, print_json, print_line, print_table, progress
from refcompress.cli.models import add_model, is_integer_model, load_model
from refcompress.cli.paths import check_output
from refcompress.cli.verify_arrays import activations, with_inputs
from refcompress.errors import FormatError, ModelError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from refcompress.graph import Graph
    from refcompress.verify import Verdict

HELP = "say whether another framework's outputs or layers lie within the error bounds of the arithmetic"
DESCRIPTION = (
    "Compare a network with what some framework computed, element by element, within a bound derived from the "
    "rounding errors of its arithmetic. With --layers every layer is fed the framework's own inputs to it, and the "
    "first wrong one is named, with its cause where one is found. Of an integer .tflite model it says in steps of the "
    "integers, and which runtimes compute exactly the same. Exit code 0: all within; 1: not."
)
FRAMEWORKS = ("keras", "torch", "onnxruntime", "tflite")
DEFAULT_SAMPLES = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    parser.add_argument(
        "arrays",
        metavar="OUTPUTS.npz",
        nargs="?",
        help="inputs x or x0.., outputs y or y0.. (y0_k2: of Keras 2); with --layers also arrays named as nodes",
    )
    parser.add_argument("--framework", choices=FRAMEWORKS, help="run this framework instead of reading OUTPUTS.npz")
    parser.add_argument(
        "--framework-model",
        metavar="FILE",
        help="the framework's file: .keras or .h5, .pt2, .onnx, .tflite (MODEL itself if not given)",
    )
    parser.add_argument("--layers", action="store_true", help="compare every layer and name the first wrong one")
    parser.add_argument("--inputs", metavar="X.npz", help=".npy, or .npz with x (or x0, x1, ..., or the inputs' names)")
    parser.add_argument(
        "--samples", metavar="N", type=int, default=DEFAULT_SAMPLES, help="random samples without --inputs (4)"
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of the random samples (0)")
    parser.add_argument(
        "--reference",
        metavar="SUFFIX",
        help="which of several references counts, such as k2 (that of the Keras which wrote the file)",
    )
    parser.add_argument(
        "--bound",
        choices=("probed", "deterministic", "probabilistic"),
        default="probed",
        help="almost certain and meaningful for deep networks (probed, the default), certain, or between the two",
    )
    parser.add_argument(
        "--precision",
        metavar="P",
        default="float32",
        help="what the framework computes in: float32 (the default), tf32, float16, bfloat16, bfloat16_products, "
        "float16_sums or bfloat16_sums",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--report", metavar="FILE", help="write a report: .md, .html or .json")


def run(args: argparse.Namespace) -> int:
    """Compare, print what was found, and write the report."""
    from refcompress.verify import report

    _check(args)
    with progress() as advance:
        if is_integer_model(args.model):
            verdict, about = verify_integer.compared(args, advance)
        else:
            verdict, about = _compared(args, load_model(args), advance)
    found = report.document(verdict, {"model": args.model, **about})
    if args.report:
        from refcompress.files import write_file

        write_file(args.report, report.render(found, args.report).encode())
    if args.json:
        print_json(found)
    else:
        _print(found)
    return 0 if verdict.within else 1


def _check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is loaded."""
    if (args.arrays is None) == (args.framework is None):
        args.parser.error("give either OUTPUTS.npz with what the framework computed, or --framework to run it")
    if args.framework_model and not args.framework:
        raise OptionError("--framework-model goes with --framework")
    if args.reference and (args.framework or args.layers):
        raise OptionError("--reference chooses among outputs of a file; it goes neither with --framework nor --layers")
    if args.samples < 1:
        raise OptionError(f"--samples {args.samples}; it must be at least 1")
    if args.report:
        inputs = [path for path in (args.arrays, args.framework_model, args.inputs) if path]
        check_output(args.report, args.model, *inputs)
        if not re.search(r"\.(md|html?|json)$", args.report, re.IGNORECASE):
            raise OptionError(f"--report {args.report}; its ending says the format: .md, .html or .json")


def _compared(args: argparse.Namespace, graph: Graph, advance: Advance) -> tuple[Verdict, dict[str, str]]:
    """Return the verdict, and what was compared."""
    if args.framework:
        return _framework(args, graph, advance)
    arrays = read_arrays(args.arrays)
    about = {"arrays": args.arrays}
    if args.inputs:
        about["inputs"] = args.inputs
        arrays = with_inputs(arrays, _inputs(args.inputs, graph))
    if args.layers:
        return _layers(args, graph, activations(graph, arrays, args.arrays), advance), about
    reference = args.reference or own_reference(args.model, arrays)
    return _outputs(args, graph, arrays, reference, advance), about


def _framework(args: argparse.Namespace, graph: Graph, advance: Advance) -> tuple[Verdict, dict[str, str]]:
    from refcompress.verify.adaptors import find_adaptor, random_inputs

    adaptor = find_adaptor(args.framework)
    model = adaptor.load(args.framework_model or args.model)
    about = {"framework": f"{args.framework} {args.framework_model or args.model}"}
    if args.inputs:
        about["inputs"] = args.inputs
        inputs = _inputs(args.inputs, graph)
    else:
        about["inputs"] = f"{args.samples} random samples of seed {args.seed}"
        inputs = random_inputs(graph, args.samples, seed=args.seed)
    advance(f"run {args.framework}", 0.0)
    if args.layers:
        return _layers(args, graph, adaptor.capture(model, inputs, graph), advance), about
    made = adaptor.outputs(model, inputs, graph)
    arrays = {f"x{i}": inputs[spec.name] for i, spec in enumerate(graph.inputs)}
    arrays.update({f"y{i}": array for i, array in enumerate(made)})
    return _outputs(args, graph, arrays, None, advance), about


def _layers(args: argparse.Namespace, graph: Graph, arrays: Mapping[str, NDArray[Any]], advance: Advance) -> Verdict:
    from refcompress.verify import compare_layers

    return compare_layers(graph, arrays, model=args.bound, precision=args.precision, progress=advance)


def _outputs(
    args: argparse.Namespace,
    graph: Graph,
    arrays: Mapping[str, NDArray[Any]],
    reference: str | None,
    advance: Advance,
) -> Verdict:
    from refcompress.verify import compare

    advance("compare", 0.0)
    return compare(
        graph,
        arrays,
        reference=reference,
        model=args.bound,
        precision=args.precision,
        progress=lambda share: advance("compare", share),
    )


def _inputs(path: str, graph: Graph) -> dict[str, NDArray[Any]]:
    return numbered(read_arrays(path), "x", [spec.name for spec in graph.inputs], path)


def own_reference(model: str, names: Iterable[str]) -> str | None:
    """Return the suffix of the reference made by the generation of Keras that wrote the model, if there is one."""
    suffixes = {match[1] for name in names if (match := re.fullmatch(r"y\d*_(.+)", name))}
    own = f"k{keras_version(model).split('.')[0]}" if suffixes else ""
    return own if own in suffixes else None


def keras_version(model: str) -> str:
    """Return the version of Keras that a checkpoint names; empty for other files."""
    from refcompress.formats.keras import written_by

    try:
        return written_by(model)
    except (FormatError, ModelError):
        return ""


def _print(found: Mapping[str, Any]) -> None:
    from refcompress.verify.page import NUMBERS
    from refcompress.verify.report import table

    print_table(*table(found), right="|".join(NUMBERS))
    for text in found["findings"]:
        print_line(text)
    if found["unseen"]:
        print_line(f"not compared, for no array that depends on them is known: {', '.join(found['unseen'])}")
    print_line(found["summary"])

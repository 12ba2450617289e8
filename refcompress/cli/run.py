"""``refcompress run``: a network's outputs for given inputs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from refcompress.cli.arrays import npz_bytes, numbered, read_arrays
from refcompress.cli.console import print_line
from refcompress.cli.models import add_model, load_model
from refcompress.cli.paths import check_output
from refcompress.cli.text import show_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from refcompress.graph import Graph

HELP = "compute a network's outputs"
DESCRIPTION = (
    "Run a network. The outputs are written as y (or y0, y1, ...), with --all every activation under its name."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    parser.add_argument(
        "--input",
        metavar="X",
        required=True,
        help=".npy, or .npz with x (or x0, x1, ..., or the inputs' names); batch axis first",
    )
    parser.add_argument("-o", "--output", metavar="Y.npz", required=True, help="the .npz to write")
    parser.add_argument("--all", action="store_true", help="write every activation, not only the outputs")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="arithmetic (float32)")
    how.add_argument(
        "--exact",
        action="store_true",
        help="float32 in the order of the C runtime: what a target computes, bit for bit",
    )


def run(args: argparse.Namespace) -> int:
    """Run the network and write its outputs."""
    from refcompress.files import write_file

    check_output(args.output, args.model, args.input)
    graph = load_model(args)
    names = [spec.name for spec in graph.inputs]
    inputs = numbered(read_arrays(args.input), "x", names, args.input)
    results = _compute(graph, inputs, args)
    write_file(args.output, npz_bytes(results))
    for name, array in results.items():
        print_line(f"{name}: {show_shape(array.shape)} {array.dtype}")
    print_line(f"wrote {args.output}")
    return 0


def _compute(graph: Graph, inputs: dict[str, NDArray[Any]], args: argparse.Namespace) -> dict[str, NDArray[Any]]:
    import numpy as np

    from refcompress.run import run, run_all, run_exact, run_exact_all

    dtype = np.dtype(args.dtype)
    if args.all:
        return run_exact_all(graph, inputs) if args.exact else run_all(graph, inputs, dtype=dtype)
    outputs = run_exact(graph, inputs) if args.exact else run(graph, inputs, dtype=dtype)
    if len(outputs) == 1:
        return {"y": outputs[0]}
    return {f"y{index}": output for index, output in enumerate(outputs)}

"""``refcompress run``: a network's outputs for given inputs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from refcompress.cli.arrays import npz_bytes, numbered, read_arrays
from refcompress.cli.console import print_line
from refcompress.cli.models import add_model, load_any
from refcompress.cli.paths import check_output
from refcompress.cli.text import show_shape
from refcompress.errors import OptionError
from refcompress.graph import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from refcompress.integer import IntegerNetwork

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
    how.add_argument(
        "--integers",
        action="store_true",
        help="of an integer network: write its integers, not the real numbers that they stand for; the input may hold "
        "integers of type int8 too",
    )


def run(args: argparse.Namespace) -> int:
    """Run the network and write its outputs."""
    from refcompress.files import write_file

    check_output(args.output, args.model, args.input)
    network = load_any(args)
    graph = network if isinstance(network, Graph) else network.graph
    names = [spec.name for spec in graph.inputs]
    inputs = numbered(read_arrays(args.input), "x", names, args.input)
    computed = _compute(network, inputs, args) if isinstance(network, Graph) else _integers(network, inputs, args)
    results = computed if args.all else _numbered_outputs(graph, computed)
    write_file(args.output, npz_bytes(results))
    for name, array in results.items():
        print_line(f"{name}: {show_shape(array.shape)} {array.dtype}")
    print_line(f"wrote {args.output}")
    return 0


def _numbered_outputs(graph: Graph, computed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    if len(graph.outputs) == 1:
        return {"y": computed[graph.outputs[0]]}
    return {f"y{index}": computed[name] for index, name in enumerate(graph.outputs)}


def _integers(
    network: IntegerNetwork, inputs: dict[str, NDArray[Any]], args: argparse.Namespace
) -> dict[str, NDArray[Any]]:
    """Compute with integers; inputs that are none are rounded to them."""
    from refcompress.integer import dequantize, quantize, run_integer, run_integer_all
    from refcompress.run import check_inputs

    if args.exact or args.dtype != "float32":
        raise OptionError(f"{args.model} is an integer network, whose bits are exact: leave --exact and --dtype out")
    known = network.quantizations
    taken = {
        name: array if args.integers and array.dtype == "int8" else quantize(array, known[name])
        for name, array in check_inputs(network.graph, inputs).items()
    }
    if args.all:
        computed = run_integer_all(network, taken)
    else:
        computed = dict(zip(network.graph.outputs, run_integer(network, taken), strict=True))
    if args.integers:
        return computed
    return {name: dequantize(array, known[name]) for name, array in computed.items()}


def _compute(graph: Graph, inputs: dict[str, NDArray[Any]], args: argparse.Namespace) -> dict[str, NDArray[Any]]:
    import numpy as np

    from refcompress.run import run, run_all, run_exact, run_exact_all

    if args.integers:
        raise OptionError(f"{args.model} computes with real numbers; --integers is for integer networks")
    dtype = np.dtype(args.dtype)
    if args.all:
        return run_exact_all(graph, inputs) if args.exact else run_all(graph, inputs, dtype=dtype)
    outputs = run_exact(graph, inputs) if args.exact else run(graph, inputs, dtype=dtype)
    return dict(zip(graph.outputs, outputs, strict=True))

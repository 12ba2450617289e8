"""``refcompress verify``: whether another framework's outputs are right."""

from __future__ import annotations

import argparse
import dataclasses
import re
from typing import TYPE_CHECKING, Any

from refcompress.cli.arrays import read_arrays
from refcompress.cli.console import print_json, print_line, print_table, progress
from refcompress.errors import FormatError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from refcompress.verify import Verdict

HELP = "say whether reference outputs lie within the error bounds of the arithmetic"
DESCRIPTION = (
    "Compare a network with outputs that some framework computed, element by element, within a bound derived from "
    "the rounding errors of float32. Exit code 0: all within; 1: not."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="Keras HDF5 checkpoint or .rcz")
    parser.add_argument("arrays", metavar="REF.npz", help="inputs x or x0.., outputs y or y0..; y0_k2: of Keras 2")
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
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Compare and say which output is the first bad one."""
    from refcompress import formats
    from refcompress.verify import compare

    graph = formats.load(args.model)
    arrays = read_arrays(args.arrays)
    reference = args.reference or own_reference(args.model, arrays)
    with progress() as advance:
        advance("compare", 0.0)
        verdict = compare(
            graph, arrays, reference=reference, model=args.bound, progress=lambda share: advance("compare", share)
        )
    if args.json:
        print_json({"model": args.model, "arrays": args.arrays, **_document(verdict)})
    else:
        _print(verdict)
    return 0 if verdict.within else 1


def own_reference(model: str, names: Iterable[str]) -> str | None:
    """Return the suffix of the reference made by the generation of Keras that wrote the model, if there is one."""
    suffixes = {match[1] for name in names if (match := re.fullmatch(r"y\d*_(.+)", name))}
    own = f"k{keras_version(model).split('.')[0]}" if suffixes else ""
    return own if own in suffixes else None


def keras_version(model: str) -> str:
    """Return the version of Keras that a checkpoint names; empty for other files."""
    from refcompress.formats import keras_hdf5

    try:
        with keras_hdf5.open_checkpoint(model) as checkpoint:
            return checkpoint.keras_version
    except (FormatError, ModelError):
        return ""


def _document(verdict: Verdict) -> dict[str, Any]:
    document = dataclasses.asdict(verdict)
    return {**document, "outputs": [dataclasses.asdict(output) for output in verdict.outputs]}


def _print(verdict: Verdict) -> None:
    columns = ("output", "reference", "within", "largest difference", "of its bound", "at", "largest bound")
    rows = [
        (
            output.name,
            output.array,
            "yes" if output.within else "NO",
            f"{output.max_difference:.3g}",
            f"{output.max_ratio:.3g}",
            str(list(output.worst)),
            f"{output.max_bound:.3g}",
        )
        for output in verdict.outputs
    ]
    print_table(columns, rows, right="largest difference|of its bound|largest bound")
    if verdict.first_bad is None:
        print_line(f"all outputs are within their {verdict.model} bounds")
        return
    bad = next(output for output in verdict.outputs if output.name == verdict.first_bad)
    print_line(
        f"output {bad.name!r} is NOT within its {verdict.model} bound: {bad.array!r} differs by "
        f"{bad.max_difference:.6g} at most, and at {list(bad.worst)} by {bad.max_ratio:.6g} times the bound"
    )

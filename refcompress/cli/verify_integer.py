"""``refcompress verify`` of an integer model: whose roundings its outputs follow, bit for bit."""

from __future__ import annotations

import argparse
import dataclasses
import re
from typing import TYPE_CHECKING, Any

from refcompress.cli.arrays import numbered, read_arrays
from refcompress.cli.console import print_json, print_line, print_table
from refcompress.errors import DataError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from refcompress.integer import Agreement, IntegerNetwork

_OUTPUT = re.compile(r"y\d*(?:_(.+))?")


def run(args: argparse.Namespace) -> int:
    """Say for every set of outputs in the file which runtimes compute exactly it."""
    from refcompress.formats import tflite
    from refcompress.integer import compare_runtimes

    if not args.arrays or args.layers or args.report:
        raise OptionError("an integer model is compared with OUTPUTS.npz, as a whole: without --layers and --report")
    network, arrays = tflite.load(args.model), read_arrays(args.arrays)
    source = args.inputs or args.arrays
    given = read_arrays(args.inputs) if args.inputs else arrays
    inputs = numbered(given, "x", [spec.name for spec in network.graph.inputs], source)
    found = {
        suffix: compare_runtimes(network, inputs, outputs)
        for suffix, outputs in _outputs(network, arrays, args.reference).items()
    }
    exact = {suffix: _exact(agreements) for suffix, agreements in found.items()}
    if args.json:
        print_json(_document(args, found, exact))
    else:
        _print(found, exact)
    return 0 if all(exact.values()) else 1


def _outputs(
    network: IntegerNetwork, arrays: Mapping[str, NDArray[Any]], reference: str | None
) -> dict[str, list[NDArray[Any]]]:
    """Suffix to the arrays of all outputs."""
    suffixes = sorted({match[1] or "" for name in arrays if (match := _OUTPUT.fullmatch(name))})
    if reference is not None:
        suffixes = [suffix for suffix in suffixes if suffix == reference.removeprefix("_")]
    found = {}
    for suffix in suffixes:
        tail = f"_{suffix}" if suffix else ""
        count = len(network.graph.outputs)
        names = [f"y{tail}"] if count == 1 and f"y{tail}" in arrays else [f"y{i}{tail}" for i in range(count)]
        chosen = [arrays[name] for name in names if name in arrays]
        if len(chosen) == count and all(array.dtype.kind in "iu" for array in chosen):
            found[suffix] = chosen
    if not found:
        raise DataError(
            f"there are no integer outputs y or y0 to compare with; there are {', '.join(arrays) or 'none'}"
        )
    return found


def _exact(agreements: Mapping[str, Agreement]) -> list[str]:
    return [runtime for runtime, agreement in agreements.items() if agreement.equal == agreement.total]


def _document(
    args: argparse.Namespace, found: Mapping[str, Mapping[str, Agreement]], exact: Mapping[str, list[str]]
) -> dict[str, Any]:
    references = {
        suffix: {
            "exact": exact[suffix],
            "runtimes": {name: dataclasses.asdict(agreement) for name, agreement in agreements.items()},
        }
        for suffix, agreements in found.items()
    }
    return {"model": args.model, "arrays": args.arrays, "within": all(exact.values()), "references": references}


def _print(found: Mapping[str, Mapping[str, Agreement]], exact: Mapping[str, list[str]]) -> None:
    rows = [
        (
            f"y_{suffix}" if suffix else "y",
            runtime,
            f"{agreement.equal} of {agreement.total}",
            str(agreement.largest_difference),
        )
        for suffix, agreements in found.items()
        for runtime, agreement in agreements.items()
    ]
    print_table(("outputs", "runtime", "equal", "largest difference"), rows, right="equal|largest difference")
    for suffix, runtimes in exact.items():
        name = f"y_{suffix}" if suffix else "y"
        follows = (
            f"exactly what {', '.join(runtimes)} computes" if runtimes else "NOT what any of the runtimes computes"
        )
        print_line(f"{name} is {follows}")

"""``refcompress export``: files for a target."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from refcompress.cli.console import print_json, print_line, print_table
from refcompress.cli.models import add_model, load_any
from refcompress.cli.text import one_line, show_bytes, show_shape
from refcompress.errors import MissingToolError, OptionError

HELP = "write a network for a target: C, or a flash image"
DESCRIPTION = (
    "Write a network for a target: c (PREFIX.h, PREFIX.c, the runtime and a CMake target; also of an integer "
    "network), single-header, arduino, zephyr or bare-metal (the same C, ready to build there), blob (a packed flash "
    "image, also as Intel HEX), or of an integer network tflite and tflm (a .tflite file; for tflm with weights that "
    "its DECODE expands)."
)

Exporter = Callable[..., Mapping[str, bytes]]

# Groups of entry points, each by the name of a target.
_EXPORTERS, _FORMS, _REPORTS = "refcompress.exporters", "refcompress.forms", "refcompress.reports"
PREFERENCES = ("size", "speed", "balanced")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    parser.add_argument(
        "--to",
        metavar="TARGET",
        required=True,
        help="c, single-header, arduino, zephyr, bare-metal, blob, tflite, tflm, or an installed exporter",
    )
    parser.add_argument("--prefix", metavar="NAME", help="of files and identifiers (the model's file name)")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the directory to write to")
    parser.add_argument(
        "--prefer",
        choices=PREFERENCES,
        help="how the weights of an integer network are stored: in the least flash, for the fewest instructions, or "
        "between; without it, as they are",
    )
    parser.add_argument(
        "--max-table-bits",
        type=int,
        metavar="N",
        help="most bits that index a decode table, 2 bytes an entry; 0 decodes bit by bit, in the least flash (10)",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="print what each layer costs; with Arm's GCC and QEMU installed, measured on a Cortex-M4",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Export the network."""
    from refcompress.files import write_files

    export = find_exporter(args.to)
    options = _options(args, export)
    choose = _find(_FORMS, args.to, "choice of forms for the exporter") if args.prefer else None
    report = _find(_REPORTS, args.to, "report of the exporter") if args.report else None
    prefix = args.prefix if args.prefix is not None else identifier(Path(args.model).stem)
    network = load_any(args)
    if choose is not None:
        network = choose(network, args.prefer)
    files = export(network, prefix=prefix, **options)
    paths = write_files(args.output, files)
    sizes = {str(path): len(data) for path, data in zip(paths, files.values(), strict=True)}
    document: dict[str, Any] = {"to": args.to, "prefix": prefix}
    document["files"] = [{"path": path, "bytes": size_bytes} for path, size_bytes in sizes.items()]
    if not args.json:
        for path, size_bytes in sizes.items():
            print_line(f"wrote {path} ({show_bytes(size_bytes)} bytes)")
    if report is not None:
        document["report"] = report(network, prefix=prefix, **options)
        if not args.json:
            _print_report(document["report"])
    if args.json:
        print_json(document)
    return 0


def _options(args: argparse.Namespace, export: Exporter) -> dict[str, Any]:
    """Return the options that only some exporters take."""
    options = {} if args.max_table_bits is None else {"max_table_bits": args.max_table_bits}
    for name in options:
        if name not in inspect.signature(export).parameters:
            raise OptionError(f"the exporter {args.to!r} does not take --{name.replace('_', '-')}; leave it out")
    return options


def _print_report(report: Mapping[str, Any]) -> None:
    rows = [
        (
            one_line(layer["name"]),
            layer["kernel"],
            show_shape(layer["output_shape"]) if layer["output_shape"] is not None else "",
            _count(layer["macs"]),
            show_bytes(layer["table_bytes"]),
            f"{show_bytes(layer['arena_bytes'])}{'*' if layer['is_peak'] else ' '}",
            _count(layer["instructions"]),
        )
        for layer in report["layers"]
    ]
    columns = ("layer", "kernel", "output", "MACs", "table bytes", "arena bytes", "instructions")
    sums = (_count(report["macs"]), show_bytes(report["table_bytes"]), f"{show_bytes(report['arena_bytes'])} ")
    print_table(
        columns,
        rows,
        right="MACs|table bytes|arena bytes|instructions",
        total=("total (* most memory)", "", "", *sums, _count(report["instructions"])),
    )
    ram = (
        f"RAM: arena {show_bytes(report['arena_bytes'])}, inputs and outputs {show_bytes(report['buffer_bytes'])} bytes"
    )
    print_line(f"{ram}, and at most {show_bytes(report['stack_bytes'])} of stack")
    if report["missing"]:
        print_line(f"not measured: {', '.join(report['missing'])} not installed")
    else:
        print_line(f"flash: {show_bytes(report['flash_bytes'])} bytes, code included ({report['target']})")


def _count(number: int | None) -> str:
    return f"{number:,}" if number else ""


def identifier(text: str) -> str:
    """Make an identifier of a file's name.

    Examples
    --------
    >>> identifier("7-layer.net"), identifier("digits")
    ('net_7_layer_net', 'digits')

    """
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")
    return name if re.match("[A-Za-z]", name) else f"net_{name}".rstrip("_")


def find_exporter(name: str) -> Exporter:
    """Find an installed exporter by its entry point: ``(graph, *, prefix) -> path to bytes``.

    Raises
    ------
    OptionError
        No exporter has that name.
    MissingToolError
        What it needs is not installed.

    """
    return cast(Exporter, _find(_EXPORTERS, name, "exporter"))


def _find(group: str, name: str, what: str) -> Callable[..., Any]:
    """Load an entry point of a group by its name."""
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=group)}
    if not points:
        raise MissingToolError(f"there is no {what} at all; install refcompress again with pip")
    if name not in points:
        raise OptionError(f"there is no {what} {name!r}; installed are {', '.join(sorted(points))}")
    try:
        return cast(Callable[..., Any], points[name].load())
    except ImportError as error:
        raise MissingToolError(f"the {what} {name!r} cannot be loaded ({error}); install what it needs") from None

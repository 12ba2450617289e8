"""``refcompress export``: files for a target."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from refcompress.cli.console import print_json, print_line
from refcompress.cli.models import add_model, load_any
from refcompress.cli.text import show_bytes
from refcompress.errors import MissingToolError, OptionError

HELP = "write a network for a target: C, or a flash image"
DESCRIPTION = (
    "Write a network for a target: c (PREFIX.h, PREFIX.c, the runtime and a CMake target; also of an integer "
    "network), single-header, arduino, zephyr or bare-metal (the same C, ready to build there), blob (a packed flash "
    "image, also as Intel HEX), or of an integer network tflite and tflm (a .tflite file; for tflm with weights that "
    "its DECODE expands)."
)

Exporter = Callable[..., Mapping[str, bytes]]

_GROUP = "refcompress.exporters"


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
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Export the network."""
    from refcompress.files import write_files

    export = find_exporter(args.to)
    prefix = args.prefix if args.prefix is not None else identifier(Path(args.model).stem)
    files = export(load_any(args), prefix=prefix)
    paths = write_files(args.output, files)
    sizes = {str(path): len(data) for path, data in zip(paths, files.values(), strict=True)}
    if args.json:
        print_json({"to": args.to, "prefix": prefix, "files": [{"path": p, "bytes": n} for p, n in sizes.items()]})
        return 0
    for path, size_bytes in sizes.items():
        print_line(f"wrote {path} ({show_bytes(size_bytes)} bytes)")
    return 0


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
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=_GROUP)}
    if not points:
        raise MissingToolError("no exporters are installed; install refcompress again with pip")
    if name not in points:
        raise OptionError(f"there is no exporter {name!r}; installed are {', '.join(sorted(points))}")
    try:
        return cast(Exporter, points[name].load())
    except ImportError as error:
        raise MissingToolError(f"the exporter {name!r} cannot be loaded ({error}); install what it needs") from None

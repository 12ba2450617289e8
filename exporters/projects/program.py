"""Templates of projects: `@name@` in them stands for a text made from the network's buffers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable

import exporters.c
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork
from refcompress.version import __version__

_TEXT = re.compile("@([a-z]+)@")


def filled(folder: str, graph: Graph | IntegerNetwork, prefix: str) -> dict[str, bytes]:
    """Fill the templates of a kind of project for a network.

    Parameters
    ----------
    folder
        Name of a folder of templates.
    graph
        The network.
    prefix
        Its prefix, checked.

    Returns
    -------
    dict of str to bytes
        Relative path to contents.

    """
    texts = _texts(graph, prefix)
    root = _root().joinpath(folder)
    return {
        path: _TEXT.sub(lambda match: texts[match[1]], item.read_text("utf-8")).encode() for path, item in _files(root)
    }


def template(path: str) -> bytes:
    """Return a template as it is.

    Examples
    --------
    >>> template("bare_metal/startup.c")[:26]
    b'/* From reset to main: vec'

    """
    return _root().joinpath(path).read_bytes()


def _root() -> Traversable:
    return resources.files("exporters.projects").joinpath("templates")


def _files(folder: Traversable, path: str = "") -> Iterator[tuple[str, Traversable]]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _files(item, f"{path}{item.name}/")
        else:
            yield f"{path}{item.name}", item


def _texts(graph: Graph | IntegerNetwork, prefix: str) -> Mapping[str, str]:
    program = exporters.c.lowered(graph)
    buffers, upper = exporters.c.parameters(program), prefix.upper()
    inputs, outputs = buffers.inputs, buffers.outputs
    integers = bool(program.quantizations)

    def each(names: tuple[str, ...], line: Callable[[str], str]) -> str:
        return "\n".join(line(name) for name in names)

    def zero(name: str) -> str:
        return f"{upper}_{name.upper()}_ZERO_POINT" if integers else "0.0f"

    def size(name: str) -> str:
        return f"{upper}_{name.upper()}_SIZE"

    def loop(name: str, statement: str) -> str:
        return f"    for (i = 0u; i < {size(name)}; i++) {{\n        {statement}\n    }}"

    return {
        "prefix": prefix,
        "upper": upper,
        "version": __version__,
        "buffers": each((*inputs, *outputs), lambda name: f"static {program.c_type} {name}[{size(name)}];"),
        "fill": each(
            inputs, lambda name: loop(name, f"{name}[i] = {zero(name)}; /* zero; put what is measured here */")
        ),
        "arguments": ", ".join((*inputs, *outputs)),
        "print": each(outputs, lambda name: loop(name, f"print_number({_whole(name, integers=integers)});")),
        "serial": each(outputs, lambda name: loop(name, f"Serial.println({name}[i]{'' if integers else ', 6'});")),
        "unit": "integers as they are" if integers else "thousandths",
    }


def _whole(name: str, *, integers: bool) -> str:
    return f"{name}[i]" if integers else f"(int32_t)({name}[i] * 1000.0f)"

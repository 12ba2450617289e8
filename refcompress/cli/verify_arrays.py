"""Arrays of a file matched with the activations of a network, for ``refcompress verify``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from refcompress.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from refcompress.graph import Graph


def without_inputs(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Leave out ``x``, ``x0``, ``x1``, ..."""
    return {name: array for name, array in arrays.items() if not re.fullmatch(r"x\d*", name)}


def with_inputs(arrays: Mapping[str, NDArray[Any]], inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Put inputs, in their order, in the place of those of a file."""
    return {**{f"x{i}": array for i, array in enumerate(inputs.values())}, **without_inputs(arrays)}


def activations(graph: Graph, arrays: Mapping[str, NDArray[Any]], path: str) -> dict[str, NDArray[Any]]:
    """Match the arrays of a file with activations: by name, by the node's name, inputs x.. and outputs y.. too.

    Raises
    ------
    DataError
        None is named after a layer.

    """
    aliases = {node.name: node.output for node in graph.nodes}
    aliases.update({f"x{i}": spec.name for i, spec in enumerate(graph.inputs)})
    aliases.update({f"y{i}": name for i, name in enumerate(graph.outputs)})
    if len(graph.inputs) == 1:
        aliases["x"] = graph.inputs[0].name
    if len(graph.outputs) == 1:
        aliases["y"] = graph.outputs[0]
    names = {*(spec.name for spec in graph.inputs), *(node.output for node in graph.nodes)}
    found = {name if name in names else aliases.get(name, ""): array for name, array in arrays.items()}
    found.pop("", None)
    if not found.keys() & {node.output for node in graph.nodes}:
        raise DataError(
            f"{path} has the arrays {', '.join(arrays) or 'none'}, none of which is named after a layer; the layers "
            f"are {', '.join(node.name for node in graph.nodes)}"
        )
    return found

"""A library for the Arduino IDE, with a sketch that runs the network."""

from __future__ import annotations

import exporters.c
from exporters.decode_tables import DEFAULT_MAX_TABLE_BITS
from exporters.projects.program import filled
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork


def export(
    graph: Graph | IntegerNetwork, *, prefix: str, max_table_bits: int = DEFAULT_MAX_TABLE_BITS
) -> dict[str, bytes]:
    """Write a network as an Arduino library: a folder to copy into ``libraries``.

    Parameters
    ----------
    graph
        The network, float32 or integer.
    prefix
        Begins every identifier; the library's name.
    max_table_bits
        As for :func:`exporters.c.export`.

    Returns
    -------
    dict of str to bytes
        ``PREFIX/library.properties``, ``PREFIX/src/`` with the C, ``PREFIX/examples/Run/Run.ino``.

    Raises
    ------
    OptionError, ModelError
        As :func:`exporters.c.export`.

    Examples
    --------
    >>> from refcompress import Graph, Node, TensorSpec, ops
    >>> node = Node("Relu", "act", ("x",), "y", attrs=ops.NoAttrs())
    >>> list(export(Graph((TensorSpec("x", (4,)),), ("y",), (node,), {}), prefix="net"))[:3]
    ['net/examples/Run/Run.ino', 'net/library.properties', 'net/src/net.h']

    """
    sources = exporters.c.sources(exporters.c.export(graph, prefix=prefix, max_table_bits=max_table_bits))
    files = {f"{prefix}/{path}": data for path, data in filled("arduino", graph, prefix).items()}
    return files | {f"{prefix}/src/{name}": data for name, data in sources.items()}

"""A whole program for a Cortex-M4 without an operating system: start-up code, linker script, Makefile, the network."""

from __future__ import annotations

import exporters.c
from exporters.decode_tables import DEFAULT_MAX_TABLE_BITS
from exporters.projects.program import filled
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork


def export(
    graph: Graph | IntegerNetwork, *, prefix: str, max_table_bits: int = DEFAULT_MAX_TABLE_BITS
) -> dict[str, bytes]:
    """Write a network as a program that ``make run`` builds and runs in QEMU.

    Parameters
    ----------
    graph
        The network, float32 or integer.
    prefix
        Begins every identifier; names the program.
    max_table_bits
        As for :func:`exporters.c.export`.

    Returns
    -------
    dict of str to bytes
        ``Makefile``, ``link.ld``, ``startup.c``, ``main.c``, and the C below ``PREFIX/``.

    Raises
    ------
    OptionError, ModelError
        As :func:`exporters.c.export`.

    Examples
    --------
    >>> from refcompress import Graph, Node, TensorSpec, ops
    >>> node = Node("Relu", "act", ("x",), "y", attrs=ops.NoAttrs())
    >>> list(export(Graph((TensorSpec("x", (4,)),), ("y",), (node,), {}), prefix="net"))[:4]
    ['Makefile', 'link.ld', 'main.c', 'startup.c']

    """
    sources = exporters.c.sources(exporters.c.export(graph, prefix=prefix, max_table_bits=max_table_bits))
    return filled("bare_metal", graph, prefix) | {f"{prefix}/{name}": data for name, data in sources.items()}

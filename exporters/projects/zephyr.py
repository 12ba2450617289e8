"""A module for Zephyr, with a sample application that runs the network."""

from __future__ import annotations

import exporters.c
from exporters.decode_tables import DEFAULT_MAX_TABLE_BITS
from exporters.projects.program import filled
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork


def export(
    graph: Graph | IntegerNetwork, *, prefix: str, max_table_bits: int = DEFAULT_MAX_TABLE_BITS
) -> dict[str, bytes]:
    """Write a network as a Zephyr module: a folder to name in ``ZEPHYR_EXTRA_MODULES`` or in a west manifest.

    Parameters
    ----------
    graph
        The network, float32 or integer.
    prefix
        Begins every identifier; ``CONFIG_PREFIX`` (in capitals) switches the module on.
    max_table_bits
        As for :func:`exporters.c.export`.

    Returns
    -------
    dict of str to bytes
        ``PREFIX/zephyr/module.yml`` with its ``CMakeLists.txt`` and ``Kconfig``, ``PREFIX/src/`` with the C,
        ``PREFIX/samples/run/``.

    Raises
    ------
    OptionError, ModelError
        As :func:`exporters.c.export`.

    Examples
    --------
    >>> from refcompress import Graph, Node, TensorSpec, ops
    >>> node = Node("Relu", "act", ("x",), "y", attrs=ops.NoAttrs())
    >>> "net/zephyr/module.yml" in export(Graph((TensorSpec("x", (4,)),), ("y",), (node,), {}), prefix="net")
    True

    """
    sources = exporters.c.sources(exporters.c.export(graph, prefix=prefix, max_table_bits=max_table_bits))
    files = {f"{prefix}/{path}": data for path, data in filled("zephyr", graph, prefix).items()}
    return files | {f"{prefix}/src/{name}": data for name, data in sources.items()}

"""Compress a network: a recipe's passes, then the smallest encodings -> (Graph, Report)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refcompress import steps
from refcompress.analysis.measure import Report
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork
from refcompress.options import OPTIONS
from refcompress.recipe import Recipe
from refcompress.steps import Progress


def compress(
    graph: Graph,
    recipe: Recipe,
    *,
    inputs: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> tuple[Graph | IntegerNetwork, Report]:
    """Run a recipe's passes, then store each parameter in the encoding with the fewest true bytes.

    A parameter whose values the passes changed without making it smaller keeps the values it had; the report's notes
    say so.

    Parameters
    ----------
    graph
        The network.
    recipe
        What to do.
    inputs
        Calibration samples by input name, float32, batch first, for the passes that need them.
    progress
        Called with what is being done and the share that is done, 0 to 1.

    Returns
    -------
    network
        The compressed network: an integer network if the recipe ends in ``quantize_network``.
    report
        True bytes of each parameter and of the file, compared with all float32 parameters of ``graph``.

    Raises
    ------
    OptionError
        An option is out of range, a layer rule matches nothing, a pass needs calibration samples and got none, or the
        recipe has a training step.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import TensorSpec
    >>> from refcompress.recipe import from_options
    >>> graph = Graph((TensorSpec("x", (4,)),), ("x",), (), {"w": encode([0.0] * 1000)})
    >>> small, report = compress(graph, from_options())
    >>> report.dense_bytes, report.stream_bytes < 100
    (4000, True)

    """
    for number, step in enumerate(recipe.steps, 1):
        if OPTIONS[step.name].trains:
            raise OptionError(
                f"{steps.place_of(recipe, number)} trains the network, which takes data: "
                "call deep_compression, or give --train"
            )
    advance = progress or (lambda _what, _share: None)
    phases = len(recipe.steps) + 1
    work = steps.begin(graph, recipe)
    for number, step in enumerate(recipe.steps, 1):
        advance(step.name, (number - 1) / phases)
        work = steps.run_pass(work, number, inputs)
    return steps.finish(work, lambda what, share: advance(what, (phases - 1 + share) / phases))

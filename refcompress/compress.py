"""Compress a network: a recipe's passes, then the smallest encodings -> (Graph, Report)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from refcompress.analysis.measure import Report, measure, parameter_bytes
from refcompress.encodings import Encoding, smallest
from refcompress.encodings.packed import size_bytes
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.passes import PASSES, prune
from refcompress.passes.rules import weights_of
from refcompress.recipe import OPTIONS, Recipe, Step

Progress = Callable[[str, float], None]


def compress(
    graph: Graph,
    recipe: Recipe,
    *,
    inputs: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> tuple[Graph, Report]:
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
    graph
        The compressed network.
    report
        True bytes of each parameter and of the file, compared with all float32 parameters of ``graph``.

    Raises
    ------
    OptionError
        An option is out of range, a layer rule matches nothing, or a pass needs calibration samples and got none.

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
    advance = progress or (lambda _what, _share: None)
    phases = len(recipe.steps) + 1
    notes: list[str] = []
    changed, alternatives = graph, dict(graph.params)
    cached = any(step.options.get("std") == "cached" for step in recipe.steps)
    deviations: dict[str, float] = {}
    for number, step in enumerate(recipe.steps):
        advance(step.name, number / phases)
        before, where = changed, f"{recipe.source}, pass {number + 1} ({step.name})"
        if cached and step.name.startswith("prune."):  # a weight's deviation counts from before its first pruning
            deviations = {**prune.standard_deviations(changed), **deviations}
        changed = _run_step(step, changed, deviations, inputs, where)
        if not OPTIONS[step.name].reversible:
            fresh = {name: each for name, each in changed.params.items() if before.params.get(name) is not each}
            alternatives.update(fresh)
        notes += _left_alone(step, before, changed)
    changed, kept = _encode(changed, alternatives, lambda what, share: advance(what, (phases - 1 + share) / phases))
    return changed, measure(changed, dense_bytes=parameter_bytes(graph), notes=(*notes, *kept))


def _run_step(
    step: Step, graph: Graph, deviations: Mapping[str, float], inputs: Mapping[str, Any] | None, where: str
) -> Graph:
    options = dict(step.options)
    if OPTIONS[step.name].needs_inputs:
        if inputs is None:
            raise OptionError(
                f"{where} needs calibration samples; give some inputs of the network (inputs, or --calibration)"
            )
        options["inputs"] = inputs
    if options.get("std") == "cached":
        options["std"] = deviations
    if step.layers:
        options["layers"] = step.layers
    try:
        return PASSES[step.name](graph, **options)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from None


def _encode(graph: Graph, alternatives: Mapping[str, Encoding], progress: Progress) -> tuple[Graph, list[str]]:
    """Give every parameter its smallest encoding, with the values it had before if they take no more bytes."""
    total = parameter_bytes(graph) or 1
    done = 0
    best: dict[str, Encoding] = {}
    notes = []
    for name, encoding in graph.params.items():
        progress(f"encode {name}", done / total)
        done += 4 * math.prod(encoding.shape)
        best[name] = smallest(encoding)
        before = alternatives.get(name, encoding)
        if before is encoding:
            continue
        exact = smallest(before)
        bytes_now, bytes_before = size_bytes(best[name]), size_bytes(exact)
        if bytes_before <= bytes_now:
            best[name] = exact
            notes.append(f"{name} keeps its values: {bytes_before} bytes, the changed ones would take {bytes_now}")
    return graph.with_params(best), notes


def _left_alone(step: Step, before: Graph, after: Graph) -> list[str]:
    """Say which weights a factorization left as they were."""
    if not step.name.startswith("factorize."):
        return []
    left = [weight.name for weight in weights_of(before) if after.params.get(weight.name) is weight.encoding]
    return [f"{name} is not factorized: skipped, or two factors would not be smaller" for name in left]

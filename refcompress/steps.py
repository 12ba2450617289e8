"""A network on its way through a recipe: step by step, then the smallest encodings."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from refcompress import integer
from refcompress.analysis.measure import Report, measure, parameter_bytes
from refcompress.encodings import Encoding, smallest
from refcompress.encodings.packed import size_bytes
from refcompress.errors import DataError, OptionError
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork
from refcompress.options import OPTIONS
from refcompress.passes import PASSES, prune
from refcompress.passes.rules import weights_of
from refcompress.post_training import quantize_network
from refcompress.recipe import Recipe, Step

Progress = Callable[[str, float], None]

# steps that prune: "cached" deviations are those before the first of them
_PRUNING = ("prune.", "train.prune_", "train.raise_threshold", "train.surgery")


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Where a network stands in a recipe.

    Attributes
    ----------
    recipe
        The recipe.
    network
        The network now; an integer one after a step that ends the recipe.
    dense_bytes
        Bytes of the float32 parameters it began with.
    alternatives
        Name to the encoding that a parameter may go back to if the changed one takes no fewer bytes.
    deviations
        Standard deviation of each weight before its first pruning, if a step asks for it.
    notes
        What the report is to say.

    """

    recipe: Recipe
    network: Graph | IntegerNetwork
    dense_bytes: int
    alternatives: Mapping[str, Encoding]
    deviations: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def graph(self) -> Graph:
        """The network in real numbers."""
        return self.network.graph if isinstance(self.network, IntegerNetwork) else self.network


def begin(graph: Graph, recipe: Recipe) -> Work:
    """Return where a network stands before the first step."""
    return Work(recipe, graph, parameter_bytes(graph), dict(graph.params))


def place_of(recipe: Recipe, number: int) -> str:
    """Say where a step stands, for errors.

    Parameters
    ----------
    number
        Of the step, from 1.

    Examples
    --------
    >>> from refcompress.recipe import from_options
    >>> place_of(from_options(bits=4), 1)
    'the options, pass 1 (share_weights.kmeans)'

    """
    return f"{recipe.source}, pass {number} ({recipe.steps[number - 1].name})"


def run_pass(work: Work, number: int, inputs: Mapping[str, Any] | None) -> Work:
    """Run a pass.

    Parameters
    ----------
    work
        What the steps before it left.
    number
        Of the step, from 1.
    inputs
        Calibration samples by input name, for the passes that need them.

    Raises
    ------
    OptionError
        An option is out of range, a rule matches no layer, or calibration samples are missing.

    """
    name, where = work.recipe.steps[number - 1].name, place_of(work.recipe, number)
    if not OPTIONS[name].needs_inputs:
        return run_step(work, number, PASSES[name])
    if inputs is None:
        raise OptionError(
            f"{where} needs calibration samples; give some inputs of the network (inputs, or --calibration)"
        )
    if OPTIONS[name].ends:
        return run_step(work, number, functools.partial(quantize_network, calibration=inputs))
    return run_step(work, number, functools.partial(PASSES[name], inputs=inputs))


def run_step(work: Work, number: int, function: Callable[..., Graph | IntegerNetwork]) -> Work:
    """Run a step, whatever function it is.

    Parameters
    ----------
    work
        What the steps before it left.
    number
        Of the step, from 1.
    function
        ``(graph, **options) -> network``; among the options are ``layers`` if the recipe has any.

    """
    recipe, before = work.recipe, work.graph
    step = recipe.steps[number - 1]
    deviations = work.deviations
    if step.name.startswith(_PRUNING) and any(each.options.get("std") == "cached" for each in recipe.steps):
        deviations = {**prune.standard_deviations(before), **deviations}
    options = dict(step.options)
    if options.get("std") == "cached" and not OPTIONS[step.name].trains:
        options["std"] = deviations
    if step.layers:
        options["layers"] = step.layers
    try:
        after = function(before, **options)
    except (DataError, OptionError) as error:
        raise type(error)(f"{place_of(recipe, number)}: {error}") from None
    if isinstance(after, IntegerNetwork):
        return replace(work, network=after)
    alternatives = dict(work.alternatives)
    if not OPTIONS[step.name].reversible and after is not before:
        alternatives.update(after.params)  # what it left alone it may have relied on, as on zeros
    notes = (*work.notes, *_left_alone(step, before, after))
    return replace(work, network=after, alternatives=alternatives, deviations=deviations, notes=notes)


def finish(work: Work, progress: Progress) -> tuple[Graph | IntegerNetwork, Report]:
    """Give every parameter its smallest encoding, with the values it had before if they take no more bytes.

    Weights of an integer network keep their integers: what they were before has no place in it.

    Parameters
    ----------
    work
        What the last step left.
    progress
        Called with what is being done and the share of this that is done, 0 to 1.

    """
    if isinstance(work.network, IntegerNetwork):
        progress("encode", 0.0)
        encoded = integer.smallest(work.network)
        return encoded, measure(encoded, dense_bytes=work.dense_bytes, notes=work.notes)
    graph, notes = work.network, list(work.notes)
    total = parameter_bytes(graph) or 1
    done = 0
    best: dict[str, Encoding] = {}
    for name, encoding in graph.params.items():
        progress(f"encode {name}", done / total)
        done += 4 * math.prod(encoding.shape)
        best[name] = smallest(encoding)
        before = work.alternatives.get(name, encoding)
        if before is encoding:
            continue
        exact = smallest(before)
        bytes_now, bytes_before = size_bytes(best[name]), size_bytes(exact)
        if bytes_before <= bytes_now:
            best[name] = exact
            notes.append(f"{name} keeps its values: {bytes_before} bytes, the changed ones would take {bytes_now}")
    small = graph.with_params(best)
    return small, measure(small, dense_bytes=work.dense_bytes, notes=tuple(notes))


def in_real_numbers(network: Graph | IntegerNetwork, recipe: Recipe) -> Graph:
    """Return what a recipe made, where it has to be a network of real numbers.

    Raises
    ------
    OptionError
        The recipe ends in an integer network.

    """
    if isinstance(network, IntegerNetwork):
        raise OptionError(f"{recipe.source} ends in an integer network; here its last step must be left out")
    return network


def _left_alone(step: Step, before: Graph, after: Graph) -> list[str]:
    """Say which weights a factorization left as they were."""
    if not step.name.startswith("factorize."):
        return []
    left = [weight.name for weight in weights_of(before) if after.params.get(weight.name) is weight.encoding]
    return [f"{name} is not factorized: skipped, or two factors would not be smaller" for name in left]

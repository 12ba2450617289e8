"""Whether outputs that some framework computed lie within the error bounds of the arithmetic."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError
from refcompress.graph import Graph
from refcompress.ops import infer_shapes
from refcompress.verify.bounds import Float64, Model, error_bounds

Arrays = Mapping[str, NDArray[Any]]

ELEMENTS_AT_ONCE = 1 << 22  # of activations; five float64 arrays of each are held in memory
_OUTPUT_NAME = re.compile(r"y(\d*)(?:_(.+))?")


@dataclass(frozen=True, slots=True)
class OutputVerdict:
    """How one output compares.

    Attributes
    ----------
    name
        The output's name in the graph.
    array
        Name of the reference array it was compared with.
    within
        Whether every element is finite and within its bound.
    max_difference
        Largest absolute difference from our float64 reference; infinite where an element is not finite.
    max_ratio
        Largest difference relative to its bound; at most 1 if all are within.
    worst
        Position of the element with the largest ratio, the sample first.
    max_bound
        Largest bound; the comparison means something where it is small beside `max_value`.
    max_value
        Largest magnitude of our reference.

    """

    name: str
    array: str
    within: bool
    max_difference: float
    max_ratio: float
    worst: tuple[int, ...]
    max_bound: float
    max_value: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How all outputs compare.

    Attributes
    ----------
    within
        Whether all outputs are within their bounds.
    outputs
        One verdict for each output of the graph, in order.
    first_bad
        Name of the first output that is not, or None.
    reference
        Suffix of the reference that counted; empty for arrays without one.
    model
        The error model.

    """

    within: bool
    outputs: tuple[OutputVerdict, ...]
    first_bad: str | None
    reference: str
    model: Model


def compare(
    graph: Graph,
    arrays: Arrays,
    *,
    reference: str | None = None,
    model: Model = "probed",
    progress: Callable[[float], None] | None = None,
) -> Verdict:
    """Compare a framework's outputs with the network, element by element.

    Parameters
    ----------
    graph
        The network.
    arrays
        Inputs ``x``, or ``x0``, ``x1``, ... in the order of the graph's inputs; outputs ``y``, or ``y0``, ``y1``,
        ...; batch first. A suffix such as ``y0_k2`` marks one of several references, made for instance by
        different generations of a framework. Other names are ignored.
    reference
        Suffix of the reference that counts (``"k2"``). By default the outputs without a suffix; if there are none,
        any of the references as long as the verdict is the same for all.
    model
        Error model of :func:`refcompress.verify.bounds.error_bounds`; the others tell little of deep networks.
    progress
        Called with the share of samples done.

    Returns
    -------
    Verdict
        NaN and infinities in an output are a bad output, not an error.

    Raises
    ------
    DataError
        Arrays are missing, mis-shaped or not real numbers; an input is not finite; the references lead to
        different verdicts and none was chosen.

    Examples
    --------
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Relu", "act", ("in",), "out", attrs=NoAttrs())
    >>> graph = Graph((TensorSpec("in", (2,)),), ("out",), (node,), {})
    >>> verdict = compare(graph, {"x": np.array([[-1.0, 2.0]]), "y": np.array([[0.0, 2.5]])})
    >>> verdict.within, verdict.first_bad, verdict.outputs[0].worst, verdict.outputs[0].max_difference
    (False, 'out', (0, 1), 0.5)

    """
    inputs = _inputs(graph, arrays)
    candidates = _candidates(graph, arrays, len(inputs[0]), reference)
    values, bounds = _outputs(graph, inputs, model, progress or (lambda _share: None))
    verdicts = [_verdict(suffix, graph, values, bounds, given, model) for suffix, given in candidates.items()]
    if len({verdict.within for verdict in verdicts}) > 1:
        states = ", ".join(f"{v.reference!r} is {'within' if v.within else 'outside'}" for v in verdicts)
        raise DataError(
            f"the references lead to different verdicts ({states} its bounds); say which one counts "
            "(reference, or --reference): the one made by the generation of the framework that wrote the file"
        )
    return verdicts[0]


def _inputs(graph: Graph, arrays: Arrays) -> list[Float64]:
    names = ["x"] if "x" in arrays and len(graph.inputs) == 1 else [f"x{i}" for i in range(len(graph.inputs))]
    inputs: list[Float64] = []
    for name, spec in zip(names, graph.inputs, strict=True):
        array = _numbers(arrays, name, f"the input {spec.name!r}")
        if array.shape[1:] != spec.shape or not array.ndim or not len(array):
            raise DataError(
                f"{name!r} has the shape {array.shape}; the input {spec.name!r} takes (samples, "
                f"{', '.join(map(str, spec.shape))}) with at least one sample"
            )
        if len(array) != len(inputs[0] if inputs else array):
            raise DataError(f"{name!r} holds {len(array)} samples and {names[0]!r} {len(inputs[0])}; they must agree")
        if not np.isfinite(array).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise DataError(f"{name!r} holds {array[where]} at {where}; inputs must be finite")
        inputs.append(array)
    return inputs


def _numbers(arrays: Arrays, name: str, what: str) -> Float64:
    if name not in arrays:
        raise DataError(f"there is no array {name!r} for {what}; there are {', '.join(arrays) or 'none'}")
    array = np.asarray(arrays[name])
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name!r} holds {array.dtype}; {what} takes real numbers")
    return array.astype(np.float64)


def _candidates(
    graph: Graph, arrays: Arrays, samples: int, reference: str | None
) -> dict[str, list[tuple[str, Float64]]]:
    """Suffix to the arrays of all outputs, by name, of the references that may count."""
    suffixes = sorted({match[2] or "" for name in arrays if (match := _OUTPUT_NAME.fullmatch(name))})
    if not suffixes:
        raise DataError(f"there is no output y or y0 to compare with; there are {', '.join(arrays) or 'no arrays'}")
    if reference is not None and reference.removeprefix("_") not in suffixes:
        raise DataError(f"there is no reference {reference!r}; there are {suffixes} (empty: without a suffix)")
    if reference is not None:
        suffixes = [reference.removeprefix("_")]
    elif "" in suffixes:
        suffixes = [""]
    shapes = infer_shapes(graph)
    found = {}
    for suffix in suffixes:
        named = [
            (name, _numbers(arrays, name, f"the output {output!r}")) for output, name in _named(graph, arrays, suffix)
        ]
        for output, (name, array) in zip(graph.outputs, named, strict=True):
            if array.shape != (samples, *shapes[output]):
                raise DataError(
                    f"{name!r} has the shape {array.shape}; the output {output!r} has {(samples, *shapes[output])}"
                )
        found[suffix] = named
    return found


def _named(graph: Graph, arrays: Arrays, suffix: str) -> list[tuple[str, str]]:
    """Each output with the name of its array."""
    tail = f"_{suffix}" if suffix else ""
    if len(graph.outputs) == 1 and f"y{tail}" in arrays:
        return [(graph.outputs[0], f"y{tail}")]
    return [(output, f"y{i}{tail}") for i, output in enumerate(graph.outputs)]


def _outputs(
    graph: Graph, inputs: list[Float64], model: Model, progress: Callable[[float], None]
) -> tuple[list[Float64], list[Float64]]:
    """Compute reference and bound of each output, a few samples at a time."""
    values: list[list[Float64]] = [[] for _ in graph.outputs]
    bounds: list[list[Float64]] = [[] for _ in graph.outputs]
    elements = sum(math.prod(shape) for shape in infer_shapes(graph).values())
    step = max(1, ELEMENTS_AT_ONCE // max(1, elements))
    for start in range(0, len(inputs[0]), step):
        some = [array[start : start + step] for array in inputs]
        all_values, all_bounds = error_bounds(graph, some, model=model)
        for i, name in enumerate(graph.outputs):
            values[i].append(all_values[name])
            bounds[i].append(all_bounds[name])
        progress(min(1.0, (start + step) / len(inputs[0])))
    return [np.concatenate(parts) for parts in values], [np.concatenate(parts) for parts in bounds]


def _verdict(
    suffix: str,
    graph: Graph,
    values: list[Float64],
    bounds: list[Float64],
    given: list[tuple[str, Float64]],
    model: Model,
) -> Verdict:
    outputs = tuple(
        _output_verdict(output, name, array, value, bound)
        for output, (name, array), value, bound in zip(graph.outputs, given, values, bounds, strict=True)
    )
    first_bad = next((output.name for output in outputs if not output.within), None)
    return Verdict(first_bad is None, outputs, first_bad, suffix, model)


def _output_verdict(output: str, name: str, array: Float64, value: Float64, bound: Float64) -> OutputVerdict:
    difference = np.abs(array - value)
    bad = ~np.isfinite(difference)
    difference[bad] = np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = difference / bound
    ratio[difference == 0] = 0
    ratio[bad] = np.inf
    worst = np.unravel_index(int(ratio.argmax()), ratio.shape)
    return OutputVerdict(
        name=output,
        array=name,
        within=bool((ratio <= 1).all()),
        max_difference=float(difference.max()),
        max_ratio=float(ratio.max()),
        worst=tuple(int(i) for i in worst),
        max_bound=float(bound.max()),
        max_value=float(np.abs(value).max()),
    )

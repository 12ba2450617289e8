"""Whether outputs that some framework computed lie within the error bounds of the arithmetic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError
from refcompress.graph import Graph
from refcompress.ops import infer_shapes
from refcompress.verify.bounds import Model, output_bounds
from refcompress.verify.precision import Float64, find_precision
from refcompress.verify.verdict import Bounded, TensorVerdict, Verdict, judge, with_precision

Arrays = Mapping[str, NDArray[Any]]
Run = Callable[[str, Sequence[int]], list[Bounded]]

_OUTPUT_NAME = re.compile(r"y(\d*)(?:_(.+))?")


def compare(
    graph: Graph,
    arrays: Arrays,
    *,
    reference: str | None = None,
    model: Model = "probed",
    precision: str = "float32",
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
    precision
        What the framework is expected to compute in; what only a lower one explains is not within.
    progress
        Called with the share of samples done; begins anew for each precision that is tried.

    Returns
    -------
    Verdict
        NaN and infinities in an output are a bad output, not an error.

    Raises
    ------
    DataError
        Arrays are missing, mis-shaped or not real numbers; an input is not finite; the references lead to
        different verdicts and none was chosen.
    OptionError
        There is no such model or precision.

    Examples
    --------
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Relu", "act", ("in",), "out", attrs=NoAttrs())
    >>> graph = Graph((TensorSpec("in", (2,)),), ("out",), (node,), {})
    >>> verdict = compare(graph, {"x": np.array([[-1.0, 2.0]]), "y": np.array([[0.0, 2.5]])})
    >>> verdict.within, verdict.first_bad, verdict.tensors[0].worst, verdict.tensors[0].max_difference
    (False, 'out', (0, 1), 0.5)

    """
    find_precision(precision)
    inputs = _inputs(graph, arrays)
    candidates = _candidates(graph, arrays, len(next(iter(inputs.values()))), reference)
    run = _runner(graph, inputs, model, progress)
    verdicts = [
        Verdict(tuple(_judged(graph, run, given, precision)), False, (), suffix, model, precision)
        for suffix, given in candidates.items()
    ]
    if len({verdict.within for verdict in verdicts}) > 1:
        states = ", ".join(f"{v.reference!r} is {'within' if v.within else 'outside'}" for v in verdicts)
        raise DataError(
            f"the references lead to different verdicts ({states} its bounds); say which one counts "
            "(reference, or --reference): the one made by the generation of the framework that wrote the file"
        )
    return verdicts[0]


def _runner(graph: Graph, inputs: Mapping[str, Float64], model: Model, progress: Callable[[float], None] | None) -> Run:
    """Return what computes references and bounds of all outputs by precision and samples, each once."""
    done: dict[tuple[str, tuple[int, ...]], list[Bounded]] = {}

    def run(precision: str, samples: Sequence[int]) -> list[Bounded]:
        key = (precision, tuple(samples))
        if key not in done:
            some = {name: array[list(samples)] for name, array in inputs.items()}
            values, bounds = output_bounds(graph, some, model=model, precision=precision, progress=progress)
            done[key] = list(zip(values, bounds, strict=True))
        return done[key]

    return run


def _inputs(graph: Graph, arrays: Arrays) -> dict[str, Float64]:
    names = ["x"] if "x" in arrays and len(graph.inputs) == 1 else [f"x{i}" for i in range(len(graph.inputs))]
    inputs: dict[str, Float64] = {}
    for name, spec in zip(names, graph.inputs, strict=True):
        array = _numbers(arrays, name, f"the input {spec.name!r}")
        if array.shape[1:] != spec.shape or not array.ndim or not len(array):
            raise DataError(
                f"{name!r} has the shape {array.shape}; the input {spec.name!r} takes (samples, "
                f"{', '.join(map(str, spec.shape))}) with at least one sample"
            )
        first = next(iter(inputs.values()), array)
        if len(array) != len(first):
            raise DataError(f"{name!r} holds {len(array)} samples and {names[0]!r} {len(first)}; they must agree")
        if not np.isfinite(array).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise DataError(f"{name!r} holds {array[where]} at {where}; inputs must be finite")
        inputs[spec.name] = array
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


def _judged(graph: Graph, run: Run, given: list[tuple[str, Float64]], precision: str) -> Iterator[TensorVerdict]:
    for index, (output, (name, array)) in enumerate(zip(graph.outputs, given, strict=True)):
        tensor = judge(output, name, array, run(precision, range(len(array)))[index], precision)
        if not tensor.within:
            of_output = partial(_of_output, run, index)
            tensor = with_precision(tensor, array, of_output, precision, stored=False)
        yield tensor


def _of_output(run: Run, index: int, precision: str, samples: Sequence[int]) -> Bounded:
    return run(precision, samples)[index]

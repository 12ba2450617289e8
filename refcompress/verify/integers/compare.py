"""Whether the outputs of an int8 network are those of a known runtime, or at least within their bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError
from refcompress.integer import IntegerNetwork
from refcompress.integer.recognition import agreement, by_runtime
from refcompress.integer.run import check_integers
from refcompress.ops import infer_shapes
from refcompress.run import Inputs
from refcompress.verify.bounds import Model
from refcompress.verify.integers.bounds import output_integer_bounds
from refcompress.verify.integers.judging import INT8, judge_integers, vague
from refcompress.verify.integers.segments import check_integer_array
from refcompress.verify.precision import Float64
from refcompress.verify.verdict import TensorVerdict, Verdict

_OUTPUT = re.compile(r"y\d*(?:_(.+))?")


def compare_integers(
    network: IntegerNetwork,
    inputs: Inputs,
    arrays: Mapping[str, NDArray[Any]],
    *,
    reference: str | None = None,
    model: Model = "probed",
    progress: Callable[[float], None] | None = None,
) -> Verdict:
    """Compare integer outputs with what known runtimes compute, and with the bounds of the arithmetic.

    Parameters
    ----------
    network
        An integer network.
    inputs
        Integers, as :func:`refcompress.integer.run_integer` takes them.
    arrays
        Outputs ``y``, or ``y0``, ``y1``, ...; batch first. A suffix such as ``y_tflm`` marks one of several sets of
        outputs, all of which are compared. Other names are ignored.
    reference
        Suffix of the only set that counts.
    model
        Error model of :func:`refcompress.verify.integer_bounds`. Where every array is exactly what a runtime
        computes, no bound is needed, and the certain one, which is quickly made, is shown.
    progress
        Called with the share of samples done.

    Returns
    -------
    Verdict
        One verdict for each array, in steps. One that follows no known runtime and whose bound is as wide as a
        quarter of the range is ``"not comparable"``.

    Raises
    ------
    DataError
        There are no outputs, or they or the inputs do not fit the network.
    OptionError
        There is no such error model.

    Examples
    --------
    >>> from refcompress.graph import Graph, Node, TensorSpec
    >>> from refcompress.integer import Quantization
    >>> from refcompress.ops import NoAttrs
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (Node("Tanh", "act", ("x",), "y", attrs=NoAttrs()),), {})
    >>> network = IntegerNetwork(graph, {"x": Quantization(0.05, 0), "y": Quantization(1 / 128, 0)})
    >>> x = np.array([[0, 20]], np.int8)
    >>> verdict = compare_integers(network, x, {"y": np.array([[0, 97]]), "y_other": np.array([[1, 97]])})
    >>> [(tensor.array, tensor.state) for tensor in verdict.tensors]
    [('y', 'within'), ('y_other', 'wrong')]

    """
    known = check_integers(network, inputs)
    given = _outputs(network, arrays, len(next(iter(known.values()))), reference)
    expected = by_runtime(network, known)
    agreements = [
        {runtime: agreement(ours[index], array.astype(np.int64)) for runtime, ours in expected.items()}
        for index, _, array in given
    ]
    exact = all(any(row.equal == row.total for row in found.values()) for found in agreements)
    used: Model = "deterministic" if exact else model
    reals = output_integer_bounds(network, known, model=used, progress=progress)
    tensors: list[TensorVerdict] = []
    for (index, name, array), found in zip(given, agreements, strict=True):
        tensor = judge_integers(network.graph.outputs[index], name, array, reals[index], found)
        tensors.append(vague(tensor, reals[index][1]))
    suffix = "" if reference is None else reference.removeprefix("_")
    return Verdict(tuple(tensors), False, (), suffix, used, INT8)


def _outputs(
    network: IntegerNetwork, arrays: Mapping[str, NDArray[Any]], samples: int, reference: str | None
) -> list[tuple[int, str, Float64]]:
    """Position of the output, name of the array, and the array, of every set of outputs that is complete."""
    suffixes = sorted({match[1] or "" for name in arrays if (match := _OUTPUT.fullmatch(name))})
    if reference is not None:
        suffixes = [suffix for suffix in suffixes if suffix == reference.removeprefix("_")]
    shapes, outputs = infer_shapes(network.graph), network.graph.outputs
    found = []
    for suffix in suffixes:
        tail = f"_{suffix}" if suffix else ""
        alone = len(outputs) == 1 and f"y{tail}" in arrays
        names = [f"y{tail}"] if alone else [f"y{i}{tail}" for i in range(len(outputs))]
        if all(name in arrays and np.asarray(arrays[name]).dtype.kind in "iu" for name in names):
            for index, name in enumerate(names):
                array = check_integer_array(name, arrays[name], shapes[outputs[index]])
                if len(array) != samples:
                    raise DataError(f"{name!r} holds {len(array)} samples and the inputs {samples}; they must agree")
                found.append((index, name, array))
    if not found:
        raise DataError(
            f"there are no integer outputs y or y0 to compare with; there are {', '.join(arrays) or 'none'}"
        )
    return found

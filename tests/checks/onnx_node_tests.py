"""The ONNX project's own tests of its operators, which ship with the library onnx, held against our import."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from checks.onnx_files import Array, frozen, samples_first, saved
from onnx import numpy_helper

from refcompress.errors import DataError, ModelError
from refcompress.formats.onnx import read
from refcompress.formats.onnx.constants import FOLDED
from refcompress.formats.onnx.nodes import NODES
from refcompress.run import run


@dataclass
class Outcome:
    """What became of one test: in how many ways it was computed, which errors it gave, and what was wrong."""

    name: str
    ways: int = 0
    refusals: list[Exception] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def cases() -> list[Any]:
    """Return the tests whose operators are all among those that are imported."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library computes infinities on purpose
        tests = load_model_tests(kind="node")
    known = set(NODES) | set(FOLDED)
    return [
        case
        for case in tests
        if (ops := {node.op_type for node in case.model.graph.node}) <= known and ops & set(NODES)
    ]


def _arrays(values: Any) -> list[Array] | None:
    """Return the data of a test; None if they are no arrays of numbers."""
    arrays = [numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value for value in values]
    if not all(isinstance(value, np.ndarray | np.generic) for value in arrays):
        return None
    return [np.asarray(value) for value in arrays]


def _ways(case: Any, inputs: list[Array]) -> Iterator[tuple[str, Any, list[Array], bool]]:
    """Yield models: as it is, or all inputs but one as initializers; all outputs, or the first; batched or not."""
    kept = [None, *range(len(inputs))] if len(inputs) > 1 else [None]
    for keep in kept:
        for only_first in (False, True) if len(case.model.graph.output) > 1 else (False,):
            proto = onnx.ModelProto.FromString(case.model.SerializeToString())
            given = inputs
            if keep is not None:
                proto, given = frozen(proto, keep, inputs), [inputs[keep]]
            if only_first:
                del proto.graph.output[1:]
            for batched in (True, False):
                yield f"input {keep}, first output {only_first}, batched {batched}", proto, given, batched


def attempt(case: Any, folder: Path) -> Outcome:
    """Import and run one test in all ways."""
    outcome = Outcome(case.name)
    inputs, expected = (_arrays(values) for values in case.data_sets[0])
    if inputs is None or expected is None or len(inputs) != len(case.model.graph.input):
        inputs, expected = [], []
    for way, proto, given, batched in _ways(case, inputs):
        try:
            imported = read(saved(proto, folder), batched=batched)
            pairs = zip(given, imported.inputs, strict=True)
            made = run(imported.graph, [samples_first(_widened(array), batch) for array, (_, batch) in pairs])
        except (ModelError, DataError) as error:
            outcome.refusals.append(error)
            continue
        outcome.ways += 1
        for array, wanted, (name, batch) in zip(made, expected, imported.outputs, strict=False):
            trouble = _difference(array, samples_first(wanted, batch), case)
            if trouble:
                outcome.wrong.append(f"{case.name} ({way}): {name}: {trouble}")
    return outcome


def _widened(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype.kind not in "biuf" or array.dtype == np.float16 else array


def _difference(array: Array, wanted: Array, case: Any) -> str:
    # what is expected of types of 16 bits was computed in them
    half = wanted.dtype.itemsize == 2 and wanted.dtype.kind not in "iub"
    rtol, atol = (2**-7, 2**-7) if half else (case.rtol, max(case.atol, 1e-6))
    if array.shape != wanted.shape:
        return f"the shape {array.shape} for {wanted.shape}"
    if not np.allclose(array.astype(np.float64), wanted.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True):
        return f"differs by {np.abs(array - wanted.astype(np.float64)).max()}"
    return ""

"""Verdicts on tensors of integers: of a known runtime, within the bound, by coarser factors only, or wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from refcompress.integer import Agreement
from refcompress.verify.integers.operators import Real
from refcompress.verify.precision import Float64
from refcompress.verify.verdict import MEANINGFUL, TensorVerdict, judge

INT8 = "int8"
RANGE = 255  # steps

# name: (relative error of the factors, what it is)
COARSE: Mapping[str, tuple[float, str]] = MappingProxyType(
    {
        "factors of 16 bits": (2.0**-16, "int8 with requantization factors of 16 bits"),
        "factors of 8 bits": (2.0**-8, "int8 with requantization factors of 8 bits"),
    }
)


def judge_integers(
    name: str, array_name: str, array: Float64, real: Real, agreements: Mapping[str, Agreement]
) -> TensorVerdict:
    """Compare integers with the reference and what known runtimes compute: ``"within"`` or ``"wrong"``.

    A bound is shown as half a step at least: where a unit is saturated for certain, it is none.
    """
    tensor = judge(name, array_name, array, (real[0], np.maximum(real[1], 0.5)), INT8)
    tensor = replace(tensor, agreements=dict(agreements))
    return replace(tensor, state="within", precision=INT8) if tensor.follows else tensor


def vague(tensor: TensorVerdict, bound: Float64) -> TensorVerdict:
    """Take back a ``"within"`` that says nothing: of no known runtime, under a bound of a quarter of the range."""
    typical = float(np.median(bound))
    if not tensor.within or tensor.follows or typical <= MEANINGFUL * RANGE:
        return tensor
    why = (
        f"no known runtime computes exactly these integers, and after so many layers a bound of {typical:.3g} steps "
        "says nothing; compare its layers"
    )
    return replace(tensor, state="not comparable", precision="", cause=why)


def with_coarse_factors(tensor: TensorVerdict, array: Float64, real: Real, zero_point: int) -> TensorVerdict:
    """Say which coarser factors explain integers that are wrong, if any do."""
    value, bound = real
    for name, (error, _) in COARSE.items():
        wider = np.maximum(bound, 0.5) + error * np.abs(value - zero_point)
        if bool((np.abs(array - value) <= wider).all()):
            return replace(tensor, state="lower precision", precision=name)
    return tensor


def joint(tensors: Sequence[TensorVerdict]) -> tuple[str, ...]:
    """Return the runtimes that all tensors follow."""
    first = tensors[0].follows if tensors else ()
    return tuple(name for name in first if all(name in tensor.follows for tensor in tensors))


def follows_text(tensor: Mapping[str, Any]) -> str:
    """Say in a cell which runtimes a tensor of a document follows, or which is nearest.

    Examples
    --------
    >>> follows_text({"agreements": {"tflm": {"equal": 3, "total": 4, "largest_difference": 1}}})
    'none; tflm in 3 of 4, else 1 off'

    """
    found = tensor["agreements"]
    exact = [name for name, row in found.items() if row["equal"] == row["total"]]
    if exact or not found:
        return ", ".join(exact)
    nearest, row = max(found.items(), key=lambda item: (item[1]["equal"], -item[1]["largest_difference"]))
    return f"none; {nearest} in {row['equal']} of {row['total']}, else {row['largest_difference']} off"

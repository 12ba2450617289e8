"""What a report says first: the verdict as a headline, and what to make of it in a sentence or two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Tensor = Mapping[str, Any]


def headline(found: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the verdict as three parts of a line: what is judged, its name or nothing, and the verdict on it.

    Parameters
    ----------
    found
        What :func:`refcompress.verify.report.document` returned.

    Examples
    --------
    >>> wrong = {"name": "conv", "state": "wrong"}
    >>> headline({"layers": True, "within": False, "first_bad": "conv", "tensors": [wrong]})
    ('Layer', 'conv', 'is wrong')

    """
    kind, count = "layer" if found["layers"] else "output", len(found["tensors"])
    if found["within"] and count == 1:
        return f"The {kind}", "", "is within its bound"
    if found["within"]:
        return f"All {count} {kind}s", "", "are within their bounds"
    first = first_bad(found)
    verdict = {
        "wrong": "is wrong",
        "lower precision": f"is right only in {first.get('precision')}",
        "not comparable": "cannot be compared",
    }
    return kind.capitalize(), str(first["name"]), verdict[first["state"]]


def first_bad(found: Mapping[str, Any]) -> Tensor:
    """Return the tensor that a document names first."""
    return next(tensor for tensor in found["tensors"] if tensor["name"] == found["first_bad"])


def opening(found: Mapping[str, Any]) -> list[str]:
    """Return the sentences under the headline: the first finding and how many there are, or how safe "within" is.

    Examples
    --------
    >>> fine = {"name": "conv", "state": "within", "max_ratio": 0.25, "max_bound": 1e-6, "max_value": 2.0}
    >>> for line in opening({"layers": True, "within": True, "findings": [], "tensors": [fine]}):
    ...     print(line)
    The largest difference is 0.25 of its bound (conv).
    The widest bound is 5e-07 of the largest value (conv): differences beyond that would have shown.

    """
    tensors: Sequence[Tensor] = found["tensors"]
    if not found["within"]:
        others = len(found["findings"]) - 1
        what = "layers" if found["layers"] else "outputs"
        more = [f"{others} more of {len(tensors)} {what} {'is' if others == 1 else 'are'} not within bounds."]
        return [f"{found['findings'][0]}.", *(more if others else [])]
    if not tensors:
        return []
    if found.get("precision") == "int8":
        text = str(found["summary"])
        return [f"{text[0].upper()}{text[1:]}."]
    closest, widest = max(tensors, key=lambda one: one["max_ratio"]), max(tensors, key=_width)
    near, width = closest["max_ratio"], _width(widest)
    lines = [f"The largest difference is {near:.3g} of its bound ({closest['name']})." if near else "Nothing differs."]
    if math.isfinite(width):
        beyond = "differences beyond that would have shown."
        lines.append(f"The widest bound is {width:.3g} of the largest value ({widest['name']}): {beyond}")
    else:
        lines.append(f"Of {widest['name']} there are elements without a bound: of these nothing is known.")
    return lines


def _width(tensor: Tensor) -> float:
    """Largest bound beside the largest value; 0 where all values are 0."""
    bound, value = tensor["max_bound"], tensor["max_value"]
    if not math.isfinite(bound):
        return math.inf
    return float(bound / value) if value else 0.0

"""Verdicts for readers: one document of plain values, as JSON, Markdown or a page of HTML."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from refcompress.errors import OptionError
from refcompress.verify.integers.judging import COARSE, INT8, follows_text, joint
from refcompress.verify.opening import headline, opening
from refcompress.verify.page import ABOUT, NUMBERS, page
from refcompress.verify.precision import PRECISIONS
from refcompress.verify.verdict import TensorVerdict, Verdict

# what decides comes first: narrow screens show no more
COLUMNS = (
    *("verdict", "exactly as", "of its bound", "difference", "at", "largest bound", "largest value"),
    *("operators", "compared"),
)


def document(verdict: Verdict, about: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a verdict as plain values: what JSON, Markdown and HTML are made of.

    Parameters
    ----------
    verdict
        What :func:`refcompress.verify.compare` or :func:`refcompress.verify.compare_layers` returned.
    about
        What was compared, for the reader: model, framework, inputs.

    Examples
    --------
    >>> document(Verdict((), True, (), "", "probed", "float32"), {"model": "m.h5"})["summary"]
    'all layers are within their probed bounds'

    """
    return {
        **(about or {}),
        "within": verdict.within,
        "first_bad": verdict.first_bad,
        "summary": summary(verdict),
        "findings": [sentence(tensor) for tensor in verdict.bad],
        "layers": verdict.layers,
        "unseen": list(verdict.unseen),
        "reference": verdict.reference,
        "bound": verdict.model,
        "precision": verdict.precision,
        "tensors": [
            {**dataclasses.asdict(tensor), "within": tensor.within, "follows": list(tensor.follows)}
            for tensor in verdict.tensors
        ],
    }


def summary(verdict: Verdict) -> str:
    """Say in one line what was found."""
    what = "layers" if verdict.layers else "outputs"
    if verdict.within and verdict.precision == INT8:
        return _integers_within(verdict, what)
    if verdict.within:
        return f"all {what} are within their {verdict.model} bounds"
    bad, first = verdict.bad, verdict.bad[0]
    others = f"; {len(bad) - 1} more of {len(verdict.tensors)} {what} are not" if len(bad) > 1 else ""
    return f"{what[:-1]} {first.name!r} is NOT within its {verdict.model} bound: {_finding(first)}{others}"


def _integers_within(verdict: Verdict, what: str) -> str:
    followed = joint(verdict.tensors)
    if followed:
        return f"all {what} are exactly what {', '.join(followed)} computes"
    single = sum(bool(tensor.follows) for tensor in verdict.tensors)
    if single == len(verdict.tensors):
        return f"all {what} are exactly what known runtimes compute, though no single one computes them all"
    return (
        f"all {what} are within their {verdict.model} bounds, "
        f"{single} of {len(verdict.tensors)} exactly what a known runtime computes"
    )


def sentence(tensor: TensorVerdict) -> str:
    """Say what is wrong with a tensor, and what explains it.

    Examples
    --------
    >>> wrong = TensorVerdict("conv", "conv", "wrong", "", "with no bias it agrees", (), (), 1.0, 9.0, (0,), 1.0, 1.0)
    >>> sentence(wrong)
    'conv differs; with no bias it agrees'

    """
    return f"{tensor.name} {_finding(tensor)}"


def _finding(tensor: TensorVerdict) -> str:
    if tensor.state == "not comparable":
        return f"cannot be compared: {tensor.cause}"
    if tensor.state == "lower precision":
        text = COARSE[tensor.precision][1] if tensor.precision in COARSE else PRECISIONS[tensor.precision].text
        return f"differs; only a lower precision explains it: {text}"
    if tensor.cause:
        return f"differs; {tensor.cause}"
    if not math.isfinite(tensor.max_difference):
        return f"is not finite at {list(tensor.worst)}"
    return (
        f"differs by {tensor.max_difference:.6g} at most, and at {list(tensor.worst)} by {tensor.max_ratio:.6g} times "
        "the bound"
    )


def table(found: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of a document's table, one row for each tensor; columns that say nothing are left out.

    Examples
    --------
    >>> table(document(Verdict((), True, (), "", "probed", "float32")))
    (('layer',), [])

    """
    rows = [_row(tensor) for tensor in found["tensors"]]
    columns = ("layer" if found["layers"] else "output", *COLUMNS)
    # a column that is empty or repeats the name says nothing
    keep = [i for i in range(len(columns)) if i == 0 or any(row[i] not in {"", row[0]} for row in rows)]
    return tuple(columns[i] for i in keep), [tuple(row[i] for i in keep) for row in rows]


def _row(tensor: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(tensor["name"]),
        state(tensor),
        follows_text(tensor),
        *(_number(tensor[key]) for key in ("max_ratio", "max_difference")),
        str(list(tensor["worst"])) if tensor["worst"] else "",
        *(_number(tensor[key]) for key in ("max_bound", "max_value")),
        " ".join(tensor["ops"]),
        str(tensor["array"]),
    )


def state(tensor: Mapping[str, Any]) -> str:
    """Say the verdict in a word or two.

    Examples
    --------
    >>> state({"state": "lower precision", "precision": "tf32"})
    'only in tf32'

    """
    if tensor["state"] == "lower precision":
        return f"only {'with' if tensor['precision'] in COARSE else 'in'} {tensor['precision']}"
    return "within" if tensor["state"] == "within" else str(tensor["state"]).upper()


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not finite"


def render(found: Mapping[str, Any], name: str) -> str:
    """Write a document in the format that a file's name asks for.

    Parameters
    ----------
    found
        What :func:`document` returned.
    name
        Ends in ``.md``, ``.html`` or ``.json``.

    Raises
    ------
    OptionError
        It ends in something else.

    Examples
    --------
    >>> print(render(document(Verdict((), False, (), "", "probed", "float32")), "report.md").splitlines()[0])
    # All 0 outputs are within their bounds

    """
    ending = PurePath(name).suffix.lower()
    if ending == ".json":
        return json.dumps(finite(dict(found)), indent=2, allow_nan=False) + "\n"
    if ending == ".md":
        return markdown(found)
    if ending in {".html", ".htm"}:
        return page(found, *table(found))
    raise OptionError(f"a report named {name!r}; its ending says the format: .md, .html or .json")


def finite(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by None.

    Examples
    --------
    >>> finite({"a": [1.0, math.inf]})
    {'a': [1.0, None]}

    """
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def markdown(found: Mapping[str, Any]) -> str:
    """Write a document as Markdown."""
    title = " ".join(part for part in headline(found) if part)
    lines = [f"# {_escaped(title)}", ""]
    lines += [part for text in opening(found) for part in (_escaped(text), "")]
    lines += [f"- {key}: {_escaped(str(found[key]))}" for key in ABOUT if found.get(key)]
    if found["unseen"]:
        lines.append(f"- not compared: {_escaped(', '.join(found['unseen']))}")
    if len(found["findings"]) > 1:
        numbered = (f"{i}. {_escaped(text)}" for i, text in enumerate(found["findings"], 1))
        lines += ["", "## All that differs", "", *numbered]
    columns, rows = table(found)
    lines += ["", "## " + ("Layers" if found["layers"] else "Outputs"), ""]
    lines.append("| " + " | ".join(columns) + " |")
    lines.append("|" + "".join("---:|" if column in NUMBERS else "---|" for column in columns))
    lines += ["| " + " | ".join(map(_escaped, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Keep names from being read as Markdown."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>#|" else char for char in " ".join(text.split()))

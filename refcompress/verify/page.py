"""A report as one page of HTML: style and plot inside it, nothing fetched, no scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

ROW = 18  # pixels
LABEL = 260
WIDTH = 900
MARGIN = 24
LEAST = -4.0  # of the axis, log10 of difference over bound; smaller ones are drawn there
MOST = 8.0
LONGEST_LABEL = 38
KINDS = {"within": "good", "lower precision": "low", "wrong": "bad", "not comparable": "off"}

ABOUT = ("model", "framework", "arrays", "inputs", "reference", "bound", "precision")  # of a document, for readers

STYLE = """
:root { color-scheme: light dark; --text: #1d2125; --back: #ffffff; --line: #c9ced3; --good: #2f7d4f;
  --low: #a06a00; --bad: #c0392b; --off: #7a828a; --soft: #f2f4f5 }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7ea; --back: #16191c; --line: #454b51; --good: #63c08a;
  --low: #e0a93c; --bad: #ff7b6b; --off: #98a0a8; --soft: #20252a } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px; width: 100% } .wide { overflow-x: auto }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
tr.good td:nth-child(4) { color: var(--good) } tr.low td:nth-child(4) { color: var(--low) }
tr.bad td { background: var(--soft) } tr.bad td:nth-child(4) { color: var(--bad); font-weight: 600 }
svg text { fill: var(--text); font: 12px system-ui, sans-serif } svg .axis { stroke: var(--line) }
svg .bound { stroke: var(--text); stroke-dasharray: 4 3 }
svg .good { fill: var(--good) } svg .low { fill: var(--low) }
svg .bad { fill: var(--bad) } svg .off { fill: var(--off) }
dt { float: left; clear: left; min-width: 7rem; color: var(--off) } dd { margin: 0 0 0 7rem; overflow-wrap: anywhere }
.summary { font-size: 1.15rem; padding: .6rem .9rem; border-left: 4px solid var(--good); background: var(--soft) }
.summary.bad { border-color: var(--bad) }
"""


def page(found: Mapping[str, Any], columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a document as one self-contained page.

    Parameters
    ----------
    found
        What :func:`refcompress.verify.report.document` returned.
    columns, rows
        Of the table.

    """
    facts = "".join(f"<dt>{key}</dt><dd>{escape(str(found[key]))}</dd>" for key in ABOUT if found.get(key))
    if found["unseen"]:
        facts += f"<dt>not compared</dt><dd>{escape(', '.join(found['unseen']))}</dd>"
    findings = "".join(f"<li>{escape(text)}</li>" for text in found["findings"])
    kinds = [KINDS[tensor["state"]] for tensor in found["tensors"]]
    body = "\n".join(
        f'<tr class="{kind}">' + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for kind, row in zip(kinds, rows, strict=True)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Verification</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>Verification</h1>\n"
        f'<p class="summary{"" if found["within"] else " bad"}">{escape(str(found["summary"]))}</p>\n'
        f"<dl>{facts}</dl>\n"
        + (f"<h2>What differs</h2>\n<ol>{findings}</ol>\n" if findings else "")
        + f"<h2>Largest difference over its bound</h2>\n{plot(found['tensors'])}\n"
        + f"<h2>{'Layers' if found['layers'] else 'Outputs'}</h2>\n"
        '<div class="wide"><table><thead><tr>'
        + "".join(f"<th>{escape(column)}</th>" for column in columns)
        + f"</tr></thead><tbody>\n{body}\n</tbody></table></div>\n</body></html>\n"
    )


def plot(tensors: Sequence[Mapping[str, Any]]) -> str:
    """Draw each tensor's largest difference over its bound as a bar on a logarithmic axis, as SVG.

    Examples
    --------
    >>> drawn = plot([{"name": "conv", "state": "wrong", "max_ratio": 100.0}])
    >>> drawn.startswith("<svg"), "conv: 100" in drawn
    (True, True)

    """
    logs = [_log(tensor["max_ratio"]) for tensor in tensors]
    most = max(1.0, math.ceil(max(logs, default=1.0)))
    height = 2 * MARGIN + ROW * len(tensors)

    def across(value: float) -> float:
        return LABEL + (value - LEAST) / (most - LEAST) * (WIDTH - LABEL - MARGIN)

    label = "largest difference over its bound"
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" width="100%" role="img" aria-label="{label}">']
    for power in range(math.ceil(LEAST), int(most) + 1):
        x = across(power)
        kind = "bound" if power == 0 else "axis"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{MARGIN}" y2="{height - MARGIN}"/>')
        text = "bound" if power == 0 else f"1e{power}"
        parts.append(f'<text x="{x:.1f}" y="{MARGIN - 8}" text-anchor="middle">{text}</text>')
    for index, (tensor, value) in enumerate(zip(tensors, logs, strict=True)):
        y = MARGIN + ROW * index
        name = escape(_short(str(tensor["name"])))
        ratio = tensor["max_ratio"]
        number = f"{ratio:.3g}" if math.isfinite(ratio) else "not finite"
        title = f"<title>{escape(str(tensor['name']))}: {number} times its bound</title>"
        parts.append(f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{name}{title}</text>')
        size = max(1.5, across(value) - LABEL)
        kind = KINDS[tensor["state"]]
        parts.append(
            f'<rect class="{kind}" x="{LABEL}" y="{y + 3}" width="{size:.1f}" height="{ROW - 6}">{title}</rect>'
        )
    return "".join([*parts, "</svg>"])


def _log(ratio: float) -> float:
    if ratio <= 0:
        return LEAST
    return min(MOST, max(LEAST, math.log10(ratio))) if math.isfinite(ratio) else MOST


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else f"...{name[3 - LONGEST_LABEL :]}"

"""A report as one page of HTML: style and plot inside it, nothing fetched, no scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from refcompress.verify.opening import headline, opening

LEAST = -4.0  # of the axis, log10 of difference over bound; smaller ones are drawn there
MOST = 8.0
TICKS = 7  # of the axis that carry a label, at most: more would touch one another on a telephone
LONGEST_LABEL = 38
KINDS = {"within": "good", "lower precision": "low", "wrong": "bad", "not comparable": "off"}
ABOUT = ("model", "framework", "arrays", "inputs", "reference", "bound", "precision")  # of a document, for readers
NUMBERS = ("of its bound", "difference", "largest bound", "largest value")  # columns

STYLE = """
:root { color-scheme: light dark; --text: #1d2125; --back: #ffffff; --line: #d3d8dc; --good: #2f7d4f;
  --low: #8f5e00; --bad: #b93226; --off: #5c646b; --soft: #f2f4f5 }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7ea; --back: #16191c; --line: #3c4248; --good: #63c08a;
  --low: #e0a93c; --bad: #ff7b6b; --off: #a3abb2; --soft: #20252a } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 1.5rem auto;
  max-width: 70rem; padding: 0 1rem; overflow-wrap: anywhere; -webkit-text-size-adjust: 100% }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
h1 a { color: inherit } p { margin: .4rem 0 }
.good { --own: var(--good) } .low { --own: var(--low) } .bad { --own: var(--bad) } .off { --own: var(--off) }
.verdict { padding: .8rem 1rem; border-left: 6px solid var(--own); background: var(--soft) }
.verdict h1 { color: var(--own) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 1rem 0 }
dt { color: var(--off) } dd { margin: 0 } li { margin: .2rem 0 }
.legend { font-size: 13px } .legend span { margin-right: 1.2rem; white-space: nowrap }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; background: var(--own) }
.plot { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; font-size: 12px; line-height: 18px;
  padding-right: 1.5rem; margin-top: .8rem }
.name { text-align: right; padding-right: .6rem; white-space: nowrap } .track { position: relative; height: 18px }
.lines { background: linear-gradient(to right, var(--line) 1px, transparent 1px) 0 0 / var(--decade) 100%;
  box-shadow: 1px 0 var(--line) }
.lines::after { content: ""; position: absolute; left: var(--bound); height: 100%; border-left: 2px dashed var(--text) }
.bar { position: absolute; top: 3px; height: 12px; background: var(--own) }
.tick { position: absolute; transform: translateX(-50%); white-space: nowrap } sup { line-height: 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: 13px; width: 100% }
th, td { text-align: left; padding: .25rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top;
  white-space: nowrap }
th:first-child, td:first-child { padding-left: .4rem; position: sticky; left: 0; background: var(--back);
  white-space: normal; min-width: 7rem }
td:nth-child(2) { color: var(--own) } .number { text-align: right; font-variant-numeric: tabular-nums }
tr:not(.good) td { background: var(--soft) } tr:not(.good) td:nth-child(2) { font-weight: 600 }
tr:target td { border-bottom-color: var(--own) }
@media (max-width: 40rem) { body { margin-top: .8rem } h1 { font-size: 1.35rem }
  .plot { grid-template-columns: 1fr; padding: 0 1.2rem } .name { text-align: left; padding-top: .3rem }
  .name:empty { display: none } th, td { padding: .25rem .4rem; overflow-wrap: normal }
  td:nth-child(2) { white-space: normal } th:first-child, td:first-child { overflow-wrap: anywhere } }
"""


def page(found: Mapping[str, Any], columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a document as one self-contained page.

    Parameters
    ----------
    found
        What :func:`refcompress.verify.report.document` returned.
    columns, rows
        Of the table; the second column is the verdict.

    """
    what, name, verdict = headline(found)
    linked = f' <a href="#first">{escape(name)}</a> ' if name else " "
    told = "".join(f"<p>{escape(text)}</p>" for text in opening(found))
    facts = "".join(f"<dt>{key}</dt><dd>{escape(str(found[key]))}</dd>" for key in ABOUT if found.get(key))
    if found["unseen"]:
        facts += f"<dt>not compared</dt><dd>{escape(', '.join(found['unseen']))}</dd>"
    findings = "".join(f"<li>{escape(text)}</li>" for text in found["findings"])
    title = escape(" ".join(part for part in (what, name, verdict) if part))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>\n"
        f'<header class="verdict {_kind(found)}"><h1>{what}{linked}{verdict}</h1>{told}</header>\n'
        f"<dl>{facts}</dl>\n"
        + (f"<h2>All that differs</h2>\n<ol>{findings}</ol>\n" if len(found["findings"]) > 1 else "")
        + f"<h2>Largest difference over its bound</h2>\n{_legend(found['tensors'])}\n{plot(found['tensors'])}\n"
        + f"<h2>{'Layers' if found['layers'] else 'Outputs'}</h2>\n{_table(found, columns, rows)}\n</body></html>\n"
    )


def _kind(found: Mapping[str, Any]) -> str:
    states = [tensor["state"] for tensor in found["tensors"] if tensor["name"] == found["first_bad"]]
    return KINDS[states[0]] if states else "good"


def _table(found: Mapping[str, Any], columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    numeric = [' class="number"' if column in NUMBERS else "" for column in columns]
    head = "".join(f"<th{kind}>{escape(column)}</th>" for kind, column in zip(numeric, columns, strict=True))
    body, first = [], found["first_bad"]
    for tensor, row in zip(found["tensors"], rows, strict=True):
        cells = "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(numeric, row, strict=True))
        mark = ""
        if tensor["name"] == first:
            mark, first = ' id="first"', None
        body.append(f'<tr class="{KINDS[tensor["state"]]}"{mark}>{cells}</tr>')
    lines = [f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>', *body, "</tbody></table></div>"]
    return "\n".join(lines)


def _legend(tensors: Sequence[Mapping[str, Any]]) -> str:
    """Count the verdicts, each in its colour."""
    counts = {state: sum(tensor["state"] == state for tensor in tensors) for state in KINDS}
    shown = "".join(
        f'<span class="{KINDS[state]}"><i></i>{count} {state}</span>' for state, count in counts.items() if count
    )
    return f'<p class="legend">{shown}Logarithmic axis; what reaches beyond the dashed line is outside its bound.</p>'


def plot(tensors: Sequence[Mapping[str, Any]]) -> str:
    """Draw each tensor's largest difference over its bound as a bar on a logarithmic axis.

    Examples
    --------
    >>> drawn = plot([{"name": "conv", "state": "wrong", "max_ratio": 100.0}])
    >>> drawn.startswith("<div"), "conv: 100 times its bound" in drawn
    (True, True)

    """
    logs = [_log(tensor["max_ratio"]) for tensor in tensors]
    most = max(1.0, math.ceil(max(logs, default=1.0)))

    def across(value: float) -> str:
        return f"{100 * (value - LEAST) / (most - LEAST):.2f}%"

    powers = range(math.ceil(LEAST), int(most) + 1)
    step = math.ceil(len(powers) / TICKS)
    ticks = "".join(
        f'<span class="tick" style="left: {across(power)}">{_power(power)}</span>'
        for power in powers
        if power % step == 0
    )
    style = f"--decade: {100 / (most - LEAST):.4f}%; --bound: {across(0)}"
    label = "largest difference over its bound, as in the table below"
    parts = [f'<div class="plot" role="img" aria-label="{label}" style="{style}"><span class="name"></span>']
    parts.append(f'<div class="track">{ticks}</div>')
    for tensor, value in zip(tensors, logs, strict=True):
        ratio = tensor["max_ratio"]
        number = f"{ratio:.3g}" if math.isfinite(ratio) else "not finite"
        title = escape(f"{tensor['name']}: {number} times its bound")
        parts.append(
            f'<span class="name" title="{title}">{escape(_short(str(tensor["name"])))}</span>'
            f'<div class="track lines" title="{title}"><div class="bar {KINDS[tensor["state"]]}" '
            f'style="width: max(2px, {across(value)})"></div></div>'
        )
    return "\n".join([*parts, "</div>"])


def _power(power: int) -> str:
    return "bound" if power == 0 else f"10<sup>{power}</sup>".replace("-", "\N{MINUS SIGN}")


def _log(ratio: float) -> float:
    if ratio <= 0:
        return LEAST
    return min(MOST, max(LEAST, math.log10(ratio))) if math.isfinite(ratio) else MOST


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else f"...{name[3 - LONGEST_LABEL :]}"

"""The tables of the documentation that show the compressed LeNets, made of the shipped results.

``python tests/checks/lenet_tables.py`` prints them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from reference_models import LENET_FILES
from reference_models.published import LENET_5, LENET_300_100, PublishedLayer

RESULTS = Path(__file__).parent.parent.parent / "reference_models" / "results"
PUBLISHED = {"lenet-300-100": LENET_300_100, "lenet-5": LENET_5}
TITLES = {"lenet-300-100": "LeNet-300-100", "lenet-5": "LeNet-5"}


def report(name: str) -> dict[str, Any]:
    """Read what ``refcompress reproduce NAME`` wrote."""
    document: dict[str, Any] = json.loads((RESULTS / f"{LENET_FILES[name].small.stem}.json").read_text("utf-8"))
    return document


def summary() -> str:
    """Return the table of the main README: sizes, errors, and the Cortex-M4."""
    lines = [
        "| network | float32 | paper | ours | smaller | test error, paper | ours | flash | RAM | instructions |",
        "|---|--:|--:|--:|--:|---|---|--:|--:|--:|",
    ]
    rows = json.loads((RESULTS / "lenets_m4.json").read_text("utf-8"))
    for name, paper in PUBLISHED.items():
        ours = report(name)
        dense, coded = ours["report"]["dense_bytes"], ours["total"]["bytes_coded"]
        way = (name, "c", "float32")
        m4 = next(row for row in rows if (row["network"], row["exporter"], row["arithmetic"]) == way)
        cells = [TITLES[name], f"{dense:,}", f"{paper.file_bytes:,}", f"**{coded:,}**", f"{dense / coded:.0f}x"]
        cells += [_errors(paper.error_before, paper.error_after), _errors(ours["error_before"], ours["error_after"])]
        cells += [f"{m4[key]:,}" for key in ("flash_bytes", "ram_bytes", "instructions")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def comparison(name: str) -> str:
    """Return the paper's table with ours, row under row."""
    lines = [
        "| layer | weights | weight bits | + Huffman | index bits | + Huffman | P+Q | P+Q+H |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    paper, ours = PUBLISHED[name], report(name)
    for theirs, own in zip((*paper.layers, paper.total), (*ours["layers"], ours["total"]), strict=True):
        lines += [_row(f"{theirs.name}, paper", theirs), _row(f"{theirs.name}, ours", PublishedLayer(**_known(own)))]
    return "\n".join(lines)


def _known(own: dict[str, Any]) -> dict[str, Any]:
    return {key: own[key] for key in PublishedLayer.__dataclass_fields__}


def _row(name: str, layer: PublishedLayer) -> str:
    coded: float | None = layer.weight_bits_huffman  # of ours it may be None: one code for both
    bits = ["joint" if coded is None else f"{coded:.1f}", f"{layer.index_bits:.1f}", f"{layer.index_bits_huffman:.1f}"]
    shares = [f"{100 * layer.rate:.2f} %", f"{100 * layer.rate_huffman:.2f} %"]
    return "| " + " | ".join([name, f"{100 * layer.density:.2f} %", f"{layer.weight_bits:.1f}", *bits, *shares]) + " |"


def _errors(before: float, after: float) -> str:
    return f"{100 * before:.2f} % → {100 * after:.2f} %"


if __name__ == "__main__":
    sys.stdout.write("\n\n".join([summary(), *map(comparison, PUBLISHED)]) + "\n")

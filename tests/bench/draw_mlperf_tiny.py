"""Draw the README's picture: ``python tests/bench/draw_mlperf_tiny.py``, after ``mlperf_tiny.py -o DIR``.

usage: python tests/bench/draw_mlperf_tiny.py [RESULTS.json] [PICTURE.svg]

Needs Matplotlib (``pip install 'refcompress[plot]'``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent.parent / "reference_models" / "results" / "mlperf_tiny.json"
BARS = (
    ("float32_bytes", "float32 parameters", "#b8c4d6"),
    ("flash_bytes", "flash, code included", "#5b8db8"),
    ("rcz_bytes", ".rcz file", "#e07b39"),
)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw three bars for each network and write them as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "refcompress", "svg.fonttype": "none", "font.family": "sans-serif"})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4.2))
    for place, (key, label, colour) in enumerate(BARS):
        sizes = [row[key] / 1000 for row in rows]
        where = [3.9 * i + place for i in range(len(rows))]
        axes.barh(where, sizes, height=0.9, color=colour, label=label)
        for row, y, kilobytes in zip(rows, where, sizes, strict=True):
            times = f"  ({row['float32_bytes'] / row[key]:.1f}x smaller)" if place else ""
            axes.text(kilobytes + 8, y, f"{kilobytes:.1f} kB{times}", va="center", fontsize=8.5)
    axes.set_yticks([3.9 * i + 1 for i in range(len(rows))], [str(row["network"]) for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1250)
    axes.set_xlabel("kB = 1000 bytes")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Draw the results that are shipped, or those given."""
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else results.with_suffix(".svg")
    draw(json.loads(results.read_text("utf-8")), path)


if __name__ == "__main__":
    main()

"""Measure what starting costs: ``python tests/bench/bench_imports.py``.

The bars are 0.35 s for ``import refcompress`` and 0.5 s for ``refcompress --help``, both warm; the median of
several starts is what counts, with Python's own start included.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

STARTS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import numpy": [sys.executable, "-c", "import numpy"],
    "import refcompress": [sys.executable, "-c", "import refcompress"],
    "import refcompress.graph": [sys.executable, "-c", "import refcompress.graph"],
    "refcompress --help": [str(Path(sys.executable).with_name("refcompress")), "--help"],
}
BARS_SECONDS = {"import refcompress": 0.35, "refcompress --help": 0.5}


def seconds(command: list[str]) -> float:
    """Return how long a command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print median and fastest start of each; exit with 1 if one is over its bar."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--starts", type=int, default=9, help="starts of each, after one to warm up")
    starts = parser.parse_args().starts
    missed = 0
    for name, command in STARTS.items():
        times = [seconds(command) for _ in range(starts + 1)][1:]
        median, bar = statistics.median(times), BARS_SECONDS.get(name)
        missed += bar is not None and median > bar
        verdict = f"  bar {bar} s: {'ok' if median <= bar else 'MISSED'}" if bar is not None else ""
        sys.stdout.write(f"{name:<26} median {median:.3f} s  fastest {min(times):.3f} s{verdict}\n")
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()

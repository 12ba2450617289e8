"""Flash, RAM and instructions of recurrent networks that others trained, on a Cortex-M4 under QEMU.

usage: python tests/bench/recurrent_m4.py [DATA]

DATA is the folder of the checkpoints, ../shared/data or $REFCOMPRESS_DATA unless given. Each network is measured as it
was trained and compressed; every run is compared bit for bit with ``refcompress.run_exact``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from checks import targets
from checks.export import check_export, harness_bytes
from checks.trained_networks import compressed, trained

NETWORKS = ("emg_rnn2.keras", "keras2c_example_model.h5", "congestion_gru.weights.h5", "renewable_LSTM.keras")


def measured(folder: Path) -> Iterator[str]:
    """Lines of a Markdown table."""
    for name in NETWORKS:
        graph, x = trained(folder, name, 1)
        empty = harness_bytes(graph, x)
        for weights, network in (("as trained", graph), ("compressed", compressed(graph))):
            (found,) = check_export(network, x, on=(targets.M4,), count=True)
            flash = found.text_bytes + found.data_bytes - empty
            numbers = (flash, found.arena_bytes, found.stack_bytes or 0, found.instructions or 0)
            yield f"| `{name}` | {weights} | {' | '.join(f'{number:,}' for number in numbers)} |"


def main() -> None:
    """Print the table."""
    place = os.environ.get("REFCOMPRESS_DATA", targets.ROOT.parent / "shared" / "data")
    for line in measured(Path(sys.argv[1] if len(sys.argv) > 1 else place)):
        print(line, flush=True)


if __name__ == "__main__":
    main()

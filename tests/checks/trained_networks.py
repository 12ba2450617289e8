"""Networks that others trained, with inputs, as they are and compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from checks.published_networks import PUBLISHED
from numpy.typing import NDArray

from refcompress import Graph, encodings, formats

SAMPLES = 20


def trained(shared_data: Path, name: str, samples: int) -> tuple[Graph, NDArray[np.float32]]:
    """Import a network; its four reference inputs are followed by the same with their steps in other orders."""
    graph = formats.load(shared_data / "h5" / name, architecture=PUBLISHED[name]() if name in PUBLISHED else None)
    with np.load(shared_data / "h5_ref" / f"{name}.npz") as file:
        x = file["x0"].astype(np.float32)
    rng = np.random.default_rng(0)
    while len(x) < samples:
        x = np.concatenate([x, rng.permuted(x[:4], axis=1)])
    return graph, x[:samples]


def compressed(graph: Graph) -> Graph:
    """Prune half of the weights, let the others share 16 values, and store each matrix in its smallest form."""
    roles = ("weight", "recurrent_weight")
    names = {node.params[role] for node in graph.nodes for role in roles if role in node.params}
    params = {}
    for name in sorted(names):
        array = encodings.decode(graph.params[name])
        kept = np.where(np.abs(array) > np.median(np.abs(array)), array, np.float32(0))
        levels = np.unique(np.quantile(kept[kept != 0], np.linspace(0.02, 0.98, 15)).astype(np.float32))
        nearest = levels[np.abs(kept[..., None] - levels).argmin(-1)]
        params[name] = encodings.smallest(encodings.encode(np.where(kept != 0, nearest, np.float32(0))))
    return graph.with_params(params)

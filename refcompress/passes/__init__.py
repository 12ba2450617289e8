"""Passes: Graph to Graph, each by itself.

:data:`PASSES` names them as recipes do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from refcompress.graph import Graph
from refcompress.passes import (
    factorize,
    prune,
    prune_units,
    quantize,
    quantize_calibrated,
    quantize_compensated,
    share_weights,
)
from refcompress.passes.fold_batch_norm import fold_batch_norm
from refcompress.passes.remove_dead_units import remove_dead_units
from refcompress.passes.rules import LayerRule

PASSES: Mapping[str, Callable[..., Graph]] = MappingProxyType(
    {
        "factorize.svd": factorize.svd,
        "fold_batch_norm": fold_batch_norm,
        "prune.magnitude": prune.magnitude,
        "prune.threshold": prune.threshold,
        "prune.units": prune_units.units,
        "quantize.calibrated": quantize_calibrated.calibrated,
        "quantize.compensated": quantize_compensated.compensated,
        "quantize.linear": quantize.linear,
        "remove_dead_units": remove_dead_units,
        "share_weights.kmeans": share_weights.kmeans,
    }
)

__all__ = [
    "PASSES",
    "LayerRule",
    "factorize",
    "fold_batch_norm",
    "prune",
    "prune_units",
    "quantize",
    "quantize_calibrated",
    "quantize_compensated",
    "remove_dead_units",
    "share_weights",
]

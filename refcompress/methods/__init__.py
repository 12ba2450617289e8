"""Methods: pruning with retraining, fine-tuning, training for integers; from a network and data to a trained network.

:data:`METHODS` names them as recipes do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from refcompress.methods.dropout import scaled_dropout
from refcompress.methods.fine_tune import fine_tune
from refcompress.methods.prune_gradually import prune_gradually
from refcompress.methods.prune_iteratively import prune_iteratively
from refcompress.methods.quantize_aware import quantize_aware
from refcompress.methods.raise_threshold import raise_threshold
from refcompress.methods.surgery import surgery
from refcompress.train.plan import Fitted

METHODS: Mapping[str, Callable[..., Fitted]] = MappingProxyType(
    {
        "train.fine_tune": fine_tune,
        "train.prune_gradually": prune_gradually,
        "train.prune_iteratively": prune_iteratively,
        "train.quantize_aware": quantize_aware,
        "train.raise_threshold": raise_threshold,
        "train.surgery": surgery,
    }
)

__all__ = [
    "METHODS",
    "fine_tune",
    "prune_gradually",
    "prune_iteratively",
    "quantize_aware",
    "raise_threshold",
    "scaled_dropout",
    "surgery",
]

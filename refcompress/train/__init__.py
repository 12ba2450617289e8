"""Training: losses, optimizers, schedules, constraints that are part of the step, and the loop that joins them."""

from __future__ import annotations

from refcompress.train import augment, losses, schedules
from refcompress.train.dataset import Dataset
from refcompress.train.fit import fit
from refcompress.train.masks import GradualMasks, Masks, RecomputedMasks, magnitude_masks, masks_of
from refcompress.train.optimizers import Adam, AdamW, Sgd
from refcompress.train.plan import Epoch, Fitted, Plan, Progress, error_rate
from refcompress.train.quantized_weights import QuantizedWeights, WeightGrid
from refcompress.train.scoring import score
from refcompress.train.simulated_activations import SimulatedActivations
from refcompress.train.splicing import Splicing, thresholds_from
from refcompress.train.tying import TiedCentroids

__all__ = [
    "Adam",
    "AdamW",
    "Dataset",
    "Epoch",
    "Fitted",
    "GradualMasks",
    "Masks",
    "Plan",
    "Progress",
    "QuantizedWeights",
    "RecomputedMasks",
    "Sgd",
    "SimulatedActivations",
    "Splicing",
    "TiedCentroids",
    "WeightGrid",
    "augment",
    "error_rate",
    "fit",
    "losses",
    "magnitude_masks",
    "masks_of",
    "schedules",
    "score",
    "thresholds_from",
]

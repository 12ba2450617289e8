"""What a recipe may say about each pass and each training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from refcompress.kernels.kmeans import Init
from refcompress.kinds import FLAG, NUMBER, NUMBERS, TEXTS, WHOLE, Kind
from refcompress.methods.plan_options import PLAN_OPTIONS
from refcompress.methods.prune_gradually import Masking
from refcompress.methods.raise_threshold import Deviation
from refcompress.passes import prune, prune_units, quantize, share_weights
from refcompress.post_training import RANGES, SCALES
from refcompress.train import masks, tying


@dataclass(frozen=True, slots=True)
class Options:
    """What a recipe may say about a pass of :data:`refcompress.passes.PASSES` or a training step.

    Attributes
    ----------
    required, optional
        Name of each option to what it takes.
    by_layer
        Options that may differ for single layers; None for all.
    reversible
        Whether a single parameter may go back to the values it had before the pass. It may not where the pass
        changes other parameters or nodes to match.
    needs_inputs
        Whether the pass takes calibration samples, which a recipe cannot hold.
    trains
        Whether it is a training step.
    ends
        Whether it makes an integer network, after which no other step can come.
    keywords
        Option to the argument it is for, where the names differ.

    """

    required: Mapping[str, Kind] = field(default_factory=dict)
    optional: Mapping[str, Kind] = field(default_factory=dict)
    by_layer: tuple[str, ...] | None = None
    reversible: bool = True
    needs_inputs: bool = False
    trains: bool = False
    ends: bool = False
    keywords: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, Kind]:
        """All options."""
        return {**self.required, **self.optional}


def _training(
    required: Mapping[str, Kind] | None = None,
    optional: Mapping[str, Kind] | None = None,
    by_layer: tuple[str, ...] = (),
    keywords: Mapping[str, str] | None = None,
    *,
    ends: bool = False,
) -> Options:
    """Options of a training step: its own, those of the plan, and whether its network teaches the steps after it."""
    plan = dict(PLAN_OPTIONS)
    first = {"epochs": plan.pop("epochs"), **(required or {})}
    every = {**(optional or {}), **plan, "teacher": FLAG}
    return Options(first, every, by_layer, reversible=False, trains=True, ends=ends, keywords=keywords or {})


_INTEGERS: Mapping[str, Kind] = {
    "ranges": RANGES,
    "percentile": NUMBER,
    "weight_bits": WHOLE,
    "weight_ranges": get_args(quantize.Range),
    "conv_scales": SCALES,
    "gemm_scales": SCALES,
    "keep_shared": FLAG,
}
_INTEGERS_BY_LAYER = ("weight_bits", "weight_ranges", "keep_shared")

OPTIONS: Mapping[str, Options] = {
    "factorize.svd": Options(optional={"rank": WHOLE, "fraction": NUMBER, "energy": NUMBER}, reversible=False),
    "fold_batch_norm": Options(reversible=False),
    "prune.magnitude": Options({"sparsity": NUMBER}, {"scope": get_args(prune.Scope), "ties": get_args(prune.Ties)}),
    # "cached": those that each weight has before the first pruning pass of the recipe
    "prune.threshold": Options({"q": NUMBER}, {"std": get_args(Deviation), "inclusive": FLAG}),
    "prune.units": Options({"sparsity": NUMBER}, {"norm": get_args(prune_units.Norm)}, reversible=False),
    "quantize.linear": Options(
        {"bits": WHOLE},
        {
            "scheme": get_args(quantize.Scheme),
            "granularity": get_args(quantize.Granularity),
            "range": get_args(quantize.Range),
            "biases": FLAG,
        },
    ),
    "quantize.calibrated": Options(
        {"rate": NUMBER}, {"seed": WHOLE, "damping": NUMBER}, reversible=False, needs_inputs=True
    ),
    "quantize.compensated": Options({"bits": WHOLE}, {"damping": NUMBER}, reversible=False, needs_inputs=True),
    "quantize_network": Options(
        optional={**_INTEGERS, "bias_bits": WHOLE},
        by_layer=_INTEGERS_BY_LAYER,
        reversible=False,
        needs_inputs=True,
        ends=True,
    ),
    "remove_dead_units": Options(reversible=False),
    "share_weights.kmeans": Options(
        {"bits": WHOLE},
        {
            "init": get_args(Init),
            "zero": get_args(share_weights.Zero),
            "seed": WHOLE,
            "max_iterations": WHOLE,
            "biases": FLAG,
        },
    ),
    "train.fine_tune": _training(
        optional={"gradient": get_args(tying.Gradient), "reassign_every": WHOLE, "biases": FLAG}
    ),
    "train.prune_gradually": _training(
        {"sparsity": NUMBER},
        {
            "scope": get_args(masks.Scope),
            "begin": NUMBER,
            "end": NUMBER,
            "every": WHOLE,
            "masks": get_args(Masking),
        },
        by_layer=("sparsity",),
    ),
    "train.prune_iteratively": _training(
        {"sparsities": NUMBERS}, {"scope": get_args(masks.Scope)}, by_layer=("sparsities",)
    ),
    "train.quantize_aware": _training(
        optional={**_INTEGERS, "range_memory": NUMBER, "gradient": get_args(tying.Gradient), "reassign_every": WHOLE},
        by_layer=_INTEGERS_BY_LAYER,
        ends=True,
    ),
    "train.raise_threshold": _training(
        optional={
            "groups": TEXTS,
            "start": NUMBER,
            "step": NUMBER,
            "budget": NUMBER,
            "std": get_args(Deviation),
            "inclusive": FLAG,
            "max_rounds": WHOLE,
        }
    ),
    # its "rate" has another name here: that of all steps is the rate of learning
    "train.surgery": _training(
        {"threshold_rate": NUMBER},
        {"margin": NUMBER, "gamma": NUMBER, "power": NUMBER, "end": NUMBER},
        by_layer=("threshold_rate", "margin"),
        keywords={"threshold_rate": "rate"},
    ),
}

"""Causes in normalizations: epsilon, statistics, scale and bias, the axis."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from refcompress.ops.batch_normalization import factor_and_offset
from refcompress.verify.causes.site import Cause, Site, Variant, attrs_of, with_attrs, with_params
from refcompress.verify.precision import Float64

BATCH = frozenset({"BatchNormalization"})
NORMALIZATIONS = BATCH | {"LayerNormalization", "GroupNormalization", "RMSNormalization", "LpNormalization"}
EPSILONS = (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12, 1e-4, 1e-2, 2e-5, 0.0)
# the framework's own batch statistics are rounded; ours are not
STATISTICS_SLACK = 64.0


def epsilon(site: Site) -> Iterator[Variant]:
    """Try another epsilon: the customary ones, then the one that fits."""
    for value in EPSILONS:
        yield from with_attrs(site, f"epsilon {value:g}", epsilon=value)
    if site.node.op in BATCH and site.theirs is not None:
        solved = _solved_epsilon(site, site.theirs)
        if math.isfinite(solved) and solved > -float(site.params["var"].min()):
            for variant in with_attrs(site, f"epsilon {solved:.3g}", epsilon=max(0.0, solved)):
                yield dataclasses.replace(variant, slack=4.0)


def _solved_epsilon(site: Site, theirs: Float64) -> float:
    """Fit each channel's factor by least squares; take epsilon from the channel where it shows most."""
    x = site.inputs[0]
    if theirs.shape != x.shape:
        return math.nan
    mean, var = (site.params[role].astype(np.float64) for role in ("mean", "var"))
    scale = site.params["scale"].astype(np.float64) if "scale" in site.params else np.ones_like(mean)
    bias = site.params["bias"].astype(np.float64) if "bias" in site.params else np.zeros_like(mean)
    axes = tuple(range(x.ndim - 1))
    centred = x - mean
    with np.errstate(all="ignore"):
        factor = (centred * (theirs - bias)).sum(axes) / (centred * centred).sum(axes)
        found = (scale / factor) ** 2 - var
        visible = np.where(np.isfinite(found), np.abs(found) / (var + np.abs(found)), -1)
    return float(found[int(visible.argmax())])


def statistics(site: Site) -> Iterator[Variant]:
    """Try statistics of the batch in place of those kept from training, or mean and variance exchanged."""
    x = site.inputs[0]
    axes = tuple(range(x.ndim - 1))
    mean, var = x.mean(axes), x.var(axes)
    text = "the statistics of the batch instead of the stored ones"
    yield from with_params(site, text, {"mean": mean, "var": var}, slack=STATISTICS_SLACK)
    yield from with_params(site, "the mean of the batch", {"mean": mean}, slack=STATISTICS_SLACK)
    yield from with_params(site, "the variance of the batch", {"var": var}, slack=STATISTICS_SLACK)
    count = x.size // x.shape[-1]
    if count > 1:
        unbiased = var * count / (count - 1)
        text = "the statistics of the batch, the variance divided by n - 1"
        yield from with_params(site, text, {"mean": mean, "var": unbiased}, slack=STATISTICS_SLACK)
    stored_mean, stored_var = site.params["mean"], site.params["var"]
    if (stored_mean >= 0).all():
        yield from with_params(site, "mean and variance exchanged", {"mean": stored_var, "var": stored_mean})
    yield from with_params(site, "a mean of 0", {"mean": np.zeros_like(stored_mean)})
    yield from with_params(site, "a variance of 1", {"var": np.ones_like(stored_var)})
    text = "the initial statistics, mean 0 and variance 1"
    yield from with_params(site, text, {"mean": np.zeros_like(stored_mean), "var": np.ones_like(stored_var)})
    yield from with_params(site, "the variance taken for the standard deviation", {"var": stored_var**2}, slack=4.0)


def scale_and_bias(site: Site) -> Iterator[Variant]:
    """Try scale or bias missing, or exchanged."""
    scale, bias = site.params.get("scale"), site.params.get("bias")
    if scale is not None:
        yield from with_params(site, "no scale", {"scale": None})
    if bias is not None:
        yield from with_params(site, "no bias", {"bias": None})
    if scale is not None and bias is not None:
        yield from with_params(site, "neither scale nor bias", {"scale": None, "bias": None})
        yield from with_params(site, "scale and bias exchanged", {"scale": bias, "bias": scale})


def axis(site: Site) -> Iterator[Variant]:
    """Try a batch normalization of another axis than the channels."""
    params = {role: site.graph.params[name] for role, name in site.node.params.items()}
    factor, offset = factor_and_offset(site.node.attrs, params)
    shape = site.inputs[0].shape[1:]
    for index, size in enumerate(shape[:-1]):
        attrs = attrs_of("Affine")
        if attrs is not None and size == len(factor):
            along = [size if i == index else 1 for i in range(len(shape))]
            names = {role: f"{site.node.name}?{role}" for role in ("scale", "bias")}
            arrays = {
                names["scale"]: factor.reshape(along).astype(np.float32),
                names["bias"]: offset.reshape(along).astype(np.float32),
            }
            node = dataclasses.replace(site.node, op="Affine", attrs=attrs, params=names)
            # the framework normalizes in an order of its own
            yield Variant(f"axis {index + 1} normalized instead of the channels", (node,), arrays, STATISTICS_SLACK)


CAUSES = (
    Cause("epsilon", NORMALIZATIONS, epsilon),
    Cause("scale and bias", NORMALIZATIONS, scale_and_bias),
    Cause("statistics", BATCH, statistics),
    Cause("axis", BATCH, axis),
)

"""Train a network of the Deep Compression paper, compress it, and set the paper's table beside ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from refcompress import recipe
from refcompress.analysis import Report, accuracy
from refcompress.analysis.coding import Coding, codings
from refcompress.deep_compression import deep_compression
from refcompress.graph import Graph
from refcompress.recipe import Recipe
from refcompress.steps import Progress, in_real_numbers
from refcompress.train import Dataset
from reference_models import RECIPES, lenet_5, lenet_300_100, published
from reference_models.data import Splits
from reference_models.published import PublishedNetwork


@dataclass(frozen=True, slots=True)
class Network:
    """A network of the paper that can be reproduced.

    Attributes
    ----------
    build
        Makes it with random weights.
    published
        What the paper reports.
    training
        File of the recipe that trains it.
    variants
        Name to file of a recipe that compresses it.

    """

    build: Callable[[np.random.Generator], Graph]
    published: PublishedNetwork
    training: Path
    variants: Mapping[str, Path]


def _network(build: Callable[[np.random.Generator], Graph], paper: PublishedNetwork, stem: str) -> Network:
    variants = {name: RECIPES / f"{stem}_{name}.toml" for name in ("smallest", "paper")}
    return Network(build, paper, RECIPES / f"{stem}_train.toml", MappingProxyType(variants))


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "lenet-300-100": _network(lenet_300_100.build, published.LENET_300_100, "lenet_300_100"),
        "lenet-5": _network(lenet_5.build, published.LENET_5, "lenet_5"),
    }
)
"""Each has two variants: ``smallest``, our recipe, and ``paper``, with the densities and bits of the paper's table."""


@dataclass(frozen=True, slots=True, eq=False)
class Reproduction:
    """A network trained and compressed.

    Attributes
    ----------
    dense, small
        The network after training, and compressed.
    report
        True bytes, and what each step left.
    layers, total
        How it is stored, in the paper's columns.
    error_before, error_after
        Share of the test images that each classifies wrongly.
    published
        What the paper reports.

    """

    dense: Graph
    small: Graph
    report: Report
    layers: tuple[Coding, ...]
    total: Coding
    error_before: float
    error_after: float
    published: PublishedNetwork

    def to_dict(self) -> dict[str, Any]:
        """Return the figures in types that JSON knows."""
        return {
            "layers": [layer.to_dict() for layer in self.layers],
            "total": self.total.to_dict(),
            "error_before": self.error_before,
            "error_after": self.error_after,
            "report": self.report.to_dict(),
        }


def reproduce(
    network: Network,
    splits: Splits,
    *,
    training: Recipe | None = None,
    compression: Recipe | None = None,
    seed: int = 0,
    directory: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Train, compress and measure.

    Parameters
    ----------
    network
        One of :data:`NETWORKS`.
    splits
        Images it takes. The test part is looked at at the end, to measure both networks, and for nothing else.
    training, compression
        Recipes in place of the network's own: of its training, and of the variant ``smallest``. The trained network
        teaches the steps of the second with ``distill_weight``.
    seed
        Of the random weights; recipes have seeds of their own.
    directory
        Where checkpoints are kept; the same call goes on from there.
    progress
        Called with what is being done and the share of the present step that is done, 0 to 1.

    Returns
    -------
    Reproduction
        The same arguments give the same bytes on the same machine with the same libraries.

    Raises
    ------
    OptionError, DataError
        As :func:`refcompress.deep_compression.deep_compression`.

    """
    advance = progress or (lambda _what, _share: None)
    training = training or recipe.load(network.training)
    compression = compression or recipe.load(network.variants["smallest"])
    data = Dataset(splits.train.x, splits.train.y, splits.validation.x, splits.validation.y)
    work = None if directory is None else Path(directory)
    untrained = network.build(np.random.default_rng(seed))
    trained, _ = deep_compression(
        untrained, data, training, directory=work and work / "training", progress=_titled("train", advance)
    )
    dense = in_real_numbers(trained, training)
    compressed, report = deep_compression(
        dense,
        data,
        compression,
        teacher=dense,
        directory=work and work / "compression",
        progress=_titled("compress", advance),
    )
    small = in_real_numbers(compressed, compression)
    test = splits.test
    advance("measure on the test images", 0.0)
    before, after = (accuracy(graph, test.x, test.y) for graph in (dense, small))
    layers, total = codings(small, dense)
    return Reproduction(
        dense=dense,
        small=small,
        report=report,
        layers=layers,
        total=total,
        error_before=1 - before.share,
        error_after=1 - after.share,
        published=network.published,
    )


def _titled(title: str, advance: Progress) -> Progress:
    return lambda what, share: advance(f"{title}: {what}", share)

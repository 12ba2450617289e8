"""Networks to try things on: ``build(rng) -> Graph`` of known ones, data readers, our trained checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from reference_models import digits_cnn, lenet_5, lenet_300_100

CHECKPOINTS = Path(__file__).parent / "checkpoints"
"""Where our trained networks lie."""

DIGITS_CHECKPOINT = CHECKPOINTS / "digits_cnn.h5"
"""A network trained by us on the UCI digits, as a Keras HDF5 file."""

RECIPES = Path(__file__).parent / "recipes"
"""Where our recipes lie."""

DIGITS_RECIPE = RECIPES / "digits_cnn.toml"
"""A recipe that compresses it without retraining."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A network that comes with the project.

    Attributes
    ----------
    dense
        As it was trained, a Keras HDF5 file.
    small
        Compressed, an ``.rcz`` file.

    """

    dense: Path
    small: Path


LENET_FILES: Mapping[str, Shipped] = MappingProxyType(
    {
        "lenet-300-100": Shipped(CHECKPOINTS / "lenet_300_100.h5", CHECKPOINTS / "lenet_300_100.rcz"),
        "lenet-5": Shipped(CHECKPOINTS / "lenet_5.h5", CHECKPOINTS / "lenet_5.rcz"),
    }
)
"""Networks trained and compressed by us on MNIST, under the names of :data:`reference_models.reproduce.NETWORKS`."""

__all__ = [
    "CHECKPOINTS",
    "DIGITS_CHECKPOINT",
    "DIGITS_RECIPE",
    "LENET_FILES",
    "RECIPES",
    "Shipped",
    "digits_cnn",
    "lenet_5",
    "lenet_300_100",
]

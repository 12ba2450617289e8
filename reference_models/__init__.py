"""Networks to try things on: ``build(rng) -> Graph`` of known ones, data readers, our trained checkpoints."""

from __future__ import annotations

from pathlib import Path

from reference_models import digits_cnn, lenet_5, lenet_300_100

DIGITS_CHECKPOINT = Path(__file__).parent / "checkpoints" / "digits_cnn.h5"
"""A network trained by us on the UCI digits, as a Keras HDF5 file."""

RECIPES = Path(__file__).parent / "recipes"
"""Where our recipes lie."""

DIGITS_RECIPE = RECIPES / "digits_cnn.toml"
"""A recipe that compresses it without retraining."""

__all__ = ["DIGITS_CHECKPOINT", "DIGITS_RECIPE", "RECIPES", "digits_cnn", "lenet_5", "lenet_300_100"]

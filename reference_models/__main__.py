"""Write our digits network and what to try it on: ``python -m reference_models [-o DIR]``."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

from refcompress.formats import load
from reference_models import DIGITS_CHECKPOINT, DIGITS_RECIPE
from reference_models.backprop import forward, params_of
from reference_models.data import digits


def main() -> None:
    """Write the trained digits network, a recipe for it, test images with labels, and outputs to compare with."""
    parser = argparse.ArgumentParser(prog="python -m reference_models", description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path(), metavar="DIR", help="where to (here)")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    test = digits().test
    shutil.copyfile(DIGITS_CHECKPOINT, folder / "digits_cnn.h5")
    shutil.copyfile(DIGITS_RECIPE, folder / "digits_cnn.toml")
    np.savez(folder / "digits_test.npz", x=test.x, y=test.y)
    probabilities, _ = forward(params_of(load(DIGITS_CHECKPOINT)), test.x)
    np.savez(folder / "digits_reference.npz", x=test.x, y=probabilities)
    sys.stdout.write(
        f"{folder / 'digits_cnn.h5'}: the network, as Keras writes it\n"
        f"{folder / 'digits_cnn.toml'}: a recipe that compresses it\n"
        f"{folder / 'digits_test.npz'}: {len(test.y)} test images x, labels y\n"
        f"{folder / 'digits_reference.npz'}: the same images x, the probabilities y that plain NumPy computes\n"
    )


if __name__ == "__main__":
    main()

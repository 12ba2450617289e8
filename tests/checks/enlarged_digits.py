"""The UCI digits in the format and the size of MNIST: real images for what takes MNIST, in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from checks.mnist_files import NAMES, packed, write

from reference_models.data import digits


def write_digits(folder: Path) -> Path:
    """Write 8,000 training and 360 test images: enlarged three times, moved by up to two pixels."""
    splits = digits()
    parts = []
    for part, count in ((splits.train, 8000), (splits.test, 360)):
        images = np.round(255 * part.x[..., 0]).astype(np.uint8).repeat(3, axis=1).repeat(3, axis=2)
        chosen = np.arange(count) % len(images)
        moved = np.zeros((count, 28, 28), np.uint8)
        for index, which in enumerate(chosen):
            down, right = (index // len(images)) % 5, (index // (5 * len(images)) + index) % 5
            moved[index, down : down + 24, right : right + 24] = images[which]
        parts += [moved, part.y[chosen].astype(np.uint8)]
    return write(folder, packed(dict(zip(NAMES, parts, strict=True))))

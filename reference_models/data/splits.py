"""What a data set is to everything that trains and measures: labelled images in three parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Images and their classes.

    Attributes
    ----------
    x
        float32, (n, height, width, channels).
    y
        int64, (n,).

    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """A data set in three parts that share no example.

    Attributes
    ----------
    train
        What the weights are fitted to.
    validation
        What epochs, networks and compression options are chosen by.
    test
        What is reported, and nothing else.

    """

    train: Labelled
    validation: Labelled
    test: Labelled

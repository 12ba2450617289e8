"""The UCI digits, which come with scikit-learn."""

from __future__ import annotations

import numpy as np

from refcompress.errors import MissingToolError
from reference_models.data.splits import Labelled, Splits


def digits() -> Splits:
    """Read the 1,797 UCI digits that scikit-learn carries, 8 by 8 images in 0..1; nothing is downloaded.

    The example at index i is a test example if i % 5 is 0, a validation example if it is 1, and a training
    example otherwise: 360, 360 and 1,077. A writer may appear in more than one part.

    Returns
    -------
    Splits
        Images (n, 8, 8, 1).

    Raises
    ------
    MissingToolError
        scikit-learn is not installed.

    References
    ----------
    Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.

    Examples
    --------
    >>> splits = digits()
    >>> splits.test.x.shape, splits.validation.x.shape, splits.train.x.shape
    ((360, 8, 8, 1), (360, 8, 8, 1), (1077, 8, 8, 1))

    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingToolError(
            "the UCI digits come with scikit-learn, which is not installed: pip install 'refcompress[demo]'"
        ) from error
    pixels, classes = load_digits(return_X_y=True)
    x = (pixels / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    y = classes.astype(np.int64)
    part = np.arange(len(y)) % 5
    test, validation, train = part == 0, part == 1, part >= 2
    return Splits(Labelled(x[train], y[train]), Labelled(x[validation], y[validation]), Labelled(x[test], y[test]))

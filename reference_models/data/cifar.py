"""The first photographs of CIFAR-10, as one NumPy archive."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from refcompress.cli.arrays import read_arrays
from refcompress.errors import DataError, OptionError
from reference_models.data.splits import Labelled, Splits

FILE_NAME = "cifar10_lossless_train_first4000.npz"
CLASSES = 10


def cifar10(directory: str | os.PathLike[str], *, validation: int = 1000, test: int = 2000) -> Splits:
    """Read the first 4,000 images of CIFAR-10's official training set, in their order, pixel for pixel.

    They come from ``cifar10_lossless_train_first4000.npz``, with ``x`` uint8 (4000, 32, 32, 3) and ``y`` integers
    0 to 9. The last ``test`` are the test part, the ``validation`` before them the validation part, and the
    others, by default the first 1,000, the training part. None is of the official test set: a network that was
    trained on CIFAR-10 by others has seen them all, and its accuracy on them says what a change of the network
    costs, not how well it does on new images.

    Parameters
    ----------
    directory
        Where the archive is.
    validation, test
        How many images these parts have; 0 or more, and together fewer than there are.

    Returns
    -------
    Splits
        Images float32 (n, 32, 32, 3) with red, green and blue in 0..255, not scaled; labels 0 to 9.

    Raises
    ------
    DataError
        The archive is damaged, or holds something else.
    OptionError
        It is missing or cannot be read, or the parts are larger than what there is.

    References
    ----------
    Krizhevsky, "Learning multiple layers of features from tiny images", 2009, chapter 3.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     x, y = np.zeros((6, 32, 32, 3), np.uint8), np.arange(6)
    ...     np.savez(Path(directory, FILE_NAME), x=x, y=y)
    ...     splits = cifar10(directory, validation=1, test=2)
    >>> splits.train.y, splits.validation.y, splits.test.y
    (array([0, 1, 2]), array([3]), array([4, 5]))

    """
    images = _read(Path(directory) / FILE_NAME)
    count = len(images.y)
    if validation < 0 or test < 0 or validation + test >= count:
        raise OptionError(
            f"validation is {validation} and test {test}; each is 0 or more, and together they leave at least one of "
            f"{count} images"
        )
    begin, end = count - test - validation, count - test
    return Splits(*(Labelled(images.x[part], images.y[part]) for part in np.s_[:begin, begin:end, end:]))


def _read(path: Path) -> Labelled:
    try:
        arrays = read_arrays(path)
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}; give the folder that holds it") from error
    if not {"x", "y"} <= set(arrays):
        raise DataError(f"{path} holds the arrays {', '.join(arrays) or '(none)'}; it must hold x and y")
    x, y = arrays["x"], arrays["y"]
    if x.dtype != np.uint8 or x.shape != (*x.shape[:1], 32, 32, 3):
        raise DataError(f"x in {path} is {x.dtype} {x.shape}; it must be uint8 (n, 32, 32, 3)")
    if y.dtype.kind not in "iu" or y.shape != (len(x),):
        raise DataError(f"y in {path} is {y.dtype} {y.shape}; it must be integers ({len(x)},), one for each image")
    if len(y) and not (y.min() >= 0 and y.max() < CLASSES):
        raise DataError(f"y in {path} holds {y.min()} to {y.max()}; allowed are 0 to 9")
    return Labelled(x.astype(np.float32), y.astype(np.int64))

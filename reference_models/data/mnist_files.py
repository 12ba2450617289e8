"""MNIST: its four files read from a folder, or fetched first from where they are published."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refcompress.errors import DataError, FormatError, MissingToolError, OptionError
from reference_models.data.idx import read_idx
from reference_models.data.splits import Labelled, Splits

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

SHA256: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
"""Checksums of the files as LeCun, Cortes & Burges published them."""

TIMEOUT_SECONDS = 30  # without a byte, before a mirror counts as dead
CLASSES = 10
RUNS = 10  # of neighbours in the training file, set aside for validation


def mnist(directory: str | os.PathLike[str] | None = None, *, validation: int | None = None) -> Splits:
    """Read MNIST: handwritten digits, images of 28 by 28 pixels in 0..1.

    The end of each tenth of the 60,000 training images is the validation part, 10,000 images in all, and the rest the
    training part; the 10,000 test images are the test part. A writer's digits stand near each other in the
    file, so most writers of the validation images are not in the training part: like the test images, they measure what
    a network makes of other people's digits. One run at the end of the file would have too few writers to stand for
    all. Other sets in the same four files, such as Fashion-MNIST, are read too.

    Parameters
    ----------
    directory
        Where the files are: ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``, each as it is or packed with ``.gz`` after its name. None: :func:`fetch_mnist`
        fetches them once, which takes 11 MB.
    validation
        How many training images are set aside; 0 or more, and fewer than there are. The runs differ by one image at
        most. None: a sixth of them.

    Returns
    -------
    Splits
        Images float32 (n, 28, 28, 1), each pixel divided by 255; labels 0 to 9.

    Raises
    ------
    FormatError
        A file is malformed or cut off, or holds a label above 9.
    DataError
        There are not as many labels as images.
    OptionError
        A file is missing, or ``validation`` is out of range.
    MissingToolError
        The files are to be fetched, and pooch is not installed or no mirror has them.

    References
    ----------
    LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 1998,
    section III.A.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     for part, n in ("train", 3), ("t10k", 2):
    ...         images = bytes([0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes([255]) * (n * 28 * 28)
    ...         _ = Path(directory, f"{part}-images-idx3-ubyte").write_bytes(images)
    ...         _ = Path(directory, f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, n, *range(n)]))
    ...     splits = mnist(directory, validation=1)
    >>> splits.train.x.shape, float(splits.train.x.max()), splits.validation.y, splits.test.y
    ((2, 28, 28, 1), 1.0, array([2]), array([0, 1]))

    """
    folder = fetch_mnist() if directory is None else Path(directory)
    train, test = _labelled(folder, "train"), _labelled(folder, "t10k")
    count = len(train.y)
    if validation is None:
        validation = count // 6
    if not 0 <= validation < count:
        raise OptionError(f"validation is {validation}; of {count} training images, 0 to {count - 1} can be set aside")
    ends = np.outer(np.arange(RUNS + 1), [count - validation, validation]) // RUNS
    kept = np.repeat(np.tile([True, False], RUNS), np.diff(ends, axis=0).ravel())
    return Splits(Labelled(train.x[kept], train.y[kept]), Labelled(train.x[~kept], train.y[~kept]), test)


def fetch_mnist(
    directory: str | os.PathLike[str] | None = None,
    *,
    mirrors: Sequence[str] = MIRRORS,
    registry: Mapping[str, str] = SHA256,
) -> Path:
    """Fetch the four files of MNIST, unless they are there; needs pooch (extra ``data``).

    A mirror that fails, or serves a file with another checksum, is passed over for the next. A file takes its name
    once it is whole and its checksum is right, and one of that name with another checksum is replaced then.

    Parameters
    ----------
    directory
        Where to; made if missing. None: ``mnist`` in the folder that the system has for caches of refcompress.
    mirrors
        Addresses of folders that hold the files, tried in turn.
    registry
        Names of the files and the hexadecimal SHA-256 of each.

    Returns
    -------
    Path
        The folder with the files.

    Raises
    ------
    MissingToolError
        pooch is not installed, or no mirror has a file: the message names each mirror, what went wrong there, and
        where to put the files by hand.
    OptionError
        The folder cannot be written.

    Examples
    --------
    >>> fetch_mnist("mnist", mirrors=[])
    Traceback (most recent call last):
        ...
    refcompress.errors.MissingToolError: train-images-idx3-ubyte.gz could not be fetched: no mirror was given. ...

    """
    try:
        import pooch
    except ImportError as error:
        raise MissingToolError(
            "MNIST is fetched with pooch, which is not installed: pip install 'refcompress[data]', or put the files "
            f"{', '.join(registry)} into a folder and give it"
        ) from error
    folder = Path(pooch.os_cache("refcompress")) / "mnist" if directory is None else Path(directory)
    order = list(mirrors)
    for name in registry:
        failures: dict[str, str] = {}
        for mirror in tuple(order):
            trouble = _fetch(pooch, f"{mirror.rstrip('/')}/{name}", registry[name], folder / name)
            if trouble is None:
                break
            failures[mirror] = trouble
            order = [*(other for other in order if other != mirror), mirror]  # the next file comes from elsewhere first
        else:
            raise _nowhere(name, folder, failures, registry)
    return folder


def _fetch(pooch: Any, url: str, sha256: str, path: Path) -> str | None:
    """Fetch a file unless it is there; return what went wrong on the other side."""
    import requests

    # the checksum is that of the packed file, which a server must not unpack on the way
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS, headers={"Accept-Encoding": "identity"})
    try:
        pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=path.name, path=path.parent, downloader=downloader)
    except requests.exceptions.RequestException as error:  # some are ValueErrors, and all are OSErrors
        return " ".join(str(error).split())[:400]
    except ValueError:
        return "it serves a file with another SHA-256 checksum"
    except OSError as error:
        raise OptionError(f"MNIST cannot be written to {path.parent} ({error}); give another folder") from error
    return None


def _nowhere(name: str, folder: Path, failures: Mapping[str, str], registry: Mapping[str, str]) -> MissingToolError:
    listed = "; ".join(f"{mirror}: {trouble}" for mirror, trouble in failures.items()) or "no mirror was given"
    return MissingToolError(
        f"{name} could not be fetched: {listed}. Try again later, or put {', '.join(registry)} into {folder} by hand"
    )


def _labelled(folder: Path, part: str) -> Labelled:
    images_path, labels_path = _find(folder, f"{part}-images-idx3-ubyte"), _find(folder, f"{part}-labels-idx1-ubyte")
    labels = read_idx(labels_path, ())
    if labels.max() >= CLASSES:
        first = int(np.argmax(labels >= CLASSES))
        raise FormatError(f"{labels_path} holds the label {labels[first]}; allowed are 0 to 9", 8 + first)
    images = read_idx(images_path, (28, 28))
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images)} images and {labels_path} {len(labels)} labels; "
            "there must be as many: take both from the same source"
        )
    x = images[..., np.newaxis].astype(np.float32)
    x /= 255
    return Labelled(x, labels.astype(np.int64))


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise OptionError(
        f"{folder} holds neither {name} nor {name}.gz; give the folder with the four files of MNIST, or none: then "
        "they are fetched"
    )

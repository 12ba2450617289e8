"""Data sets as the command line names them: ``digits``, ``mnist``, ``mnist:DIR``, ``cifar10:DIR``."""

from __future__ import annotations

from pathlib import Path

from refcompress.errors import OptionError, did_you_mean
from reference_models.data.cifar import cifar10
from reference_models.data.mnist_files import mnist
from reference_models.data.splits import Splits
from reference_models.data.uci import digits

FORMS = {"digits": "digits", "mnist": "mnist or mnist:DIR", "cifar10": "cifar10:DIR"}


def read(spec: str) -> Splits:
    """Read the data set that a text names.

    Parameters
    ----------
    spec
        ``digits``; ``mnist``, which is fetched once; ``mnist:DIR`` or ``cifar10:DIR``, read from a folder, whose
        name may begin with ``~``.

    Returns
    -------
    Splits
        Its three parts.

    Raises
    ------
    OptionError
        There is no such data set, a folder is missing or one too many, or the folder does not hold the data.
    DataError, FormatError
        A file is malformed.
    MissingToolError
        An optional library is needed and absent, or the data could not be fetched.

    Examples
    --------
    >>> read("digits").test.x.shape
    (360, 8, 8, 1)
    >>> read("minst")
    Traceback (most recent call last):
        ...
    refcompress.errors.OptionError: unknown data 'minst' (did you mean 'mnist'?); ...

    """
    name, colon, place = spec.partition(":")
    if name not in FORMS:
        raise OptionError(f"unknown data {name!r}{did_you_mean(name, FORMS)}; give {', '.join(FORMS.values())}")
    if colon and not place:
        raise OptionError(f"the data {spec!r} ends where a folder should stand; give {FORMS[name]}")
    if name == "digits":
        if colon:
            raise OptionError(f"the data {spec!r} names a folder, but the digits are read from none; give digits")
        return digits()
    if name == "mnist":
        return mnist(Path(place).expanduser() if colon else None)
    if not colon:
        raise OptionError(f"the data {name!r} is read from a folder; give {FORMS[name]}")
    return cifar10(Path(place).expanduser())

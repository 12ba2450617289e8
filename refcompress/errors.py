"""Whose fault, with the remedy: every error this library raises on purpose."""

from __future__ import annotations

from collections.abc import Iterable


class RefcompressError(Exception):
    """Base of all errors raised on purpose; the command line prints them in one line and exits with 1."""


class ModelError(RefcompressError):
    """A network holds something that cannot be represented, or its parts do not fit together."""


class OptionError(RefcompressError):
    """An option, a recipe or a pattern asks for something that does not exist or is out of range."""


class DataError(RefcompressError):
    """Arrays given as inputs, labels or reference outputs do not fit the network."""


class FormatError(RefcompressError):
    """The bytes of a file are malformed.

    Parameters
    ----------
    message
        What is wrong, and what is allowed.
    offset_bytes
        Where in the file or stream the trouble stands.

    Examples
    --------
    >>> str(FormatError("the magic is missing", 0))
    'byte 0: the magic is missing'

    """

    def __init__(self, message: str, offset_bytes: int) -> None:
        super().__init__(f"byte {offset_bytes}: {message}")
        self.message = message
        self.offset_bytes = offset_bytes


class MissingToolError(RefcompressError):
    """An optional library or an external program is needed and absent; the message says how to get it."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return what an error says where a name was perhaps mistyped: the closest known one, or nothing.

    Examples
    --------
    >>> did_you_mean("sparsty", ["bits", "sparsity"])
    " (did you mean 'sparsity'?)"

    """
    import difflib

    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""

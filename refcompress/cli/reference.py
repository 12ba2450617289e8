"""``reference_models``, where a command needs it: networks and data sets that come with refcompress."""

from __future__ import annotations

import importlib
from typing import Any

from refcompress.errors import MissingToolError


def reference_module(name: str, what: str) -> Any:
    """Return a module of ``reference_models``.

    Parameters
    ----------
    name
        Of the module.
    what
        What it is needed for.

    Raises
    ------
    MissingToolError
        It is not installed.

    """
    # by name: reference_models builds upon refcompress, which must not depend on it; only commands that show both
    # together look for it
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingToolError(
            f"{what} not installed ({error}); install refcompress again: pip install 'refcompress[demo]'"
        ) from None

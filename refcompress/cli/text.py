"""Text for people: names made printable, sizes, shapes."""

from __future__ import annotations

from collections.abc import Sequence


def one_line(text: str) -> str:
    r"""Return text without line breaks or control characters: names in files are not ours to trust.

    Examples
    --------
    >>> print(one_line("conv\n\x1b[31m"))
    conv \x1b[31m

    """
    words = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def show_shape(shape: Sequence[int]) -> str:
    """Write a shape as people do.

    Examples
    --------
    >>> show_shape((3, 3, 16, 32))
    '3x3x16x32'
    >>> show_shape(())
    'scalar'

    """
    return "x".join(map(str, shape)) or "scalar"


def show_bytes(count: int) -> str:
    """Write a number of bytes with its thousands apart.

    Examples
    --------
    >>> show_bytes(1116712)
    '1,116,712'

    """
    return f"{count:,}"


def show_percent(share: float) -> str:
    """Write a share of one as percent.

    Examples
    --------
    >>> show_percent(0.12345)
    '12.3 %'

    """
    return f"{100 * share:.1f} %"

"""C identifiers from the names of a network: clean, unique, and never one of the language's own."""

from __future__ import annotations

import re
import unicodedata

from refcompress.errors import OptionError

MAX_PREFIX = 40
MAX_STEM = 60  # longer names are cut; C99 compilers tell identifiers apart by at least 63 characters

_STANDARD_HEADERS = re.compile(
    "assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|stdarg|stdbool|stddef|"
    "stdint|stdio|stdlib|string|tgmath|time|wchar|wctype"
)


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that cannot begin identifiers and name files.

    Raises
    ------
    OptionError
        With what is allowed.

    Examples
    --------
    >>> check_prefix("digits_cnn")

    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", prefix, re.ASCII) or len(prefix) > MAX_PREFIX:
        raise OptionError(
            f"the prefix {prefix!r} cannot begin C identifiers; give at most {MAX_PREFIX} letters, digits and "
            "underscores, a letter first"
        )
    if re.match(r"rc(_|$)", prefix, re.IGNORECASE):
        raise OptionError(f"the prefix {prefix!r} is the runtime's own; give one that does not begin with rc_")
    if _STANDARD_HEADERS.fullmatch(prefix.lower()):
        raise OptionError(f"{prefix}.h would hide a header of the C library; give another prefix")


class Namer:
    """Hands out identifiers that begin with the prefix, each once.

    Parameters
    ----------
    prefix
        A checked prefix.
    taken
        Identifiers that are in use already.

    Examples
    --------
    >>> namer = Namer("net", ["net_run"])
    >>> namer("run"), namer("3x3 convolution/größe"), namer("3x3_convolution grosse"), namer("int")
    ('net_run_2', 'net_3x3_convolution_grosse', 'net_3x3_convolution_grosse_2', 'net_int')

    """

    def __init__(self, prefix: str, taken: list[str]) -> None:
        self._prefix = prefix
        self._taken = {name.lower() for name in taken}

    def __call__(self, text: str) -> str:
        """Return an identifier that resembles the text."""
        stem = f"{self._prefix}_{clean(text)}"[: len(self._prefix) + MAX_STEM]
        name, count = stem, 1
        while name.lower() in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name.lower())
        return name


def clean(text: str) -> str:
    """Turn any text into letters, digits and single underscores.

    Examples
    --------
    >>> clean("block_1/conv.weight"), clean("層")
    ('block_1_conv_weight', 'u5c64')

    """
    parts = []
    for character in unicodedata.normalize("NFKD", text.replace("ß", "ss")):
        if character.isascii():
            parts.append(character if character.isalnum() else "_")
        elif not unicodedata.combining(character):
            parts.append(f"_u{ord(character):04x}_")
    return re.sub("_+", "_", "".join(parts)).strip("_") or "x"


def comment(text: str) -> str:
    r"""Make a text safe inside a C comment: one line, nothing that ends it, no invisible characters.

    Examples
    --------
    >>> comment("a */ b\ngröße ??/")
    'a * / b größe ? ?/'

    """
    words = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text).split()
    flat = " ".join(words).replace("\\", "/")
    return re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", lambda match: match[0] + " ", flat)

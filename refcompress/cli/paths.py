"""Where a command may write."""

from __future__ import annotations

from refcompress.errors import OptionError


def refuse_overwriting(output: str, *inputs: str | None) -> None:
    """Refuse an output that is one of the files a command reads.

    Raises
    ------
    OptionError
        It is.

    """
    from refcompress.files import same_file

    for path in inputs:
        if path is not None and same_file(path, output):
            raise OptionError(f"the output {output} is also read; give it another name")

"""Where a command may write."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from refcompress.errors import OptionError


def check_output(output: str, *inputs: str | None) -> None:
    """Refuse, before any work is done, an output that could not be written or is one of the files a command reads.

    Raises
    ------
    OptionError
        It is also read, or no regular file.
    OSError
        Its directory is missing or may not be written to.

    """
    from refcompress.files import replaceable, same_file

    for path in inputs:
        if path is not None and same_file(path, output):
            raise OptionError(f"the output {output} is also read; give it another name")
    directory = replaceable(Path(output)).parent
    if not directory.is_dir():
        code = errno.ENOTDIR if directory.exists() else errno.ENOENT
        raise OSError(code, os.strerror(code), output)
    if not os.access(directory, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), output)

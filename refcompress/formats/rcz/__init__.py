"""Our container: SPEC.md says every bit of it."""

from refcompress.formats.rcz import integer
from refcompress.formats.rcz.container import MAGIC, from_bytes, load, save, to_bytes

__all__ = ["MAGIC", "from_bytes", "integer", "load", "save", "to_bytes"]

"""Full-integer ``.tflite`` models, imported as networks of integers."""

from refcompress.formats.tflite.model import load, looks_like, read

__all__ = ["load", "looks_like", "read"]

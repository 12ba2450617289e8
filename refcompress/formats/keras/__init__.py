"""Keras models of any generation, imported without Keras."""

from refcompress.formats.keras.checkpoint import written_by
from refcompress.formats.keras.model import load

__all__ = ["load", "written_by"]

"""ONNX models, imported."""

from refcompress.formats.onnx.model import load, looks_like, read

__all__ = ["load", "looks_like", "read"]

"""Tensors of small ``.tflite`` files, right ones and wrong ones, that the exporter's writer puts together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from numpy.typing import NDArray

from exporters.tflite.schema import TYPES, FileOperator, FileTensor, write

tflite = pytest.importorskip("tflite", reason="needs the extra tflite")
flatbuffers = pytest.importorskip("flatbuffers", reason="needs the extra tflite")

__all__ = ["TYPES", "FileOperator", "FileTensor", "activation", "constant", "write"]


def activation(name: str, shape: Sequence[int], scale: float, zero_point: int) -> FileTensor:
    """Return an int8 activation."""
    return FileTensor(name, tuple(shape), (scale,), (zero_point,))


def constant(name: str, values: NDArray[Any], scales: Sequence[float] = (), axis: int = 0) -> FileTensor:
    """Return a constant, symmetric if it has scales."""
    return FileTensor(name, values.shape, scales, [0] * len(scales), axis, values, values.dtype.name)

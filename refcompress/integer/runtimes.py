"""Which runtime rounds how: the rows of RUNTIMES."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from refcompress.errors import OptionError, did_you_mean
from refcompress.integer.fixed_point import Rounding


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where runtimes differ; in all else they compute the same.

    Attributes
    ----------
    rounding
        Of products with quantized factors (:func:`refcompress.integer.fixed_point.multiply`).
    gemm
        How fully connected layers are rescaled: as convolutions (``"fixed"``), or by a float64 product rounded once,
        halves away from zero (``"float64"``).
    functions
        Sigmoid and Tanh: a table computed in float32 (``"float32"``), or gemmlowp's functions
        (``"fixed"``).
    relu_scale
        In what Relu on its own divides the two scales.

    """

    rounding: Rounding
    gemm: Literal["fixed", "float64"]
    functions: Literal["fixed", "float32"]
    relu_scale: Literal["float32", "float64"]


RUNTIMES: Mapping[str, Runtime] = MappingProxyType(
    {
        "tflite": Runtime("double", "float64", "float32", "float32"),
        "tflm": Runtime("double", "fixed", "fixed", "float64"),
        "cmsis_nn": Runtime("double", "fixed", "fixed", "float64"),
        "tflm_single_rounding": Runtime("single", "fixed", "fixed", "float64"),
    }
)


def find_runtime(name: str) -> Runtime:
    """Return the row of RUNTIMES.

    Raises
    ------
    OptionError
        There is no such runtime; the message lists those there are.

    Examples
    --------
    >>> find_runtime("tflm").rounding
    'double'

    """
    if name not in RUNTIMES:
        raise OptionError(
            f"no runtime is named {name!r}{did_you_mean(name, RUNTIMES)}; there are {', '.join(RUNTIMES)}"
        )
    return RUNTIMES[name]

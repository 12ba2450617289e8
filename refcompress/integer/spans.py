"""The range that the integers of an activation span, what scale and zero point follow from it, and who shares them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcompress.integer.quantization import Quantization, round_half_away

# Operators that copy integers: what they make is among what they read, or 0.
COPYING = frozenset({"Concat", "Dropout", "Flatten", "GlobalMaxPool", "MaxPool", "Pad", "Reshape"})

# Operators whose inputs and output count in the same steps.
MOVING = COPYING | {"AveragePool"}


@dataclass(frozen=True, slots=True)
class Span:
    """Activations with one quantization, and the range that their integers span.

    Attributes
    ----------
    members
        All of them.
    sources
        Those that are made, not only moved: their values are those of all.
    low, high
        ``low <= 0 <= high``; without effect if the quantization is given.
    least_scale
        The scale is no smaller.
    given
        The quantization, if the functions that make the sources leave no choice, or it is known.

    Examples
    --------
    >>> Span(("x",), ("x",), 0.0, 2.55).quantization
    Quantization(scale=0.009999999776482582, zero_point=-128, bits=8)

    """

    members: tuple[str, ...]
    sources: tuple[str, ...]
    low: float = 0.0
    high: float = 0.0
    least_scale: float = 0.0
    given: Quantization | None = None

    @property
    def quantization(self) -> Quantization:
        """The quantization of all members."""
        return self.given or quantization_for(self.low, self.high, least_scale=self.least_scale)


def quantization_for(low: float, high: float, *, bits: int = 8, least_scale: float = 0.0) -> Quantization:
    """Return the quantization whose integers span a range that holds 0 (TFLite's ``ChooseQuantizationParams``).

    The scale is the width of the range over the number of steps. The zero point is rounded from the end of the
    range at which it is the more accurate, halves away from zero, so that 0 is a level; this moves the range by
    less than a step.

    Parameters
    ----------
    low, high
        ``low <= 0 <= high``. A range of no width gets the scale 1.
    bits
        Width of the integers.
    least_scale
        The scale is no smaller; the range then reaches higher.

    References
    ----------
    Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
    section 2.1; TensorFlow Lite, ``kernels/internal/quantization_util.h``.

    Examples
    --------
    >>> quantization_for(0.0, 6.0).zero_point, quantization_for(-1.0, 1.0).zero_point
    (-128, -1)

    """
    least, most = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if low == high:
        return Quantization(1.0, 0, bits)
    scale = max(least_scale, float(np.finfo(np.float32).tiny))
    if scale * (most - least) < high - low:
        scale = (high - low) / (most - least)
    else:
        high = low + scale * (most - least)
    from_low, from_high = least - low / scale, most - high / scale
    low_is_better = abs(least) + abs(low / scale) < abs(most) + abs(high / scale)
    exact = from_low if low_is_better else from_high
    return Quantization(scale, int(np.clip(round_half_away(np.asarray(exact, np.float64)), least, most)), bits)

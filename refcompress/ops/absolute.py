"""Abs: the absolute value."""

from __future__ import annotations

import numpy as np

from refcompress.ops.unary import unary

# |(|a| - |b|)| <= |a - b|, and nothing is rounded; at 0 the derivative is taken to be 0
OP = unary(
    "Abs",
    function=lambda _, x: np.abs(x),
    exact=lambda _, x: np.abs(x),
    slope=lambda _, x, _y: np.sign(x),
    bound=lambda _, _x, errors, _output, _gamma: errors,
)

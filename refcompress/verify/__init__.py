"""Whether a computation of a network is right: error bounds derived from the arithmetic, and comparisons with them."""

from __future__ import annotations

from refcompress.verify.bounds import error_bounds
from refcompress.verify.compare import compare
from refcompress.verify.integers.bounds import integer_bounds
from refcompress.verify.integers.compare import compare_integers
from refcompress.verify.integers.layers import compare_integer_layers
from refcompress.verify.layers import compare_layers
from refcompress.verify.verdict import TensorVerdict, Verdict

__all__ = [
    "TensorVerdict",
    "Verdict",
    "compare",
    "compare_integer_layers",
    "compare_integers",
    "compare_layers",
    "error_bounds",
    "integer_bounds",
]

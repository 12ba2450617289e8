"""Whether a computation of a network is right: error bounds derived from the arithmetic, and comparisons with them."""

from __future__ import annotations

from refcompress.verify.bounds import error_bounds
from refcompress.verify.compare import OutputVerdict, Verdict, compare

__all__ = ["OutputVerdict", "Verdict", "compare", "error_bounds"]

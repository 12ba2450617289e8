"""Biases and factors of streamed integer layers in the fewest bytes: short where they fit, once where all are equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exporters.program import Step, Table
from refcompress.encodings import Encoding
from refcompress.encodings.integers import rows_of
from refcompress.integer.fixed_point import multiply
from refcompress.integer.quantization import Multiplier

CONSTANT = (1 << 30, 0)  # significand and shift of a unit without weights, whose bias counts quarters of steps
SHORT = (-(1 << 15), (1 << 15) - 1)
BYTE = 127


def compact(step: Step, *, short: bool) -> tuple[dict[str, Table], int]:
    """Return the tables of a layer, and what biases of 8 bits are multiples of.

    The tables are ``bias``, ``short_bias`` or ``byte_bias``, ``factors`` and ``shifts`` of one unit or of each.

    Parameters
    ----------
    step
        With a bias, a factor and a shift for each unit; small factors make units without weights count in those of the
        others.
    short
        Whether the kernel takes biases of 16 bits and of 8.

    Examples
    --------
    >>> parts = {"bias": np.array([5, -8], np.int32), "factors": np.array([1342177280, 1 << 30], np.int32),
    ...          "shifts": np.array([3, 0], np.int8)}
    >>> step = Step("q_gemm_stream", "fc", ("x",), "y", tables={k: Table(k, k, v) for k, v in parts.items()})
    >>> tables, multiple = compact(step, short=True)
    >>> {name: table.values.tolist() for name, table in tables.items()}, multiple
    ({'byte_bias': [5, -51], 'factors': [1342177280], 'shifts': [3]}, 1)

    """
    tables = {role: step.tables[role] for role in ("bias", "factors", "shifts")}
    bias, factors, shifts = (table.values.astype(np.int64) for table in tables.values())
    one = _one_factor(bias, factors, shifts)
    if one is not None:
        bias, factor, shift = one
        tables["factors"] = replace(tables["factors"], values=np.array([factor], np.int32))
        tables["shifts"] = replace(tables["shifts"], values=np.array([shift], np.int8))
    found = replace(tables.pop("bias"), values=bias.astype(np.int32))
    common = int(np.gcd.reduce(bias))
    if short and common and np.abs(bias).max() <= BYTE * common <= BYTE * SHORT[1]:
        return {"byte_bias": replace(found, values=(bias // common).astype(np.int8)), **tables}, common
    if short and SHORT[0] <= bias.min(initial=0) and bias.max(initial=0) <= SHORT[1]:
        return {"short_bias": replace(found, values=bias.astype(np.int16)), **tables}, 0
    return {"bias": found, **tables}, 0


def _one_factor(
    bias: NDArray[np.int64], factors: NDArray[np.int64], shifts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int, int] | None:
    """Return biases and the factor and shift of all units, if the outputs are the same with one."""
    constant = (factors == CONSTANT[0]) & (shifts == CONSTANT[1])
    pairs = set(zip(factors[~constant].tolist(), shifts[~constant].tolist(), strict=True))
    if len(pairs) > 1 or len(bias) < 2:
        return None
    factor, shift = pairs.pop() if pairs else CONSTANT
    if not constant.any() or (factor, shift) == CONSTANT:
        return bias, factor, shift
    multiplier = Multiplier(np.array(factor), np.array(-shift - 1))
    wanted = multiply(bias[constant], Multiplier(*(np.array(x) for x in (CONSTANT[0], -1))), "double")
    counted = np.rint(wanted * 2.0 ** (32 + shift) / factor).astype(np.int64)
    same = np.array_equal(multiply(counted, multiplier, "double"), wanted)
    if shift < 0 or np.abs(counted).max() >= 1 << 30 or not same:
        return None
    together = bias.copy()
    together[constant] = counted
    return together, factor, shift


def unfolded(step: Step, encoding: Encoding) -> Step:
    """Take out of the biases what the input's zero point adds to every sum."""
    table = step.tables["bias"]
    sums = rows_of(encoding).astype(np.int64).sum(axis=1)
    bias = (table.values + step.integers["in_zero_point"] * sums).astype(np.int32)  # wraps, as sums do
    return replace(step, tables={**step.tables, "bias": replace(table, values=bias)})

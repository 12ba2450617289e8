"""Sparse rows times dense data: one kernel for convolutions and batches, one for single vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

# what Numba leaves untyped
_emit: Any = cgutils
_settings: Any = config

LANES = 8  # positions are computed in multiples of so many
WIDEST = 64  # positions whose sums stay in registers together: eight AVX registers of float32


def padded_positions(count: int) -> int:
    """Round a number of positions up to what :func:`accumulate` computes.

    Examples
    --------
    >>> padded_positions(9)
    16

    """
    return -(-count // LANES) * LANES


def _plain_tile(lanes: int, chains: int) -> Callable[..., None]:
    """Say in NumPy what a tile computes, roundings included."""

    def tile(
        data: Array,
        indices: NDArray[np.int32],
        start: int,
        end: int,
        shifts: NDArray[np.int64],
        flat: Array,
        base: int,
        out: Array,
        at: int,
    ) -> None:
        sums = np.zeros((chains, lanes), data.dtype)
        whole = end - (end - start) % chains
        for j in range(start, end):
            first = shifts[indices[j]] + base
            sums[(j - start) % chains if j < whole else 0] += data[j] * flat[first : first + lanes]
        while len(sums) > 1:
            sums = sums[::2] + sums[1::2]
        out[at : at + lanes] = sums[0]

    return tile


def _emit_tile(builder: Any, pointers: Any, scalars: Any, lanes: int, chains: int, align: int) -> None:
    """Write the loop of a tile over the entries of a row, its sums in vector registers.

    Numba's own loops would load and store the sums for every entry. Products and sums are separate instructions and
    never contracted, so that results do not depend on the processor.
    """
    from llvmlite import ir

    data, indices, shifts, flat, out = pointers
    start, end, base, at = scalars
    vector = ir.VectorType(data.type.pointee, lanes)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    sums = [_emit.alloca_once_value(builder, ir.Constant(vector, [0.0] * lanes)) for _ in range(chains)]

    def add(total: Any, j: Any) -> None:
        column = builder.zext(builder.load(builder.gep(indices, [j])), start.type)
        first = builder.add(builder.load(builder.gep(shifts, [column])), base)
        x = builder.load(builder.bitcast(builder.gep(flat, [first]), vector.as_pointer()), align=align)
        undefined = ir.Constant(vector, ir.Undefined)
        weight = builder.insert_element(undefined, builder.load(builder.gep(data, [j])), ir.IntType(32)(0))
        weights = builder.shuffle_vector(weight, undefined, zeros)
        builder.store(builder.fadd(builder.load(total), builder.fmul(weights, x)), total)

    step, one = start.type(chains), start.type(1)
    whole = builder.sub(end, builder.srem(builder.sub(end, start), step))
    with _emit.for_range_slice(builder, start, whole, step, start.type) as (j, _):
        for i, total in enumerate(sums):
            add(total, builder.add(j, start.type(i)))
    with _emit.for_range_slice(builder, whole, end, one, start.type) as (j, _):
        add(sums[0], j)
    parts = [builder.load(total) for total in sums]
    while len(parts) > 1:
        parts = [builder.fadd(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    builder.store(parts[0], builder.bitcast(builder.gep(out, [at]), vector.as_pointer()), align=align)


def _tile(lanes: int, chains: int) -> Any:
    """Make a function that computes ``lanes`` neighbouring outputs of one sparse row.

    ``out[at + t] = sum over start <= j < end of data[j] * flat[shifts[indices[j]] + base + t]``, entry j in the
    partial sum (j - start) modulo ``chains``, because one sum alone would wait for each addition to end.
    """
    if _settings.DISABLE_JIT:
        return _plain_tile(lanes, chains)

    @intrinsic
    def tile(
        _typing: Any,
        data: Any,
        indices: Any,
        _start: Any,
        _end: Any,
        shifts: Any,
        flat: Any,
        _base: Any,
        out: Any,
        _at: Any,
    ) -> Any:
        n = types.intp
        signature = types.void(data, indices, n, n, shifts, flat, n, out, n)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointers = [
                context.make_array(signature.args[i])(context, builder, value=args[i]).data for i in (0, 1, 4, 5, 7)
            ]
            align = context.get_abi_sizeof(context.get_value_type(data.dtype))
            _emit_tile(builder, pointers, (args[2], args[3], args[6], args[8]), lanes, chains, align)
            return context.get_dummy_value()

        return signature, generate

    return tile


_tile64, _tile32, _tile16, _tile8 = _tile(WIDEST, 1), _tile(32, 2), _tile(16, 2), _tile(LANES, 4)


@njit(cache=True)
def accumulate(
    data: Array,
    indices: NDArray[np.int32],
    indptr: NDArray[np.int64],
    shifts: NDArray[np.int64],
    flat: Array,
    group_rows: int,
    group_step: int,
    out: Array,
) -> None:
    """Multiply sparse rows with shifted windows of one flat array.

    ``out[r, p] = sum over the entries j of row r of data[j] * flat[s + p]`` with
    ``s = shifts[indices[j]] + r // group_rows * group_step``: each entry is a constant offset, and neighbouring
    outputs read neighbouring inputs.

    Parameters
    ----------
    data, indices, indptr
        The sparse rows.
    shifts
        int64, offset of each column into ``flat``; with the last group and position it must stay inside.
    flat
        One dimension, same dtype as ``data`` and ``out``: float32 or float64.
    group_rows, group_step
        Rows of a group, and how far the next group's data lie.
    out
        (rows, positions), C-contiguous, a multiple of :data:`LANES` positions, overwritten.

    """
    rows, positions = out.shape
    sums = out.reshape(-1)
    p = 0
    # strips outside, rows inside: the strip's inputs stay in the cache for all rows
    while p < positions:
        left = positions - p
        for row in range(rows):
            start, end, at = indptr[row], indptr[row + 1], row * positions + p
            base = p + row // group_rows * group_step
            if left >= 64:
                _tile64(data, indices, start, end, shifts, flat, base, sums, at)
            elif left >= 32:
                _tile32(data, indices, start, end, shifts, flat, base, sums, at)
            elif left >= 16:
                _tile16(data, indices, start, end, shifts, flat, base, sums, at)
            else:
                _tile8(data, indices, start, end, shifts, flat, base, sums, at)
        p += 64 if left >= 64 else 32 if left >= 32 else 16 if left >= 16 else 8


@njit(cache=True)
def multiply(data: Array, indices: NDArray[np.int32], indptr: NDArray[np.int64], x: Array, out: Array) -> None:
    """Multiply sparse rows with each vector of a small batch: ``out[b, r] = row r . x[b]``.

    Parameters
    ----------
    data, indices, indptr
        The sparse rows.
    x
        (batch, columns).
    out
        (batch, rows), overwritten.

    """
    zero = data.dtype.type(0)
    # unsigned indices spare the test for negative ones, which costs half of the speed
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    for b in range(x.shape[0]):
        v = x[b]
        for row in range(out.shape[1]):
            w, c = data[indptr[row] : indptr[row + 1]], indices[indptr[row] : indptr[row + 1]]
            # four sums, because one would wait for each addition to end
            s0 = s1 = s2 = s3 = zero
            for i in range(w.size // 4):
                j = np.uint64(i) * four
                s0 += w[j] * v[np.uint32(c[j])]
                s1 += w[j + one] * v[np.uint32(c[j + one])]
                s2 += w[j + two] * v[np.uint32(c[j + two])]
                s3 += w[j + three] * v[np.uint32(c[j + three])]
            for k in range(w.size - w.size % 4, w.size):
                s0 += w[k] * v[np.uint32(c[k])]
            out[b, row] = (s0 + s1) + (s2 + s3)

"""The form of each weight of an integer network, chosen by what it costs in flash and in instructions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from exporters.costs import CODE_BYTES, Cost, layer_costs
from exporters.entries import LABELS, fits_bytes
from refcompress.encodings import Bits, Csr, Dense, Encoding, IntegerCodebook, Joint, Linear, csr, huffman
from refcompress.encodings.integers import from_rows, rows_of, scales_of
from refcompress.errors import OptionError
from refcompress.integer import IntegerNetwork

Prefer = Literal["size", "speed", "balanced"]
GAP_BITS = 8
BYTE_GAP_BITS = 4
ZERO = 128  # the integer 0 among those of 8 bits


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """A layer's weight in one form."""

    encoding: Encoding
    cost: Cost


def choose_forms(network: IntegerNetwork, prefer: Prefer = "balanced") -> IntegerNetwork:
    """Store each weight in the form that suits a preference; the network computes the same.

    Parameters
    ----------
    network
        An integer network.
    prefer
        ``"size"``: the fewest bytes of flash, kernels included. ``"speed"``: the fewest instructions on a Cortex-M4.
        ``"balanced"``: the smallest product of the two.

    Returns
    -------
    IntegerNetwork
        Weights as bytes, as entries of one or two bytes, or under Huffman codes.

    Raises
    ------
    OptionError
        An unknown preference.

    Examples
    --------
    >>> choose_forms(network, "small")  # doctest: +SKIP
    Traceback (most recent call last):
    refcompress.errors.OptionError: prefer 'small'; allowed are size, speed, balanced

    """
    if prefer not in get_args(Prefer):
        raise OptionError(f"prefer {prefer!r}; allowed are {', '.join(get_args(Prefer))}")
    choices = _choices(network)
    starts = [{name: min(of, key=_measure(each)) for name, of in choices.items()} for each in get_args(Prefer)]
    best = min((_descend(start, choices, prefer) for start in starts), key=lambda chosen: _total(chosen, prefer))
    params = {name: choice.encoding for name, choice in best.items()}
    return replace(network, graph=network.graph.with_params(params))


def _measure(prefer: Prefer):  # type: ignore[no-untyped-def]
    return lambda choice: _score(choice.cost.flash_bytes, choice.cost.instructions, prefer)


def _score(flash_bytes: float, instructions: float, prefer: Prefer) -> tuple[float, float]:
    if prefer == "balanced":
        return flash_bytes * instructions, flash_bytes
    return (flash_bytes, instructions) if prefer == "size" else (instructions, flash_bytes)


def _total(chosen: Mapping[str, _Choice], prefer: Prefer) -> tuple[float, float]:
    kernels = {kernel for choice in chosen.values() for kernel in choice.cost.kernels}
    flash_bytes = sum(choice.cost.flash_bytes for choice in chosen.values())
    flash_bytes += sum(CODE_BYTES.get(kernel, 0) for kernel in kernels)
    return _score(flash_bytes, sum(choice.cost.instructions for choice in chosen.values()), prefer)


def _descend(
    start: Mapping[str, _Choice], choices: Mapping[str, list[_Choice]], prefer: Prefer
) -> dict[str, _Choice]:
    """Change one layer at a time while that helps."""
    chosen, score = dict(start), _total(start, prefer)
    improved = True
    while improved:
        improved = False
        for name, of in choices.items():
            for choice in of:
                tried = {**chosen, name: choice}
                found = _total(tried, prefer)
                if found < score:
                    chosen, score, improved = tried, found, True
    return chosen


def _choices(network: IntegerNetwork) -> dict[str, list[_Choice]]:
    """Return the forms of each weight; all layers are lowered at once in the first of theirs, then in the second."""
    names = sorted({node.params["weight"] for node in network.graph.nodes if "weight" in node.params})
    forms = {name: list(candidates(network.graph.params[name])) for name in names}
    found: dict[str, list[_Choice]] = {name: [] for name in names}
    for i in range(max(map(len, forms.values()), default=0)):
        params = {name: of[min(i, len(of) - 1)] for name, of in forms.items()}
        costs = layer_costs(replace(network, graph=network.graph.with_params(params)))
        for name, of in forms.items():
            if i < len(of):
                found[name].append(_Choice(of[i], costs[name]))
    return found


def candidates(encoding: Encoding) -> Iterator[Encoding]:
    """Yield the same integers in every form worth a comparison; integers beyond int8 stay as they are.

    Examples
    --------
    >>> weight = from_rows(np.array([[0, 3, 0, 0, -2, 0]]), (6, 1), np.ones(1, np.float32), 8)
    >>> [type(each).__name__ for each in candidates(weight)]
    ['Dense', 'Dense', 'Csr', 'Csr', 'Csr']

    """
    rows, scales = rows_of(encoding), scales_of(encoding)
    if int(rows.min(initial=0)) < -128 or int(rows.max(initial=0)) > 127:
        yield encoding
        return
    plain = from_rows(rows, encoding.shape, scales, 8)
    yield plain
    if isinstance(plain.values, Linear):
        yield replace(plain, values=replace(plain.values, integers=huffman.encode(plain.values.integers.symbols)))
    flat = rows.reshape(-1)
    where = np.flatnonzero(flat)
    if 0 < where.size:
        yield _coded(encoding.shape, flat, where, scales)
    yield _pairs(encoding.shape, flat, where, scales)
    if len(scales) == 1 and fits_bytes(flat):
        yield _bytes(encoding.shape, flat, where, float(scales[0]))


def _zero_points(scales: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.full(len(scales), ZERO, np.uint16)


def _coded(
    shape: tuple[int, ...], flat: NDArray[np.int32], where: NDArray[np.int64], scales: NDArray[np.float32]
) -> Encoding:
    symbols, _ = csr.split_gaps(where, GAP_BITS, "escape")
    integers = huffman.encode(flat[where] + ZERO)
    return Csr(shape, huffman.encode(symbols), GAP_BITS, "escape", Linear(integers, 8, scales, _zero_points(scales)))


def _filled(
    flat: NDArray[np.int32], where: NDArray[np.int64], gap_bits: int
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Return gaps with fillers, and the integers with their zeros."""
    symbols, _ = csr.split_gaps(where, gap_bits, "filler")
    return symbols, flat[np.cumsum(symbols.astype(np.int64) + 1) - 1]


def _pairs(
    shape: tuple[int, ...], flat: NDArray[np.int32], where: NDArray[np.int64], scales: NDArray[np.float32]
) -> Encoding:
    symbols, stored = _filled(flat, where, GAP_BITS)
    integers = (stored + ZERO).astype(np.uint16)
    joint = Bits(symbols | integers << np.uint16(GAP_BITS), 2 * GAP_BITS)
    return Csr(shape, joint, GAP_BITS, "filler", Linear(Joint(integers, 8), 8, scales, _zero_points(scales)))


def _bytes(shape: tuple[int, ...], flat: NDArray[np.int32], where: NDArray[np.int64], scale: float) -> Encoding:
    symbols, stored = _filled(flat, where, BYTE_GAP_BITS)
    used, labels = np.unique(stored, return_inverse=True)
    centroids = used
    padding = np.zeros(max(0, LABELS - centroids.size), centroids.dtype)  # so that a label has 4 bits
    labels = labels.astype(np.uint16)
    joint = Bits(symbols | labels << np.uint16(BYTE_GAP_BITS), 2 * BYTE_GAP_BITS)
    shared = IntegerCodebook(np.concatenate([centroids, padding]).astype(np.int8), scale, Joint(labels, 4))
    return Csr(shape, joint, BYTE_GAP_BITS, "filler", shared)

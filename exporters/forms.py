"""The form of each weight of an integer network, chosen by what it costs in flash and in instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from exporters.costs import CODE_BYTES, Cost, layer_costs
from exporters.entries import LABELS, fits_bytes
from exporters.fields import WIDTHS, fewest_bits
from refcompress.encodings import Bits, Csr, Encoding, IntegerCodebook, Joint, Linear, csr, huffman
from refcompress.encodings.integers import from_rows, rows_of, scales_of
from refcompress.errors import OptionError
from refcompress.integer import IntegerNetwork

Prefer = Literal["size", "speed", "balanced"]
Score = Callable[[float, float], tuple[float, ...]]  # of bytes and instructions; less is better
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
        ``"balanced"``: the smallest sum of both, each relative to the least there is.

    Returns
    -------
    IntegerNetwork
        Weights as bytes, as entries of one or two bytes, or under Huffman codes.

    Raises
    ------
    OptionError
        An unknown preference, or a network of real numbers.

    Examples
    --------
    >>> from refcompress import Graph, Node, TensorSpec, ops
    >>> from refcompress.integer import Quantization
    >>> weight = from_rows(np.eye(4, 400) * 90, (400, 4), np.array([0.1], np.float32), 8)
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, attrs=ops.NoAttrs())
    >>> graph = Graph((TensorSpec("x", (400,)),), ("y",), (node,), {"w": weight})
    >>> network = IntegerNetwork(graph, dict.fromkeys("xy", Quantization(0.5, 0)))
    >>> type(choose_forms(network, "size").graph.params["w"]).__name__
    'Csr'

    """
    if prefer not in get_args(Prefer):
        raise OptionError(f"prefer {prefer!r}; allowed are {', '.join(get_args(Prefer))}")
    if not isinstance(network, IntegerNetwork):
        raise OptionError("a float32 network runs as its weights are stored; forms are chosen for integer networks")
    choices = _choices(network)
    found = {way: _descended(choices, score) for way, score in (("size", _flash), ("speed", _instructions))}
    if prefer == "balanced":
        least_flash, least_instructions = (float(_total(found[way])[i]) for i, way in enumerate(("size", "speed")))

        def balanced(flash_bytes: float, instructions: float) -> tuple[float, ...]:
            return (flash_bytes / least_flash + instructions / max(least_instructions, 1.0),)

        found["balanced"] = _descended(choices, balanced)
    params = {name: choice.encoding for name, choice in found[prefer].items()}
    return replace(network, graph=network.graph.with_params(params))


def _flash(flash_bytes: float, instructions: float) -> tuple[float, ...]:
    return flash_bytes, instructions


def _instructions(flash_bytes: float, instructions: float) -> tuple[float, ...]:
    return instructions, flash_bytes


def _total(chosen: Mapping[str, _Choice]) -> tuple[float, float]:
    """Return bytes, each kernel's once, and instructions."""
    kernels = {kernel for choice in chosen.values() for kernel in choice.cost.kernels}
    flash_bytes = sum(choice.cost.flash_bytes for choice in chosen.values())
    flash_bytes += sum(CODE_BYTES.get(kernel, 0) for kernel in kernels)
    return flash_bytes, sum(choice.cost.instructions for choice in chosen.values())


def _descended(choices: Mapping[str, list[_Choice]], score: Score) -> dict[str, _Choice]:
    """Change one layer at a time while that helps, from the best of each by itself for size, speed and the score."""
    best: dict[str, _Choice] = {}
    for start in (_flash, _instructions, score):
        chosen = {name: min(of, key=lambda each: _of_one(each, start)) for name, of in choices.items()}
        chosen = _descend(chosen, choices, score)
        if not best or score(*_total(chosen)) < score(*_total(best)):
            best = chosen
    return best


def _of_one(choice: _Choice, score: Score) -> tuple[float, ...]:
    return score(choice.cost.flash_bytes, choice.cost.instructions)


def _descend(start: dict[str, _Choice], choices: Mapping[str, list[_Choice]], score: Score) -> dict[str, _Choice]:
    chosen, least = start, score(*_total(start))
    improved = True
    while improved:
        improved = False
        for name, of in choices.items():
            for choice in of:
                tried = {**chosen, name: choice}
                found = score(*_total(tried))
                if found < least:
                    chosen, least, improved = tried, found, True
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
    ['Dense', 'Dense', 'Dense', 'Csr', 'Csr', 'Csr']

    """
    rows, scales = rows_of(encoding), scales_of(encoding)
    if int(rows.min(initial=0)) < -128 or int(rows.max(initial=0)) > 127:
        yield encoding
        return
    plain = from_rows(rows, encoding.shape, scales, 8)
    yield plain
    width_bits = fewest_bits(rows)
    if width_bits <= max(WIDTHS):
        yield from_rows(rows, encoding.shape, scales, width_bits)
    if isinstance(plain.values, Linear):
        yield replace(plain, values=replace(plain.values, integers=huffman.encode(plain.values.integers.symbols)))
    flat = rows.reshape(-1)
    where = np.flatnonzero(flat)
    if where.size > 0:
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


def _pairs(
    shape: tuple[int, ...], flat: NDArray[np.int32], where: NDArray[np.int64], scales: NDArray[np.float32]
) -> Encoding:
    symbols, _ = csr.split_gaps(where, GAP_BITS, "filler")
    integers = (flat[np.cumsum(symbols.astype(np.int64) + 1) - 1] + ZERO).astype(np.uint16)
    joint = Bits(symbols | integers << np.uint16(GAP_BITS), 2 * GAP_BITS)
    return Csr(shape, joint, GAP_BITS, "filler", Linear(Joint(integers, 8), 8, scales, _zero_points(scales)))


def _bytes(shape: tuple[int, ...], flat: NDArray[np.int32], where: NDArray[np.int64], scale: float) -> Encoding:
    symbols, entry = csr.split_gaps(where, BYTE_GAP_BITS, "escape")
    centroids, found = np.unique(flat[where], return_inverse=True)
    labels = found.astype(np.uint16)
    padding = np.zeros(LABELS - centroids.size, centroids.dtype)  # so that a label has 4 bits
    joint = Bits(symbols | csr.spread(labels, entry >= 0) << np.uint16(BYTE_GAP_BITS), 2 * BYTE_GAP_BITS)
    shared = IntegerCodebook(np.concatenate([centroids, padding]).astype(np.int8), scale, Joint(labels, 4))
    return Csr(shape, joint, BYTE_GAP_BITS, "escape", shared)

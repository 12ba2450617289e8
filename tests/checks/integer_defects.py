"""Defects of int8 runtimes, injected into one layer of a correct run; written from the formulas, not our operators.

A layer is computed here in unbounded integers and float64, rounded once. That is within the bound of a correct layer
but for the defect, so that what is found wrong is the defect.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings.integers import rows_of, scales_of
from refcompress.integer import IntegerNetwork, run_integer_all
from refcompress.integer.operators import INTEGER_OPS
from refcompress.integer.runtimes import RUNTIMES
from refcompress.integer.step import Step

Integers = NDArray[np.int64]
Real = NDArray[np.float64]

# A defect that changes fewer elements is not taken: one or two by one step may well be another runtime's rounding.
VISIBLE = 0.01  # of all
FEWEST = 8


@dataclass(frozen=True, slots=True, eq=False)
class InjectedInteger:
    """One defect in one layer.

    Attributes
    ----------
    kind
        Key of INTEGER_DEFECTS.
    node
        Name of the node that is wrong.
    activations
        All activations of a run in which this node is wrong and all others are right for what they are fed.

    """

    kind: str
    node: str
    activations: dict[str, NDArray[np.int8]]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A convolution or matrix product in parts that a defect may change.

    Attributes
    ----------
    x
        Input integers, batch first; a matrix product's as planes of 1 x 1.
    kernel
        (kh, kw, channels of a group, outputs).
    scales
        Of the weights, one for each output.
    bias, zero_in, zero_out, scale_in, scale_out, low, high
        As they are named.
    pads, strides, dilations, group
        Of the convolution.
    padding
        The integer that surrounds the input.
    round, narrow
        From real numbers to integers, and to int8.

    """

    x: Integers
    kernel: Integers
    scales: Real
    bias: Integers
    zero_in: int
    zero_out: int
    scale_in: float
    scale_out: float
    low: int
    high: int
    pads: tuple[int, ...] = (0, 0, 0, 0)
    strides: tuple[int, ...] = (1, 1)
    dilations: tuple[int, ...] = (1, 1)
    group: int = 1
    padding: int = 0
    round: Callable[[Real], Real] = np.rint
    narrow: Callable[[Integers, int, int], Integers] = np.clip


def layer_of(step: Step, x: NDArray[np.int8]) -> Layer:
    """Take a Conv or Gemm apart."""
    shape, is_matrix = step.params["weight"].shape, step.node.op == "Gemm"
    shape = (1, 1, *shape) if is_matrix else shape
    kernel = rows_of(step.params["weight"]).astype(np.int64).reshape(shape[-1], *shape[:-1])
    outputs = shape[-1]
    bias = np.zeros(outputs, np.int64) if step.bias is None else step.bias.astype(np.int64)
    source, result = step.inputs[0], step.result
    geometry = {} if is_matrix else {name: getattr(step.attrs, name) for name in ("pads", "strides", "dilations")}
    return Layer(
        x=(x.reshape(-1, 1, 1, x.shape[-1]) if is_matrix else x).astype(np.int64),
        kernel=np.moveaxis(kernel, 0, -1),
        scales=np.broadcast_to(scales_of(step.params["weight"]).astype(np.float64), outputs),
        bias=bias,
        zero_in=source.zero_point,
        zero_out=result.zero_point,
        scale_in=source.scale,
        scale_out=result.scale,
        low=step.low,
        high=step.high,
        group=1 if is_matrix else step.attrs.group,
        padding=source.zero_point,
        **geometry,
    )


def compute(layer: Layer) -> Integers:
    """Return the layer's integers, one tap and channel of a group after another."""
    kh, kw, per_group, outputs = layer.kernel.shape
    (sy, sx), (dy, dx), (top, left, bottom, right) = layer.strides, layer.dilations, layer.pads
    x = np.pad(layer.x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=layer.padding) - layer.zero_in
    height, width = (x.shape[1] - (kh - 1) * dy - 1) // sy + 1, (x.shape[2] - (kw - 1) * dx - 1) // sx + 1
    sums = np.zeros((len(x), height, width, outputs), np.int64)
    groups = np.arange(outputs) // (outputs // layer.group)
    for ky, kx, channel in itertools.product(range(kh), range(kw), range(per_group)):
        rows = slice(ky * dy, ky * dy + (height - 1) * sy + 1, sy)
        columns = slice(kx * dx, kx * dx + (width - 1) * sx + 1, sx)
        sums += x[:, rows, columns][..., groups * per_group + channel] * layer.kernel[ky, kx, channel]
    real = (sums + layer.bias) * (layer.scale_in * layer.scales / layer.scale_out)
    return layer.narrow(layer.round(real).astype(np.int64) + layer.zero_out, layer.low, layer.high)


Change = Callable[[Layer], Layer | None]


def _flipped(layer: Layer) -> Layer | None:
    return replace(layer, kernel=layer.kernel[::-1, ::-1]) if max(layer.kernel.shape[:2]) > 1 else None


def _turned(layer: Layer) -> Layer | None:
    kh, kw = layer.kernel.shape[:2]
    return replace(layer, kernel=layer.kernel.swapaxes(0, 1)) if kh == kw > 1 else None


def _exchanged(layer: Layer) -> Layer | None:
    _, _, cin, cout = layer.kernel.shape
    return replace(layer, kernel=layer.kernel.swapaxes(2, 3)) if cin == cout > 1 else None


def _other_side(layer: Layer) -> Layer | None:
    top, left, bottom, right = layer.pads
    return replace(layer, pads=(bottom, right, top, left)) if (top, left) != (bottom, right) else None


def _wrapped(y: Integers, _low: int, _high: int) -> Integers:
    return (y + 128) % 256 - 128


def _coarse_factors(layer: Layer) -> Layer:
    """Round the significands of the factors to 8 bits."""
    back = layer.scale_out / layer.scale_in
    fraction, exponent = np.frexp(layer.scales / back)
    return replace(layer, scales=np.ldexp(np.rint(fraction * 2**8) / 2**8, exponent) * back)


INTEGER_DEFECTS: Mapping[str, Change] = {
    "padding on the other side": _other_side,
    "padding by 0": lambda a: replace(a, padding=0) if any(a.pads) and a.zero_in else None,
    "kernel flipped": _flipped,
    "kernel transposed": _turned,
    "channels transposed": _exchanged,
    "input channels reversed": lambda a: replace(a, kernel=a.kernel[:, :, ::-1]),
    "output channels reversed": lambda a: replace(a, kernel=a.kernel[..., ::-1]),
    "bias dropped": lambda a: replace(a, bias=np.zeros_like(a.bias)),
    "bias twice": lambda a: replace(a, bias=2 * a.bias),
    "activation dropped": lambda a: replace(a, low=-128, high=127),
    "input zero point ignored": lambda a: replace(a, zero_in=0, padding=0),
    "output zero point left out": lambda a: replace(a, zero_out=0),
    "one scale for all channels": lambda a: replace(a, scales=np.full_like(a.scales, a.scales[0])),
    "largest scale for all channels": lambda a: replace(a, scales=np.full_like(a.scales, a.scales.max())),
    "saturation missing": lambda a: replace(a, narrow=_wrapped),
    "rounded down": lambda a: replace(a, round=np.floor),
    "truncated": lambda a: replace(a, round=np.trunc),
    "factor twice as large": lambda a: replace(a, scale_out=a.scale_out / 2),
    "factor half as large": lambda a: replace(a, scale_out=a.scale_out * 2),
    "factors of 8 bits": _coarse_factors,
    "ReLU for no activation": lambda a: replace(a, low=max(a.low, a.zero_out)) if a.zero_out > a.low else None,
    "input read as uint8": lambda a: replace(a, x=a.x % 256),
}


# of other operators: the operator, and what is made of the step and its inputs
Make = Callable[[Step, Sequence[Integers]], Integers]


def _sum(step: Step, inputs: Sequence[Integers], *, use: Sequence[int] = (0, 1), ignore: bool = False) -> Integers:
    """Add in real numbers; each input counted in the steps of the one that ``use`` names."""
    real: Any = 0.0
    for x, index in zip(inputs, use, strict=True):
        known = step.inputs[index]
        real = real + known.scale * (x - (0 if ignore else known.zero_point))
    return np.clip(np.rint(real / step.result.scale).astype(np.int64) + step.result.zero_point, step.low, step.high)


def _pooled(step: Step, inputs: Sequence[Integers], how: Callable[[Integers], Real]) -> Integers:
    (kh, kw), (sy, sx) = step.attrs.kernel_shape, step.attrs.strides
    view = np.lib.stride_tricks.sliding_window_view(inputs[0], (kh, kw), (1, 2))[:, ::sy, ::sx]
    return how(view).astype(np.int64)


OTHER_DEFECTS: Mapping[str, tuple[str, Make]] = {
    "scales of a sum exchanged": ("Add", lambda step, x: _sum(step, x, use=(1, 0))),
    "zero points of a sum ignored": ("Add", lambda step, x: _sum(step, x, ignore=True)),
    "shortcut left out": ("Add", lambda step, x: _sum(step, x[:1], use=(0,))),
    "mean rounded down": ("AveragePool", lambda step, x: _pooled(step, x, lambda view: np.floor(view.mean((-2, -1))))),
    "maximum for mean": ("AveragePool", lambda step, x: _pooled(step, x, lambda view: view.max((-2, -1)))),
    "reshaped channels first": ("Reshape", lambda _step, x: np.moveaxis(x[0], -1, 1).reshape(len(x[0]), -1)),
}


def injected_integers(
    network: IntegerNetwork, inputs: Any, *, seed: int, runtime: str = "tflm"
) -> Iterator[InjectedInteger]:
    """Yield every kind of defect once that this network can have, each in a node drawn at random.

    Taken are layers whose shape it keeps and of whose integers it changes more than :data:`VISIBLE`.
    """
    rng = np.random.default_rng(seed)
    right = run_integer_all(network, inputs, runtime=runtime)
    kinds: dict[str, tuple[tuple[str, ...], Make]] = {
        kind: (("Conv", "Gemm"), _with(change)) for kind, change in INTEGER_DEFECTS.items()
    }
    kinds |= {kind: ((op,), make) for kind, (op, make) in OTHER_DEFECTS.items()}
    for kind, (ops, make) in kinds.items():
        places = [step for step in network.steps if step.node.op in ops]
        for index in rng.permutation(len(places)):
            step = places[index]
            try:
                made = make(step, [right[name].astype(np.int64) for name in step.node.inputs])
            except _NotHereError:
                continue
            if _is_visible(made, right[step.output]):
                wrong = made.astype(np.int8)
                yield InjectedInteger(kind, step.node.name, _rerun(network, right, step, wrong, runtime))
                break


def _is_visible(made: Integers, right: NDArray[np.int8]) -> bool:
    return made.shape == right.shape and np.count_nonzero(made != right) >= max(FEWEST, VISIBLE * made.size)


class _NotHereError(Exception):
    """A layer cannot have this defect."""


def _with(change: Change) -> Make:
    def make(step: Step, inputs: Sequence[Integers]) -> Integers:
        changed = change(layer_of(step, inputs[0].astype(np.int8)))
        if changed is None:
            raise _NotHereError
        made = compute(changed)
        return made.reshape(*inputs[0].shape[:-1], -1) if step.node.op == "Gemm" else made

    return make


def _rerun(
    network: IntegerNetwork,
    right: Mapping[str, NDArray[np.int8]],
    wrong: Step,
    made: NDArray[np.int8],
    runtime: str,
) -> dict[str, NDArray[np.int8]]:
    found = {spec.name: right[spec.name] for spec in network.graph.inputs}
    for step in network.steps:
        read = [found[name] for name in step.node.inputs]
        is_wrong = step.node.name == wrong.node.name
        found[step.output] = made if is_wrong else INTEGER_OPS[step.node.op].forward(step, read, RUNTIMES[runtime])
    return found

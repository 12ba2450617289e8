"""Convolutions that do the MaxPool behind them: the plane between is never stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from exporters.program import Program, Step


def with_pools(program: Program) -> Program:
    """Let weight-stationary convolutions of a float network do the MaxPool behind them, and a Relu between the two.

    Parameters
    ----------
    program
        The lowered network.

    Examples
    --------
    >>> conv = {"in_h": 4, "in_w": 4, "in_channels": 1, "out_h": 4, "out_w": 4, "out_channels": 3}
    >>> pool = {"in_h": 4, "in_w": 4, "channels": 3, "out_h": 2, "out_w": 2}
    >>> steps = (Step("conv", "c", ("x",), "h", conv), Step("max_pool", "p", ("h",), "y", pool))
    >>> [step.kernel for step in with_pools(Program(("x",), ("y",), ("y",), {}, steps)).steps]
    ['conv_pooled']

    """
    readers = Counter([*program.outputs, *(name for step in program.steps for name in step.inputs)])
    made: list[Step] = []
    todo = list(program.steps)
    while todo:
        step = todo.pop(0)
        relu = [todo[0]] if todo and todo[0].kernel == "relu" else []
        chain = [step, *relu, *todo[len(relu) : len(relu) + 1]]
        if step.kernel == "conv" and chain[-1].kernel == "max_pool" and is_alone(chain, readers):
            made.append(_pooled(step, chain[-1], relu=bool(relu)))
            del todo[: len(chain) - 1]
        else:
            made.append(step)
    return replace(program, steps=tuple(made))


def is_alone(chain: Sequence[Step], readers: Counter[str]) -> bool:
    """Whether each step of a chain, a convolution first and a pool last, is read by the next one only, as one plane."""
    conv, pool = chain[0].sizes, chain[-1].sizes
    linked = all(
        reader.inputs == (source.output,) and readers[source.output] == 1 for source, reader in pairwise(chain)
    )
    one_plane = conv["out_h"] * conv["out_w"] == pool["in_h"] * pool["in_w"]
    return linked and one_plane and conv["out_channels"] == pool["channels"]


def _pooled(conv: Step, pool: Step, *, relu: bool) -> Step:
    scratch_bytes = 4 * conv.sizes["out_h"] * conv.sizes["out_w"]  # the sums of one channel
    integers = {"relu": int(relu)}
    return replace(
        conv,
        kernel="conv_pooled",
        output=pool.output,
        pool=pool.sizes,
        integers=integers,
        scratch_bytes=scratch_bytes,
    )

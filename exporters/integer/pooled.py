"""Convolutions that pool: the largest sums of a channel become outputs, and the plane between is never stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from exporters.pooled import is_alone
from exporters.program import Step


def with_pools(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """Let weight-stationary convolutions do the MaxPool behind them; a clamp between the two moves behind both.

    Parameters
    ----------
    steps
        Of a program.
    outputs
        Activations that it returns, which must be made.

    Examples
    --------
    >>> with_pools([Step("q_table", "relu", ("x",), "y", {"n": 5})], ["y"])[0].kernel
    'q_table'

    """
    readers = Counter([*outputs, *(name for step in steps for name in step.inputs)])
    made: list[Step] = []
    todo = list(steps)
    while todo:
        step = todo.pop(0)
        clamp = [todo[0]] if todo and todo[0].kernel == "q_clamp" else []
        chain = [step, *clamp, *todo[len(clamp) : len(clamp) + 1]]
        if len(chain) == 2 + len(clamp) and _pools(chain, readers):
            made += _pooled(step, clamp, chain[-1])
            del todo[: len(chain) - 1]
        else:
            made.append(step)
    return made


def _pools(chain: Sequence[Step], readers: Counter[str]) -> bool:
    """Whether a convolution, perhaps clamped, is read by a MaxPool alone, which can choose among its sums."""
    conv, pool = chain[0], chain[-1]
    if conv.kernel != "q_conv_stream" or pool.kernel != "q_max_pool":
        return False
    # shifts to the left wrap, so that a larger sum may give a smaller output
    return is_alone(chain, readers) and bool((conv.tables["shifts"].values >= -1).all())


def _pooled(conv: Step, clamp: Sequence[Step], pool: Step) -> list[Step]:
    if not clamp:
        return [replace(conv, output=pool.output, pool=pool.sizes)]
    wide = f"{pool.output}\0pooled"
    n = pool.sizes["out_h"] * pool.sizes["out_w"] * pool.sizes["channels"]
    return [
        replace(conv, output=wide, pool=pool.sizes),
        replace(clamp[0], inputs=(wide,), output=pool.output, sizes={"n": n}),
    ]

"""Schedules: plain functions that give the learning rate, or the sparsity, of a step.

A schedule is called with the number of steps already taken (0 before the first) and returns a number. Each
function here makes such a schedule; any function ``int -> float`` is one too.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Sequence

from refcompress.errors import OptionError

Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """Return the same rate at every step.

    Examples
    --------
    >>> constant(0.1)(12345)
    0.1

    """
    _check_rate("the rate", rate)
    return lambda _step: rate


def step(rate: float, milestones: Sequence[int], *, factor: float = 0.1) -> Schedule:
    """Multiply the rate with a factor at each milestone.

    PyTorch's ``MultiStepLR``; for its ``StepLR`` give ``range(size, total, size)``.

    Parameters
    ----------
    rate
        Before the first milestone.
    milestones
        Steps from which the next factor counts, increasing, at least 1 each.
    factor
        At least 0.

    Raises
    ------
    OptionError
        A value is out of range.

    Examples
    --------
    >>> schedule = step(1.0, [10, 20], factor=0.5)
    >>> [schedule(n) for n in (9, 10, 19, 20)]
    [1.0, 0.5, 0.5, 0.25]

    """
    _check_rate("the rate", rate)
    _check_rate("the factor", factor)
    ends = list(milestones)
    if any(end < 1 for end in ends) or any(b <= a for a, b in itertools.pairwise(ends)):
        raise OptionError(f"the milestones {ends}; they must increase, from at least 1")
    return lambda n: rate * factor ** bisect.bisect_right(ends, n)


def cosine(rate: float, steps: int, *, final: float = 0.0, begin: int = 0) -> Schedule:
    """Fall from the rate to the final one along half a cosine, then stay (Loshchilov & Hutter 2017, equation 5).

    ``final + (rate - final) (1 + cos(pi (n - begin) / (steps - begin))) / 2``, which for ``begin=0`` is the closed
    form of PyTorch's ``CosineAnnealingLR``; without restarts, and without PyTorch's rise after the last step.

    Parameters
    ----------
    rate
        At step 0.
    steps
        Step at which the final rate is reached, more than ``begin``.
    final
        The last rate.
    begin
        Step until which the rate is held, 0 or more.

    Raises
    ------
    OptionError
        A value is out of range.

    Examples
    --------
    >>> [round(cosine(1.0, 100)(n), 4) for n in (0, 50, 100, 500)]
    [1.0, 0.5, 0.0, 0.0]
    >>> [round(cosine(1.0, 100, begin=50)(n), 4) for n in (0, 50, 75, 100)]
    [1.0, 1.0, 0.5, 0.0]

    """
    _check_rate("the rate", rate)
    _check_rate("the final rate", final)
    _check_steps("begin", begin, least=0)
    _check_steps("steps", steps, least=begin + 1)
    return lambda n: rate if n <= begin else _anneal(rate, final, (n - begin) / (steps - begin))


def one_cycle(
    peak: float, steps: int, *, rise: float = 0.3, start_divisor: float = 25.0, final_divisor: float = 1e4
) -> Schedule:
    """Rise from ``peak / start_divisor`` to the peak, then fall far below the start (Smith & Topin 2018).

    Both ways along half a cosine, as PyTorch's ``OneCycleLR`` does by default: the peak stands at step
    ``rise * steps - 1``, the lowest rate, ``peak / start_divisor / final_divisor``, at ``steps - 1`` and ever after.
    The momentum stays; PyTorch cycles it too unless told otherwise.

    Parameters
    ----------
    peak
        The highest rate.
    steps
        All steps of the training, at least 2.
    rise
        Share of the steps in which the rate rises, 0 < rise < 1; at least two steps long.
    start_divisor, final_divisor
        Above 0.

    Raises
    ------
    OptionError
        A value is out of range.

    Examples
    --------
    >>> schedule = one_cycle(1.0, 100, start_divisor=10.0, final_divisor=10.0)
    >>> [round(schedule(n), 4) for n in (0, 29, 99)]
    [0.1, 1.0, 0.01]

    """
    _check_rate("the peak", peak)
    _check_steps("steps", steps, least=2)
    top = rise * steps - 1
    if not 0 < top < steps - 1:
        raise OptionError(f"a rise of {rise} in {steps} steps; its peak must stand between the first step and the last")
    if not (start_divisor > 0 and final_divisor > 0):
        raise OptionError(f"divisors of {start_divisor} and {final_divisor}; they must be above 0")
    low = peak / start_divisor

    def rate(n: int) -> float:
        if n <= top:
            return _anneal(low, peak, n / top)
        return _anneal(peak, low / final_divisor, (n - top) / (steps - 1 - top))

    return rate


def warm_up(schedule: Schedule, steps: int, *, start: float = 0.0) -> Schedule:
    """Begin with a linear rise to another schedule's first rate, and let that schedule begin afterwards.

    Goyal et al. 2017, section 2.2. Step n < steps has the share ``start + (1 - start) (n + 1) / (steps + 1)`` of the
    first rate, so that no step is wasted on a rate of 0 and none has the full rate twice.

    Parameters
    ----------
    schedule
        What follows; it is asked for step 0 when the rise is over.
    steps
        Steps of the rise, 0 or more.
    start
        Share of the first rate from which the line starts, 0 to 1.

    Raises
    ------
    OptionError
        A value is out of range.

    Examples
    --------
    >>> schedule = warm_up(constant(1.0), 3)
    >>> [schedule(n) for n in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]

    """
    _check_steps("steps", steps, least=0)
    if not 0 <= start <= 1:
        raise OptionError(f"a start of {start}; it must be from 0 to 1")

    def rate(n: int) -> float:
        if n >= steps:
            return schedule(n - steps)
        return schedule(0) * (start + (1 - start) * (n + 1) / (steps + 1))

    return rate


def agp(final: float, *, begin: int, steps: int, every: int = 1, initial: float = 0.0) -> Schedule:
    """Sparsity of automated gradual pruning (Zhu & Gupta 2017, equation 1).

    ``s(t) = s_f + (s_i - s_f) (1 - (t - t0) / (n dt))^3`` for t = t0, t0 + dt, ..., t0 + n dt; between these it stays.
    Before t0 it is 0: the paper prunes nothing until then.

    Parameters
    ----------
    final
        Sparsity s_f at the end, 0 to 1.
    begin
        Step t0 of the first pruning, 0 or more.
    steps
        Steps n dt from the first pruning to the last; a multiple of ``every``, at least 1.
    every
        Steps dt from one pruning to the next.
    initial
        Sparsity s_i at t0, 0 to ``final``.

    Raises
    ------
    OptionError
        A value is out of range.

    Examples
    --------
    >>> sparsity = agp(0.8, begin=100, steps=200, every=50)
    >>> [round(sparsity(n), 4) for n in (0, 100, 149, 150, 200, 300, 999)]
    [0.0, 0.0, 0.0, 0.4625, 0.7, 0.8, 0.8]

    """
    if not 0 <= initial <= final <= 1:
        raise OptionError(f"a sparsity from {initial} to {final}; it must rise, within 0 to 1")
    _check_steps("begin", begin, least=0)
    _check_steps("every", every)
    _check_steps("steps", steps)
    if steps % every:
        raise OptionError(f"{steps} steps with a pruning every {every}; they must be a multiple")

    def sparsity(n: int) -> float:
        if n < begin:
            return 0.0
        passed = min((n - begin) // every * every, steps)
        return final + (initial - final) * (1 - passed / steps) ** 3

    return sparsity


def _anneal(start: float, end: float, share: float) -> float:
    """Half a cosine from one number to another; past the end it stays there."""
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


def _check_rate(what: str, rate: float) -> None:
    if not (math.isfinite(rate) and rate >= 0):
        raise OptionError(f"{what} is {rate}; it must be finite and at least 0")


def _check_steps(what: str, steps: int, least: int = 1) -> None:
    if steps < least:
        raise OptionError(f"{what} = {steps}; it must be at least {least}")

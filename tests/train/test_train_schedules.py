"""Schedules: against closed forms and against PyTorch's."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcompress.errors import OptionError
from refcompress.train import schedules


def test_constant_is_constant() -> None:
    assert {schedules.constant(0.3)(n) for n in range(100)} == {0.3}


def test_step_multiplies_at_each_milestone() -> None:
    schedule = schedules.step(2.0, [3, 5], factor=0.5)
    assert [schedule(n) for n in range(7)] == [2.0, 2.0, 2.0, 1.0, 1.0, 0.5, 0.5]


@given(st.integers(1, 500), st.floats(0.001, 10), st.floats(0, 1))
def test_cosine_has_its_closed_form_and_then_stays(steps: int, rate: float, share: float) -> None:
    final = rate * share
    schedule = schedules.cosine(rate, steps, final=final)
    for n in range(steps + 1):
        wanted = final + (rate - final) * (1 + math.cos(math.pi * n / steps)) / 2
        assert schedule(n) == pytest.approx(wanted, rel=1e-13)
    assert schedule(10 * steps) == pytest.approx(final, rel=1e-13)


@given(st.integers(1, 300), st.integers(0, 300), st.floats(0.001, 10))
def test_a_cosine_that_begins_later_holds_the_rate_and_is_then_the_same(fall: int, begin: int, rate: float) -> None:
    schedule, other = (
        schedules.cosine(rate, begin + fall, final=rate / 8, begin=begin),
        schedules.cosine(rate, fall, final=rate / 8),
    )
    assert {schedule(n) for n in range(begin + 1)} == {rate}
    assert [schedule(begin + n) for n in range(fall + 5)] == [other(n) for n in range(fall + 5)]


@given(st.integers(10, 300), st.floats(0.2, 0.8))
def test_one_cycle_rises_once_to_its_peak_and_falls_once(steps: int, rise: float) -> None:
    schedule = schedules.one_cycle(1.0, steps, rise=rise)
    rates = [schedule(n) for n in range(steps)]
    top = max(range(steps), key=rates.__getitem__)
    assert abs(top - (rise * steps - 1)) <= 1
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[0] == pytest.approx(1 / 25, rel=1e-12)
    assert rates[-1] == pytest.approx(1 / 25 / 1e4, rel=1e-9)
    assert schedule(2 * steps) == pytest.approx(rates[-1], rel=1e-9)


def test_warm_up_is_a_line_and_then_the_schedule_from_its_beginning() -> None:
    schedule = schedules.warm_up(schedules.step(0.8, [2]), 3, start=0.5)
    assert [schedule(n) for n in range(6)] == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.8, 0.08])
    assert schedules.warm_up(schedules.constant(1.0), 0)(0) == 1.0


@given(st.floats(0, 0.5), st.floats(0.5, 1), st.integers(0, 20), st.integers(1, 7), st.integers(1, 15))
def test_agp_has_the_closed_form_of_the_paper(
    initial: float, final: float, begin: int, every: int, prunings: int
) -> None:
    schedule = schedules.agp(final, begin=begin, steps=every * prunings, every=every, initial=initial)
    for k in range(prunings + 1):
        t = begin + k * every
        wanted = final + (initial - final) * (1 - (t - begin) / (prunings * every)) ** 3
        assert schedule(t) == pytest.approx(wanted, rel=1e-12, abs=1e-15)
        if k < prunings:
            assert {schedule(n) for n in range(t, t + every)} == {schedule(t)}
    assert schedule(10**6) == final
    assert all(schedule(n) == 0 for n in range(begin))
    rising = [schedule(n) for n in range(begin, begin + every * prunings + 2)]
    assert rising == sorted(rising)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.constant(-1.0), "the rate is -1.0"),
        (lambda: schedules.constant(math.nan), "the rate is nan"),
        (lambda: schedules.step(1.0, [3, 3]), "must increase"),
        (lambda: schedules.step(1.0, [0]), "from at least 1"),
        (lambda: schedules.cosine(1.0, 0), "steps = 0"),
        (lambda: schedules.cosine(1.0, 5, begin=5), "steps = 5; it must be at least 6"),
        (lambda: schedules.cosine(1.0, 5, begin=-1), "begin = -1"),
        (lambda: schedules.one_cycle(1.0, 10, rise=0.05), "rise of 0.05"),
        (lambda: schedules.one_cycle(1.0, 10, rise=1.0), "rise of 1.0"),
        (lambda: schedules.one_cycle(1.0, 10, start_divisor=0.0), "divisors of 0.0"),
        (lambda: schedules.warm_up(schedules.constant(1.0), -1), "steps = -1"),
        (lambda: schedules.warm_up(schedules.constant(1.0), 5, start=2.0), "start of 2.0"),
        (lambda: schedules.agp(1.1, begin=0, steps=10), "from 0.0 to 1.1"),
        (lambda: schedules.agp(0.5, begin=0, steps=10, initial=0.6), "must rise"),
        (lambda: schedules.agp(0.5, begin=0, steps=10, every=3), "multiple"),
        (lambda: schedules.agp(0.5, begin=-1, steps=10), "begin = -1"),
    ],
)
def test_options_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


def test_rates_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    kinds = torch.optim.lr_scheduler
    pairs: list[tuple[Any, Any]] = [
        (schedules.step(1.0, [4, 9], factor=0.3), lambda o: kinds.MultiStepLR(o, [4, 9], gamma=0.3)),
        (schedules.step(1.0, range(3, 40, 3), factor=0.9), lambda o: kinds.StepLR(o, 3, gamma=0.9)),
        (schedules.cosine(1.0, 40, final=0.1), lambda o: kinds.CosineAnnealingLR(o, 40, eta_min=0.1)),
        (schedules.one_cycle(2.0, 40), lambda o: kinds.OneCycleLR(o, 2.0, total_steps=40)),
        (schedules.one_cycle(2.0, 40, rise=0.45), lambda o: kinds.OneCycleLR(o, 2.0, total_steps=40, pct_start=0.45)),
    ]
    for ours, make in pairs:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of steps of the schedule without steps of the optimizer
            other = make(optimizer)
            for n in range(40):
                assert ours(n) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-10)
                if n < 39:
                    other.step()

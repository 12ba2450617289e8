"""LogSoftmax against SciPy, and how far errors get through it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks.gradients import check_grad, spread
from checks.ops import check_op
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from refcompress.errors import ModelError
from refcompress.kernels.exact_log import log_softmax32
from refcompress.ops import OPS, NoAttrs
from refcompress.ops.base import UNIT_ROUNDOFF, deterministic_gamma

F = np.float32
Floats = NDArray[Any]
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
few = settings(max_examples=12)


@few
@given(shapes, seeds)
def test_log_softmax_equals_scipy(shape: tuple[int, ...], seed: int) -> None:
    x = np.random.default_rng(seed).normal(0, 20, (2, *shape)).astype(F)
    check_op(
        OPS["LogSoftmax"],
        NoAttrs(),
        [x],
        lambda inputs, _: special.log_softmax(inputs[0], -1),
        exact_oracle=lambda inputs, _: log_softmax32(inputs[0]),
    )
    check_grad(OPS["LogSoftmax"], NoAttrs(), [spread(np.random.default_rng(seed), (2, *shape))], seed=seed)


def log_softmax_bound(x: Floats, e: Floats) -> NDArray[np.float64]:
    op = OPS["LogSoftmax"]
    return np.asarray(op.error_bound(NoAttrs(), [x], [e], {}, special.log_softmax(x, -1), deterministic_gamma))


@few
@given(st.integers(1, 4), seeds, st.sampled_from([0.0, 1e-6, 0.1, 3.0, 100.0]))
def test_log_softmax_bound_is_the_worst_corner_of_the_box(n: int, seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    x, e = rng.normal(0, 10, (1, n)), size * rng.random((1, n))
    bound = log_softmax_bound(x, e)
    corners = np.array(np.meshgrid(*[[-1, 1]] * n)).reshape(n, -1).T
    reached = np.abs(special.log_softmax(x + corners * e, -1) - special.log_softmax(x, -1)).max(0)
    assert (reached <= bound[0]).all()
    slack = 8 * (np.ptp(x) + np.abs(x).max() + 4 * e.max() + 60) * UNIT_ROUNDOFF
    assert (bound[0] <= reached * (1 + 1e-5) + slack).all()


def test_log_softmax_bound_covers_other_orders() -> None:
    rng = np.random.default_rng(1)
    for scale in (1, 30, 1000):
        x = rng.normal(scale, scale, (500, 20)).astype(F)
        bound = log_softmax_bound(x.astype(np.float64), np.zeros(x.shape))
        most = x.max(-1, keepdims=True)
        whole = x - (most + np.log(np.exp(x - most).sum(-1, keepdims=True)))
        assert (np.abs(whole - special.log_softmax(x.astype(np.float64), -1)) <= bound).all()


def test_log_softmax_refuses_a_scalar() -> None:
    with pytest.raises(ModelError, match="without axes"):
        OPS["LogSoftmax"].infer_shape(NoAttrs(), [()], {})


def test_infinite_errors_leave_an_infinite_bound() -> None:
    x = np.array([[1.0, 2.0]])
    assert not np.isfinite(log_softmax_bound(x, np.full_like(x, np.inf))).any()

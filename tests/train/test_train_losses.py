"""Losses: against SciPy's special functions, central differences and PyTorch; stable where numbers overflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from refcompress.errors import DataError, OptionError
from refcompress.train import losses

Loss = Callable[[Any], tuple[float, NDArray[Any]]]
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 4), scale=3)
LABELS = np.array([0, 3, 1, 1, 2])
SOFT = special.softmax(RNG.normal(size=(5, 4)), axis=-1)
TEACHER = RNG.normal(size=(5, 4), scale=2)
UNIT = np.float64(2.0**-53)


def smoothed_labels(z: Any) -> tuple[float, NDArray[Any]]:
    return losses.softmax_cross_entropy(z, LABELS, label_smoothing=0.1)


def soft_labels(z: Any) -> tuple[float, NDArray[Any]]:
    return losses.softmax_cross_entropy(z, SOFT)


def unnormalized_labels(z: Any) -> tuple[float, NDArray[Any]]:
    return losses.softmax_cross_entropy(z, 3 * SOFT)


def squared(z: Any) -> tuple[float, NDArray[Any]]:
    return losses.mean_squared_error(z, TEACHER)


def binary(z: Any) -> tuple[float, NDArray[Any]]:
    return losses.binary_cross_entropy(z, SOFT)


def distilled(z: Any) -> tuple[float, NDArray[Any]]:
    return losses.distillation(z, LABELS, TEACHER, temperature=3.0, hard_weight=0.3, label_smoothing=0.2)


EVERY = [smoothed_labels, soft_labels, unnormalized_labels, squared, binary, distilled]


@pytest.mark.parametrize("loss", EVERY)
def test_the_gradient_is_the_slope_of_the_value(loss: Loss) -> None:
    _, gradient = loss(LOGITS)
    step = 1e-5
    for place in np.ndindex(LOGITS.shape):
        up, down = LOGITS.copy(), LOGITS.copy()
        up[place] += step
        down[place] -= step
        slope = (loss(up)[0] - loss(down)[0]) / (2 * step)
        # truncation step^2 / 6 times a third derivative below 20, rounding of values below 100
        assert abs(slope - gradient[place]) <= 20 / 6 * step**2 + 100 * UNIT / step * 8


@pytest.mark.parametrize("loss", EVERY)
def test_float32_gives_a_float32_gradient_near_that_of_float64(loss: Loss) -> None:
    value, gradient = loss(LOGITS.astype(np.float32))
    exact, wanted = loss(LOGITS.astype(np.float32).astype(np.float64))
    assert gradient.dtype == np.float32
    assert value == pytest.approx(exact, rel=64 * 2.0**-24)
    assert np.abs(gradient - wanted).max() <= 64 * 2.0**-24 * max(1.0, float(np.abs(wanted).max()))


def test_softmax_cross_entropy_is_that_of_scipy() -> None:
    value, gradient = losses.softmax_cross_entropy(LOGITS, LABELS)
    log_p = special.log_softmax(LOGITS, axis=-1)
    assert value == pytest.approx(-log_p[np.arange(5), LABELS].mean(), rel=1e-14)
    assert np.allclose(gradient, (special.softmax(LOGITS, axis=-1) - np.eye(4)[LABELS]) / 5, rtol=1e-13, atol=1e-16)


def test_smoothing_is_cross_entropy_with_smoothed_probabilities() -> None:
    targets = 0.9 * np.eye(4)[LABELS] + 0.1 / 4
    wanted = special.entr(targets).sum(-1) + special.rel_entr(targets, special.softmax(LOGITS, axis=-1)).sum(-1)
    assert smoothed_labels(LOGITS)[0] == pytest.approx(wanted.mean(), rel=1e-13)


def test_binary_cross_entropy_is_that_of_scipy() -> None:
    value, gradient = binary(LOGITS)
    wanted = -(SOFT * special.log_expit(LOGITS) + (1 - SOFT) * special.log_expit(-LOGITS))
    assert value == pytest.approx(wanted.mean(), rel=1e-14)
    assert np.allclose(gradient, (special.expit(LOGITS) - SOFT) / LOGITS.size, rtol=1e-13, atol=1e-17)


def test_distillation_is_a_divergence_of_softened_softmaxes() -> None:
    soft, student = (special.softmax(z / 3.0, axis=-1) for z in (TEACHER, LOGITS))
    wanted = 0.3 * smoothed(0.2) + 0.7 * 9.0 * special.rel_entr(soft, student).sum(-1).mean()
    assert distilled(LOGITS)[0] == pytest.approx(wanted, rel=1e-13)


def smoothed(share: float) -> float:
    targets = (1 - share) * np.eye(4)[LABELS] + share / 4
    return float(-(targets * special.log_softmax(LOGITS, axis=-1)).sum(-1).mean())


def test_a_student_like_its_teacher_learns_nothing_from_it() -> None:
    value, gradient = losses.distillation(TEACHER + 7.0, LABELS, TEACHER, hard_weight=0.0)
    assert abs(value) < 1e-13
    assert np.abs(gradient).max() < 1e-13


@given(st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=2, max_size=6), st.integers(0, 5))
def test_huge_logits_give_finite_numbers(row: list[float], label: int) -> None:
    z = np.array([row], np.float32)
    for loss in (losses.softmax_cross_entropy, losses.binary_cross_entropy):
        targets = [label % z.size] if loss is losses.softmax_cross_entropy else np.ones_like(z)
        with np.errstate(over="ignore"):  # a difference or a sum beyond float32 is a loss of inf, never NaN
            value, gradient = loss(z, targets)
        assert not np.isnan(value)
        assert np.isfinite(gradient).all()


def test_logits_far_apart_cost_what_they_differ() -> None:
    value, gradient = losses.softmax_cross_entropy([[1000.0, -1000.0]], [1])
    assert value == 2000.0
    assert gradient.tolist() == [[1.0, -1.0]]
    assert losses.binary_cross_entropy([-1000.0], [1.0])[0] == 1000.0


def test_logits_of_minus_infinity_are_impossible_classes() -> None:
    value, gradient = losses.softmax_cross_entropy([[0.0, -np.inf]], [0])
    assert value == 0.0
    assert gradient.tolist() == [[0.0, 0.0]]
    assert losses.distillation([[0.0, 1.0]], [0], [[0.0, -np.inf]], hard_weight=0.0)[0] > 0


def test_many_positions_are_averaged_like_many_samples() -> None:
    z = RNG.normal(size=(2, 3, 4))
    labels = RNG.integers(0, 4, size=(2, 3))
    value, gradient = losses.softmax_cross_entropy(z, labels)
    flat, flat_gradient = losses.softmax_cross_entropy(z.reshape(6, 4), labels.reshape(6))
    assert value == flat
    assert np.array_equal(gradient, flat_gradient.reshape(z.shape))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.softmax_cross_entropy(LOGITS, LABELS + 1), DataError, "labels from 1 to 4 for 4 classes"),
        (lambda: losses.softmax_cross_entropy(LOGITS, LABELS[:3]), DataError, r"shape \(3,\)"),
        (lambda: losses.softmax_cross_entropy(LOGITS, -SOFT), DataError, "negative"),
        (lambda: losses.softmax_cross_entropy(np.zeros((0, 4)), []), DataError, "at least one sample"),
        (lambda: losses.softmax_cross_entropy(LOGITS, LABELS, label_smoothing=1.5), OptionError, "smoothing of 1.5"),
        (lambda: losses.softmax_cross_entropy(LOGITS.astype(complex), LABELS), DataError, "real numbers"),
        (lambda: losses.mean_squared_error(LOGITS, LABELS), DataError, r"must be real numbers of shape \(5, 4\)"),
        (lambda: losses.binary_cross_entropy(LOGITS, 2 * SOFT + 1), DataError, "no probability"),
        (lambda: losses.distillation(LOGITS, LABELS, TEACHER, temperature=0), OptionError, "temperature of 0"),
        (lambda: losses.distillation(LOGITS, LABELS, TEACHER, hard_weight=2), OptionError, "hard weight of 2"),
        (lambda: losses.distillation(LOGITS, LABELS, TEACHER[:, :2]), DataError, r"shape \(5, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_values_and_gradients_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    labels, soft, teacher = torch.tensor(LABELS), torch.tensor(SOFT), torch.tensor(TEACHER)
    theirs = {
        smoothed_labels: lambda z: functional.cross_entropy(z, labels, label_smoothing=0.1),
        soft_labels: lambda z: functional.cross_entropy(z, soft),
        squared: lambda z: functional.mse_loss(z, teacher),
        binary: lambda z: functional.binary_cross_entropy_with_logits(z, soft),
        distilled: lambda z: (
            0.3 * functional.cross_entropy(z, labels, label_smoothing=0.2)
            + 0.7
            * 9
            * functional.kl_div(
                (z / 3).log_softmax(-1), (teacher / 3).log_softmax(-1), log_target=True, reduction="batchmean"
            )
        ),
    }
    for ours, other in theirs.items():
        z = torch.tensor(LOGITS, requires_grad=True)
        wanted = other(z)
        wanted.backward()
        value, gradient = ours(LOGITS)
        assert value == pytest.approx(wanted.item(), rel=1e-13)
        assert np.allclose(gradient, z.grad.numpy(), rtol=1e-12, atol=1e-15)

"""Losses: each returns its value and its gradient.

The value is the mean over the samples (and over the positions, where a network gives logits for many), as in PyTorch's
``reduction="mean"``; the gradient is that of the mean, in the dtype of the first argument. A Softmax or Sigmoid at the
end of a network is left out in training: the losses take logits, so that neither overflow nor a probability of zero is
met.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcompress.errors import DataError, OptionError

Array = NDArray[np.floating[Any]]


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike, *, label_smoothing: float = 0.0) -> tuple[float, Array]:
    """Cross-entropy of the softmax of logits with labels.

    Parameters
    ----------
    logits
        (samples, ..., classes), float32 or float64; others become float64.
    labels
        Classes as integers, (samples, ...); or their probabilities, of the shape of the logits.
    label_smoothing
        Share e of the probability that is spread over all classes: targets are ``(1 - e) p + e / classes``
        (Szegedy et al. 2016, section 7), 0 <= e <= 1.

    Returns
    -------
    value
        Mean of ``-sum(p log softmax(z))``, summed in float64.
    gradient
        ``(softmax(z) sum(p) - p) / count``, of the shape and dtype of the logits.

    Raises
    ------
    DataError
        The shapes do not fit, a label is no class, or there are no samples.
    OptionError
        The smoothing is out of range.

    Examples
    --------
    >>> value, gradient = softmax_cross_entropy([[0.0, 0.0]], [1])
    >>> round(value, 6), gradient
    (0.693147, array([[ 0.5, -0.5]]))

    """
    if not 0 <= label_smoothing <= 1:
        raise OptionError(f"a label smoothing of {label_smoothing}; it must be from 0 to 1")
    z = _floats(logits, "the logits")
    targets = _probabilities(labels, z)
    if label_smoothing:
        targets = targets * (1 - label_smoothing) + label_smoothing / z.shape[-1]
    return _cross_entropy(log_softmax(z), targets)


def mean_squared_error(outputs: ArrayLike, targets: ArrayLike) -> tuple[float, Array]:
    """Mean of the squared differences, over samples and elements alike.

    Parameters
    ----------
    outputs
        Any shape, float32 or float64; others become float64.
    targets
        Real numbers of the same shape.

    Returns
    -------
    value, gradient
        ``mean((y - t)^2)``, summed in float64, and ``2 (y - t) / count``.

    Raises
    ------
    DataError
        The shapes differ, or there is nothing to average.

    Examples
    --------
    >>> mean_squared_error([1.0, 3.0], [1.0, 1.0])
    (2.0, array([0., 2.]))

    """
    y = _floats(outputs, "the outputs")
    difference = y - _like(targets, y)
    return _total(np.square(difference)) / y.size, _scaled(difference, 2 / y.size)


def binary_cross_entropy(logits: ArrayLike, targets: ArrayLike) -> tuple[float, Array]:
    """Cross-entropy of the sigmoid of logits with probabilities, each logit a decision of its own.

    ``max(z, 0) - z t + log(1 + exp(-|z|))`` neither overflows nor loses small terms.

    Parameters
    ----------
    logits
        Any shape, float32 or float64; others become float64.
    targets
        Probabilities of the same shape, 0 to 1.

    Returns
    -------
    value, gradient
        Mean over all elements, summed in float64, and ``(sigmoid(z) - t) / count``.

    Raises
    ------
    DataError
        The shapes differ, a target is no probability, or there is nothing to average.

    Examples
    --------
    >>> value, gradient = binary_cross_entropy([0.0, 1000.0], [1.0, 1.0])
    >>> round(value, 6), gradient
    (0.346574, array([-0.25,  0.  ]))

    """
    z = _floats(logits, "the logits")
    t = _like(targets, z)
    if not ((t >= 0) & (t <= 1)).all():
        raise DataError("a target that is no probability; they must be from 0 to 1")
    small = np.exp(-np.abs(z))
    terms = np.maximum(z, 0) - z * t + np.log1p(small)
    sigmoid = np.where(z >= 0, 1, small) / (1 + small)
    return _total(terms) / z.size, _scaled(sigmoid - t, 1 / z.size)


def distillation(
    logits: ArrayLike,
    labels: ArrayLike,
    teacher_logits: ArrayLike,
    *,
    temperature: float = 4.0,
    hard_weight: float = 0.1,
    label_smoothing: float = 0.0,
) -> tuple[float, Array]:
    """Teach a network what another one, or an ensemble of them, computes (Hinton, Vinyals & Dean 2015, section 2).

    ``hard_weight * CE(labels, z) + (1 - hard_weight) * T^2 * KL(softmax(teacher / T) || softmax(z / T))``. The factor
    T^2 keeps the weight of the soft targets when T changes. The paper has the cross-entropy in place of the divergence:
    the two differ by the teacher's entropy, and their gradients are equal.

    Parameters
    ----------
    logits
        (samples, ..., classes), float32 or float64; others become float64.
    labels
        As for :func:`softmax_cross_entropy`.
    teacher_logits
        Of the shape of the logits. For an ensemble, the mean of its logits or the logarithm of its mean probabilities.
    temperature
        T > 0, of both softmaxes.
    hard_weight
        Weight of the labels, 0 to 1.
    label_smoothing
        Of the labels.

    Returns
    -------
    value, gradient
        Mean over the samples, summed in float64, and its gradient by the logits.

    Raises
    ------
    DataError
        The shapes do not fit, a label is no class, or there are no samples.
    OptionError
        An option is out of range.

    Examples
    --------
    >>> distillation([[1.0, -1.0]], [0], [[1.0, -1.0]], hard_weight=0.0)
    (0.0, array([[0., 0.]]))

    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise OptionError(f"a temperature of {temperature}; it must be finite and above 0")
    if not 0 <= hard_weight <= 1:
        raise OptionError(f"a hard weight of {hard_weight}; it must be from 0 to 1")
    z = _floats(logits, "the logits")
    hard, gradient = softmax_cross_entropy(z, labels, label_smoothing=label_smoothing)
    teacher = log_softmax(_like(teacher_logits, z) / temperature)
    student = log_softmax(z / temperature)
    soft = np.exp(teacher)
    # where the teacher's probability vanishes its logarithm may be -inf; the term is 0
    terms = soft * np.where(soft > 0, teacher - student, 0)
    count = z.size // z.shape[-1]
    soft_value = temperature**2 * _total(terms) / count
    soft_gradient = _scaled(np.exp(student) - soft, temperature / count)
    value = hard_weight * hard + (1 - hard_weight) * soft_value
    return value, _scaled(gradient, hard_weight) + _scaled(soft_gradient, 1 - hard_weight)


def log_softmax(logits: Array) -> Array:
    """Logarithm of the softmax over the last axis, without overflow.

    Examples
    --------
    >>> log_softmax(np.array([1000.0, 1000.0])).round(6)
    array([-0.693147, -0.693147])

    """
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _cross_entropy(log_probabilities: Array, targets: Array) -> tuple[float, Array]:
    """Mean of ``-sum(p log q)`` and its gradient by the logits of q."""
    count = targets.size // targets.shape[-1]
    terms = targets * np.where(targets > 0, log_probabilities, 0)  # 0 times -inf is nothing here
    gradient = np.exp(log_probabilities) * targets.sum(axis=-1, keepdims=True) - targets
    return -_total(terms) / count, _scaled(gradient, 1 / count)


def _floats(value: ArrayLike, what: str) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} are of dtype {array.dtype}; they must be real numbers")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.ndim == 0 or array.size == 0:
        raise DataError(f"{what} have the shape {array.shape}; there must be at least one sample")
    return array


def _like(value: ArrayLike, model: Array) -> Array:
    array = np.asarray(value)
    if array.shape != model.shape or array.dtype.kind not in "biuf":
        raise DataError(
            f"targets of shape {array.shape} and dtype {array.dtype}; they must be real numbers of shape {model.shape}"
        )
    return np.asarray(array, model.dtype)


def _probabilities(labels: ArrayLike, z: Array) -> Array:
    """Labels as probabilities of each class."""
    given = np.asarray(labels)
    classes = z.shape[-1]
    if given.dtype.kind in "iu" and given.shape == z.shape[:-1]:
        if given.min() < 0 or given.max() >= classes:
            raise DataError(
                f"labels from {given.min()} to {given.max()} for {classes} classes; allowed are 0 to {classes - 1}"
            )
        return np.asarray(np.equal(given[..., None], np.arange(classes)), z.dtype)
    if given.shape != z.shape or given.dtype.kind not in "biuf":
        raise DataError(
            f"labels of shape {given.shape} and dtype {given.dtype} for logits of shape {z.shape}; "
            f"they must be integers of shape {z.shape[:-1]} or probabilities of shape {z.shape}"
        )
    probabilities = np.asarray(given, z.dtype)
    if not (probabilities >= 0).all():
        raise DataError("a label's probability is negative or NaN; they must be at least 0")
    return probabilities


def _total(terms: Array) -> float:
    return float(terms.sum(dtype=np.float64))


def _scaled(array: Array, factor: float) -> Array:
    """Multiply without leaving the array's dtype."""
    return np.asarray(array * array.dtype.type(factor))

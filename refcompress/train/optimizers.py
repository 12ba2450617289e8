"""Optimizers: from parameters, gradients and a rate to new parameters.

An optimizer is a frozen dataclass of its options. ``start(params)`` gives its first state,
``step(params, grads, state, rate)`` new parameters and the next state. Definitions are those of PyTorch 2; what is
left out of PyTorch's options, and where other tools differ, is said with each.

Arrays are float32 or float64, and all arithmetic is in the dtype of the parameter. Nothing is written to unless
``donate=True``: then the arrays of ``params``, ``grads`` and ``state`` are used up, which saves their copies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, OptionError

Array = NDArray[np.floating[Any]]
Arrays = Mapping[str, Array]
Decay = float | Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What an optimizer remembers.

    Attributes
    ----------
    count
        Steps taken.
    slots
        Name of a quantity (``"momentum"``) to that quantity of each parameter.

    """

    count: int = 0
    slots: Mapping[str, Arrays] = field(default_factory=dict)


class Optimizer(Protocol):
    """What the training loop asks of an optimizer."""

    def start(self, params: Arrays) -> State:
        """Return the state before the first step."""
        ...

    def step(
        self, params: Arrays, grads: Arrays, state: State, rate: float, *, donate: bool = False
    ) -> tuple[dict[str, Array], State]:
        """Return the parameters and the state after one step."""
        ...


@dataclass(frozen=True, slots=True)
class Sgd:
    """Stochastic gradient descent, with momentum if wanted; PyTorch's ``SGD`` without ``dampening``.

    ``d = g + decay w``; with momentum ``v = momentum v + d``, and then ``d = v``, or ``d = d + momentum v`` for
    Nesterov's (Sutskever et al. 2013, in the form of Bengio et al. 2012); ``w = w - rate d``.

    The rate stands outside the velocity. Caffe and Keras keep it inside (``v = momentum v - rate g; w = w + v``): equal
    at a constant rate, not when a schedule changes it.

    Attributes
    ----------
    momentum
        0 <= momentum < 1.
    nesterov
        Whether to look ahead; needs a momentum.
    weight_decay
        Strength of the L2 penalty ``decay / 2 |w|^2``: one number, or by parameter (those not named have none).

    Raises
    ------
    OptionError
        An option is out of range.

    Examples
    --------
    >>> optimizer, params = Sgd(momentum=0.5), {"w": np.array([1.0])}
    >>> state = optimizer.start(params)
    >>> for _ in range(2):
    ...     params, state = optimizer.step(params, {"w": np.array([1.0])}, state, 0.1)
    >>> params
    {'w': array([0.75])}

    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: Decay = 0.0

    def __post_init__(self) -> None:
        _check_share("momentum", self.momentum)
        _check_decay(self.weight_decay)
        if self.nesterov and not self.momentum:
            raise OptionError("nesterov without momentum; give a momentum above 0")

    def start(self, params: Arrays) -> State:
        """Return velocities of zero, or nothing without momentum."""
        return State(0, {"momentum": _zeros(params)} if self.momentum else {})

    def step(
        self, params: Arrays, grads: Arrays, state: State, rate: float, *, donate: bool = False
    ) -> tuple[dict[str, Array], State]:
        """Take one step.

        Parameters
        ----------
        params, grads
            Name to array; the same names and shapes.
        state
            Of :meth:`start` or of the step before.
        rate
            Learning rate.
        donate
            Whether all arrays given may be overwritten.

        Raises
        ------
        DataError
            Names or shapes do not fit.

        """
        from refcompress.kernels import steps

        _check_fit(params, grads, state)
        new, velocities = {}, {}
        for name, given in params.items():
            w, decay = _own(given, donate), _decay_of(self.weight_decay, name)
            if self.momentum:
                v = velocities[name] = _own(state.slots["momentum"][name], donate)
                scalars = np.array((self.momentum, decay, rate), w.dtype)
                steps.momentum(_line(w), _line(grads[name]), _line(v), scalars, self.nesterov)
            else:
                d = _own(grads[name], donate)
                _add_scaled(d, w, decay)
                _add_scaled(w, d, -rate, use_up=True)
            new[name] = w
        return new, State(state.count + 1, {"momentum": velocities} if self.momentum else {})


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1); PyTorch's ``Adam`` without ``amsgrad``.

    ``g = g + decay w``; ``m = beta1 m + (1 - beta1) g``; ``v = beta2 v + (1 - beta2) g^2``;
    ``w = w - rate / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)``.

    The epsilon is added after the bias correction, as in the paper and in PyTorch; Keras and TensorFlow add it before
    (the paper's "epsilon hat"), where it counts for more in the first steps.

    Attributes
    ----------
    beta1, beta2
        Memory of the two moments, 0 <= beta < 1.
    epsilon
        Above 0.
    weight_decay
        Strength of the L2 penalty, part of the gradient: one number, or by parameter (those not named have none).

    Raises
    ------
    OptionError
        An option is out of range.

    Examples
    --------
    >>> optimizer, params = Adam(), {"w": np.array([1.0, 1.0])}
    >>> params, state = optimizer.step(params, {"w": np.array([0.1, -100.0])}, optimizer.start(params), 0.5)
    >>> params["w"].round(4)
    array([0.5, 1.5])

    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: Decay = 0.0

    def __post_init__(self) -> None:
        _check_adam(self.beta1, self.beta2, self.epsilon)
        _check_decay(self.weight_decay)

    def start(self, params: Arrays) -> State:
        """Return moments of zero."""
        return State(0, {"mean": _zeros(params), "square": _zeros(params)})

    def step(
        self, params: Arrays, grads: Arrays, state: State, rate: float, *, donate: bool = False
    ) -> tuple[dict[str, Array], State]:
        """Take one step; parameters and errors are those of :meth:`Sgd.step`."""
        _check_fit(params, grads, state)
        factors = {name: (1.0, _decay_of(self.weight_decay, name)) for name in params}
        return _adam_step(params, grads, state, factors, rate, self, donate=donate)


@dataclass(frozen=True, slots=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2); PyTorch's ``AdamW``.

    ``w = w (1 - rate decay)``, then Adam's step on the gradient alone. The decay is multiplied with the rate, as in
    PyTorch; the paper multiplies it with the schedule's multiplier only.

    Attributes
    ----------
    beta1, beta2, epsilon
        As for :class:`Adam`.
    weight_decay
        One number, or by parameter (those not named have none).

    Raises
    ------
    OptionError
        An option is out of range.

    Examples
    --------
    >>> optimizer, params = AdamW(weight_decay=0.1), {"w": np.array([2.0])}
    >>> params, state = optimizer.step(params, {"w": np.array([0.0])}, optimizer.start(params), 0.5)
    >>> params
    {'w': array([1.9])}

    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: Decay = 0.01

    def __post_init__(self) -> None:
        _check_adam(self.beta1, self.beta2, self.epsilon)
        _check_decay(self.weight_decay)

    def start(self, params: Arrays) -> State:
        """Return moments of zero."""
        return State(0, {"mean": _zeros(params), "square": _zeros(params)})

    def step(
        self, params: Arrays, grads: Arrays, state: State, rate: float, *, donate: bool = False
    ) -> tuple[dict[str, Array], State]:
        """Take one step; parameters and errors are those of :meth:`Sgd.step`."""
        _check_fit(params, grads, state)
        factors = {name: (1 - rate * _decay_of(self.weight_decay, name), 0.0) for name in params}
        return _adam_step(params, grads, state, factors, rate, self, donate=donate)


def _adam_step(
    params: Arrays,
    grads: Arrays,
    state: State,
    factors: Mapping[str, tuple[float, float]],
    rate: float,
    options: Adam | AdamW,
    *,
    donate: bool,
) -> tuple[dict[str, Array], State]:
    """Take Adam's step; factors are what each parameter is multiplied with before it, and its L2 decay."""
    from refcompress.kernels import steps

    count = state.count + 1
    first_size = rate / (1 - options.beta1**count)
    spread = math.sqrt(1 - options.beta2**count)
    memories = (options.beta1, 1 - options.beta1, options.beta2, 1 - options.beta2)
    new, means, squares = {}, {}, {}
    for name, given in params.items():
        w = new[name] = _own(given, donate)
        m = means[name] = _own(state.slots["mean"][name], donate)
        v = squares[name] = _own(state.slots["square"][name], donate)
        scalars = np.array((*factors[name], *memories, spread, options.epsilon, first_size), w.dtype)
        steps.adam(_line(w), _line(grads[name]), _line(m), _line(v), scalars)
    return new, State(count, {"mean": means, "square": squares})


def _add_scaled(target: Array, term: Array, factor: float, *, use_up: bool = False) -> None:
    """``target += factor * term`` in place and in one dtype; the term may be used up."""
    if factor == 0:
        return
    scale = target.dtype.type(factor)
    if use_up:
        term *= scale
        target += term
    else:
        target += term * scale


def _own(array: Array, donate: bool) -> Array:
    """Return an array that may be written to, contiguous."""
    return array if donate and array.flags.c_contiguous else array.copy()


def _line(array: Array) -> Array:
    """Return all elements as one line: a view of what is contiguous."""
    return array.reshape(-1)


def _zeros(params: Arrays) -> dict[str, Array]:
    return {name: np.zeros_like(array) for name, array in params.items()}


def _decay_of(decay: Decay, name: str) -> float:
    return decay.get(name, 0.0) if isinstance(decay, Mapping) else decay


def _check_fit(params: Arrays, grads: Arrays, state: State) -> None:
    for what, arrays in (("gradients", grads), *state.slots.items()):
        if arrays.keys() != params.keys():
            odd = sorted(arrays.keys() ^ params.keys())
            raise DataError(f"{what} and parameters differ in the names {odd}; each parameter needs one of each")
        for name, array in params.items():
            if arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
                raise DataError(
                    f"{what} of {name!r} are {arrays[name].dtype} of shape {arrays[name].shape}; "
                    f"the parameter is {array.dtype} of shape {array.shape}"
                )


def _check_adam(beta1: float, beta2: float, epsilon: float) -> None:
    _check_share("beta1", beta1)
    _check_share("beta2", beta2)
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise OptionError(f"an epsilon of {epsilon}; it must be finite and above 0")


def _check_share(what: str, share: float) -> None:
    if not 0 <= share < 1:
        raise OptionError(f"a {what} of {share}; allowed is 0 <= {what} < 1")


def _check_decay(decay: Decay) -> None:
    for value in decay.values() if isinstance(decay, Mapping) else (decay,):
        if not (math.isfinite(value) and value >= 0):
            raise OptionError(f"a weight decay of {value}; it must be finite and at least 0")

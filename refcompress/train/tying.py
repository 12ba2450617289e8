"""Tied centroids: weights that share values, trained through the values they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import Bits, Codebook, Dense, Encoding, IntegerCodebook
from refcompress.encodings.rows import to_rows
from refcompress.encodings.values import MAX_INTEGER_CENTROIDS, label_bits
from refcompress.errors import DataError, OptionError
from refcompress.integer.weight_scales import centroid_steps
from refcompress.train.constraints import Array, Arrays, ConstraintState, check_names, latent_name

Gradient = Literal["sum", "mean"]

MAX_CENTROIDS = 4096


@dataclass(frozen=True, slots=True)
class TiedCentroids:
    """Each weight is one of few centroids, and the centroids learn (Han, Mao & Dally 2016, section 3.3).

    The distinct values of a weight when training starts are its centroids, as a pass for weight sharing left them. A
    weight of exactly zero stays zero, and zero is no centroid, unless ``zero_learns``.

    A centroid's gradient is the **sum** of its members' gradients: that is the derivative of the loss by the centroid,
    and the paper's equation 3. The **mean** takes equal rates to centroids of few members and of many; with plain SGD
    it moves a centroid to the mean of its members after a step each of their own.

    With ``reassign_every=n`` the members keep values of their own, starting at their centroids, which the gradient
    of the effective weight moves as if nothing were tied (a straight-through estimate); after every n-th step each
    weight that is not zero goes to the centroid nearest to its own value, halfway to the lower one.

    With ``integers`` the network runs with int8 for centroids, whose scale is that of
    :func:`refcompress.integer.weight_scales.centroid_steps`; what learns are centroids that are no integers, as if
    nothing were rounded (a straight-through estimate).

    The latent of a parameter ``w`` is ``w:centroids``, increasing at the start; with re-assignment also ``w``, the
    members' own values.

    Attributes
    ----------
    names
        The tied weights.
    gradient
        ``"sum"`` or ``"mean"``.
    reassign_every
        Steps from one re-assignment to the next; 0 for none.
    zero_learns
        Whether zero is a value like any other.
    integers
        Whether centroids are rounded to int8; a weight then has at most 256 of them, zero included.

    Raises
    ------
    OptionError
        An option is not allowed.

    Examples
    --------
    >>> tied = TiedCentroids(("w",))
    >>> latents, state = tied.start({"w": np.array([[0.0, 2.0], [2.0, 5.0]])})
    >>> latents
    {'w:centroids': array([2., 5.])}
    >>> tied.pull({"w": np.array([[9.0, 1.0], [2.0, 3.0]])}, state)
    {'w:centroids': array([3., 3.])}
    >>> tied.effective({"w:centroids": np.array([1.0, 4.0])}, state)["w"]
    array([[0., 1.],
           [1., 4.]])

    """

    names: tuple[str, ...]
    gradient: Gradient = "sum"
    reassign_every: int = 0
    zero_learns: bool = False
    integers: bool = False

    def __post_init__(self) -> None:
        if self.gradient not in get_args(Gradient):
            raise OptionError(f"the gradient {self.gradient!r}; there are {', '.join(get_args(Gradient))}")
        if self.reassign_every < 0:
            raise OptionError(f"a re-assignment every {self.reassign_every} steps; give 1 or more, or 0 for none")

    def start(self, params: Arrays) -> tuple[dict[str, Array], ConstraintState]:
        """Return the centroids (and members) of each weight; the state holds labels, 0 for weights that stay zero.

        Raises
        ------
        DataError
            A weight has more than 4096 distinct values, or 256 if they are integers, or one that is not finite.

        """
        check_names(self.names, params, "parameters")
        latents: dict[str, Array] = {}
        labels: dict[str, NDArray[Any]] = {}
        for name in self.names:
            values = params[name]
            most = MAX_INTEGER_CENTROIDS - (not self.zero_learns) if self.integers else MAX_CENTROIDS
            centroids = _distinct(name, values, most, zero_learns=self.zero_learns)
            found = np.searchsorted(centroids, values) + 1
            labels[name] = np.where((values == 0) & (not self.zero_learns), 0, found).astype(np.uint16)
            labels[latent_name(name, "count")] = np.array(centroids.size)
            latents[latent_name(name, "centroids")] = centroids
            if self.reassign_every:
                latents[name] = values.copy()
        return latents, labels

    def effective(self, latents: Arrays, state: ConstraintState) -> dict[str, Array]:
        """Return the weights: each its centroid."""
        return {name: self._values(name, latents, state)[state[name]] for name in self.names}

    def _values(self, name: str, latents: Arrays, state: ConstraintState) -> Array:
        """Return what labels stand for: 0, and the centroids."""
        centroids = latents[latent_name(name, "centroids")]
        if self.integers:
            steps, scale = self._steps(name, latents, state)
            return (steps * scale).astype(centroids.dtype)
        return np.concatenate([np.zeros(1, centroids.dtype), centroids])

    def _steps(self, name: str, latents: Arrays, state: ConstraintState) -> tuple[NDArray[np.int64], float]:
        """Return what labels stand for as integers, and their scale."""
        values = np.append(0.0, latents[latent_name(name, "centroids")].astype(np.float64))
        return centroid_steps(values, np.bincount(state[name].reshape(-1), minlength=values.size))

    def encoded(self, latents: Arrays, state: ConstraintState) -> dict[str, Encoding]:
        """Return codebooks of the centroids that are in use."""
        found: dict[str, Encoding] = {}
        for name in self.names:
            labels = to_rows(state[name]).reshape(-1)
            if self.integers:
                steps, scale = self._steps(name, latents, state)
                used, stream = _labelled(steps[labels])
                found[name] = Dense(state[name].shape, IntegerCodebook(used.astype(np.int8), scale, stream))
            else:
                used, stream = _labelled(self._values(name, latents, state)[labels])
                book = Codebook(used.astype(np.float32) + np.float32(0), stream)
                found[name] = Dense(state[name].shape, book)
        return found

    def support(self, state: ConstraintState) -> dict[str, NDArray[np.bool_]]:
        """Return where there is a centroid, unless zero is one."""
        return {} if self.zero_learns else {name: state[name] > 0 for name in self.names}

    def pull(self, grads: Arrays, state: ConstraintState) -> dict[str, Array]:
        """Return the gradients of the centroids (and of the members), summed in float64 in the order of the weights."""
        pulled: dict[str, Array] = {}
        for name in self.names:
            labels, grad = state[name].reshape(-1), grads[name]
            size = int(state[latent_name(name, "count")])
            sums: NDArray[Any] = np.bincount(labels, grad.reshape(-1), size + 1)[1:]
            if self.gradient == "mean":
                sums /= np.maximum(np.bincount(labels, minlength=size + 1)[1:], 1)
            pulled[latent_name(name, "centroids")] = sums.astype(grad.dtype)
            if self.reassign_every:
                pulled[name] = np.where(state[name] > 0, grad, grad.dtype.type(0))
        return pulled

    def follow(self, latents: Arrays, state: ConstraintState, count: int) -> tuple[dict[str, Array], ConstraintState]:
        """Move members to the nearest centroid, if this step is one that does."""
        if not self.reassign_every or count % self.reassign_every:
            return dict(latents), state
        labels = dict(state)
        for name in self.names:
            found = nearest(latents[name], latents[latent_name(name, "centroids")]) + 1
            labels[name] = np.where(state[name] > 0, found, 0).astype(np.uint16)
        return dict(latents), labels


def nearest(values: Array, centroids: Array) -> NDArray[np.intp]:
    """Index of the nearest centroid of each value; halfway, that of the lower one.

    Parameters
    ----------
    values
        Any shape.
    centroids
        One dimension, in any order (training may let them pass one another); of equal ones the first counts.

    Examples
    --------
    >>> nearest(np.array([0.0, 2.0, 2.1, 9.0]), np.array([3.0, 1.0]))
    array([1, 1, 0, 0])

    """
    if centroids.size == 0:  # all weights are zero, and stay so
        return np.zeros(values.shape, np.intp)
    order = np.argsort(centroids, kind="stable")
    ordered, first = np.unique(centroids[order].astype(np.float64), return_index=True)
    middles = (ordered[:-1] + ordered[1:]) / 2
    return np.asarray(order[first][np.searchsorted(middles, values.astype(np.float64))])


def _labelled(values: NDArray[Any]) -> tuple[NDArray[Any], Bits]:
    """Return the distinct values, and which of them each is."""
    used, places = np.unique(values, return_inverse=True)
    return used, Bits(places.reshape(-1).astype(np.uint16), label_bits(used.size))


def _distinct(name: str, values: Array, most: int, *, zero_learns: bool) -> Array:
    if not np.isfinite(values).all():
        raise DataError(f"the weight {name!r} holds NaN or infinity; repair the checkpoint")
    centroids = np.unique(values if zero_learns else values[values != 0])
    if centroids.size > most:
        raise DataError(
            f"the weight {name!r} has {centroids.size} distinct values; at most {most} can be tied: "
            "share its weights first"
        )
    return centroids

"""What calibration samples show of activations: least and largest value, and a histogram between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, OptionError
from refcompress.graph import Graph
from refcompress.run import Inputs, check_inputs, run

Floats = NDArray[np.float64]

BINS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """The values of one activation over all samples.

    Attributes
    ----------
    low, high
        The least and the largest value, or 0 where that is beyond: ``low <= 0 <= high``.
    counts
        float64: values in each of as many equal bins from ``low`` to ``high``, exact zeros left out; empty if only
        the ends were asked for.
    zeros
        How many values are exactly 0. They cost nothing at any scale.

    """

    low: float
    high: float
    counts: Floats
    zeros: int = 0

    @property
    def total(self) -> float:
        """How many values there are."""
        return float(self.counts.sum()) + self.zeros


def observe(
    graph: Graph, names: Sequence[str], samples: Inputs, *, batch_size: int, counts: bool
) -> dict[str, Histogram]:
    """Run a network in float32, batch after batch, and note the values of some activations.

    Parameters
    ----------
    graph
        The network.
    names
        Activations; inputs of the network may be among them.
    samples
        Inputs as :func:`refcompress.run` takes them.
    batch_size
        Samples run together; no more of any activation is held.
    counts
        Whether to count histograms, which takes a second run.

    Raises
    ------
    DataError
        The inputs do not fit, there are none, or an activation is infinite or not a number.
    OptionError
        The batch size is below 1.

    """
    watched = replace(graph, outputs=tuple(dict.fromkeys(names)))
    found: dict[str, Histogram] = {}
    for batch in _batches(watched, samples, batch_size):
        for name, values in batch.items():
            low, high = float(values.min(initial=0)), float(values.max(initial=0))
            if not (np.isfinite(low) and np.isfinite(high)):
                raise DataError(f"the activation {name!r} is infinite or not a number for some calibration sample")
            if name in found:
                low, high = min(low, found[name].low), max(high, found[name].high)
            found[name] = Histogram(low, high, np.zeros(0))
    if not counts:
        return found
    found = {name: replace(each, counts=np.zeros(BINS)) for name, each in found.items()}
    for batch in _batches(watched, samples, batch_size):
        for name, values in batch.items():
            found[name] = _with_values(found[name], values)
    return found


def _batches(watched: Graph, samples: Inputs, batch_size: int) -> Iterator[Mapping[str, NDArray[np.float32]]]:
    if batch_size < 1:
        raise OptionError(f"a batch size of {batch_size}; it must be at least 1")
    arrays = check_inputs(watched, samples)
    count = min(map(len, arrays.values()), default=0)
    if count == 0:
        raise DataError("no calibration samples; give some inputs of the network, 100 or more as a rule")
    for start in range(0, count, batch_size):
        part = {name: array[start : start + batch_size] for name, array in arrays.items()}
        yield dict(zip(watched.outputs, run(watched, part, batch_size=batch_size), strict=True))


def _with_values(histogram: Histogram, values: NDArray[np.float32]) -> Histogram:
    flat = values.reshape(-1)
    nonzero = flat[flat != 0].astype(np.float64)
    span = histogram.high - histogram.low
    places = np.zeros(0, np.int64)
    if span > 0:
        places = np.minimum((nonzero - histogram.low) * (BINS / span), BINS - 1).astype(np.int64)
    counts = histogram.counts + np.bincount(places, minlength=BINS)
    return replace(histogram, counts=counts, zeros=histogram.zeros + flat.size - nonzero.size)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Integrals of a histogram whose values lie evenly within each bin.

    Attributes
    ----------
    edges
        Of the bins, one more than bins.
    density
        Values for each unit of length, in each bin.
    below
        (3, edges): integrals of 1, x and x^2 up to each edge.

    """

    edges: Floats
    density: Floats
    below: Floats

    def upto(self, points: Floats) -> Floats:
        """Return the integrals of 1, x and x^2 up to points, (3, points); points beyond the ends count as the ends."""
        inside = np.clip(points, self.edges[0], self.edges[-1])
        bins = np.clip(np.searchsorted(self.edges, inside, "right") - 1, 0, len(self.density) - 1)
        added = self.density[bins] * (_powers(inside) - _powers(self.edges[bins]))
        result: Floats = self.below[:, bins] + added
        return result


def _powers(x: Floats) -> Floats:
    return np.stack([x, x**2 / 2, x**3 / 3])


def moments(histogram: Histogram) -> Moments:
    """Integrate a histogram that has counts and some width."""
    edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
    density = histogram.counts / np.diff(edges)
    steps = density * np.diff(_powers(edges), axis=1)
    below = np.concatenate([np.zeros((3, 1)), np.cumsum(steps, axis=1)], axis=1)
    return Moments(edges, density, below)

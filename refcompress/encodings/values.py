"""What stored values are: float32, a codebook's labels, integers on a linear scale, or a codebook of integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings.arrays import check_array
from refcompress.encodings.bits import Bits
from refcompress.encodings.canonical import alphabet_size
from refcompress.encodings.huffman import Huffman
from refcompress.encodings.rows import to_rows
from refcompress.errors import OptionError

MAX_CENTROIDS = 1 << 12
MAX_INTEGER_CENTROIDS = 1 << 8
MAX_LINEAR_BITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """Integers that have no stream of their own: they ride above the gap in each symbol of the gap stream.

    Attributes
    ----------
    symbols
        The integers, uint16, without those of escapes (which carry none).
    width_bits
        Bits of a symbol that belong to them.

    """

    symbols: NDArray[np.uint16]
    width_bits: int

    def __post_init__(self) -> None:
        check_array(self.symbols, np.uint16, "the integers of a joint stream")


IntStream = Bits | Huffman | Joint


class Float32:
    """Values as they are.

    Parameters
    ----------
    array
        The values, float32, one dimension.

    """

    __slots__ = ("_held",)

    def __init__(self, array: NDArray[np.float32]) -> None:
        check_array(array, np.float32, "the values")
        # replaced as one, so that another thread never sees half of it
        self._held: tuple[NDArray[np.float32], bool] = (array, True)

    @classmethod
    def of(cls, weight: NDArray[np.float32]) -> Float32:
        """Hold a weight that nobody changes any more; its values are put in row order when they are asked for.

        That takes longer than reading them from a file, and not everybody asks.

        Examples
        --------
        >>> Float32.of(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)).array
        array([1., 3., 2., 4.], dtype=float32)

        """
        values = cls(weight.reshape(-1)[:0])
        values._held = (weight, False)
        return values

    @property
    def array(self) -> NDArray[np.float32]:
        """The values, one dimension, in row order (see :mod:`refcompress.encodings.rows`)."""
        array, in_rows = self._held
        if not in_rows:
            array = to_rows(array).reshape(-1)
            self._held = (array, True)
        return array

    @property
    def plain(self) -> NDArray[np.float32] | None:
        """The weight that :meth:`of` was given, as long as ``array`` was not asked for."""
        array, in_rows = self._held
        return None if in_rows else array

    @property
    def count(self) -> int:
        """How many values there are."""
        return self._held[0].size

    def __repr__(self) -> str:
        return f"Float32(array={self.array!r})"

    def __reduce__(self) -> tuple[type[Float32], tuple[NDArray[np.float32]]]:
        return Float32, (self.array,)


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """Shared weights: a label for each value, a centroid for each label.

    Attributes
    ----------
    centroids
        float32, at most 4096 of them.
    labels
        Stream of indices into ``centroids``.

    """

    centroids: NDArray[np.float32]
    labels: IntStream

    def __post_init__(self) -> None:
        check_array(self.centroids, np.float32, "the centroids")
        count = len(self.centroids)
        if not 1 <= count <= MAX_CENTROIDS:
            raise OptionError(f"{count} centroids; allowed are 1 to {MAX_CENTROIDS}")
        check_stream(self.labels, label_bits(count), "labels")
        if self.labels.symbols.size and int(self.labels.symbols.max()) >= count:
            raise OptionError(f"label {int(self.labels.symbols.max())} of a codebook of {count} centroids")


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Uniform quantization: value = scale * (integer - zero point), in float32, rounded once.

    Attributes
    ----------
    integers
        Stream of unsigned integers.
    bits
        Their width, 1 to 16; integers are below 2^bits.
    scales
        float32 and finite, one for the tensor or one for each row (output unit).
    zero_points
        uint16, as many as scales, below 2^bits.

    """

    integers: IntStream
    bits: int
    scales: NDArray[np.float32]
    zero_points: NDArray[np.uint16]

    def __post_init__(self) -> None:
        check_array(self.scales, np.float32, "the scales")
        check_array(self.zero_points, np.uint16, "the zero points")
        if not 1 <= self.bits <= MAX_LINEAR_BITS:
            raise OptionError(f"{self.bits} bits; linear quantization takes 1 to {MAX_LINEAR_BITS}")
        if len(self.scales) != len(self.zero_points) or not len(self.scales):
            raise OptionError(
                f"{len(self.scales)} scales and {len(self.zero_points)} zero points; give one of each for the "
                "tensor or one of each for every output unit"
            )
        if not np.isfinite(self.scales).all():
            raise OptionError("a scale is infinite or not a number; scales are finite")
        if int(self.zero_points.max()) >> self.bits:
            raise OptionError(f"the zero point {int(self.zero_points.max())} does not fit into {self.bits} bits")
        check_stream(self.integers, self.bits, "integers")
        if self.integers.symbols.size and int(self.integers.symbols.max()) >> self.bits:
            raise OptionError(f"the integer {int(self.integers.symbols.max())} does not fit into {self.bits} bits")


@dataclass(frozen=True, slots=True, eq=False)
class IntegerCodebook:
    """Shared weights that are integers: value = scale * centroid, in float32, rounded once.

    Attributes
    ----------
    centroids
        int8, at most 256 of them.
    scale
        Positive and finite; kept as the nearest float32.
    labels
        Stream of indices into ``centroids``.

    """

    centroids: NDArray[np.int8]
    scale: float
    labels: IntStream

    def __post_init__(self) -> None:
        check_array(self.centroids, np.int8, "the integer centroids")
        with np.errstate(over="ignore", under="ignore"):
            object.__setattr__(self, "scale", float(np.float32(self.scale)))
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise OptionError(f"the scale {self.scale} of a codebook of integers; it must be positive and finite")
        count = len(self.centroids)
        if not 1 <= count <= MAX_INTEGER_CENTROIDS:
            raise OptionError(f"{count} integer centroids; allowed are 1 to {MAX_INTEGER_CENTROIDS}")
        check_stream(self.labels, label_bits(count), "labels")
        if self.labels.symbols.size and int(self.labels.symbols.max()) >= count:
            raise OptionError(f"label {int(self.labels.symbols.max())} of a codebook of {count} centroids")


Values = Float32 | Codebook | Linear | IntegerCodebook


def check_stream(stream: IntStream, width_bits: int, what: str) -> None:
    """Refuse a stream of another width than the one that stands in the header of a packed tensor.

    Raises
    ------
    OptionError
        The stream is packed in another width, or its code has symbols that do not fit into it.

    """
    if isinstance(stream, Huffman):
        if (alphabet_size(stream.lengths) - 1) >> width_bits > 0:
            raise OptionError(
                f"a code of {alphabet_size(stream.lengths)} symbols for {what} of {width_bits} bits; leave out "
                "the symbols that do not fit"
            )
    elif stream.width_bits != width_bits:
        raise OptionError(f"{what} stored in {stream.width_bits} bits; here they take {width_bits}")


def value_count(values: Values) -> int:
    """How many values are stored."""
    stream = stream_of(values)
    return values.count if isinstance(values, Float32) else len(stream.symbols) if stream else 0


def stream_of(values: Values) -> IntStream | None:
    """Return the integer stream of the values; float32 values have none."""
    if isinstance(values, Codebook | IntegerCodebook):
        return values.labels
    if isinstance(values, Linear):
        return values.integers
    return None


def value_bits(values: Values) -> int:
    """Bits of one integer of the stream before any entropy coding; 0 for float32.

    Examples
    --------
    >>> value_bits(Codebook(np.zeros(5, np.float32), Bits(np.array([4], np.uint16), 3)))
    3

    """
    if isinstance(values, Codebook | IntegerCodebook):
        return label_bits(len(values.centroids))
    return values.bits if isinstance(values, Linear) else 0


def label_bits(centroid_count: int) -> int:
    """Bits of a label of so many centroids, at least 1."""
    return max(1, (centroid_count - 1).bit_length())


def has_row_scales(values: Values) -> bool:
    """Whether decoding a value takes the row it stands in."""
    return isinstance(values, Linear) and len(values.scales) > 1


def decode_values(values: Values, rows: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
    """Return the values as float32.

    Parameters
    ----------
    values
        Stored values.
    rows
        The row each value stands in; needed where a linear scale differs by row.

    Returns
    -------
    ndarray of float32
        One dimension; for :class:`Float32` the stored array itself.

    Examples
    --------
    >>> decode_values(Codebook(np.array([0.0, 2.5], np.float32), Bits(np.array([1, 0], np.uint16), 1)))
    array([2.5, 0. ], dtype=float32)

    """
    if isinstance(values, Float32):
        return values.array
    if isinstance(values, Codebook):
        return values.centroids[values.labels.symbols]
    if isinstance(values, IntegerCodebook):
        return real_centroids(values)[values.labels.symbols]
    scale, zero_point = values.scales, values.zero_points
    if has_row_scales(values):
        if rows is None:
            raise OptionError("values with a scale for each row need the row of each value")
        scale, zero_point = scale[rows], zero_point[rows]
    steps = values.integers.symbols.astype(np.int32) - zero_point.astype(np.int32)
    with np.errstate(over="ignore"):  # too large a product is infinite, as it is in the C runtime
        return scale * steps.astype(np.float32)


def real_centroids(values: IntegerCodebook) -> NDArray[np.float32]:
    """Return what the centroids stand for.

    Examples
    --------
    >>> stream = Bits(np.array([0], np.uint16), 1)
    >>> real_centroids(IntegerCodebook(np.array([-2, 3], np.int8), 0.5, stream))
    array([-1. ,  1.5], dtype=float32)

    """
    with np.errstate(over="ignore"):  # as in decode_values
        return np.float32(values.scale) * values.centroids.astype(np.float32)

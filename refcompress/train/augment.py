"""Augmentation: images shifted, rotated and bent at random, so that a network sees each a little different every time.

Images are (samples, height, width, channels) of any real dtype; each function returns new float32 or float64 ones. What
comes in from outside has the value ``fill``. The random numbers come from the generator given and nowhere else.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, OptionError

Array = NDArray[np.floating[Any]]


def shift(images: NDArray[Any], rng: np.random.Generator, *, pixels: int = 1, fill: float = 0.0) -> Array:
    """Move each image by whole pixels, down or up and right or left.

    Parameters
    ----------
    images
        (samples, height, width, channels).
    rng
        Draws two integers from -pixels to pixels for each image.
    pixels
        Largest move, 0 or more.
    fill
        Value of what comes in.

    Raises
    ------
    DataError
        The images have not four axes.
    OptionError
        The number of pixels is negative.

    Examples
    --------
    >>> images = np.arange(1, 5).reshape(1, 2, 2, 1)
    >>> shift(images, np.random.default_rng(3), pixels=1)[0, :, :, 0]
    array([[0., 0.],
           [2., 0.]])

    """
    x = _images(images)
    if pixels < 0:
        raise OptionError(f"a shift of {pixels} pixels; it must be at least 0")
    samples, height, width, _ = x.shape
    moves = rng.integers(-pixels, pixels, size=(samples, 2), endpoint=True)
    padded = np.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), constant_values=fill)
    rows = pixels - moves[:, 0, None] + np.arange(height)
    columns = pixels - moves[:, 1, None] + np.arange(width)
    return np.asarray(padded[np.arange(samples)[:, None, None], rows[:, :, None], columns[:, None, :]])


def rotate(images: NDArray[Any], rng: np.random.Generator, *, degrees: float = 10.0, fill: float = 0.0) -> Array:
    """Turn each image about its centre, counter-clockwise for positive angles, with bilinear interpolation.

    Parameters
    ----------
    images
        (samples, height, width, channels).
    rng
        Draws one angle, uniform from -degrees to degrees, for each image.
    degrees
        Largest angle, 0 or more.
    fill
        Value outside.

    Raises
    ------
    DataError
        The images have not four axes.
    OptionError
        The angle is negative or not finite.

    Examples
    --------
    >>> rotate(np.ones((1, 3, 3, 1)), np.random.default_rng(0), degrees=0.0)[0, 1, :, 0]
    array([1., 1., 1.])

    """
    x = _images(images)
    _check_size("an angle of degrees", degrees)
    samples, height, width, _ = x.shape
    angles = rng.uniform(-1, 1, size=(samples, 1, 1)) * math.radians(degrees)
    down = np.arange(height)[:, None] - (height - 1) / 2
    right = np.arange(width) - (width - 1) / 2
    # where each pixel comes from: the grid turned back; rows count downwards
    cos, sin = np.cos(angles), np.sin(angles)
    rows = cos * down + sin * right + (height - 1) / 2
    columns = cos * right - sin * down + (width - 1) / 2
    return sample_bilinear(x, rows, columns, fill=fill)


def elastic(
    images: NDArray[Any], rng: np.random.Generator, *, alpha: float = 8.0, sigma: float = 4.0, fill: float = 0.0
) -> Array:
    """Bend each image by a smooth random field (Simard, Steinkraus & Platt 2003, section 2).

    Each pixel gets two numbers, uniform from -1 to 1, one for each direction; both fields are blurred with a Gaussian
    of the standard deviation ``sigma``, scaled by ``alpha`` and taken as displacements, with bilinear interpolation.
    The field counts as zero outside, and the Gaussian is cut at four standard deviations. The paper has alpha = 34 and
    sigma = 4 for 29 x 29 images in the normalization of its blur; with the unit-sum blur used here 8 bends visibly.

    Parameters
    ----------
    images
        (samples, height, width, channels).
    rng
        Draws two numbers for each pixel of each image.
    alpha
        Scale of the displacements in pixels, 0 or more.
    sigma
        Standard deviation of the blur in pixels, above 0.
    fill
        Value outside.

    Raises
    ------
    DataError
        The images have not four axes.
    OptionError
        An option is out of range.

    Examples
    --------
    >>> elastic(np.ones((1, 3, 3, 1)), np.random.default_rng(0), alpha=0.0)[0, 1, :, 0]
    array([1., 1., 1.])

    """
    x = _images(images)
    _check_size("alpha", alpha)
    if not (math.isfinite(sigma) and sigma > 0):
        raise OptionError(f"sigma = {sigma}; it must be finite and above 0")
    samples, height, width, _ = x.shape
    fields = rng.uniform(-1, 1, size=(2, samples, height, width))
    moves = alpha * (gaussian_matrix(height, sigma) @ fields @ gaussian_matrix(width, sigma))
    return sample_bilinear(x, np.arange(height)[:, None] + moves[0], np.arange(width) + moves[1], fill=fill)


def gaussian_matrix(size: int, sigma: float) -> NDArray[np.float64]:
    """Matrix that blurs a line of pixels: a Gaussian of unit sum, cut at four standard deviations, zero outside.

    Symmetric, (size, size).

    Examples
    --------
    >>> gaussian_matrix(3, 0.5).round(3)
    array([[0.787, 0.106, 0.   ],
           [0.106, 0.787, 0.106],
           [0.   , 0.106, 0.787]])

    """
    reach = int(4 * sigma + 0.5)
    taps = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    distance = np.abs(np.arange(size)[:, None] - np.arange(size))
    weights = np.where(distance <= reach, taps[np.minimum(distance, reach) + reach], 0)
    return np.asarray(weights / taps.sum())


def sample_bilinear(images: Array, rows: NDArray[Any], columns: NDArray[Any], *, fill: float = 0.0) -> Array:
    """Read images between their pixels.

    Parameters
    ----------
    images
        (samples, height, width, channels).
    rows, columns
        Where to read, (samples, h, w) each or what broadcasts to it; whole numbers are the pixels' centres.
    fill
        Value of all pixels outside.

    Returns
    -------
    ndarray
        (samples, h, w, channels), in the dtype of the images.

    Examples
    --------
    >>> image = np.array([[0.0, 4.0], [8.0, 12.0]]).reshape(1, 2, 2, 1)
    >>> sample_bilinear(image, np.array([[[0.5]]]), np.array([[[0.25]]]))
    array([[[[5.]]]])

    """
    from refcompress.kernels import resampling

    down, right = (np.ascontiguousarray(each, np.float64) for each in np.broadcast_arrays(rows, columns))
    out = np.empty((*down.shape, images.shape[-1]), images.dtype)
    resampling.bilinear(np.ascontiguousarray(images), down, right, fill, out)
    return out


def _images(images: NDArray[Any]) -> Array:
    array = np.asarray(images)
    if array.ndim != 4 or array.dtype.kind not in "biuf":
        raise DataError(
            f"images of shape {array.shape} and dtype {array.dtype}; "
            "they must be real numbers of shape (samples, height, width, channels)"
        )
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _check_size(what: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise OptionError(f"{what} = {value}; it must be finite and at least 0")

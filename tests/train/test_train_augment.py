"""Augmentation: against loops over pixels and against SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from refcompress.errors import DataError, OptionError
from refcompress.train import augment


def images(seed: int, samples: int = 3, height: int = 6, width: int = 5, channels: int = 2) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random((samples, height, width, channels))


@given(st.integers(0, 2**32 - 1), st.integers(0, 8))
def test_a_shift_moves_each_pixel_as_a_loop_does(seed: int, pixels: int) -> None:
    x = images(seed)
    shifted = augment.shift(x, np.random.default_rng(seed), pixels=pixels, fill=-1.0)
    moves = np.random.default_rng(seed).integers(-pixels, pixels, size=(len(x), 2), endpoint=True)
    for sample, (down, right) in enumerate(moves):
        for row in range(6):
            for column in range(5):
                source = (row - down, column - right)
                inside = 0 <= source[0] < 6 and 0 <= source[1] < 5
                wanted = x[sample][source] if inside else np.full(2, -1.0)
                assert np.array_equal(shifted[sample, row, column], wanted)


@given(st.integers(0, 2**32 - 1))
def test_reading_between_pixels_is_linear_interpolation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = images(seed, channels=1)
    # SciPy's "constant" interpolates towards the fill one pixel outside, in mode "grid-constant"
    rows, columns = rng.uniform(-3, 9, size=(3, 4, 4)), rng.uniform(-3, 8, size=(3, 4, 4))
    ours = augment.sample_bilinear(x, rows, columns, fill=0.5)[..., 0]
    for sample in range(3):
        places = [rows[sample], columns[sample]]
        theirs = ndimage.map_coordinates(x[sample, :, :, 0], places, order=1, mode="grid-constant", cval=0.5)
        assert np.allclose(ours[sample], theirs, rtol=0, atol=1e-14)


def test_a_rotation_turns_counter_clockwise() -> None:
    class Always(np.random.Generator):
        def uniform(self, *_args: Any, size: Any = None, **_: Any) -> Any:
            return np.ones(size)

    x = images(0, height=5, width=5)
    turned = augment.rotate(x, Always(np.random.PCG64(0)), degrees=90.0)
    assert np.allclose(turned, np.rot90(x, axes=(1, 2)), atol=1e-14)
    little = augment.rotate(x, Always(np.random.PCG64(0)), degrees=20.0)
    for sample in range(3):
        for channel in range(2):
            theirs = ndimage.rotate(x[sample, :, :, channel], 20.0, reshape=False, order=1, mode="grid-constant")
            assert np.allclose(little[sample, :, :, channel], theirs, atol=1e-12)


def test_angles_stay_in_their_range() -> None:
    x = np.zeros((500, 21, 21, 1), np.float32)
    x[:, 10, 20] = 1  # straight to the right
    turned = augment.rotate(x, np.random.default_rng(1), degrees=30.0)
    rows = np.arange(21)[:, None] - 10
    columns = np.arange(21) - 10
    mass = turned[..., 0]
    angles = np.degrees(np.arctan2(-(mass * rows).sum((1, 2)), (mass * columns).sum((1, 2))))
    assert 27 < np.abs(angles).max() < 31  # the centre of mass of four pixels is good to about a degree
    assert abs(angles.mean()) < 5 * 30 / np.sqrt(3 * 500)


def test_the_blur_of_the_elastic_field_is_a_gaussian_filter() -> None:
    for size, sigma in ((9, 1.0), (12, 4.0), (5, 0.3)):
        theirs = ndimage.gaussian_filter1d(np.eye(size), sigma, axis=0, mode="constant")
        assert np.allclose(augment.gaussian_matrix(size, sigma), theirs, atol=1e-15)


def test_an_elastic_distortion_is_that_of_the_paper() -> None:
    x = images(3, channels=1)
    ours = augment.elastic(x, np.random.default_rng(9), alpha=5.0, sigma=1.5)
    fields = np.random.default_rng(9).uniform(-1, 1, size=(2, 3, 6, 5))
    grid = np.indices((6, 5))
    for sample in range(3):
        moves = [5.0 * ndimage.gaussian_filter(each, 1.5, mode="constant") for each in fields[:, sample]]
        theirs = ndimage.map_coordinates(x[sample, :, :, 0], grid + moves, order=1, mode="grid-constant")
        assert np.allclose(ours[sample, :, :, 0], theirs, atol=1e-12)


@pytest.mark.parametrize("change", [augment.shift, augment.rotate, augment.elastic])
def test_the_same_generator_gives_the_same_bytes_and_the_dtype_stays(change: Any) -> None:
    x = images(4).astype(np.float32)
    before = x.copy()
    first, second = (change(x, np.random.default_rng(2)) for _ in range(2))
    assert first.dtype == np.float32
    assert first.tobytes() == second.tobytes()
    assert np.array_equal(x, before)
    assert not np.array_equal(first, x)
    assert change((x * 255).astype(np.uint8), np.random.default_rng(2)).dtype == np.float64
    assert change(x[:0], np.random.default_rng(2)).shape == (0, *x.shape[1:])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: augment.shift(np.zeros((2, 3)), r), DataError, r"shape \(2, 3\)"),
        (lambda r: augment.shift(images(0), r, pixels=-1), OptionError, "shift of -1"),
        (lambda r: augment.rotate(images(0), r, degrees=-1), OptionError, "degrees = -1"),
        (lambda r: augment.elastic(images(0), r, alpha=np.inf), OptionError, "alpha = inf"),
        (lambda r: augment.elastic(images(0), r, sigma=0), OptionError, "sigma = 0"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(np.random.default_rng(0))
